"""The harness itself, through an Envoy without the filter: what it records is what was sent."""

from __future__ import annotations

import pytest
from harness import Envoy, Gate, answer, sse, wire


@pytest.fixture
def bare(start_envoy) -> Envoy:
    return start_envoy(filter_at="nowhere")


def test_bytes_arrive_as_sent(bare, upstreams):
    body = bytes(range(256)) * 10
    reply = bare.request(
        "POST", "/plain/x?q=1", [("x-odd", "\xff\xfe")], pieces=[body[:7], body[7:]]
    )
    assert reply.status == 200
    got = upstreams["plain"].only
    assert (got.method, got.path, got.body) == ("POST", "/plain/x?q=1", body)
    assert got.header("x-odd") == "\xff\xfe"


def test_each_framing_and_trailers(bare, upstreams):
    body = b"0123456789"
    for framing in ("length", "chunked", "close"):
        upstreams["plain"].next(answer(body, chunks=[1, 2], framing=framing))
        assert bare.request("GET", "/plain").body == body
    upstreams["plain"].next(answer(body, framing="chunked", trailers=[("x-end", "yes")]))
    with bare.connect() as client:
        client.send_head("GET", "/plain", [("te", "trailers")])
        assert client.answer().rest().trailers == [("x-end", "yes")]


def test_a_gate_holds_the_answer(bare, upstreams):
    gate = Gate()
    upstreams["plain"].next(sse("one", gate, "two"))
    with bare.connect() as client:
        client.send_head("GET", "/plain", [])
        incoming = client.answer()
        assert incoming.read_until(lambda body: b"one" in body) == b"data: one\n\n"
        gate.open()
        assert incoming.rest().body == b"data: one\n\ndata: two\n\n"


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_broken_answers_are_seen_as_such(bare, upstreams, end):
    upstreams["plain"].next(answer(b"half", framing="chunked", end=end))
    assert not bare.request("GET", "/plain").complete


def test_an_upload_that_breaks_off_is_recorded(bare, upstreams):
    with bare.connect() as client:
        client.send_head("POST", "/plain", [("content-length", "100")])
        client.send(b"half")
        upstreams["plain"].wait_request().wait_body(4)
        client.reset()
    assert upstreams["plain"].wait_request().wait_aborted().body == b"half"


def test_a_silent_answer_ends_when_the_client_leaves(bare, upstreams):
    upstreams["plain"].next(sse("one", end="never"))
    with bare.connect() as client:
        client.send_head("GET", "/plain", [])
        client.answer().read_until(lambda body: bool(body))
    upstreams["plain"].only.wait_abandoned()


def test_http2_streams_and_trailers(bare, upstreams):
    body = b"x" * 300_000
    with bare.connect2() as client:
        reply = client.request("POST", "/plain", [], [body], [("x-sum", "1")])
        assert reply.status == 200 and reply.complete
    got = upstreams["plain"].only
    assert got.body == body and got.trailers == [("x-sum", "1")]


def test_sends_nothing_notices(bare):
    with pytest.raises(AssertionError, match="requests"), bare.sends_nothing():
        bare.request("GET", "/plain")


def test_split():
    assert wire.split(b"abcde", [1, 2]) == [b"a", b"bc", b"de"]
    assert wire.split(b"abcde", "2-byte") == [b"ab", b"cd", b"e"]
    assert wire.split(b"", None) == []
