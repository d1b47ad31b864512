"""Answers of text completions, rerank, speech and images: forwarded one to one."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

import pytest
from harness import (
    Answer,
    Envoy,
    Gate,
    answer,
    expect,
    headers,
    memory,
    openai_shapes,
    sse,
    wire,
)

MIB = 1_048_576
SPEECH = "/v1/audio/speech"
IMAGES = "/v1/images/generations"
RERANK = "/v1/rerank"
COMPLETIONS = "/v1/completions"
ASK = {
    SPEECH: {"model": "alpha/tts", "input": "hi", "voice": "alloy"},
    IMAGES: {"model": "alpha/dall-e", "prompt": "a cat"},
    RERANK: {"model": "alpha/rank", "query": "q", "documents": ["a", "b"]},
    COMPLETIONS: {"model": "alpha/m", "prompt": "hi"},
}


def post(envoy: Envoy, path: str, **more: Any):
    return envoy.post(path, {**ASK[path], **more})


def binary(size: int, seed: int = 5) -> bytes:
    """Noise, begun with what a reader of text might trip over."""
    return b'ID3{"error":\xff\xfe\x00data: x\n\n' + random.Random(seed).randbytes(size)


def untouched(reply, given: Answer) -> None:
    """The client got the upstream's body, and its content type."""
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(given.body).digest()
    types = [value for name, value in given.headers if name == "content-type"]
    assert [reply.header("content-type")] == (types or [None])


# Speech


@pytest.mark.parametrize(
    "kind",
    ["audio/mpeg", "audio/wav", "audio/opus", "audio/L16; rate=24000", "application/octet-stream", None],
)  # fmt: skip
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_audio_is_untouched(gateway, upstreams, kind, framing):
    given = answer(binary(200_000), content_type=kind, chunks=10_000, framing=framing)
    upstreams["alpha"].next(given)
    reply = expect.good(post(gateway, SPEECH))
    untouched(reply, given)
    if framing == "length":
        assert reply.header("content-length") == str(len(given.body))
    assert reply.header("x-langwatch-model") == "tts"
    assert upstreams["alpha"].only.json() == {**ASK[SPEECH], "model": "tts"}


@pytest.mark.parametrize("kind", ["audio/mpeg", None])
def test_audio_does_not_wait(gateway, upstreams, kind):
    """Starlette's StreamingResponse has no type unless it is told."""
    gate = Gate()
    first, second = binary(1_000), binary(1_000, 6)
    given = answer(content_type=kind, framing="chunked")
    given.steps = [first, gate, second]
    upstreams["alpha"].next(given)
    body = json.dumps(ASK[SPEECH]).encode()
    with gateway.connect() as client:
        length = [("content-length", str(len(body)))]
        client.send_head("POST", SPEECH, headers("main", "application/json", length))
        client.send(body)
        incoming = client.answer()
        incoming.read_until(lambda got: got == first)
        gate.open()
        assert incoming.rest().body == first + second


@pytest.mark.parametrize("kind", ["audio/mpeg", None])
def test_30_mb_of_audio_flow_through(keep_envoy, upstreams, kind):
    envoy: Envoy = keep_envoy(route_buffer_bytes=None, alone=True)
    for _ in range(3):
        upstreams["alpha"].next(answer(binary(300_000), content_type="audio/mpeg"))
        expect.good(post(envoy, SPEECH))
    given = answer(binary(30 * MIB), content_type=kind, chunks=65_536, framing="chunked")
    upstreams["alpha"].next(given)
    memory.restart_peak(envoy.pid)
    before = memory.resident(envoy.pid)
    untouched(expect.good(post(envoy, SPEECH)), given)
    assert memory.peak(envoy.pid) - before < 8 * MIB


def test_speech_as_events_is_untouched(gateway, upstreams):
    given = sse({"type": "speech.audio.delta", "audio": "aGk="}, {"type": "speech.audio.done"})
    upstreams["alpha"].next(given)
    untouched(expect.good(post(gateway, SPEECH, stream_format="sse")), given)


def test_a_cut_audio_is_cut(gateway, upstreams):
    """The client must see that it did not get all."""
    given = answer(binary(10_000), content_type="audio/mpeg", framing="chunked", end="cut")
    upstreams["alpha"].next(given)
    assert not post(gateway, SPEECH).complete


# Images


