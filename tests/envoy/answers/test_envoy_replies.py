"""What Envoy itself answers leaves as an OpenAI error too; the gateway's own errors leave as they are."""

from __future__ import annotations

import base64
import gzip
import json
import struct

import pytest
from harness import Envoy, Gate, answer, expect, headers, openai_shapes, plugin, sse
from harness.openai_shapes import chunk

BODY = {"model": "alpha/m", "messages": []}


def envoys_own(reply, status: int) -> str:
    """An envelope made from a local reply of Envoy; its message."""
    assert reply.status == status, (reply.status, reply.body)
    error = expect.envelope(reply)
    assert error["type"] == expect.type_of(status)
    return error["message"]


def test_a_refused_connection(gateway):
    envoys_own(gateway.post(body={"model": "down/m"}), 503)


def test_a_cluster_that_does_not_exist(gateway):
    envoys_own(gateway.post(body={"model": "nowhere/m"}), 503)


def test_a_timeout(gateway, upstreams):
    gate = Gate()
    upstreams["alpha"].next(answer(b"{}", hold=gate))
    envoys_own(gateway.post(body=BODY, fields=[("x-test-route", "timeout")]), 504)
    gate.open()


def test_an_upstream_that_hangs_up_instead_of_answering(gateway, upstreams):
    upstreams["alpha"].next(answer(silent=True, end="reset"))
    envoys_own(gateway.post(body=BODY), 503)


def test_an_upstream_that_does_not_speak_http(gateway, upstreams):
    upstreams["alpha"].next(answer("SSH-2.0-OpenSSH_9.6\r\n\r\n", silent=True, framing="raw"))
    envoys_own(gateway.post(body=BODY), 502)


def test_a_held_body_over_envoys_buffer(start_envoy):
    """`max_buffered_bytes` above Envoy's own buffer limit: Envoy's 413, in the envelope."""
    limits = {"max_buffered_bytes": 33_554_432}
    envoy: Envoy = start_envoy(
        buffer_bytes=65_536, route_buffer_bytes=None, config=plugin.configuration(limits=limits)
    )
    body = b'{"x":"' + b"x" * 200_000 + b'","model":"alpha/m"}'
    with envoy.sends_nothing():
        envoys_own(envoy.post(body=body), 413)


def test_a_routes_buffer_limit_is_the_one_that_counts(start_envoy, upstreams):
    envoy: Envoy = start_envoy(buffer_bytes=65_536, route_buffer_bytes=1_048_576)
    body = b'{"x":"' + b"x" * 200_000 + b'","model":"alpha/m"}'
    expect.good(envoy.post(body=body))
    assert upstreams["alpha"].only.body == body.replace(b"alpha/m", b"m")


def test_a_rewrite_that_outgrows_envoys_buffer(start_envoy, upstreams):
    """A longer id makes a body larger than what Envoy may hold: sent right, or refused, never
    half."""
    limits = {"max_buffered_bytes": 33_554_432}
    config = plugin.configuration(limits=limits, model_aliases={"s": "alpha/" + "long" * 200})
    envoy: Envoy = start_envoy(buffer_bytes=65_536, route_buffer_bytes=None, config=config)
    for size in (65_000, 65_500):
        upstreams["alpha"].reset()
        body = b'{"x":"' + b"x" * (size - 19) + b'","model":"s"}'
        reply = envoy.post(body=body)
        if reply.status == 200:
            assert upstreams["alpha"].only.body == body.replace(b'"s"', b'"' + b"long" * 200 + b'"')
        else:
            envoys_own(reply, 413)
            for request in upstreams["alpha"].requests:
                request.wait_aborted()  # in two positions a head may have gone on


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("count", [4_000, 9_000, 12_000])
def test_an_answer_that_outgrows_envoys_buffer(start_envoy, upstreams, count, framing):
    """Numbers in base64 become more than twice as long. Where that is more than Envoy may hold, the answer ends, and no
    other one does."""
    envoy: Envoy = start_envoy(buffer_bytes=65_536, route_buffer_bytes=None)
    numbers = base64.b64encode(struct.pack(f"<{count}f", *(0.123456789 * n for n in range(count)))).decode()
    assert len(numbers) < 65_536
    upstreams["alpha"].next(answer({"data": [{"index": 0, "embedding": numbers}]}, framing=framing))
    gate, body = Gate(), json.dumps({"model": "beta/m", "messages": [], "stream": True}).encode()
    upstreams["beta"].next(sse(chunk({"content": "a"}), gate, chunk({}, "stop"), "[DONE]"))
    with envoy.connect() as other:
        more = [("content-length", str(len(body)))]
        other.send_head("POST", "/v1/chat/completions", headers("main", "application/json", more))
        other.send(body)
        stream = other.answer()
        stream.read_until(lambda body: body.endswith(b"\n\n"))
        asked = {"model": "alpha/m", "input": "x", "encoding_format": "float"}
        reply = envoy.post("/v1/embeddings", asked)
        # An answer that comes at once is never held, and may grow.
        if reply.status != 500 or count == 4_000:
            assert len(reply.json()["data"][0]["embedding"]) == count
        gate.open()
        assert stream.rest().body.endswith(b"data: [DONE]\n\n")


def test_a_compressed_answer_that_nobody_asked_for(gateway, upstreams):
    """It can't be read, so it passes as it is."""
    body = gzip.compress(json.dumps(openai_shapes.completion()).encode())
    upstreams["alpha"].next(answer(body, headers=[("content-encoding", "gzip")]))
    reply = expect.good(gateway.post(body=BODY, fields=[("accept-encoding", "gzip")]))
    assert (reply.body, reply.header("content-encoding")) == (body, "gzip")


def test_envoy_compresses_toward_the_client(start_envoy, upstreams):
    envoy: Envoy = start_envoy(compress=True)
    reply = expect.good(envoy.post(body=BODY, fields=[("accept-encoding", "gzip")]))
    assert upstreams["alpha"].only.header("accept-encoding") is None
    assert reply.header("content-encoding") == "gzip"
    assert json.loads(gzip.decompress(reply.body)) == openai_shapes.completion()
    refused = envoy.post(body=BODY, vk=None, fields=[("accept-encoding", "gzip")])
    assert refused.status == 401


OWN = [
    ({"vk": None, "body": BODY}, 401, "invalid_api_key"),
    ({"vk": "none", "body": BODY}, 403, "model_not_allowed"),
    ({"body": b"{}"}, 400, "missing_model"),
    ({"path": "/v1/nothing", "body": b"{}"}, 404, "unknown_url"),
    ({"body": b'{"x":"' + b"x" * 600_000 + b'"}'}, 413, "request_too_large"),
]


@pytest.mark.parametrize(("call", "status", "code"), OWN, ids=[code for _, _, code in OWN])
def test_own_errors_are_not_normalised_again(gateway, call, status, code):
    """One envelope, in its order, with nothing around it and no header of an upstream's answer."""
    reply = gateway.post(**call)
    message = expect.gateway_error(reply, status, code)
    error = reply.json()["error"]
    written = {"error": {key: error[key] for key in ("message", "type", "param", "code")}}
    assert reply.body == json.dumps(written, separators=(",", ":"), ensure_ascii=False).encode()
    assert "{" not in message
    assert reply.header("x-langwatch-provider") is None


def test_a_reply_while_the_client_still_sends(gateway):
    with gateway.connect() as client:
        client.send_head(
            "POST", "/v1/chat/completions", headers("main", None, [("content-length", "9")])
        )
        client.send(b"[")
        expect.gateway_error(client.answer().rest(), 400, "invalid_json")
