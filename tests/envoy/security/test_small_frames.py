"""A body that comes byte by byte is looked at a few times, not for each byte, and is judged and handed on all the same."""

from __future__ import annotations

import pytest
from harness import expect, headers, wire

FRAMES = 20_000


def body(filling: int, end: bytes = b'"}') -> bytes:
    return b'{"model":"alpha/m","messages":[],"x":"' + b"y" * filling + end


def send(envoy, text, trailers=(), path="/v1/chat/completions"):
    """Each byte as a chunk of its own."""
    with envoy.connect() as client:
        fields = [*headers("main", "application/json"), ("transfer-encoding", "chunked")]
        client.send_head("POST", path, fields)
        frames = b"".join(wire.chunk(bytes([byte])) for byte in text)
        client.send_pieces([*wire.split(frames, 60_000), wire.last_chunk(trailers)])
        return client.answer().rest()


@pytest.mark.parametrize("trailers", [(), [("x-else", "1")]])
@pytest.mark.parametrize("filling", [0, 1, 100, FRAMES])
def test_every_byte_arrives(gateway, upstreams, filling, trailers):
    expect.good(send(gateway, body(filling), trailers))
    got = upstreams["alpha"].only
    assert got.body == body(filling).replace(b"alpha/", b"")
    assert got.trailers == list(trailers)


@pytest.mark.parametrize("trailers", [(), [("x-else", "1")]])
@pytest.mark.parametrize("end", [b'"', b'"}x', b'","model":"beta/x"}'])
@pytest.mark.parametrize("filling", [100, FRAMES])
def test_a_wrong_end_is_seen(gateway, upstreams, filling, end, trailers):
    with gateway.completes_nothing(upstreams):
        reply = send(gateway, body(filling, end), trailers)
    assert reply.status == 400


def test_a_conversion_gets_all_of_it(gateway, upstreams):
    text = b'{"model":"alpha/m","input":"' + b"y" * FRAMES + b'"}'
    expect.good(send(gateway, text, path="/v1/responses"))
    (message,) = upstreams["alpha"].only.json()["messages"]
    assert message["content"] == "y" * FRAMES
