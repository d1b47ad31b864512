"""Uploads: audio and images on their way up, and every kind of answer that comes back."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from harness import (
    Envoy,
    Gate,
    answer,
    expect,
    headers,
    memory,
    openai_shapes,
    plugin,
    sse,
    wire,
)

MIB = 1_048_576
BOUNDARY = "----gateway-7MA4YWxk"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
NOISE = random.Random(2).randbytes(30_000)
AUDIO = NOISE + b"\r\n--" + BOUNDARY[:-1].encode() + b'\r\n\r\nname="model"\r\n\r\nbeta/x\r\n--\r\n'
"""Bytes of every kind, and what looks like a boundary and a model to who reads carelessly."""

TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"


def part(name: str, value: bytes, filename: str | None = None, kind: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename:
        disposition += f'; filename="{filename}"'
    lines = [f"--{BOUNDARY}", disposition, *([f"Content-Type: {kind}"] if kind else [])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + value + b"\r\n"


MODEL = part("model", b"alpha/whisper-1")
END = f"--{BOUNDARY}--\r\n".encode()


def rewritten(body: bytes) -> bytes:
    """What the upstream must get: nothing differs but the model."""
    assert body.count(b"alpha/") == 1
    return body.replace(b"alpha/", b"")


def fields(**values: str) -> bytes:
    return b"".join(part(name, value.encode()) for name, value in values.items())


FILE = part("file", AUDIO, "spéech ; name=x.wav", "audio/wav")
PICTURES = [part("image[]", AUDIO, f"{name}.png", "image/png") for name in ("a", "b")]

UPLOADS = {
    "transcription, model first": (
        TRANSCRIPTIONS,
        MODEL + fields(language="en", temperature="0") + FILE,
    ),
    "transcription, model last": (TRANSCRIPTIONS, FILE + fields(prompt="äöü\r\n--x") + MODEL),
    "transcription, arrays": (
        TRANSCRIPTIONS,
        MODEL + part("timestamp_granularities[]", b"word") * 2 + FILE,
    ),
    "translation": (TRANSLATIONS, MODEL + FILE + fields(response_format="json")),
    "image edit": (
        "/v1/images/edits",
        MODEL + PICTURES[0] + PICTURES[1] + part("mask", NOISE, "m.png") + fields(prompt="a cat"),
    ),
    "image edit, model between": ("/v1/images/edits", PICTURES[0] + MODEL + PICTURES[1]),
    "variation": ("/v1/images/variations", part("image", AUDIO, "i.png") + MODEL + fields(n="2")),
}


@pytest.mark.parametrize("size", [None, 4_000, 97], ids=["whole", "4000-byte", "97-byte"])
@pytest.mark.parametrize(("path", "form"), UPLOADS.values(), ids=UPLOADS)
def test_every_other_byte_is_kept(gateway, upstreams, path, form, size):
    body = form + END
    if size == 97:
        body = body.replace(NOISE, NOISE[:1_000])
    sent = {"pieces": wire.split(body, size)} if size else {"body": body}
    expect.good(gateway.post(path, content_type=FORM, **sent))
    got = upstreams["alpha"].only
    assert got.path == path.replace("/v1/", "/openai/v1/")
    assert got.body == rewritten(body)
    assert got.header("content-type") == FORM
    if size is None:
        assert got.header("content-length") == str(len(got.body))


# 25 MB of audio: what OpenAI accepts


def test_25_mb_are_streamed_when_the_model_comes_first(start_envoy, upstreams):
    envoy: Envoy = start_envoy(route_buffer_bytes=None, alone=True)
    start, end = MODEL + FILE[: -len(AUDIO) - 2], b"\r\n" + END
    for _ in range(3):  # buffers, V8 and thread stacks are there before the count begins
        expect.good(envoy.post(TRANSCRIPTIONS, start + AUDIO + end, content_type=FORM))
    upstreams["alpha"].reset()
    body = start + random.Random(3).randbytes(25 * MIB) + end
    memory.restart_peak(envoy.pid)
    before = memory.resident(envoy.pid)
    expect.good(envoy.post(TRANSCRIPTIONS, body, content_type=FORM))
    assert memory.peak(envoy.pid) - before < 8 * MIB
    got = upstreams["alpha"].only
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(rewritten(body)).digest()
    assert got.header("content-length") == str(len(got.body))


@pytest.fixture
def roomy(start_envoy) -> Envoy:
    """May hold as much as the default configuration says, in an Envoy that lets it."""
    keys = [{"id": "main", "key": plugin.VK["main"]}]
    config = plugin.configuration(virtual_keys=keys, limits={}, model_aliases={})
    return start_envoy(config=config, route_buffer_bytes=34 * MIB)


def test_25_mb_are_held_when_the_model_comes_last(roomy, upstreams):
    body = part("file", random.Random(4).randbytes(25 * MIB), "a.wav") + MODEL + END
    reply = expect.good(roomy.post(TRANSCRIPTIONS, body, content_type=FORM))
    assert reply.json() == {"text": openai_shapes.TEXT}
    got = upstreams["alpha"].only
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(rewritten(body)).digest()
    assert got.header("content-length") == str(len(got.body))


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_more_than_may_be_held(gateway, chunked):
    """The suite's `max_buffered_bytes` is 512 KiB; the advice is in the message."""
    body = part("file", b"x" * 600_000, "a.wav") + MODEL + END
    sent = {"pieces": wire.split(body, 50_000)} if chunked else {"body": body}
    with gateway.sends_nothing():
        reply = gateway.post(TRANSCRIPTIONS, content_type=FORM, **sent)
        message = expect.gateway_error(reply, 413, "request_too_large", "model")
    assert "first" in message


