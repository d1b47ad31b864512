"""The Responses API over chat completions: what the server is really sent."""

from __future__ import annotations

import json

import pytest
from harness import ROOT, responses
from harness.responses import ask, assistant, called, item, output, post, text, tool, user
from harness.responses_scenes import TEXT

CODEX = ROOT / "tests" / "envoy" / "data" / "codex"
DROPPED = "x-langwatch-params-dropped"
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
IMAGE = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


@pytest.fixture
def sent(gateway, chat_server):
    """Sends a request with these members; the chat request that the server got."""

    def send(**fields):
        chat_server.next(TEXT.stream() if fields.get("stream") else TEXT.plain())
        reply = post(gateway, ask(**fields))
        (responses.stream if fields.get("stream") else responses.whole)(reply)
        send.reply = reply
        return responses.chat_request(chat_server)

    return send


# Messages


MESSAGES = {
    "a string": ("hi\n\"é\"\u2028", [user("hi\n\"é\"\u2028")]),
    "a message without type": ([user("hi")], [user("hi")]),
    "text parts": ([item("user", text("a"), text("b"))], [user("a\nb")]),
    "a dialogue": (
        [item("user", text("a")), item("assistant", text("b", "output_text"), id="msg_1", status="completed"),
         item("user", text("c"))],
        [user("a"), assistant("b"), user("c")],
    ),
    "system and developer": (
        [item("system", text("s")), item("developer", text("d")), item("user", text("u"))],
        [{"role": "system", "content": "s\n\nd"}, user("u")],
    ),
    "a developer's later word": (
        [item("user", text("u")), item("developer", text("d"))],
        [user("u"), user("Instruction of the developer:\n\nd")],
    ),
    "an output that no call asked for": (
        [{"type": "function_call_output", "name": "n", "namespace": "app", "output": "o"}, user("go")],
        [user("Output of the tool app.n:\n\no"), user("go")],
    ),
    "a refusal": (
        [user("a"), item("assistant", {"type": "refusal", "refusal": "no"}), user("b")],
        [user("a"), assistant("no"), user("b")],
    ),
    "an image": (
        [item("user", text("see"), {"type": "input_image", "image_url": IMAGE, "detail": "low"})],
        [user([{"type": "text", "text": "see"},
               {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}}])],
    ),
    "a file": (
        [item("user", {"type": "input_file", "filename": "a.pdf", "file_data": PDF}, text("read"))],
        [user([{"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
               {"type": "text", "text": "read"}])],
    ),
    "a stored file": (
        [item("user", {"type": "input_file", "file_id": "file-1"})],
        [user([{"type": "file", "file": {"file_id": "file-1"}}])],
    ),
    "reasoning is left out": (
        [user("a"), {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x",
                     "content": [text("thought", "reasoning_text")]},
         item("assistant", text("b", "output_text"))],
        [user("a"), assistant("b")],
    ),
    "a call and its output": (
        [user("a"), called("c1", '{"a":1}'), output("c1", "one")],
        [user("a"), assistant(None, ("c1", "f", '{"a":1}')), tool("c1", "one")],
    ),
    "parallel calls": (
        [user("a"), called("c1"), called("c2", '{"a":2}', "g"), output("c2", "two"), output("c1", "one")],
        [user("a"), assistant(None, ("c1", "f", "{}"), ("c2", "g", '{"a":2}')), tool("c1", "one"),
         tool("c2", "two")],
    ),
    "calls one after the other": (
        [user("a"), called("c1"), output("c1", "one"), called("c2"), output("c2", "two")],
        [user("a"), assistant(None, ("c1", "f", "{}")), tool("c1", "one"),
         assistant(None, ("c2", "f", "{}")), tool("c2", "two")],
    ),
    "words before a call": (
        [user("a"), item("assistant", text("I look.", "output_text")), called("c1"), output("c1", "one")],
        [user("a"), assistant("I look.", ("c1", "f", "{}")), tool("c1", "one")],
    ),
    "an output in parts": (
        [user("a"), called("c1"), output("c1", [text("one"), text("two")])],
        [user("a"), assistant(None, ("c1", "f", "{}")), tool("c1", "one\ntwo")],
    ),
    "arguments that are no JSON": (
        [user("a"), called("c1", "oops {"), output("c1", "bad")],
        [user("a"), assistant(None, ("c1", "f", '{"invalid_arguments":"oops {"}')),
         tool("c1", "bad")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("input", "messages"), MESSAGES.values(), ids=MESSAGES)
def test_messages(sent, input, messages):
    assert sent(input=input) == {"model": "m", "messages": messages}


def test_instructions_come_first(sent):
    body = sent(instructions="Be brief.", input=[item("developer", text("d")), user("u")])
    assert body["messages"] == [{"role": "system", "content": "Be brief.\n\nd"}, user("u")]


def test_an_image_that_a_tool_made(sent):
    """A tool message holds text; the image stands behind it, where every server takes images."""
    image = {"type": "input_image", "image_url": IMAGE}
    messages = sent(input=[user("a"), called("c1"), output("c1", [text("seen"), image])])["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]
    assert messages[2] == tool("c1", "seen")
    assert messages[3]["content"][-1] == {"type": "image_url", "image_url": {"url": IMAGE}}
    assert "c1" in json.dumps(messages[3]["content"][0])


def test_a_custom_tools_call_and_output(sent):
    tools = [{"type": "custom", "name": "patch", "description": "Edits."}]
    items = [user("a"), {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'a "b"\n'},
             {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"}]  # fmt: skip
    body = sent(input=items, tools=tools)
    (made,) = body["messages"][1]["tool_calls"]
    ((argument, _),) = body["tools"][0]["function"]["parameters"]["properties"].items()
    assert (made["id"], made["function"]["name"]) == ("c1", "patch")
    assert json.loads(made["function"]["arguments"]) == {argument: 'a "b"\n'}
    assert body["messages"][2] == tool("c1", "ok")


def test_cache_marks_stay(sent):
    body = sent(input=[item("user", text("a"), {**text("b"), "cache_control": {"type": "ephemeral"}})])
    assert body["messages"][0]["content"][1] == {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}


# Parameters


def chat_function(**fields):
    return {"type": "function", "function": {**FUNCTION, **fields}}


LISTED = {"tools": [{"type": "function", **FUNCTION}]}
OFFERED = {"tools": [chat_function()]}
FORMAT = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True, "description": "d"}
PARAMETERS = {
    "numbers": ({"temperature": 0.5, "top_p": 1e-1}, {"temperature": 0.5, "top_p": 0.1}),
    "a seed, a stop, logit_bias": (
        {"seed": 7, "stop": ["x"], "logit_bias": {"1": 2}},
        {"seed": 7, "stop": ["x"], "logit_bias": {"1": 2}},
    ),
    "an extension of the server": ({"top_k": 40, "chat_template_kwargs": {"a": True}},
                                   {"top_k": 40, "chat_template_kwargs": {"a": True}}),
    "identity and tier": (
        {"user": "u", "metadata": {"a": "b"}, "service_tier": "flex"},
        {"user": "u", "metadata": {"a": "b"}, "service_tier": "flex"},
    ),
    "effort": ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
    "null is absent": ({"temperature": None, "tools": None, "instructions": None, "text": None,
                        "previous_response_id": None, "conversation": None, "background": None}, {}),
    "what only the API's own server could do": (
        {"store": False, "include": ["reasoning.encrypted_content"], "truncation": "disabled", "background": False}, {},
    ),
    "text": ({"text": {"format": {"type": "text"}}}, {}),
    "a schema": (
        {"text": {"format": FORMAT}},
        {"response_format": {"type": "json_schema",
                             "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"}}},
    ),
    "any JSON": ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    "a function": (LISTED, OFFERED),
    "a strict function": (
        {"tools": [{"type": "function", **FUNCTION, "strict": True, "description": "d"}]},
        {"tools": [chat_function(strict=True, description="d")]},
    ),
    "parallel calls": ({**LISTED, "parallel_tool_calls": False}, {**OFFERED, "parallel_tool_calls": False}),
    **{
        f"choice {word}": ({**LISTED, "tool_choice": word}, {**OFFERED, "tool_choice": word})
        for word in ("auto", "none", "required")
    },
    "choice of a function": (
        {**LISTED, "tool_choice": {"type": "function", "name": "f"}},
        {**OFFERED, "tool_choice": {"type": "function", "function": {"name": "f"}}},
    ),
    "allowed tools": (
        {"tools": [*LISTED["tools"], {"type": "function", **FUNCTION, "name": "g"}],
         "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}},
        {**OFFERED, "tool_choice": "required"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "carried"), PARAMETERS.values(), ids=PARAMETERS)
def test_parameters(sent, fields, carried):
    body = sent(**fields)
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == carried
    assert sent.reply.header(DROPPED) is None


def test_a_limit_of_tokens(sent):
    """By its newer name or by the one that every server knows; never by the Responses API's."""
    body = sent(max_output_tokens=77)
    limits = {name: value for name, value in body.items() if "max" in name}
    assert set(limits) <= {"max_tokens", "max_completion_tokens"} and set(limits.values()) == {77}


def test_log_probabilities(sent):
    body = sent(top_logprobs=3, include=["message.output_text.logprobs"])
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)


def test_a_stream_asks_for_its_usage(sent):
    body = sent(stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_what_is_no_stream_has_its_usage_anyway(sent):
    body = sent(stream=False)
    assert not body.get("stream") and "stream_options" not in body


# What can't be carried


HINTS = {
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "implicit"}},
    "safety_identifier": {"safety_identifier": "s"},
    "text.verbosity": {"text": {"verbosity": "low"}},
    "verbosity": {"verbosity": "low"},
    "store": {"store": True},
    "client_metadata": {"client_metadata": {"a": "b"}},
    "prompt_cache_breakpoint": {
        "input": [item("user", {**text("x"), "prompt_cache_breakpoint": {"mode": "explicit"}})]
    },
}


@pytest.mark.parametrize("name", HINTS)
def test_what_only_openai_knows_is_left_out_and_named(sent, name):
    body = sent(**HINTS[name])
    assert set(body) == {"model", "messages"} and "breakpoint" not in json.dumps(body)
    assert sent.reply.header(DROPPED) == name


LEFT_OUT = {
    "web_search": {"tools": [{"type": "web_search", "search_context_size": "low"}]},
    "file_search": {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
    "code_interpreter": {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
    "mcp": {"tools": [{"type": "mcp", "server_label": "l", "server_url": "https://mcp.test"}]},
    "image_generation": {"tools": [{"type": "image_generation"}]},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_tool_that_has_no_form_in_chat_is_named(sent, name, stream):
    fields = LEFT_OUT[name]
    body = sent(**fields, stream=stream)
    assert "tools" not in body
    assert sent.reply.header(DROPPED) == name


def test_a_parameter_that_has_no_form_in_chat_is_named(sent):
    assert "truncation" not in sent(truncation="auto")
    assert sent.reply.header(DROPPED) == "truncation"


@pytest.mark.parametrize("stream", [False, True])
def test_only_what_has_no_form_is_left_out(sent, stream):
    tools = [{"type": "web_search"}, *LISTED["tools"], {"type": "mcp", "server_label": "l"}]
    assert sent(tools=tools, tool_choice="auto", stream=stream)["tools"] == OFFERED["tools"]
    assert sent.reply.header(DROPPED) == "web_search, mcp"


# Real requests


@pytest.mark.parametrize("name", ["first_turn", "function_tools", "custom_tool", "additional_tools"])
def test_what_a_coding_cli_sends(gateway, chat_server, name):
    """Nothing of the conversation is lost, and what is left out is named."""
    body = json.loads((CODEX / f"{name}.json").read_text())
    chat_server.next(TEXT.stream())
    reply = post(gateway, {**body, "model": "alpha/m"})
    responses.stream(reply)
    chat = responses.chat_request(chat_server)
    roles = [message["role"] for message in chat["messages"]]
    assert roles[0] == "system" and roles.count("system") == 1
    outputs = [it for it in body["input"] if it["type"].endswith("_output")]
    calls = [made["id"] for message in chat["messages"] for made in message.get("tool_calls", [])]
    told = [message["tool_call_id"] for message in chat["messages"] if message["role"] == "tool"]
    assert calls == told == [it["call_id"] for it in outputs]
    tools = list(body.get("tools", []))
    for it in body["input"]:
        tools += it.get("tools", [])
    inner = [each for one in tools for each in one.get("tools", [one])]
    kept = [each for each in inner if each["type"] in ("function", "custom")]
    assert len({made["function"]["name"] for made in chat["tools"]}) == len(kept)
    unnamed = {each["type"] for each in inner} - {"function", "custom"}
    dropped = set((reply.header(DROPPED) or "").split(", ")) - {""}
    assert unnamed <= dropped
    sent = json.dumps(chat, ensure_ascii=False)
    for it in body["input"]:
        for part in it.get("content") or [] if it["type"] == "message" else []:
            assert json.dumps(part["text"], ensure_ascii=False)[1:-1] in sent
