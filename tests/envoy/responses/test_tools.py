"""Tools of the Responses API that chat completions doesn't have, there and back."""

from __future__ import annotations

import json

import pytest
from harness import answer, openai_shapes, responses, sse
from harness.responses import ask, plain, streamed
from harness.responses_scenes import TEXT, begins, call, chunk, goes_on, said

CUSTOM = {"type": "custom", "name": "apply_patch", "description": "Edits files.",
          "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}}  # fmt: skip
NAMESPACE = {
    "type": "namespace",
    "name": "team",
    "description": "Agents.",
    "tools": [{"type": "function", "name": "close", "description": "", "strict": False,
               "parameters": {"type": "object", "properties": {}}}],
}  # fmt: skip
PATCH = '*** Begin Patch\n*** Add File: a "b"\n+\\n é\n*** End Patch'


def offered(chat_server, number=1):
    """The functions that the server was offered, by name."""
    tools = chat_server.wait_request(number).wait_complete().json()["tools"]
    assert all(set(tool) == {"type", "function"} and tool["type"] == "function" for tool in tools)
    return {tool["function"]["name"]: tool["function"] for tool in tools}


@pytest.mark.parametrize("cut", [None, 1, 4])
def test_a_custom_tool_is_a_function_of_one_text(gateway, chat_server, cut):
    """Its call comes back as the text, streamed as it grows, whatever escapes the server wrote."""
    chat_server.handler = lambda _: TEXT.plain()
    responses.whole(responses.post(gateway, ask(tools=[CUSTOM])))
    function = offered(chat_server)["apply_patch"]
    (argument,) = function["parameters"]["properties"]
    assert function["parameters"]["properties"][argument]["type"] == "string"
    assert CUSTOM["description"] in function["description"]
    arguments = json.dumps({argument: PATCH})
    message = {"role": "assistant", "content": None, "tool_calls": [call("call_a", "apply_patch", arguments)]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    whole = plain(gateway, chat_server, answer({**openai_shapes.completion(), "choices": [choice]}), tools=[CUSTOM])
    assert said(whole) == (("custom_tool_call", "call_a", "apply_patch", PATCH),)
    pieces = [arguments[at : at + 3] for at in range(0, len(arguments), 3)]
    deltas = [begins(0, "call_a", "apply_patch"), *(goes_on(0, piece) for piece in pieces)]
    scripted = sse(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]")
    scripted = answer(scripted.body, content_type="text/event-stream", chunks=cut, framing="chunked")
    checked = streamed(gateway, chat_server, scripted, tools=[CUSTOM])
    assert said(checked.final) == (("custom_tool_call", "call_a", "apply_patch", PATCH),)
    assert len(checked.deltas) > 5


ODD = {
    '{"input":"a"}': "a",
    ' { "input" : "a" } ': "a",
    '{"input":"a\\u00e9\\ud83d\\ude00"}': "a\u00e9\U0001f600",
    '{"input":"a","more":1}': "a",
    '{"input":"a': "a",
    "a": "a",
    '{"other":"a"}': '{"other":"a"}',
    '{"input":7}': '{"input":7}',
    '"a"': '"a"',
    "": "",
    "{}": "{}",
}
"""What a server may write where it was asked for `{"input": "…"}`, and the text that it is taken for."""


@pytest.mark.parametrize(("arguments", "text"), ODD.items())
def test_a_custom_tools_text_is_never_lost(gateway, chat_server, arguments, text):
    """Whatever the server made of the one argument, the client gets it, both ways the same."""
    wanted = (("custom_tool_call", "call_a", "apply_patch", text),)
    deltas = [begins(0, "call_a", "apply_patch"), *(goes_on(0, letter) for letter in arguments)]
    scripted = sse(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]")
    assert said(streamed(gateway, chat_server, scripted, tools=[CUSTOM]).final) == wanted
    message = {"role": "assistant", "content": None, "tool_calls": [call("call_a", "apply_patch", arguments)]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    completion = answer({**openai_shapes.completion(), "choices": [choice]})
    assert said(plain(gateway, chat_server, completion, tools=[CUSTOM])) == wanted


def test_a_namespaces_function_is_called_back_by_its_own_name(gateway, chat_server):
    chat_server.handler = lambda _: TEXT.plain()
    responses.whole(responses.post(gateway, ask(tools=[NAMESPACE])))
    (name,) = offered(chat_server)
    deltas = [begins(0, "call_a", name), goes_on(0, "{}")]
    scripted = sse(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]")
    checked = streamed(gateway, chat_server, scripted, tools=[NAMESPACE])
    (item,) = checked.final["output"]
    assert (item["type"], item["name"], item["namespace"]) == ("function_call", "close", "team")


def test_one_name_in_two_places(gateway, chat_server):
    """A function, and functions of two namespaces, that are called the same stay apart."""
    function = NAMESPACE["tools"][0]
    tools = [function, NAMESPACE, {**NAMESPACE, "name": "staff"}]
    chat_server.handler = lambda _: TEXT.plain()
    responses.whole(responses.post(gateway, ask(tools=tools)))
    names = list(offered(chat_server))
    assert len(names) == 3
    deltas = [begins(at, f"call_{at}", name, "{}") for at, name in enumerate(names)]
    scripted = sse(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]")
    output = streamed(gateway, chat_server, scripted, tools=tools).final["output"]
    called = [(item["name"], item.get("namespace")) for item in output]
    assert called == [("close", None), ("close", "team"), ("close", "staff")]


def test_a_function_that_nobody_offered_is_called_as_the_server_calls_it(gateway, chat_server):
    scripted = sse(chunk(begins(0, "call_a", "invented", "{}")), chunk({}, "tool_calls"), "[DONE]")
    checked = streamed(gateway, chat_server, scripted, tools=[CUSTOM])
    assert said(checked.final) == (("function_call", "call_a", "invented", "{}"),)
