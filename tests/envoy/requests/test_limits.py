"""How much may come in, and what must be readable."""

from __future__ import annotations

import pytest
from harness import Envoy, expect, headers, plugin, wire

LIMIT = 65_536
HELD = 16_384
START = b'{"model":"alpha/m","x":"'
LATE = b'{"x":"'


@pytest.fixture
def small(start_envoy) -> Envoy:
    """64 KiB a request, 16 KiB of it held."""
    limits = {"max_request_bytes": LIMIT, "max_buffered_bytes": HELD}
    return start_envoy(config=plugin.configuration(limits=limits))


def _body(size: int, start: bytes = START, end: bytes = b'"}') -> bytes:
    return start + b"x" * (size - len(start) - len(end)) + end


def _late(before_model: int) -> bytes:
    """A body with so many bytes before the model's closing quote."""
    end = b'","model":"alpha/m"'
    return _body(before_model, LATE, end) + b"}"


@pytest.mark.parametrize("declared", [LIMIT + 1, 10**12, 2**63, 10**19])
def test_a_declared_length_over_the_limit_is_refused_at_once(small, declared):
    fields = headers("main", "application/json", [("content-length", str(declared))])
    with small.sends_nothing(), small.connect() as client:
        client.send_head("POST", "/v1/chat/completions", fields)
        reply = client.answer().rest()
    if declared >= 2**63:  # Envoy's own parser may refuse such a number
        assert reply.status in (400, 413)
    else:
        message = expect.gateway_error(reply, 413, "request_too_large")
        assert str(LIMIT) in message


@pytest.mark.parametrize("chunked", [False, True])
def test_the_limit_itself_passes(small, upstreams, chunked):
    body = _body(LIMIT)
    sent = {"pieces": wire.split(body, 10_000)} if chunked else {"body": body}
    expect.good(small.post(**sent))
    assert len(upstreams["alpha"].only.body) == LIMIT - len("alpha/")


def test_a_chunked_body_is_counted(small, upstreams):
    with small.completes_nothing(upstreams):
        reply = small.post(pieces=wire.split(_body(LIMIT + 1), 10_000))
    expect.gateway_error(reply, 413, "request_too_large")


def test_an_endless_chunked_body_is_stopped(small, upstreams):
    def endless():
        yield START
        while True:
            yield b"x" * 8192

    with small.completes_nothing(upstreams):
        reply = small.post(pieces=endless())
    expect.gateway_error(reply, 413, "request_too_large")


@pytest.mark.parametrize("chunked", [False, True])
def test_what_comes_before_model_is_held_up_to_a_limit(small, upstreams, chunked):
    body = _late(HELD)
    sent = {"pieces": wire.split(body, 1000)} if chunked else {"body": body}
    expect.good(small.post(**sent))
    assert upstreams["alpha"].only.body == body.replace(b"alpha/m", b"m")


@pytest.mark.parametrize("chunked", [False, True])
def test_more_before_model_is_refused_with_advice(small, chunked):
    body = _late(HELD + 4096)
    sent = {"pieces": wire.split(body, 1000)} if chunked else {"body": body}
    with small.sends_nothing():
        message = expect.gateway_error(small.post(**sent), 413, "request_too_large")
    assert 'Put `model` first' in message


def test_a_multipart_file_before_model_is_refused_with_advice(small):
    head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head + b"x" * 2 * HELD + b"\r\n--B--\r\n"
    with small.sends_nothing():
        reply = small.post(
            "/v1/audio/transcriptions", body, content_type="multipart/form-data; boundary=B"
        )
        message = expect.gateway_error(reply, 413, "request_too_large")
    assert 'Put `model` first' in message


def test_the_refusal_does_not_wait_for_the_rest(small):
    """A held body over the limit is refused while the client has more to send."""
    with small.sends_nothing(), small.connect() as client:
        fields = headers("main", "application/json", [("content-length", str(LIMIT))])
        client.send_head("POST", "/v1/chat/completions", fields)
        client.send(_body(LIMIT, LATE)[: HELD + 2048])
        expect.gateway_error(client.answer().rest(), 413, "request_too_large")


@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "deflate", "zstd", "GZIP", "gzip, identity", "x"]
)
def test_what_cannot_be_read_is_refused(gateway, encoding):
    fields = headers("main", "application/json", [("content-encoding", encoding)])
    with gateway.sends_nothing(), gateway.connect() as client:
        client.send_head("POST", "/v1/chat/completions", [*fields, ("content-length", "100")])
        reply = client.answer().rest()
    expect.gateway_error(reply, 415, "unsupported_content_encoding")


@pytest.mark.parametrize("encoding", ["identity", "Identity", "IDENTITY"])
def test_identity_is_readable(gateway, encoding):
    body = {"model": "alpha/m"}
    expect.good(gateway.post(body=body, fields=[("content-encoding", encoding)]))


def test_two_content_encodings_are_both_looked_at(gateway):
    fields = [("content-encoding", "identity"), ("content-encoding", "gzip")]
    with gateway.sends_nothing():
        reply = gateway.post(body={"model": "alpha/m"}, fields=fields)
        expect.gateway_error(reply, 415, "unsupported_content_encoding")
