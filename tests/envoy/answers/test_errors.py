"""Errors: one envelope, the right status, and every header that tells a client when to come again."""

from __future__ import annotations

import gzip
import json

import pytest
from harness import Gate, answer, expect, openai_shapes, plugin

ASK = {"model": "alpha/m", "messages": []}
STREAM = {**ASK, "stream": True}
LIMITS = [
    ("retry-after", "7"),
    ("retry-after-ms", "7000"),
    ("x-ratelimit-limit-requests", "100"),
    ("x-ratelimit-remaining-tokens", "0"),
    ("x-ratelimit-reset-requests", "6m0s"),
]
BODIES = {
    "envelope": openai_shapes.error(429, "slow").body,
    "text": b"slow down",
    "HTML": b"<html><title>429 Too Many Requests</title></html>",
    "nothing": b"",
}


@pytest.mark.parametrize("asked", [ASK, STREAM], ids=["JSON", "stream"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_when_to_come_again_is_kept(gateway, upstreams, body, framing, asked):
    upstreams["alpha"].next(answer(body, 429, headers=LIMITS, framing=framing))
    reply = gateway.post(body=asked)
    assert reply.status == 429
    expect.envelope(reply)
    for name, value in LIMITS:
        assert reply.header(name) == value
    assert reply.header("x-langwatch-provider") == "alpha"
    assert reply.header("x-langwatch-model") == "m"
    assert reply.header("x-langwatch-request-id")


@pytest.mark.parametrize("asked", [ASK, STREAM], ids=["JSON", "stream"])
def test_when_to_come_again_is_kept_for_an_error_inside_200(gateway, upstreams, asked):
    error = {"error": {"message": "slow", "code": 429}}
    upstreams["alpha"].next(answer(error, headers=LIMITS))
    reply = gateway.post(body=asked)
    assert (reply.status, expect.envelope(reply)["message"]) == (429, "slow")
    for name, value in LIMITS:
        assert reply.header(name) == value


def test_a_right_error_keeps_its_bytes(gateway, upstreams):
    error = {"message": "m", "type": "t", "param": None, "code": None, "more": {"a": [1.0, 2]}}
    made = answer(json.dumps({"error": error}, indent=1), 418, chunks=5)
    upstreams["alpha"].next(made)
    reply = gateway.post(body=ASK)
    assert (reply.status, reply.body) == (418, made.body)


@pytest.mark.parametrize("status", [400, 404, 500, 503])
@pytest.mark.parametrize("size", [5_000, 900_000, 3_000_000])
def test_a_large_error_is_a_short_one(gateway, upstreams, size, status):
    page = b"<html><title>Broken</title><body>" + b"<p>x</p>" * (size // 8) + b"</body></html>"
    upstreams["alpha"].next(answer(page, status, content_type="text/html", chunks=60_000))
    reply = gateway.post(body=ASK)
    assert reply.status == status
    assert expect.envelope(reply)["message"] == "Broken"
    assert len(reply.body) < 1_000


@pytest.mark.parametrize("body", [b"", b"not gzip"], ids=["empty", "lies"])
def test_an_error_that_says_it_is_compressed(gateway, upstreams, body):
    """It is not, so it leaves as an error that a client can read."""
    upstreams["alpha"].next(answer(body, 503, headers=[("content-encoding", "gzip")]))
    reply = gateway.post(body=ASK)
    assert reply.status == 503
    assert reply.header("content-encoding") is None
    expect.envelope(reply)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "zstd"])
def test_a_compressed_error_that_nobody_asked_for(gateway, upstreams, coding):
    """The gateway can't read it, and it may tell the provider's key: its status goes on, its words do not."""
    packed = gzip.compress(json.dumps({"error": "full"}).encode())
    upstreams["alpha"].next(answer(packed, 503, headers=[("content-encoding", coding)]))
    reply = gateway.post(body=ASK)
    assert (reply.status, reply.header("content-encoding")) == (503, None)
    assert "compressed" in expect.envelope(reply)["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/rerank"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_error_inside_200_has_its_status(gateway, upstreams, path, framing):
    error = {"object": "error", "message": "no such model", "type": "NotFoundError", "code": 404}
    upstreams["alpha"].next(answer(error, framing=framing, chunks=3))
    reply = gateway.post(path, ASK)
    assert (reply.status, expect.envelope(reply)["message"]) == (404, "no such model")


# Envoy's own replies to a request for a stream; test_envoy_replies has the others


def test_no_upstream_for_a_stream(gateway):
    reply = gateway.post(body={**STREAM, "model": "down/m"})
    assert reply.status == 503
    assert expect.envelope(reply)["code"] == "upstream_error"


def test_a_timeout_of_a_stream(gateway, upstreams):
    upstreams["alpha"].next(answer(b"", hold=Gate()))
    reply = gateway.post(body=STREAM, fields=[("x-test-route", "timeout")])
    assert reply.status == 504
    assert expect.envelope(reply)["code"] == "upstream_error"


def test_an_upstreams_own_413_is_its_own(gateway, upstreams):
    upstreams["alpha"].next(openai_shapes.error(413, "too long", code="context"))
    reply = gateway.post(body=ASK)
    assert (reply.status, expect.envelope(reply)["code"]) == (413, "context")


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize(
    "made", [openai_shapes.error, lambda status, message: answer({"error": message}, status)]
)
def test_a_key_that_the_upstream_repeats(gateway, upstreams, status, made):
    """The harness checks that no answer holds a key; here one would."""
    secret = plugin.PROVIDER_KEYS["alpha"]
    upstreams["alpha"].next(made(status, f"Incorrect API key provided: {secret}."))
    reply = gateway.post(body=ASK)
    assert reply.status >= 400
    begin = "Provider alpha refused the gateway's credential: " if status == 401 else ""
    assert expect.envelope(reply)["message"] == f"{begin}Incorrect API key provided: [redacted]."
