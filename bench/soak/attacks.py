"""What wicked clients send and wicked upstreams answer. Each attack says what came of it."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from gateway import ATTACKING_KEYS, MIB, WICKED
from harness import Answer, Connection, Envoy, Gate, Recorded, answer, headers, openai_shapes, sse
from harness.wire import Truncated, chunk

CHAT = "/v1/chat/completions"
PATIENCE = 1.5
"""Seconds that an attacker waits for an answer that may never end."""


class Slow(Gate):
    def pass_through(self) -> None:
        time.sleep(0.3)


class Upstreams:
    """Answers by chance, unless the body asks for one by its `user`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def answers(self, request: Recorded) -> Answer:
        wanted = b"never-ending" in request.body
        return WICKED_ANSWERS[0]() if wanted else self._rng.choice(WICKED_ANSWERS)()


def first() -> dict[str, Any]:
    return openai_shapes.chunk({"content": "a"})


WICKED_ANSWERS: list[Callable[[], Answer]] = [
    lambda: sse(first(), end="never"),
    lambda: answer(b'{"error' + b" " * (6 * MIB), framing="chunked", chunks=MIB, end="never"),
    lambda: sse(first(), b'data: {"choices":[{"delta":{"content":"' + b"x" * (5 * MIB), end="never"),
    lambda: sse(first(), end="reset"),
    lambda: sse(first(), Slow(), first(), end="cut"),
    lambda: answer(b"", silent=True, end="reset"),
    lambda: Answer(silent=True, steps=[b"HTTP/1.1 999 \x00\r\n\r\n"], end="cut"),
    lambda: answer({"error": {"message": "busy"}}, 529),
    lambda: answer({"error": {"message": "busy", "code": 503}}),
    lambda: answer("<html>" * 1000, 502, content_type="text/html"),
    lambda: answer(b"[" * 100_000, framing="chunked"),
    lambda: answer(json.dumps(openai_shapes.completion()), chunks=1, framing="chunked"),
    lambda: sse(b"\xff\x00: \r\r\n\ndata:" * 2000, end="cut"),
    lambda: answer(openai_shapes.completion(), headers=[("x-pad", "y" * 20_000)]),
    lambda: answer(openai_shapes.completion(), early=True, end="reset"),
    openai_shapes.stream,
]


def until(ends: float, envoy: Envoy, rng: random.Random, outcomes: Counter[str]) -> None:
    while time.monotonic() < ends:
        attack = rng.choice(ATTACKS)
        try:
            outcome = attack(envoy, rng)
        except TimeoutError:
            outcome = "left waiting"
        except (OSError, Truncated):
            outcome = "reset"
        outcomes[outcome] += 1


def _open(envoy: Envoy) -> Connection:
    connection = envoy.connect()
    connection.sock.settimeout(PATIENCE)
    return connection


def _send(
    envoy: Envoy, rng: random.Random, path: str, body: dict[str, Any], **more: Any
) -> Connection:
    """A connection on which a whole request was sent."""
    provider = rng.choice(WICKED)
    connection = _open(envoy)
    text = json.dumps({"model": f"{provider}/m", **body}).encode()
    fields = headers(rng.choice(ATTACKING_KEYS), "application/json")
    connection.send_head("POST", path, [*fields, ("content-length", str(len(text)))])
    connection.send(text)
    return connection


def _outcome(connection: Connection) -> str:
    with connection:
        incoming = connection.answer()
        reply = incoming.rest()
        return str(reply.status) if reply.complete else f"{reply.status}, cut"


def plain(envoy: Envoy, rng: random.Random) -> str:
    return _outcome(_send(envoy, rng, CHAT, {"messages": []}))


def stream(envoy: Envoy, rng: random.Random) -> str:
    return _outcome(_send(envoy, rng, CHAT, {"messages": [], "stream": True}))


