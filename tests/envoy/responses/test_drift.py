"""The Responses API over servers that write chat completions in their own way."""

from __future__ import annotations

import json

import pytest
from harness import answer, openai_shapes, sse
from harness.responses import plain, streamed
from harness.responses_scenes import (
    CUT_BY_LENGTH,
    ONE_CALL,
    REASONING,
    begins,
    chunk,
    goes_on,
    holds,
    said,
)



def drifting(body: bytes) -> dict[str, bytes]:
    """A right stream as servers are known to send it."""
    return {
        "CRLF": body.replace(b"\n", b"\r\n"),
        "CR": body.replace(b"\n", b"\r"),
        "no space": body.replace(b"data: ", b"data:"),
        "comments": body.replace(b"data: ", b": keepalive\n\ndata: "),
        "comment lines within": body.replace(b"data: ", b": keepalive\ndata: "),
        "a BOM": b"\xef\xbb\xbf" + body,
        "doubled data": body.replace(b"data: ", b"data: data: "),
        "event names": body.replace(b"data: {", b"event: message\nid: 7\ndata: {"),
        "no blank lines": body.replace(b"\n\n", b"\n"),
        "NDJSON": body.replace(b"data: ", b"").replace(b"\n\n", b"\n"),
        "lower-case [done]": body.replace(b"[DONE]", b"[done]"),
        "two [DONE]": body + b"data: [DONE]\n\n",
        "no last newline": body.rstrip(b"\n"),
    }


@pytest.mark.parametrize("scene", [REASONING, ONE_CALL], ids=lambda scene: scene.name)
@pytest.mark.parametrize("drift", drifting(b""))
@pytest.mark.parametrize("cut", [None, 5])
def test_a_drifting_stream(gateway, chat_server, scene, drift, cut):
    body = drifting(scene.stream().body)[drift]
    scripted = answer(body, content_type="text/event-stream", chunks=cut, framing="chunked")
    checked = streamed(gateway, chat_server, scripted)
    holds(checked.final, scene)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", None])
@pytest.mark.parametrize("scene", [REASONING, ONE_CALL, CUT_BY_LENGTH], ids=lambda scene: scene.name)
def test_one_completion_for_a_stream(gateway, chat_server, scene, kind):
    """A server that doesn't stream: the client has its events all the same."""
    checked = streamed(gateway, chat_server, answer(scene.completion(), content_type=kind))
    holds(checked.final, scene)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", None])
@pytest.mark.parametrize("scene", [REASONING, ONE_CALL, CUT_BY_LENGTH], ids=lambda scene: scene.name)
def test_a_stream_for_one_completion(gateway, chat_server, scene, kind):
    """A server that always streams: the client has one object all the same."""
    scripted = answer(scene.stream().body, content_type=kind, framing="chunked")
    holds(plain(gateway, chat_server, scripted), scene)


@pytest.mark.parametrize("stream", [False, True])
def test_content_in_parts(gateway, chat_server, stream):
    """Some servers give an answer's content as a list of parts."""
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    if stream:
        scripted = sse(chunk({"content": parts}), chunk({}, "stop"), "[DONE]")
        response = streamed(gateway, chat_server, scripted).final
    else:
        completion = openai_shapes.completion()
        completion["choices"][0]["message"]["content"] = parts
        response = plain(gateway, chat_server, answer(completion))
    assert "".join(text for _, text in said(response)) == "Hello"


def test_a_call_without_an_id_or_an_index(gateway, chat_server):
    """Servers leave out what they think is plain: the client has a call_id to answer to."""
    function = {"name": "f", "arguments": '{"a":1}'}
    delta = {"tool_calls": [{"function": function}]}
    checked = streamed(gateway, chat_server, sse(chunk(delta), chunk({}, "tool_calls"), "[DONE]"))
    ((kind, call_id, name, arguments),) = said(checked.final)
    assert (kind, name, arguments) == ("function_call", "f", '{"a":1}') and call_id
    message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    whole = plain(gateway, chat_server, answer({**openai_shapes.completion(), "choices": [choice]}))
    assert said(whole)[0][2:] == ("f", '{"a":1}') and said(whole)[0][1]


