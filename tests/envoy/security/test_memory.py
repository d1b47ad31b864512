"""One client or one server that takes all it can ends nobody else's stream, and no worker traps: after every test the suite
asserts that no VM was reloaded."""

from __future__ import annotations

import json
import select

import pytest
from harness import PATIENCE, Gate, answer, expect, headers, memory, openai_shapes, plugin, sse

MIB = 1024 * 1024
LIMITS = {"max_request_bytes": 34 * MIB, "max_buffered_bytes": 33 * MIB}


SETTING = {"config": plugin.configuration(limits=LIMITS), "buffer_bytes": 20 * MIB, "route_buffer_bytes": 64 * MIB}


@pytest.fixture
def envoy(start_envoy):
    return start_envoy(**SETTING)


def begin(envoy, body, vk="main", path="/v1/chat/completions"):
    """A connection on which a whole request was sent."""
    connection = envoy.connect()
    text = json.dumps(body).encode()
    fields = [*headers(vk, "application/json"), ("content-length", str(len(text)))]
    connection.send_head("POST", path, fields)
    connection.send(text)
    return connection


@pytest.fixture
def innocent(envoy, upstreams):
    """A stream of another key from another provider, which has begun before the attack and ends well after it."""
    gate = Gate()
    first, second = openai_shapes.chunk({"content": "one"}), openai_shapes.chunk({"content": "two"})
    upstreams["beta"].next(sse(first, gate, second, openai_shapes.chunk({}, "stop"), "[DONE]"))
    connection = begin(envoy, {"model": "beta/m", "messages": [], "stream": True}, vk="literal")
    incoming = connection.answer()
    incoming.read_until(lambda body: b"one" in body)
    yield
    gate.open()
    reply = incoming.rest()
    assert reply.status == 200 and reply.complete
    assert b"two" in reply.body and reply.body.endswith(b"data: [DONE]\n\n")
    connection.close()


def check_overloaded(reply) -> None:
    expect.gateway_error(reply, 503, "overloaded")
    assert reply.header("retry-after") == "1"


def test_converted_streams_of_one_key(envoy, upstreams, innocent):
    """475 Responses streams that never end, with a megabyte of instructions each: what is repeated of the request is held as
    long as its answer lasts."""
    upstreams["alpha"].handler = lambda _: sse(openai_shapes.chunk({"content": "a"}), end="never")
    body = {"model": "alpha/m", "stream": True, "input": "x", "instructions": "i" * 1_000_000}
    connections, refused = [], 0
    for _ in range(475):
        connection = begin(envoy, body, path="/v1/responses")
        connections.append(connection)
        incoming = connection.answer()
        if incoming.status == 200:
            continue
        refused += 1
        check_overloaded(incoming.rest())
        if refused == 3:
            break
    assert len(connections) - refused >= 100, "128 MiB are this key's"
    assert refused, "a quarter of the budget is 128 streams"
    # Another key and provider are served while the attack goes on.
    expect.good(envoy.post(body={"model": "delta/m", "messages": []}, vk="literal"))
    for connection in connections:
        connection.reset()


def test_what_is_repeated_of_a_request_is_held_once(start_envoy, upstreams):
    """By Envoy's own size: a hundred streams that each repeat a megabyte."""
    envoy = start_envoy(**SETTING, alone=True)
    upstreams["alpha"].handler = lambda _: sse(openai_shapes.chunk({"content": "a"}), end="never")
    body = {"model": "alpha/m", "stream": True, "input": "x", "instructions": "i" * 1_000_000}
    connections = [begin(envoy, body, path="/v1/responses") for _ in range(20)]
    sizes = []
    for _ in range(4):
        for connection in connections[-20:]:
            incoming = connection.answer()
            assert incoming.status == 200
            incoming.read_until(lambda read: b"response.output_text.delta" in read)
        sizes.append(memory.resident(envoy.pid))
        connections += [begin(envoy, body, path="/v1/responses") for _ in range(20)]
    for connection in connections:
        connection.reset()
    each = (sizes[3] - sizes[0]) / 60
    assert each < 1.7 * MIB, f"{each / MIB:.2f} MiB a stream"


