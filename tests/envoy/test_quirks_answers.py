"""The recorded quirks of answers: streams (A), errors (B) and embeddings (C), through the whole
gateway, to a strict reader and to the official Python SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from harness import Response, events, expect, headers, plugin, quirks
from harness.quirks import Quirk

QUIRKS = quirks.load(lambda quirk: quirk.category in "ABC")
COMPRESSED = "a-gzip-flush-per-event"
"""Compressed though nobody asked: it passes as it is."""
STREAMS = [quirk for quirk in QUIRKS if quirk.category == "A" and quirk.id != COMPRESSED]
PATHS = {"/api/chat": "/v1/chat/completions", "/embed_sparse": "/v1/embeddings"}
"""Where a client of the gateway asks for what a server's own path does."""


def send(gateway, upstreams, quirk: Quirk, cut: Any) -> Response:
    body = json.loads(quirk.request_body)
    body.setdefault("model", "m")
    if "embeddings" in PATHS.get(quirk.path, quirk.path):
        body.setdefault("input", "hi")
    upstreams["alpha"].next(quirk.answer(cut))
    path = PATHS.get(quirk.path, quirk.path)
    return gateway.request(
        "POST", path, headers("main", "application/json"), body=json.dumps(body).encode()
    )


def contains(got: Any, wanted: Any, at: str = "body") -> None:
    """`wanted` is part of `got`: members that are named, items one by one."""
    if isinstance(wanted, dict):
        assert isinstance(got, dict), f"{at}: {got!r}"
        for key, value in wanted.items():
            assert key in got, f"{at}.{key} is missing: {got!r}"
            contains(got[key], value, f"{at}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(got, list) and len(got) == len(wanted), f"{at}: {got!r}"
        for index, value in enumerate(wanted):
            contains(got[index], value, f"{at}[{index}]")
    elif isinstance(wanted, float):
        assert got == pytest.approx(wanted), at
    else:
        assert got == wanted, f"{at}: {got!r} is not {wanted!r}"


def error_is(got: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Null members are free; codes compare loosely; `<generic: …>` is any message."""
    for key, value in wanted.items():
        if value is None or str(value).startswith("<generic"):
            continue
        if key == "code":
            assert str(got["code"]) == str(value), got
        elif key == "message":
            assert value in got["message"], got
        else:
            assert got[key] == value, got


def is_stream(reply: Response, wanted: dict[str, Any]) -> None:
    stream = events.parse(reply.body)
    if wanted.get("error"):
        assert len(stream.errors) == 1, stream.payloads
        error_is(stream.errors[0], wanted["error"])
        for key in ("code", "type"):
            if key in wanted:
                assert str(stream.errors[0][key]) == str(wanted[key])
        assert stream.done
    else:
        assert stream.errors == []
        assert stream.done == wanted["done"]
        assert stream.finish_reason == wanted["finish_reason"]
    if "text_len" in wanted:
        assert len(stream.text) == wanted["text_len"]
    else:
        assert stream.text == wanted["text"]
    if wanted.get("usage"):
        contains(stream.usage, wanted["usage"], "usage")
    if "tool_calls" in wanted:
        calls = [dict(call) for call in wanted["tool_calls"]]
        for got, call in zip(stream.tool_calls, calls, strict=True):
            if call["id"].startswith("<synthesised"):
                assert got["id"]
                call["id"] = got["id"]
            assert got == call
    for event in stream.events:
        assert "error" in event or isinstance(event["choices"], list), event


def is_expected(reply: Response, wanted: dict[str, Any]) -> None:
    statuses = [wanted["status"], *wanted.get("status_alternatives", [])]
    if wanted["kind"] == "sse" and wanted.get("error") and not wanted["text"]:
        statuses.extend(range(400, 600))  # an error before any text may be an HTTP error as well
    assert reply.status in statuses, (reply.status, reply.body[:500])
    assert reply.complete
    kind = "json_error" if reply.status >= 400 else wanted["kind"]
    if kind == "json_error":
        error_is(expect.envelope(reply), wanted["error"])
        for name, value in wanted.get("headers_kept", {}).items():
            assert reply.header(name) == value
        return
    assert (reply.header("content-type") or "").split(";")[0] == wanted["content_type"]
    if kind == "sse":
        is_stream(reply, wanted)
        return
    body = reply.json()
    contains(body, wanted.get("body_subset", {}))
    if "usage" in wanted:
        contains(body.get("usage"), wanted["usage"], "usage")


@pytest.mark.parametrize("cut", [None, 7, 1], ids=["as recorded", "7-byte", "1-byte"])
@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.id)
def test_answers(gateway, upstreams, quirk, cut):
    if cut and len(quirk.upstream_body) > 50_000:
        cut *= 1009
    reply = send(gateway, upstreams, quirk, cut)
    if quirk.id == COMPRESSED:
        assert reply.body == quirk.upstream_body
        assert reply.header("content-encoding") == "gzip"
        return
    outcomes = quirk.expected.get("one_of", [quirk.expected])
    failures = []
    for wanted in outcomes:
        try:
            is_expected(reply, wanted)
            return
        except AssertionError as failure:
            failures.append(str(failure))
    raise AssertionError("\n".join([*failures, repr(reply.body[:1500])]))


@pytest.mark.parametrize("quirk", STREAMS, ids=lambda quirk: quirk.id)
def test_the_python_sdk_reads_every_stream(gateway, upstreams, quirk):
    """An error is raised where there is one; nothing is lost where there is none."""
    client = openai.OpenAI(
        base_url=f"http://127.0.0.1:{gateway.port}/v1",
        api_key=plugin.VK["main"],
        max_retries=0,
        timeout=20,
    )
    body = json.loads(quirk.request_body)
    body.setdefault("model", "m")
    create = client.completions.create if "prompt" in body else client.chat.completions.create
    upstreams["alpha"].next(quirk.answer())
    wanted = quirk.expected.get("one_of", [quirk.expected])[0]
    text = ""

    def read() -> None:
        nonlocal text
        for chunk in create(**body):
            for choice in chunk.choices:
                text += (choice.text if "prompt" in body else choice.delta.content) or ""

    if wanted["kind"] == "json":
        assert create(**body).choices[0].message.content is not None
    elif wanted.get("error"):
        with pytest.raises(openai.APIError) as raised:
            read()
        message = wanted["error"]["message"] or ""
        assert message.startswith("<generic") or message in str(raised.value)
    else:
        read()
        assert len(text) == wanted["text_len"] if "text_len" in wanted else text == wanted["text"]