def converted(envoy: Envoy, rng: random.Random) -> str:
    body = {"input": "x", "stream": rng.random() < 0.7, "instructions": "i" * (MIB // 2)}
    return _outcome(_send(envoy, rng, "/v1/responses", body))


def messages(envoy: Envoy, rng: random.Random) -> str:
    turn = [{"role": "user", "content": "x" * rng.randrange(100_000)}]
    body = {"messages": turn, "max_tokens": 9, "stream": rng.random() < 0.7}
    return _outcome(_send(envoy, rng, "/v1/messages", body))


def goes_away(envoy: Envoy, rng: random.Random) -> str:
    """In the middle of the answer, or before it."""
    connection = _send(envoy, rng, CHAT, {"messages": [], "stream": True})
    with contextlib.suppress(TimeoutError, OSError, Truncated):
        if rng.random() < 0.5:
            connection.answer()
    connection.reset()
    return "went away"


def half_a_body(envoy: Envoy, rng: random.Random) -> str:
    with _open(envoy) as connection:
        fields = [*headers(rng.choice(ATTACKING_KEYS), "application/json"), ("content-length", "999999")]
        connection.send_head("POST", CHAT, fields)
        connection.send(b'{"model":"alpha/m","messages":[' + b"1," * rng.randrange(50_000))
        connection.reset()
    return "went away"


def no_model(envoy: Envoy, rng: random.Random) -> str:
    """Held until there is no room."""
    with _open(envoy) as connection:
        size = rng.randrange(2, 33) * MIB
        fields = headers(rng.choice(ATTACKING_KEYS), "application/json")
        connection.send_head("POST", CHAT, [*fields, ("content-length", str(size))])
        connection.send(b'{"x":"')
        connection.send_pieces([b"x" * MIB] * (size // MIB - 1))
        return _outcome(connection)


def values(envoy: Envoy, rng: random.Random) -> str:
    """More than anybody needs, or deeper."""
    body = rng.choice([b'{"a":' * 600, b"[1" + b",1" * 150_000, b'{"input":[' + b"{}," * 110_000])
    with _open(envoy) as connection:
        fields = headers(rng.choice(ATTACKING_KEYS), "application/json")
        reply = connection.request("POST", "/v1/responses", fields, b'{"model":"alpha/m","x":' + body)
        return str(reply.status)


def one_byte_frames(envoy: Envoy, rng: random.Random) -> str:
    body = b'{"model":"alpha/m","messages":[],"x":"' + b"y" * 1500 + b'"}'
    with _open(envoy) as connection:
        fields = headers(rng.choice(ATTACKING_KEYS), "application/json")
        connection.send_head("POST", CHAT, [*fields, ("transfer-encoding", "chunked")])
        connection.send(b"".join(chunk(bytes([byte])) for byte in body) + b"0\r\n\r\n")
        return _outcome(connection)


def without_a_key(envoy: Envoy, rng: random.Random) -> str:
    path = rng.choice([CHAT, "/v1/models", "/v1/%2e%2e/x", "/V1/models", "/v1/responses"])
    with _open(envoy) as connection:
        return str(connection.request("POST", path, [("x-api-key", "none")], b"x" * 1000).status)


def lists(envoy: Envoy, rng: random.Random) -> str:
    path = rng.choice(["/v1/models", "/v1/models/alpha/m"])
    with _open(envoy) as connection:
        return str(connection.request("GET", path, headers(rng.choice(ATTACKING_KEYS))).status)


def over_http2(envoy: Envoy, rng: random.Random) -> str:
    with envoy.connect2() as client:
        fields = headers(rng.choice(ATTACKING_KEYS), "application/json")
        body = b'{"model":"delta/m","messages":[]}'
        trailers = [("authorization", "x"), ("x-y", "z")]
        return str(client.request("POST", CHAT, fields, [body], trailers=trailers).status)


def exhaust(envoy: Envoy, rng: random.Random) -> str:
    """Everything that one key may hold, for a moment."""
    held = list(_converted_streams(envoy, ATTACKING_KEYS[0], most=40))
    time.sleep(0.5)
    for connection in held:
        connection.reset()
    return "exhausted"


ATTACKS: list[Callable[[Envoy, random.Random], str]] = [
    *(plain, plain, stream, stream, converted, converted, messages, goes_away, goes_away),
    *(half_a_body, no_model, values, one_byte_frames, without_a_key, lists, over_http2, exhaust),
]


def _converted_streams(envoy: Envoy, key: str, most: int) -> Iterator[Connection]:
    """Responses streams that never end, half a megabyte each, until one is refused."""
    body = {"model": "alpha/m", "stream": True, "input": "never-ending"}
    text = json.dumps({**body, "instructions": "i" * (MIB // 2)}).encode()
    fields = [*headers(key, "application/json"), ("content-length", str(len(text)))]
    for _ in range(most):
        connection = _open(envoy)
        connection.sock.settimeout(20)
        connection.send_head("POST", "/v1/responses", fields)
        connection.send(text)
        try:
            status = connection.answer().status
        except (OSError, Truncated):
            status = 0
        if status != 200:
            connection.close()
            return
        yield connection


def room(envoy: Envoy) -> int:
    """How many streams of one key fit into its share: as many after the soak as before, or something was not given back."""
    held = list(_converted_streams(envoy, "env", most=64))
    for connection in held:
        connection.reset()
    return len(held)