def test_arguments_as_an_object(gateway, chat_server):
    """A server that gives a call's arguments as JSON itself, and not as text of it."""
    odd = {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    message = {"role": "assistant", "content": None, "tool_calls": [odd]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    whole = plain(gateway, chat_server, answer({**openai_shapes.completion(), "choices": [choice]}))
    ((_, _, _, arguments),) = said(whole)
    assert json.loads(arguments) == {"a": 1}


@pytest.mark.parametrize("same", ["index", "id"])
def test_parallel_calls_that_share_a_mark(gateway, chat_server, same):
    """Some servers give every call of an answer index 0, others no id."""
    deltas = [begins(0 if same == "index" else at, "" if same == "id" else f"call_{at}", f"f{at}", "{}") for at in (0, 1)]
    checked = streamed(gateway, chat_server, sse(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]"))
    assert [short[2:] for short in said(checked.final)] == [("f0", "{}"), ("f1", "{}")]


def test_an_id_and_a_name_in_every_delta(gateway, chat_server):
    deltas = [begins(0, "call_a", "f", '{"a"'), begins(0, "call_a", "f", ":1}")]
    checked = streamed(gateway, chat_server, sse(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]"))
    assert said(checked.final) == (("function_call", "call_a", "f", '{"a":1}'),)


def test_a_name_in_pieces(gateway, chat_server):
    """Where one function's name begins with another's, it is not called by half of it."""
    more = {"tool_calls": [{"index": 0, "function": {"name": "_more"}}]}
    deltas = [begins(0, "call_a", "f"), more, goes_on(0, "{}")]
    tools = [{"type": "function", "name": name} for name in ("f", "f_more")]
    scripted = sse(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]")
    checked = streamed(gateway, chat_server, scripted, tools=tools)
    assert said(checked.final) == (("function_call", "call_a", "f_more", "{}"),)


@pytest.mark.parametrize(("pieces", "deltas"), [(("a\\ud83d", "\\ude00b"), ["a", "\U0001f600b"]),
                                                (("a\\ud83d", "b"), ["a", "\ufffdb"])])  # fmt: skip
def test_half_of_a_character(gateway, chat_server, pieces, deltas):
    """A delta is text that can be shown: half of a surrogate pair waits for the other."""
    texts = [json.dumps(chunk({"content": "@"})).replace("@", piece) for piece in pieces]
    checked = streamed(gateway, chat_server, sse(*texts, chunk({}, "stop"), "[DONE]"))
    assert checked.deltas == deltas


def test_a_first_chunk_without_anything(gateway, chat_server):
    """As Azure begins: the answer's own name and time come later."""
    empty = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    checked = streamed(gateway, chat_server, sse(empty, *REASONING.chunks()))
    holds(checked.final, REASONING)


def test_a_name_that_comes_late_is_not_taken(gateway, chat_server):
    """The Response is called the same from its first event on."""
    first = {name: value for name, value in chunk({"content": "Hi"}).items() if name not in ("model", "created")}
    checked = streamed(gateway, chat_server, sse(first, chunk({}, "stop"), "[DONE]"))
    assert checked.final["model"] == "m"


def test_the_last_words_with_the_finish_reason(gateway, chat_server):
    scripted = sse(chunk({"content": "a"}), chunk({"content": "b"}, "stop"), "[DONE]")
    assert streamed(gateway, chat_server, scripted).deltas == ["a", "b"]


def test_a_finish_reason_that_is_an_error(gateway, chat_server):
    scripted = sse(chunk({"content": "a"}), chunk({}, "error"), "[DONE]")
    assert streamed(gateway, chat_server, scripted).final["status"] == "failed"
