"""Bodies flow: once the model is known, nothing more is held, and the rest is still checked."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import PATIENCE, Envoy, Gate, answer, expect, headers, memory, plugin, wire

MIB = 1_048_576
START = b'{"model":"alpha/m","input":"'
FORM = "multipart/form-data; boundary=B"
FORM_START = (
    b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nalpha/m\r\n'
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
)
FORM_MODEL = b'\r\n--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nbeta/m'
FORM_END = b"\r\n--B--\r\n"


def json_body(size: int) -> bytes:
    return START + b"x" * (size - len(START) - 2) + b'"}'


def form_body(size: int) -> bytes:
    return FORM_START + b"x" * (size - len(FORM_START) - len(FORM_END)) + FORM_END


UPLOADS = {
    "JSON": ("/v1/embeddings", "application/json", json_body),
    "multipart": ("/v1/audio/transcriptions", FORM, form_body),
}


@pytest.mark.parametrize(("path", "kind", "make"), UPLOADS.values(), ids=UPLOADS)
def test_the_start_is_upstream_before_the_end_is_sent(gateway, upstreams, path, kind, make):
    body = make(100_000)
    fields = headers("main", kind, [("content-length", str(len(body)))])
    with gateway.connect() as client:
        client.send_head("POST", path, fields)
        client.send(body[:1000])
        got = upstreams["alpha"].wait_request().wait_body(900)
        assert got.header("content-length") == str(len(body) - len("alpha/"))
        client.send(body[1000:2000])
        got.wait_body(1900)
        client.send(body[2000:])
        expect.good(client.answer().rest())
    assert got.wait_complete().body == body.replace(b"alpha/m", b"m")


def test_a_chunked_body_that_came_at_once_gets_a_length(gateway, upstreams):
    """Some servers insist on one (411): when the JSON is complete, its end is waited for."""
    body = json_body(2_000)
    expect.good(gateway.post("/v1/embeddings", pieces=[body]))
    got = upstreams["alpha"].only
    assert got.header("content-length") == str(len(body) - len("alpha/"))
    assert got.header("transfer-encoding") is None


def test_a_chunked_body_flows(gateway, upstreams):
    body = json_body(6_000)
    fields = headers("main", "application/json", [("transfer-encoding", "chunked")])
    with gateway.connect() as client:
        client.send_head("POST", "/v1/embeddings", fields)
        client.send(wire.chunk(body[:1_000]))
        got = upstreams["alpha"].wait_request().wait_body(990)
        client.send(wire.chunk(body[1_000:]) + wire.last_chunk())
        expect.good(client.answer().rest())
    assert got.wait_complete().body == body.replace(b"alpha/m", b"m")


def test_a_chunked_body_goes_on(gateway, upstreams):
    body = json_body(50_000)
    expect.good(gateway.post("/v1/embeddings", pieces=wire.split(body, 5000)))
    got = upstreams["alpha"].only
    # Chunked, unless all of it was there before the head went on: then the length is known.
    assert got.header("content-length") in (None, str(len(got.body)))
    assert got.body == body.replace(b"alpha/m", b"m")


@pytest.fixture(scope="module")
def measured(keep_envoy) -> Envoy:
    """For the tests that it does not grow in: none of them leaves it larger for the others."""
    return keep_envoy(route_buffer_bytes=None, alone=True)


@pytest.mark.parametrize(("path", "kind", "make"), UPLOADS.values(), ids=UPLOADS)
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_20_mb_grow_envoy_by_less_than_8_mb(
    measured, upstreams, capsys, path, kind, make, chunked
):
    envoy: Envoy = measured
    for _ in range(3):  # buffers, V8 and thread stacks are there before the count begins
        expect.good(envoy.post(path, make(200_000), content_type=kind))
    upstreams["alpha"].reset()
    body = make(20 * MIB)
    allocated = json.loads(envoy.admin("/memory"))["allocated"]
    memory.restart_peak(envoy.pid)
    before = memory.resident(envoy.pid)
    sent = {"pieces": wire.split(body, 65_536)} if chunked else {"body": body}
    expect.good(envoy.post(path, content_type=kind, **sent))
    growth = memory.peak(envoy.pid) - before
    after = int(json.loads(envoy.admin("/memory"))["allocated"]) - int(allocated)
    with capsys.disabled():
        print(
            f"\n20 MB of {kind.split(';')[0]}: Envoy grew by {growth / MIB:.1f} MiB at most, "
            f"{after / MIB:.1f} MiB of heap stayed"
        )
    got = upstreams["alpha"].only
    assert len(got.body) == len(body) - len("alpha/")
    assert (
        hashlib.sha256(got.body).digest() == hashlib.sha256(body.replace(b"alpha/m", b"m")).digest()
    )
    assert growth < 8 * MIB
    assert after < 8 * MIB


def test_20_mb_before_the_model_are_held(start_envoy, upstreams, capsys):
    """With limits that allow it; and the measure above is one that does see a held body."""
    limits = {"max_buffered_bytes": 32 * MIB}
    config = plugin.configuration(limits=limits)
    envoy: Envoy = start_envoy(config=config, route_buffer_bytes=34 * MIB, alone=True)
    expect.good(envoy.post("/v1/embeddings", json_body(200_000)))
    upstreams["alpha"].reset()
    body = b'{"input":"' + b"x" * 20 * MIB + b'","model":"alpha/m"}'
    memory.restart_peak(envoy.pid)
    before = memory.resident(envoy.pid)
    expect.good(envoy.post("/v1/embeddings", body))
    growth = memory.peak(envoy.pid) - before
    with capsys.disabled():
        print(f"\n20 MB before the model: Envoy grew by {growth / MIB:.1f} MiB at most")
    assert upstreams["alpha"].only.body == body.replace(b"alpha/m", b"m")
    assert growth > 16 * MIB


def test_a_slow_upstream_does_not_fill_envoy(measured, upstreams):
    """Backpressure: while the upstream reads nothing, Envoy stops reading from the client."""
    envoy: Envoy = measured
    expect.good(envoy.post("/v1/embeddings", json_body(200_000)))
    upstreams["alpha"].reset()
    gate = Gate()
    upstreams["alpha"].read_gate = gate
    body = json_body(30 * MIB)
    paused = "http.gateway.downstream_flow_control_paused_reading_total"
    pauses = envoy.stat(paused)
    memory.restart_peak(envoy.pid)
    before = memory.resident(envoy.pid)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(envoy.post, "/v1/embeddings", body)
        deadline = time.monotonic() + PATIENCE
        while envoy.stat(paused) == pauses:
            assert time.monotonic() < deadline, "Envoy went on reading"
            time.sleep(0.02)
        growth = memory.peak(envoy.pid) - before
        gate.open()
        expect.good(sending.result())
    assert growth < 8 * MIB
    assert memory.peak(envoy.pid) - before < 8 * MIB
    assert upstreams["alpha"].only.body == body.replace(b"alpha/m", b"m")


LATE = {
    "second model": (START, b'x","model":"beta/m"}', "duplicate_model"),
    "second model, escaped": (START, b'x","\\u006dodel":"beta/m"}', "duplicate_model"),
    "second model, other case": (START, b'x","MODEL":null}', "duplicate_model"),
    "trailing data": (START, b'x"}{"model":"beta/m"}', "invalid_json"),
    "cut": (START, b"x", "invalid_json"),
    "cut before the brace": (START, b'x"', "invalid_json"),
    "broken": (START, b'x",}', "invalid_json"),
}
LATE_FORMS = {
    "second model": (FORM_MODEL + FORM_END, "duplicate_model"),
    "cut": (b"x", "invalid_multipart"),
    "cut in the end": (FORM_END[:-4], "invalid_multipart"),
}


def break_late(gateway, upstreams, path, kind, start, middle, end, chunked):
    """Sends a body whose last piece shows what is wrong, after the rest has reached the upstream."""
    total = len(start) + len(middle) + len(end)
    length = ("transfer-encoding", "chunked") if chunked else ("content-length", str(total))
    framed = wire.chunk if chunked else bytes
    with gateway.connect() as client:
        client.send_head("POST", path, headers("main", kind, [length]))
        client.send(framed(start + middle))
        got = upstreams["alpha"].wait_request().wait_body(len(start + middle) - 1000)
        client.send(framed(end) + (wire.last_chunk() if chunked else b""))
        reply = client.answer().rest()
        got.wait_aborted()
    return reply


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize("middle", [5_000, 2_000_000])
@pytest.mark.parametrize(("start", "end", "code"), LATE.values(), ids=LATE)
def test_what_is_wrong_late_aborts_the_upload(
    gateway, upstreams, start, end, code, middle, chunked
):
    kind = "application/json"
    reply = break_late(
        gateway, upstreams, "/v1/embeddings", kind, start, b"x" * middle, end, chunked
    )
    expect.gateway_error(reply, 400, code)


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize("middle", [5_000, 2_000_000])
@pytest.mark.parametrize(("end", "code"), LATE_FORMS.values(), ids=LATE_FORMS)
def test_what_is_wrong_late_in_a_form_aborts_the_upload(
    gateway, upstreams, end, code, middle, chunked
):
    path = "/v1/audio/transcriptions"
    reply = break_late(gateway, upstreams, path, FORM, FORM_START, b"x" * middle, end, chunked)
    expect.gateway_error(reply, 400, code)


def test_a_denied_model_late_in_the_body_is_never_sent(gateway):
    body = b'{"input":"' + b"x" * 400_000 + b'","model":"alpha/denied"}'
    with gateway.sends_nothing():
        reply = gateway.post("/v1/embeddings", body, vk="allow")
        expect.gateway_error(reply, 403, "model_not_allowed")


def test_a_denied_model_is_refused_before_the_rest_is_sent(gateway):
    with gateway.sends_nothing(), gateway.connect() as client:
        fields = headers("allow", "application/json", [("content-length", "1000000")])
        client.send_head("POST", "/v1/embeddings", fields)
        client.send(b'{"model":"alpha/denied","input":"')
        expect.gateway_error(client.answer().rest(), 403, "model_not_allowed")


def test_an_answer_may_come_before_the_request_ends(gateway, upstreams):
    """An upstream that refuses early is heard, though the client still sends."""
    upstreams["alpha"].next(answer({"error": {"message": "no"}}, 429, early=True))
    with gateway.connect() as client:
        fields = headers("main", "application/json", [("content-length", "1000000")])
        client.send_head("POST", "/v1/embeddings", fields)
        client.send(START)
        assert client.answer().rest().status == 429
