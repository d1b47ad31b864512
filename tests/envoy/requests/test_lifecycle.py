"""Requests and answers without a body, with trailers, over HTTP/2, and clients that go away."""

from __future__ import annotations

import pytest
from harness import Gate, answer, expect, headers, openai_shapes, sse, wire

BODY = b'{"model":"alpha/m","messages":[]}'
REWRITTEN = BODY.replace(b"alpha/m", b"m")
CHAT = "/v1/chat/completions"
LATE = b'{"messages":[{"role":"user","content":"hi"}],"model":"alpha/m"}'


def test_a_request_without_a_body(gateway):
    """A POST whose head ends the stream: nothing hangs."""
    with gateway.sends_nothing():
        reply = gateway.request("POST", CHAT, headers("main"))
        expect.gateway_error(reply, 400, {"missing_model", "invalid_json"})
    with gateway.sends_nothing(), gateway.connect2() as client:
        number = client.start("POST", CHAT, headers("main"), end=True)
        expect.gateway_error(client.wait(number), 400, {"missing_model", "invalid_json"})


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body(gateway, upstreams, status):
    upstreams["alpha"].next(answer(b"", status, content_type=None))
    expect.gateway_error(gateway.post(body=BODY), 502, {"invalid_upstream_response"})


def test_an_empty_answer_with_a_length(gateway, upstreams):
    upstreams["plain"].next(answer(b""))
    assert gateway.request("GET", "/plain").body == b""


def test_head_requests(gateway, upstreams):
    upstreams["plain"].next(answer(b"x" * 10, content_type="application/json"))
    reply = gateway.request("HEAD", "/plain")
    assert (reply.status, reply.body, reply.header("content-length")) == (200, b"", "10")
    with gateway.sends_nothing():
        reply = gateway.request("HEAD", CHAT, headers("main"))
        assert (reply.status, reply.body) == (405, b"")
        assert gateway.request("HEAD", "/v1/models").status == 401


@pytest.mark.parametrize("body", [BODY, LATE], ids=["model first", "model last"])
def test_request_trailers(gateway, upstreams, body):
    """A body that ends with trailers ends, and they arrive."""
    trailers = [("x-checksum", "abc")]
    with gateway.connect2() as client:
        pieces = [body[:20], body[20:]]
        expect.good(client.request("POST", CHAT, headers("main"), pieces, trailers))
    got = upstreams["alpha"].only
    assert got.body == body.replace(b"alpha/m", b"m")
    assert got.trailers == trailers


def test_request_trailers_after_a_body_that_flows(gateway, upstreams):
    body = b'{"model":"alpha/m","x":"' + b"x" * 5_000 + b'"}'
    with gateway.connect2() as client:
        number = client.start("POST", CHAT, headers("main"))
        client.send(number, body[:1_000])
        got = upstreams["alpha"].wait_request().wait_body(990)
        client.send(number, body[1_000:])
        client.end(number, [("x-checksum", "abc")])
        expect.good(client.wait(number))
    assert got.wait_complete().body == body.replace(b"alpha/m", b"m")
    assert got.trailers == [("x-checksum", "abc")]


def test_request_trailers_of_http1(gateway, upstreams):
    expect.good(gateway.post(pieces=wire.split(LATE, 10), trailers=[("x-checksum", "abc")]))
    got = upstreams["alpha"].only
    assert (got.body, got.trailers) == (LATE.replace(b"alpha/m", b"m"), [("x-checksum", "abc")])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"messages":[]}', "missing_model"),
        (b'{"model":"alpha/m"', "invalid_json"),
        (b'{"model":"alpha/m","model":"alpha/m"}', "duplicate_model"),
        (b"", {"missing_model", "invalid_json"}),
    ],
)
def test_bad_bodies_that_end_with_trailers(gateway, upstreams, body, code):
    with gateway.completes_nothing(upstreams), gateway.connect2() as client:
        pieces = [body] if body else []
        reply = client.request("POST", CHAT, headers("main"), pieces, [("x-checksum", "abc")])
        expect.gateway_error(reply, 400, code)


def test_answer_trailers(gateway, upstreams):
    trailers = [("x-end", "yes")]
    body = openai_shapes.completion()
    upstreams["alpha"].next(answer(body, framing="chunked", trailers=trailers))
    with gateway.connect2() as client:
        reply = client.request("POST", CHAT, headers("main"), [BODY])
    assert expect.good(reply).json() == body
    assert reply.trailers == trailers


def test_http2_body_in_many_pieces(gateway, upstreams):
    with gateway.connect2() as client:
        pieces = wire.split(LATE, 1)
        expect.good(client.request("POST", CHAT, headers("main"), pieces))
    assert upstreams["alpha"].only.body == LATE.replace(b"alpha/m", b"m")


def test_many_requests_on_one_connection(gateway, upstreams):
    with gateway.connect() as client:
        for number in range(20):
            body = BODY if number % 3 else LATE
            expect.good(client.request("POST", CHAT, headers("main"), body))
    assert len({got.connection for got in upstreams["alpha"].requests}) == 1
    assert len(upstreams["alpha"].requests) == 20


def test_pipelined_requests(gateway, upstreams):
    fields = [("host", "g"), *headers("main"), ("content-length", str(len(BODY)))]
    one = wire.head_bytes(f"POST {CHAT} HTTP/1.1", fields) + BODY
    with gateway.connect() as client:
        client.send(one + one)
        expect.good(client.answer().rest())
        expect.good(client.answer().rest())
    assert [got.body for got in upstreams["alpha"].requests] == [REWRITTEN] * 2


