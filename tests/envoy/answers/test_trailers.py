"""Answers that end with trailers, as from an HTTP/2 upstream: the body's end is theirs, with all that
belongs to it."""

from __future__ import annotations

import json

import pytest
from harness import answer, expect, openai_shapes, responses, sse
from harness.openai_shapes import TEXT, chunk, completion
from harness.outcome import read

ASK = {"model": "alpha/m", "messages": []}
STREAM = {**ASK, "stream": True}
FIRST = chunk({"role": "assistant", "content": TEXT})
STOP = chunk({}, "stop")
ENDS = {"framing": "chunked", "trailers": [("x-end", "yes")]}


@pytest.mark.parametrize(
    "steps",
    [[FIRST, STOP, "[DONE]"], [FIRST, STOP, b"data: [DONE]"]],
    ids=["right", "no line end"],
)
def test_a_stream(gateway, upstreams, steps):
    upstreams["alpha"].next(sse(*steps, **ENDS))
    outcome = read(expect.good(gateway.post(body=STREAM)))
    assert (outcome.text, outcome.finish_reason) == (TEXT, "stop")


def test_a_missing_end_can_not_be_added(gateway, upstreams):
    """Envoy lets a filter write nothing behind the last byte when trailers follow."""
    upstreams["alpha"].next(sse(FIRST, STOP, **ENDS))
    reply = expect.good(gateway.post(body=STREAM))
    assert reply.complete and TEXT.encode() in reply.body and b"[DONE]" not in reply.body


def test_a_stream_that_is_cut_is_reset(gateway, upstreams):
    """As above: no error event can be written, so the client sees a cut answer."""
    upstreams["alpha"].next(sse(FIRST, **ENDS))
    reply = gateway.post(body=STREAM)
    assert TEXT.encode() in reply.body and not reply.complete


def test_a_stream_without_any_event(gateway, upstreams):
    upstreams["alpha"].next(sse(**ENDS))
    expect.gateway_error(gateway.post(body=STREAM), 502, "upstream_stream_truncated")


def test_one_completion_for_a_stream(gateway, upstreams):
    upstreams["alpha"].next(answer(completion(), **ENDS))
    assert read(expect.good(gateway.post(body=STREAM))).text == TEXT


@pytest.mark.parametrize("size", [10, 400_000])
def test_json(gateway, upstreams, size):
    made = answer(completion(text="x" * size), **ENDS)
    upstreams["alpha"].next(made)
    assert expect.good(gateway.post(body=ASK)).body == made.body


@pytest.mark.parametrize("size", [10, 300_000, 700_000])
def test_a_response_over_chat(gateway, chat_server, size):
    chat_server.next(answer(completion(text="x" * size), **ENDS))
    response = responses.whole(responses.post(gateway, responses.ask()))
    assert response["output"][0]["content"][0]["text"] == "x" * size


def test_a_stream_over_chat(gateway, chat_server):
    checked = responses.streamed(gateway, chat_server, sse(FIRST, STOP, "[DONE]", **ENDS))
    assert checked.final["output"][0]["content"][0]["text"] == TEXT


@pytest.mark.parametrize("body", [openai_shapes.error(429, "slow").body, b"slow", b""])
def test_an_error(gateway, upstreams, body):
    upstreams["alpha"].next(answer(body, 429, headers=[("retry-after", "7")], **ENDS))
    reply = gateway.post(body=ASK)
    assert (reply.status, reply.header("retry-after")) == (429, "7")
    expect.envelope(reply)


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("count", [1, 200])
def test_embeddings(gateway, upstreams, count, encoding):
    """The larger ones are converted as they come."""
    body = openai_shapes.embeddings(count)
    for item in body["data"]:
        item["embedding"] = [0.5] * 400
    upstreams["alpha"].next(answer(body, chunks=16_384, **ENDS))
    asked = {"model": "alpha/m", "input": ["a"] * count, "encoding_format": encoding}
    reply = expect.good(gateway.post("/v1/embeddings", asked))
    assert len(json.loads(reply.body)["data"]) == count