def test_just_what_may_be_held(gateway, upstreams):
    room = 524_288 - len(part("file", b"", "a.wav")) - len(MODEL)
    for size, status in ((room, 200), (room + 200, 413)):
        body = part("file", b"x" * size, "a.wav") + MODEL + END
        reply = gateway.post(TRANSCRIPTIONS, body, content_type=FORM)
        assert reply.status == status, (size, reply)
    assert len(upstreams["alpha"].only.body) > room


def test_an_upload_that_is_wrong_at_its_end_is_not_completed(gateway, upstreams):
    """The file is upstream by then; the last bytes are not."""
    body = MODEL + part("file", NOISE * 20, "a.wav") + MODEL + END
    with gateway.completes_nothing(upstreams):
        reply = gateway.post(TRANSCRIPTIONS, body, content_type=FORM)
        expect.gateway_error(reply, 400, "duplicate_model", "model")


# Answers

SUBTITLES = "1\r\n00:00:00,000 --> 00:00:01,000\r\nHällo\r\n\r\n2\r\n".encode()
VERBOSE = json.dumps(
    {"task": "transcribe", "text": "hi", "segments": [{"id": 0, "text": '{"error":{}}'}]}, indent=1
)
PLAIN = {
    "text": ("text", answer("Hello there\n", content_type="text/plain; charset=utf-8")),
    "empty text": ("text", answer(" \n", content_type="text/plain")),
    "no byte": ("text", answer(b"", content_type="text/plain")),
    "text like JSON": ("text", answer('{"error": he said', content_type="text/plain")),
    "a number": ("text", answer("42\n", content_type="text/plain")),
    "text in quotes": ("text", answer('"Hello", he said', content_type="text/plain")),
    "a quoted text": ("text", answer('"Hello"', content_type="text/plain")),
    "text that is JSON": ("text", answer('{"text": "hi"}', content_type="text/plain")),
    "a list": ("text", answer("[laughter]", content_type="text/plain")),
    "text like SSE": ("text", answer("data: three apples\n", content_type="text/plain")),
    "srt": ("srt", answer(SUBTITLES, content_type="application/x-subrip")),
    "srt as text": ("srt", answer(SUBTITLES, content_type="text/plain")),
    "vtt": ("vtt", answer(b"WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n", content_type="text/vtt")),
    "verbose JSON": ("verbose_json", answer(VERBOSE)),
    "long text": ("text", answer(b"word " * 500_000, content_type="text/plain", chunks=65_536)),
    "not UTF-8": ("text", answer(b"caf\xe9\n", content_type="text/plain; charset=latin-1")),
    "no type": ("srt", answer(SUBTITLES, content_type=None)),
    "text called JSON": ("text", answer("Hello there\n")),
}


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS])
@pytest.mark.parametrize(("form", "given"), PLAIN.values(), ids=PLAIN)
def test_an_answer_is_untouched(gateway, upstreams, path, form, given):
    upstreams["alpha"].next(given)
    body = MODEL + fields(response_format=form) + part("file", NOISE, "a") + END
    reply = expect.good(gateway.post(path, body, content_type=FORM))
    assert reply.body == given.body
    if given.headers and not given.headers[0][1].startswith("application/json"):
        assert reply.header("content-type") == given.headers[0][1]
    assert reply.header("content-length") == str(len(given.body))
    assert reply.header("x-langwatch-model") == "whisper-1"


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS])
@pytest.mark.parametrize(
    ("given", "status"),
    [
        (answer({"error": {"message": "bad audio", "type": "x"}}, 400), 400),
        (answer({"error": {"message": "bad audio", "code": 422}}), 422),
        (answer({"object": "error", "message": "bad audio", "code": 400}), 400),
        (answer("bad audio", 415, content_type="text/plain"), 415),
        (answer({"detail": "bad audio"}, 422), 422),
    ],
    ids=["nested", "inside 200", "flat, inside 200", "text", "FastAPI"],
)
def test_an_error_is_an_envelope(gateway, upstreams, path, given, status):
    upstreams["alpha"].next(given)
    reply = gateway.post(path, MODEL + FILE + END, content_type=FORM)
    assert reply.status == status
    assert expect.envelope(reply)["message"] == "bad audio"