def test_expect_continue(gateway):
    with gateway.connect() as client:
        fields = headers("main", None, [("expect", "100-continue")])
        client.send_head("POST", CHAT, [*fields, ("content-length", str(len(BODY)))])
        client.send(BODY)
        expect.good(client.answer().rest())


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_a_client_that_leaves_during_its_upload(gateway, upstreams, leave):
    with gateway.connect() as client:
        client.send_head("POST", CHAT, headers("main", None, [("content-length", "1000")]))
        client.send(BODY)
        upstreams["alpha"].wait_request().wait_body(10)
        getattr(client, leave)()
    upstreams["alpha"].wait_request().wait_aborted()
    expect.good(gateway.post(body=BODY))


@pytest.mark.parametrize("start", [b"", b'{"messages":', LATE[:-3]])
def test_a_client_that_leaves_before_the_model(gateway, start):
    with gateway.sends_nothing():
        with gateway.connect() as client:
            client.send_head("POST", CHAT, headers("main", None, [("content-length", "1000")]))
            client.send(start)
            client.reset()
        with gateway.connect2() as client:
            number = client.start("POST", CHAT, headers("main"))
            client.send(number, start)
            client.cancel(number)
            reply = client.request("POST", CHAT, [], [BODY])
            expect.gateway_error(reply, 401, "invalid_api_key")


def test_a_client_that_leaves_during_its_answer(gateway, upstreams):
    upstreams["alpha"].next(sse(openai_shapes.chunk({"content": "Hi"}), end="never"))
    with gateway.connect() as client:
        body = b'{"model":"alpha/m","stream":true}'
        client.send_head("POST", CHAT, headers("main", None, [("content-length", str(len(body)))]))
        client.send(body)
        client.answer().read_until(lambda got: b"Hi" in got)
        client.reset()
    upstreams["alpha"].only.wait_abandoned()
    expect.good(gateway.post(body=BODY))


def test_streams_on_one_worker_do_not_touch_each_other(gateway, upstreams):
    """An answer and an upload run on while every kind of refusal happens beside them."""
    gate = Gate()
    chunk = openai_shapes.chunk
    upstreams["beta"].next(
        sse(chunk({"content": "Hel"}), gate, chunk({"content": "lo"}), chunk({}, "stop"), "[DONE]")
    )
    whole = b'{"model":"alpha/m","input":"' + b"x" * 5000 + b'"}'
    with gateway.connect() as answering, gateway.connect() as uploading:
        body = b'{"model":"beta/m","stream":true}'
        fields = headers("main", None, [("content-length", str(len(body)))])
        answering.send_head("POST", CHAT, fields)
        answering.send(body)
        incoming = answering.answer()
        incoming.read_until(lambda got: b"Hel" in got)
        fields = headers("main", None, [("content-length", str(len(whole)))])
        uploading.send_head("POST", "/v1/embeddings", fields)
        uploading.send(whole[:2000])
        upstreams["alpha"].wait_request().wait_body(1000)

        refusals = [
            (gateway.post(body=BODY, vk=None), 401),
            (gateway.post(body=BODY, vk="none"), 403),
            (gateway.post(body=b"{"), 400),
            (gateway.post(body=b'{"model":"\xff"}'), 400),
            (gateway.post(body=BODY, fields=[("content-encoding", "br")]), 415),
            (gateway.post("/v1/nothing", BODY), 404),
            (gateway.post(body=b'{"model":"down/m"}'), 503),
        ]
        assert [reply.status for reply, _ in refusals] == [status for _, status in refusals]

        gate.open()
        assert incoming.rest().body.endswith(b"data: [DONE]\n\n")
        uploading.send(whole[2000:])
        expect.good(uploading.answer().rest())
    assert upstreams["alpha"].only.body == whole.replace(b"alpha/m", b"m")


def test_interleaved_http2_streams(gateway, upstreams):
    """Three uploads on one connection, byte by byte in turn."""
    bodies = {name: LATE.replace(b"alpha", name.encode()) for name in ("alpha", "beta", "delta")}
    with gateway.connect2() as client:
        numbers = {name: client.start("POST", CHAT, headers("main")) for name in bodies}
        longest = max(map(len, bodies.values()))
        for at in range(longest):
            for name, body in bodies.items():
                client.send(numbers[name], body[at : at + 1])
        for name in bodies:
            client.end(numbers[name])
        for number in numbers.values():
            expect.good(client.wait(number))
    for name, body in bodies.items():
        assert upstreams[name].only.body == body.replace(f"{name}/m".encode(), b"m")


def test_two_workers(start_envoy, upstreams):
    """Each worker has a VM of its own; both know the whole configuration."""
    envoy = start_envoy(concurrency=2)
    connections = [envoy.connect() for _ in range(40)]
    for connection in connections:
        expect.good(connection.request("POST", CHAT, headers("main"), BODY))
        reply = connection.request("POST", CHAT, headers("allow"), BODY)
        expect.gateway_error(reply, 403, "model_not_allowed")
    loads = [
        int(line.rpartition(": ")[2])
        for line in envoy.admin("/stats?filter=worker_.\\.downstream_cx_total").splitlines()
    ]
    for connection in connections:
        connection.close()
    assert len(loads) == 2 and all(loads), loads
    assert len(upstreams["alpha"].requests) == len(connections)
