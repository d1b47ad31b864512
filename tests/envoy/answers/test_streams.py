"""Event streams: right ones keep their bytes and their pace; wrong ones end in words, not in silence."""

from __future__ import annotations

import json
import select
import time

import pytest
from harness import (
    PATIENCE,
    Gate,
    answer,
    expect,
    headers,
    openai_shapes,
    plugin,
    sse,
    wire,
)
from harness.openai_shapes import TEXT, USAGE, chunk
from harness.outcome import events, read

ASK = {"model": "alpha/m", "stream": True, "messages": []}
FIRST = chunk({"role": "assistant", "content": TEXT})
STOP = chunk({}, "stop")
USED = {**chunk({}), "choices": [], "usage": USAGE}
ERROR = {"error": {"message": "boom", "type": "server_error", "param": None, "code": "500"}}


def written(event) -> bytes:
    return sse(event).body


def reaches(expected: bytes):
    """Whether a body has become as long as what is expected."""
    return lambda body: len(body) >= len(expected)


@pytest.fixture
def start(gateway):
    """Sends a request on a connection of its own and returns the connection."""
    opened = []

    def send(body=ASK, envoy=gateway):
        client = envoy.connect()
        opened.append(client)
        text = json.dumps(body).encode()
        fields = headers("main", "application/json", [("content-length", str(len(text)))])
        client.send_head("POST", "/v1/chat/completions", fields)
        client.send(text)
        return client

    yield send
    for client in opened:
        client.close()


def last_error(reply):
    """The error event of a stream that ends with one and `[DONE]`."""
    error = read(expect.good(reply)).error
    assert error, reply.body[-300:]
    return error


# Right streams