def test_the_largest_conversion_beside_a_full_budget(start_envoy, upstreams, ports):
    """All that the configuration allows at once: nothing traps."""
    providers = [each for each in plugin.providers() if each["name"] in ("alpha", "beta")]
    keys = [each for each in plugin.virtual_keys() if each["id"] in ("id-main", "id-literal")]
    limits = {
        "max_request_bytes": 100 * MIB,
        "max_buffered_bytes": 90 * MIB,
        "max_held_bytes": 420 * MIB,
    }
    envoy = start_envoy(
        config=plugin.configuration(
            providers=providers, virtual_keys=keys, limits=limits, model_aliases={}
        ),
        buffer_bytes=20 * MIB,
        route_buffer_bytes=256 * MIB,
    )
    upstreams["alpha"].handler = lambda _: sse(openai_shapes.chunk({"content": "a"}), end="never")
    repeats = {"model": "alpha/m", "stream": True, "input": "x", "instructions": "i" * 20 * MIB}
    held = [begin(envoy, repeats, path="/v1/responses") for _ in range(3)]
    assert [connection.answer().status for connection in held] == [200] * 3
    # Each quote is escaped once more, so that what is sent is twice as long.
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {"x": '"' * (20 * MIB)}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "y"}
    turns = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    body = {"model": "beta/m", "max_tokens": 9, "messages": turns}
    with begin(envoy, body, vk="literal", path="/v1/messages") as connection:
        assert connection.answer().rest().status == 200
    sent = upstreams["beta"].only.json()["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == call["input"]
    for connection in held:
        connection.reset()


def test_answers_that_never_end(envoy, upstreams, innocent):
    """80 answers of 15 MiB in one piece of JSON, none of which ends."""
    text = b'{"error' + b" " * (15 * MIB)
    upstreams["alpha"].handler = lambda _: answer(
        text, chunks=4 * MIB, framing="chunked", end="never"
    )
    connections = [begin(envoy, {"model": "alpha/m", "messages": []}) for _ in range(80)]
    # Each is held until there is no room; then it is told so.
    waiting, overloaded = {each.sock: each for each in connections}, 0
    while overloaded < 40:
        ready, _, _ = select.select(list(waiting), [], [], PATIENCE)
        if not ready:
            break
        for sock in ready:
            check_overloaded(waiting.pop(sock).answer().rest())
            overloaded += 1
    assert overloaded, "some must be refused"
    expect.good(envoy.post(body={"model": "delta/m", "messages": []}, vk="literal"))
    for connection in connections:
        connection.reset()


def test_events_that_never_end(envoy, upstreams, innocent):
    """100 streams, each with an unfinished event of 9 MiB."""
    event = b'data: {"choices":[{"delta":{"content":"' + b"x" * (9 * MIB)
    upstreams["alpha"].handler = lambda _: sse(
        openai_shapes.chunk({"content": "a"}), event, end="never"
    )
    connections = [
        begin(envoy, {"model": "alpha/m", "messages": [], "stream": True}) for _ in range(100)
    ]
    told = 0
    for connection in connections:
        incoming = connection.answer()
        assert incoming.status in (200, 503)
        connection.sock.settimeout(3)
        try:
            reply = incoming.rest()
        except TimeoutError:
            continue
        if b'"code":"overloaded"' in reply.body:
            told += 1
        if told == 40:
            break
    assert told, "a stream gets its error event"
    expect.good(envoy.post(body={"model": "delta/m", "messages": []}, vk="literal"))
    for connection in connections:
        connection.reset()


def test_bodies_without_a_model(envoy, innocent):
    """24 connections with 31 MiB each, held by Envoy for a model that does not come."""
    piece = b"x" * MIB
    connections, refused = [], 0
    for _ in range(24):
        connection = envoy.connect()
        connections.append(connection)
        fields = [*headers("main", "application/json"), ("content-length", str(32 * MIB))]
        connection.send_head("POST", "/v1/chat/completions", fields)
        connection.send(b'{"x":"')
        if not connection.send_pieces([piece] * 31):
            refused += 1
            check_overloaded(connection.answer().rest())
        if refused == 4:
            break
    assert refused >= 4
    expect.good(envoy.post(body={"model": "delta/m", "messages": []}, vk="literal"))
    for connection in connections:
        connection.reset()