def pictures(size: int) -> bytes:
    picture = '{"b64_json":"' + "QUJD" * (size // 4) + '","revised_prompt":"{\\"error\\": 1}"}'
    return ('{"created": 1,\n "data": [' + picture + '], "usage": {"total_tokens": 9}}').encode()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_pictures_flow_through(start_envoy, upstreams, framing):
    """8 MB with buffers of 1 MiB."""
    envoy: Envoy = start_envoy(route_buffer_bytes=None)
    given = answer(pictures(8 * MIB), chunks=65_536, framing=framing)
    upstreams["alpha"].next(given)
    reply = expect.good(post(envoy, IMAGES, response_format="b64_json"))
    untouched(reply, given)
    assert reply.header("x-langwatch-provider") == "alpha"


@pytest.mark.parametrize("chunks", [None, 1], ids=["whole", "1-byte"])
def test_picture_links_are_untouched(gateway, upstreams, chunks):
    text = '{ "created":1,"data":[ {"url":"https://x.test/a.png"} ], "background":null, "error":null}'
    given = answer(text, chunks=chunks, framing="chunked" if chunks else "length")
    upstreams["alpha"].next(given)
    untouched(expect.good(post(gateway, IMAGES)), given)


@pytest.mark.parametrize("size", [100, 100_000])
def test_pictures_labelled_as_text_are_json(gateway, upstreams, size):
    """Go's servers guess `text/plain` for JSON that was given no type."""
    given = answer(pictures(size), content_type="text/plain; charset=utf-8")
    upstreams["alpha"].next(given)
    reply = expect.good(post(gateway, IMAGES))
    assert reply.body == given.body and reply.header("content-type") == "application/json"


@pytest.mark.parametrize("said", ["the model is busy", '{"error":"busy"}', ""])
def test_no_picture_labelled_as_text_is_an_error(gateway, upstreams, said):
    upstreams["alpha"].next(answer(said, content_type="text/plain"))
    reply = post(gateway, IMAGES)
    assert reply.status == 502 and expect.envelope(reply)


def test_partial_pictures_are_untouched(gateway, upstreams):
    event = {"type": "image_generation.partial_image", "b64_json": "QUJD" * 100_000}
    last = {"type": "image_generation.completed", "b64_json": "QUJD"}
    named = [
        f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode() for data in (event, last)
    ]
    given = sse(*named)
    upstreams["alpha"].next(given)
    untouched(expect.good(post(gateway, IMAGES, stream=True)), given)


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
def test_a_bare_picture_is_untouched(gateway, upstreams, kind):
    given = answer(b"\x89PNG\r\n\x1a\n" + binary(100_000), content_type=kind)
    upstreams["alpha"].next(given)
    untouched(expect.good(post(gateway, IMAGES)), given)


# Rerank

RESULTS = [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]
RANKED = {
    "Cohere": {"id": "r", "results": RESULTS, "meta": {"billed_units": {"search_units": 1}}},
    "Jina, vLLM": {"model": "m", "usage": {"total_tokens": 3}, "results": RESULTS},
    "llama.cpp": {"object": "list", "results": RESULTS, "model": "m"},
    "nothing found": {"results": []},
    "large": {"results": [{"index": i, "relevance_score": 0.1} for i in range(60_000)]},
}


@pytest.mark.parametrize("shape", RANKED.values(), ids=RANKED)
def test_ranks_are_untouched(gateway, upstreams, shape):
    given = answer(json.dumps(shape, indent=1), chunks=30_000, framing="chunked")
    upstreams["alpha"].next(given)
    untouched(expect.good(post(gateway, RERANK)), given)
    assert upstreams["alpha"].only.path == "/openai/v1/rerank"


def test_ranks_in_another_shape_get_the_usual_one(gateway, upstreams):
    """What is large flows, and is not looked at: the shapes are in tests/quirks."""
    upstreams["alpha"].next(answer(json.dumps([{"index": 1, "score": 0.9, "text": '"error"'}])))
    reply = expect.good(post(gateway, RERANK))
    assert reply.json() == {"results": [{"index": 1, "relevance_score": 0.9, "text": '"error"'}]}
    assert reply.header("content-length") == str(len(reply.body))


# Text completions

TEXT = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}


def text(said: str, finish: str | None = None) -> dict[str, Any]:
    return {**TEXT, "choices": [{"index": 0, "text": said, "finish_reason": finish}]}


def test_a_completion_is_untouched(gateway, upstreams):
    given = answer(json.dumps({**text("there", "stop"), "usage": openai_shapes.USAGE}, indent=3))
    upstreams["alpha"].next(given)
    reply = expect.good(post(gateway, COMPLETIONS))
    untouched(reply, given)
    assert reply.header("x-langwatch-cache") == "miss"


def test_a_streamed_completion_is_untouched(gateway, upstreams):
    gate = Gate()
    given = sse(text("a"), gate, text("b"), text("", "stop"), "[DONE]")
    upstreams["alpha"].next(given)
    body = json.dumps({**ASK[COMPLETIONS], "stream": True}).encode()
    with gateway.connect() as client:
        length = [("content-length", str(len(body)))]
        client.send_head("POST", COMPLETIONS, headers("main", "application/json", length))
        client.send(body)
        incoming = client.answer()
        incoming.read_until(lambda got: b'"text":"a"' in got)
        gate.open()
        untouched(expect.good(incoming.rest()), given)


# What is none of these

BAD = {
    "an error inside 200": (answer({"error": {"message": "busy", "code": 503}}), 503),
    "flat, inside 200": (answer({"object": "error", "message": "busy", "code": 429}), 429),
    "HTML inside 200": (answer("<html><title>Log in</title></html>", content_type="text/html"), 502),
}  # fmt: skip


@pytest.mark.parametrize("path", [IMAGES, RERANK, COMPLETIONS])
@pytest.mark.parametrize(("given", "status"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("chunks", [None, 1], ids=["whole", "1-byte"])
def test_errors_inside_200(gateway, upstreams, path, given, status, chunks):
    steps = wire.split(given.body, chunks)
    upstreams["alpha"].next(Answer(headers=given.headers, steps=steps, framing="chunked"))
    reply = post(gateway, path)
    assert reply.status == status
    expect.envelope(reply)


@pytest.mark.parametrize("status", [503, 429])
def test_a_speech_error_is_an_envelope(gateway, upstreams, status):
    upstreams["alpha"].next(answer({"error": "busy"}, status, headers=[("retry-after", "7")]))
    reply = post(gateway, SPEECH)
    assert reply.status == status and reply.header("retry-after") == "7"
    assert expect.envelope(reply)["message"] == "busy"


def test_a_speech_error_inside_200(gateway, upstreams):
    upstreams["alpha"].next(answer({"error": {"message": "busy", "code": 503}}))
    reply = post(gateway, SPEECH)
    assert reply.status == 503 and expect.envelope(reply)["message"] == "busy"