CANONICAL = {
    "chat": [FIRST, STOP, USED],
    "spaces and order within an event": [FIRST, '{"choices": [], "usage": {"total_tokens":1 }, "x":"é"}'],
    "comments": [FIRST, b":\n\n", b":\n\n", STOP],
    "tool calls": [
        chunk({"tool_calls": [{"index": 0, "id": "a", "type": "function",
                               "function": {"name": "f", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        chunk({}, "tool_calls"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("steps", CANONICAL.values(), ids=CANONICAL)
def test_a_right_stream_keeps_its_bytes_and_its_pace(start, upstreams, steps):
    """Each event is with the client while the next is not yet sent."""
    gates = [Gate() for _ in steps]
    paced = [part for step, gate in zip(steps, gates, strict=True) for part in (step, gate)]
    scripted = sse(*paced, "[DONE]")
    upstreams["alpha"].next(scripted)
    incoming = start().answer()
    so_far = b""
    for step, gate in zip(steps, gates, strict=True):
        so_far += written(step)
        assert incoming.read_until(reaches(so_far)) == so_far
        gate.open()
    reply = expect.good(incoming.rest())
    assert reply.body == scripted.body
    assert reply.header("content-type") == "text/event-stream"


@pytest.mark.parametrize("right", [0, 400, 3_000])
def test_a_long_piece_that_begins_right(start, upstreams, right):
    """Envoy may show hundreds of kilobytes at once, of which only some have to be changed."""
    event = written(FIRST)
    drifting = event.replace(b"data: ", b"data:", 1)
    assert drifting != event
    upstreams["alpha"].next(sse(event * right + drifting * 900 + event * 900, "[DONE]"))
    reply = expect.good(start().answer().rest())
    assert reply.body == event * (right + 1_800) + written("[DONE]")


def test_an_event_in_halves_waits_for_its_end_only(start, upstreams):
    whole, half, rest = written(FIRST), Gate(), Gate()
    upstreams["alpha"].next(sse(FIRST, whole[:30], half, whole[30:], rest, STOP, "[DONE]"))
    incoming = start().answer()
    incoming.read_until(lambda body: body.startswith(whole))
    half.open()
    assert incoming.read_until(lambda body: len(body) >= 2 * len(whole)) == whole * 2
    rest.open()
    assert incoming.rest().body == whole * 2 + written(STOP) + written("[DONE]")


def test_http2(gateway, upstreams):
    gate = Gate()
    scripted = sse(FIRST, gate, STOP, "[DONE]")
    upstreams["alpha"].next(scripted)
    with gateway.connect2() as client:
        number = client.start("POST", "/v1/chat/completions", headers("main", "application/json"))
        client.send(number, json.dumps(ASK).encode(), end=True)
        assert client.wait_head(number).status == 200
        gate.open()
        reply = expect.good(client.wait(number))
    assert reply.body == scripted.body


def test_http2_gets_an_early_error_with_a_status(gateway, upstreams):
    upstreams["alpha"].next(sse(ERROR, "[DONE]"))
    fields = headers("main", "application/json")
    with gateway.connect2() as client:
        reply = client.request("POST", "/v1/chat/completions", fields, [json.dumps(ASK).encode()])
    assert (reply.status, expect.envelope(reply)["message"]) == (500, "boom")


def test_streams_beside_each_other(start, upstreams):
    """Two streams run on while a third fails, on one worker."""
    gates = Gate(), Gate()
    running = []
    for number, gate in enumerate(gates, 1):
        upstreams["alpha"].next(sse(FIRST, gate, STOP, "[DONE]"))
        client = start()
        upstreams["alpha"].wait_request(number)
        running.append(client.answer())
    upstreams["alpha"].next(sse(FIRST, ERROR))
    assert last_error(start().answer().rest())["message"] == "boom"
    for gate, incoming in zip(gates, running, strict=True):
        gate.open()
        assert read(expect.good(incoming.rest())).finish_reason == "stop"


# The head, and errors


WAITING = b": " + b"waiting " * 100 + b"\n\n"
RECEIVED = "cluster.alpha.upstream_cx_rx_bytes_total"


def wait_at_a_comment(gateway, start, upstreams, *then, **rest):
    """A client whose upstream has sent its head and a comment, which Envoy has read, and goes on with
    `then` at the gate. The client has nothing yet."""
    gate = Gate()
    before = gateway.stat(RECEIVED)
    upstreams["alpha"].next(sse(WAITING, gate, *then, **rest))
    client = start()
    gate.wait_reached()
    deadline = time.monotonic() + PATIENCE
    while gateway.stat(RECEIVED) < before + len(WAITING):
        assert time.monotonic() < deadline, "Envoy did not read the comment"
    assert not select.select([client.sock], [], [], 0)[0], "the head went on"
    return client, gate


@pytest.mark.parametrize("code", [429, 400, "rate_limit_exceeded"])
def test_an_error_that_is_the_first_event_has_a_status(gateway, start, upstreams, code):
    """Comments before it keep nobody's head."""
    error = {"error": {**ERROR["error"], "code": code}}
    client, gate = wait_at_a_comment(gateway, start, upstreams, error, "[DONE]")
    gate.open()
    reply = client.answer().rest()
    assert reply.status == (429 if isinstance(code, str) else code)
    assert expect.envelope(reply)["message"] == "boom"


def test_comments_before_the_first_event_are_kept_without_their_words(start, upstreams):
    scripted = sse(b": waiting\n\n", b": waiting\n\n", FIRST, STOP, "[DONE]")
    upstreams["alpha"].next(scripted)
    want = scripted.body.replace(b": waiting", b":")
    assert expect.good(start().answer().rest()).body == want


def test_an_error_later_is_one_event(start, upstreams):
    upstreams["alpha"].next(sse(FIRST, ERROR, ERROR, FIRST, "[DONE]"))
    reply = start().answer().rest()
    assert last_error(reply) == ERROR["error"]
    assert reply.body.startswith(written(FIRST))


def test_after_an_error_the_client_has_its_end_though_the_connection_breaks(start, upstreams):
    upstreams["alpha"].next(sse(FIRST, ERROR, end="reset"))
    incoming = start().answer()
    body = incoming.read_until(lambda body: body.endswith(b"[DONE]\n\n"))
    assert [json.loads(event) for event in events(body)[:-1]] == [FIRST, ERROR]


def test_an_upstream_error_with_a_status_is_an_http_error(start, upstreams):
    upstreams["alpha"].next(openai_shapes.error(429, "slow"))
    reply = start().answer().rest()
    assert (reply.status, expect.envelope(reply)["message"]) == (429, "slow")


# Ends


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_stream_without_its_end_says_so(start, upstreams, framing):
    upstreams["alpha"].next(sse(FIRST, framing=framing))
    reply = start().answer().rest()
    assert last_error(reply)["code"] == "upstream_stream_truncated"
    assert read(reply).text == TEXT


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_stream_without_any_event_is_an_http_error(start, upstreams, framing):
    upstreams["alpha"].next(sse(framing=framing))
    expect.gateway_error(start().answer().rest(), 502, "upstream_stream_truncated")


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_a_connection_that_breaks_is_a_cut_answer(start, upstreams, end):
    """Envoy ends the client's stream itself and gives the filter no chance to write. What came before
    is with the client, which can tell: chunked framing has no last chunk."""
    gate = Gate()
    upstreams["alpha"].next(sse(FIRST, gate, end=end))
    incoming = start().answer()
    incoming.read_until(lambda body: body == written(FIRST))
    gate.open()
    reply = incoming.rest()
    assert (reply.complete, reply.body) == (False, written(FIRST))


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_a_connection_that_breaks_before_the_first_event(gateway, start, upstreams, end):
    """The head is held then, and Envoy answers in its place, past the filter: operators give that
    reply a body with `local_reply_config`."""
    client, gate = wait_at_a_comment(gateway, start, upstreams, end=end)
    gate.open()
    reply = client.answer().rest()
    assert (reply.status, reply.complete) == (502, True)


# Bytes that are no event stream


@pytest.fixture
def bounded(start_envoy):
    limits = {"max_sse_event_bytes": 4096, "max_buffered_bytes": 65_536}
    return start_envoy(config=plugin.configuration(limits=limits))


def test_an_event_within_its_limit(start, bounded, upstreams):
    long = written(chunk({"content": "x" * 3_500}))
    upstreams["alpha"].next(sse(FIRST, *wire.split(long, 1000), STOP, "[DONE]"))
    assert read(expect.good(start(envoy=bounded).answer().rest())).text == TEXT + "x" * 3_500


@pytest.mark.parametrize("size", [5_000, 300_000])
@pytest.mark.parametrize("ended", [True, False], ids=["with an end", "without"])
def test_an_event_over_its_limit(start, bounded, upstreams, size, ended):
    long = written(chunk({"content": "x" * size}))
    if not ended:
        long = long.removesuffix(b"\n\n")
    upstreams["alpha"].next(sse(FIRST, *wire.split(long, 3000), STOP, "[DONE]"))
    reply = start(envoy=bounded).answer().rest()
    assert "4096" in last_error(reply)["message"]
    assert read(reply).text == TEXT


def test_a_first_event_over_the_limit(start, bounded, upstreams):
    upstreams["alpha"].next(sse(chunk({"content": "x" * 300_000}), "[DONE]"))
    message = expect.gateway_error(
        start(envoy=bounded).answer().rest(), 502, "invalid_upstream_response"
    )
    assert "4096" in message


def test_invalid_utf8_becomes_the_replacement_character(start, upstreams):
    bad = written(chunk({"content": "a?b"})).replace(b"?", b"\xff")
    upstreams["alpha"].next(sse(FIRST, bad, STOP, "[DONE]"))
    assert read(expect.good(start().answer().rest())).text == TEXT + "a\ufffdb"


@pytest.mark.parametrize(
    ("number", "meant"), [("NaN", None), ("Infinity", None), ("-Infinity", -9999.0)]
)
def test_a_number_that_is_no_json_is_mended(start, upstreams, number, meant):
    text = json.dumps({**FIRST, "logprob": 0}).replace('"logprob": 0', f'"logprob": {number}')
    upstreams["alpha"].next(sse(text, STOP, "[DONE]"))
    first, *_ = events(expect.good(start().answer().rest()).body)
    assert json.loads(first) == {**FIRST, "logprob": meant}


@pytest.mark.parametrize("keep", [5, 20, -4])
@pytest.mark.parametrize("first", [True, False], ids=["first event", "later"])
def test_a_body_that_ends_within_an_event(start, upstreams, keep, first):
    cut = written(FIRST)[:keep]
    upstreams["alpha"].next(sse(cut) if first else sse(FIRST, cut))
    reply = start().answer().rest()
    if first:
        assert reply.status == 502
        assert expect.envelope(reply)["message"]
    else:
        assert last_error(reply)["message"]
        assert read(reply).text == TEXT


HTML = "<!doctype html><html><head><title>Sign in</title></head><body>x</body></html>"
NO_STREAM = {
    "HTML": (HTML, "text/html"),
    "HTML labelled as a stream": (HTML, "text/event-stream"),
    "text": ("try again", "text/plain"),
    "nothing": ("", "text/event-stream"),
    "bytes": (bytes(range(128, 256)), "application/octet-stream"),
    "a number": ("7", "application/json"),
}


@pytest.mark.parametrize(("body", "kind"), NO_STREAM.values(), ids=NO_STREAM)
def test_what_is_no_stream_is_an_http_error(start, upstreams, body, kind):
    upstreams["alpha"].next(answer(body, content_type=kind))
    reply = start().answer().rest()
    assert reply.status == 502
    assert "<" not in expect.envelope(reply)["message"]


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", None])
@pytest.mark.parametrize("cut", [None, 7])
def test_one_completion_becomes_a_stream(start, upstreams, kind, cut):
    upstreams["alpha"].next(answer(openai_shapes.completion(), content_type=kind, chunks=cut))
    outcome = read(expect.good(start().answer().rest()))
    assert (outcome.text, outcome.finish_reason, outcome.usage) == (TEXT, "stop", USAGE)


def test_a_large_completion_becomes_a_stream(start, upstreams):
    text = "x" * 900_000
    upstreams["alpha"].next(answer(openai_shapes.completion(text=text)))
    assert read(expect.good(start().answer().rest())).text == text


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain", None])
def test_a_stream_that_nobody_asked_for(gateway, upstreams, kind):
    """It is put together."""
    scripted = openai_shapes.stream()
    scripted.headers = [("content-type", kind)] if kind else []
    upstreams["alpha"].next(scripted)
    reply = expect.good(gateway.post(body={"model": "alpha/m", "messages": []}))
    assert reply.header("content-type") == "application/json"
    [choice] = reply.json()["choices"]
    assert choice["message"]["content"] == TEXT and choice["finish_reason"] == "stop"