# Streamed transcriptions


def delta(text: str) -> bytes:
    return b"data: " + json.dumps({"type": "transcript.text.delta", "delta": text}).encode() + b"\n\n"


DONE = b'data: {"type": "transcript.text.done", "text": "Hello", "usage": {"type": "tokens"}}\n\n'
STREAM_FORM = MODEL + fields(stream="true") + FILE + END


def test_a_streamed_transcription_is_kept_as_it_is(gateway, upstreams):
    """And no event waits for the next."""
    gate = Gate()
    upstreams["alpha"].next(sse(delta("Hel"), gate, delta('lo "error"'), DONE))
    with gateway.connect() as client:
        length = [("content-length", str(len(STREAM_FORM)))]
        client.send_head("POST", TRANSCRIPTIONS, headers("main", FORM, length))
        client.send(STREAM_FORM)
        incoming = client.answer()
        incoming.read_until(lambda body: body == delta("Hel"))
        gate.open()
        reply = expect.good(incoming.rest())
    assert reply.header("content-type") == "text/event-stream"
    assert reply.body == delta("Hel") + delta('lo "error"') + DONE


def test_a_streamed_transcription_with_done_and_names(gateway, upstreams):
    named = b"event: transcript.text.delta\n" + delta("Hello")
    upstreams["alpha"].next(sse(named, DONE, "[DONE]"))
    reply = expect.good(gateway.post(TRANSCRIPTIONS, STREAM_FORM, content_type=FORM))
    payloads = [line for line in reply.body.split(b"\n") if line.startswith(b"data: ")]
    assert payloads[:2] == [delta("Hello").strip(), DONE.strip()]
    assert reply.body.count(b"[DONE]") <= 1


def test_a_stream_of_vllm(gateway, upstreams):
    """Chunks with choices."""
    chunk = openai_shapes.chunk
    upstreams["alpha"].next(sse(chunk({"content": "Hello"}), chunk({}, "stop"), "[DONE]"))
    reply = expect.good(gateway.post(TRANSCRIPTIONS, STREAM_FORM, content_type=FORM))
    assert b'"transcript.text.delta","delta":"Hello"' in reply.body
    assert reply.body.count(b"transcript.text.done") == 1


def test_a_streams_first_event_may_be_an_error(gateway, upstreams):
    upstreams["alpha"].next(sse({"error": {"message": "too long", "code": 413}}, "[DONE]"))
    reply = gateway.post(TRANSCRIPTIONS, STREAM_FORM, content_type=FORM)
    assert reply.status == 413 and expect.envelope(reply)["message"] == "too long"


def test_a_cut_stream_says_so(gateway, upstreams):
    upstreams["alpha"].next(sse(delta("Hel")))
    reply = expect.good(gateway.post(TRANSCRIPTIONS, STREAM_FORM, content_type=FORM))
    assert reply.body.startswith(delta("Hel")) and b"upstream_stream_truncated" in reply.body


def test_a_server_that_ignores_stream_and_answers_json(gateway, upstreams):
    """As whisper-1 does. A client that reads events gets events."""
    upstreams["alpha"].next(answer({"text": "Hello"}))
    reply = expect.good(gateway.post(TRANSCRIPTIONS, STREAM_FORM, content_type=FORM))
    events = [
        json.loads(line.removeprefix(b"data: "))
        for line in reply.body.split(b"\n")
        if line.startswith(b"data: {")
    ]
    assert [event["type"] for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert [event.get("delta", event.get("text")) for event in events] == ["Hello", "Hello"]


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; charset=utf-8", "text/vtt"])
def test_a_server_that_ignores_stream_and_answers_text(gateway, upstreams, kind):
    """What it said is not lost."""
    upstreams["alpha"].next(answer("Hello there\n", content_type=kind))
    reply = expect.good(gateway.post(TRANSCRIPTIONS, STREAM_FORM, content_type=FORM))
    assert b"Hello there" in reply.body and b'"error"' not in reply.body
