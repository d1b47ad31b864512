"""The recorded quirks of chat streams (A) and errors (B), as a client of the Messages API sees them."""

from __future__ import annotations

import json

import pytest
from harness.messages import ask, assembled, error_of, post, well_formed
from harness.quirks import ANSWERS, expected, params, recorded

# A message has one answer: what was recorded with `n` has several.
CHAT = [quirk for quirk in ANSWERS if quirk.category in "AB" and quirk.path == "/v1/chat/completions"
        and b'"n":' not in quirk.request_body]
STOPS = {"stop": {"end_turn", "stop_sequence"}, "length": {"max_tokens"}, "content_filter": {"refusal"},
         "tool_calls": {"tool_use"}, "function_call": {"tool_use"}, None: {"end_turn", "tool_use", "max_tokens", "refusal"}}  # fmt: skip


def words(told: str, want: str | None, contains: bool) -> None:
    if want and not want.startswith("<"):
        ours = ("prompt is too long", "input length and")
        assert want in told if contains or told.startswith(ours) else told.startswith(want[:40]), (told, want)


def matches(reply, want):
    """Whether the reply is what the case expects. Raises where it is not."""
    kind, contains = want["kind"], want.get("message_contains", False)
    statuses = {want["status"], *want.get("status_alternatives", [])}
    if kind == "json_error" or reply.status >= 400:
        assert reply.status in statuses or kind == "sse", (reply.status, reply.body)
        told = error_of(reply.body, reply.status)
        words(told, (want.get("error") or {}).get("message"), contains)
        return
    if reply.header("content-type") == "application/json":
        message = reply.json()
        well_formed(message)
        failed = None
    else:
        message, failed = assembled(reply.body)
    if kind == "json":
        choices = want.get("body_subset", {}).get("choices")
        content = choices and choices[0].get("message", {}).get("content")
        if isinstance(content, str):
            assert text(message) == content
        return
    assert kind == "sse", want
    if want.get("text_len"):
        assert len(text(message)) == want["text_len"]
    elif want.get("text") is not None:
        assert text(message) == want["text"]
    if want.get("error"):
        assert failed, message
        words(failed["error"]["message"], want["error"].get("message"), contains)
        return
    assert failed is None, failed
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    told = [(call["name"], call["input"]) for call in calls]
    assert told == [(call["name"], json.loads(call["arguments"] or "{}")) for call in want.get("tool_calls", [])]
    stops = STOPS[want.get("finish_reason")] if not calls else {"tool_use", "max_tokens"}
    assert message["stop_reason"] in stops, (message["stop_reason"], want["finish_reason"])
    usage = want.get("usage")
    if usage and usage.get("completion_tokens"):
        assert message["usage"]["output_tokens"] == usage["completion_tokens"]


def text(message):
    return "".join(block["text"] for block in message.get("content", []) if block["type"] == "text")


@pytest.mark.parametrize("quirk", params(CHAT))
def test_quirk(gateway, upstreams, quirk):
    asked = json.loads(quirk.request_body or b"{}")
    upstreams["alpha"].next(recorded(quirk))
    tools = {"tools": [{"name": "f"}]} if asked.get("tools") else {}
    body = json.dumps(ask(stream=bool(asked.get("stream")), **tools)).encode()
    if quirk.meta["upstream"].get("close") == "never":
        reply = until_stop(gateway, body)
    else:
        reply = post(gateway, body)
    want = expected(quirk)
    failures = []
    for one in want.get("one_of", [want]):
        try:
            return matches(reply, one)
        except AssertionError as failure:
            failures.append(str(failure))
    raise AssertionError(f"{failures} for {reply.status} {reply.body[:1500]}")


def until_stop(gateway, body):
    """The answer of a server that keeps the connection open."""
    import dataclasses

    from harness import headers

    length = ("content-length", str(len(body)))
    with gateway.connect() as client:
        client.send_head("POST", "/v1/messages", headers("main", "application/json", [length]))
        client.send(body)
        incoming = client.answer()
        if incoming.status != 200:
            return incoming.rest()
        incoming.read_until(lambda got: got.endswith((b'{"type":"message_stop"}\n\n', b"null}\n\n")))
        return dataclasses.replace(incoming.so_far, complete=True)
