"""Embeddings: right answers keep their bytes, large ones never stand in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import struct

import pytest
from harness import Envoy, answer, expect, memory, openai_shapes, plugin

MIB = 1_048_576
VECTORS, SIZE = 2_048, 1_536
PATH = "/v1/embeddings"


def ask(inputs=("a",), encoding=None):
    asked = {"model": "alpha/e", "input": list(inputs)}
    return {**asked, "encoding_format": encoding} if encoding else asked


def packed(vector) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


@pytest.mark.parametrize("chunks", [None, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("encoding", [None, "float"])
def test_a_right_answer_keeps_its_bytes(gateway, upstreams, encoding, chunks):
    body = json.dumps({**openai_shapes.embeddings(2), "vendor": 1.50}, indent=1)
    made = answer(body.replace("1.5", "1.50"), chunks=chunks)
    upstreams["alpha"].next(made)
    reply = expect.good(gateway.post(PATH, ask("ab", encoding)))
    assert reply.body == made.body
    assert reply.header("content-length") == str(len(made.body))


def test_base64_that_was_asked_for_keeps_its_bytes(gateway, upstreams):
    body = openai_shapes.embeddings(2)
    for item in body["data"]:
        item["embedding"] = packed(item["embedding"])
    made = answer(body)
    upstreams["alpha"].next(made)
    assert expect.good(gateway.post(PATH, ask("ab", "base64"))).body == made.body


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("sent", ["float", "base64"])
def test_the_format_that_was_asked_for(gateway, upstreams, sent, encoding):
    vector = [0.1, -1.5e-07, 3.4028235e38, 0, -0.0]
    body = openai_shapes.embeddings()
    body["data"][0]["embedding"] = vector if sent == "float" else packed(vector)
    upstreams["alpha"].next(answer(body))
    got = expect.good(gateway.post(PATH, ask(encoding=encoding))).json()["data"][0]["embedding"]
    if encoding == "base64":
        assert got == packed(vector)
    else:
        assert got == vector  # shortest decimals of the 32-bit numbers


HELD = 100_000
NARROW = {"config": plugin.configuration(limits={"max_answer_bytes": HELD}), "route_buffer_bytes": None}


@pytest.fixture
def narrow(start_envoy) -> Envoy:
    """Holds no more than 100,000 bytes of an answer."""
    return start_envoy(**NARROW)


@pytest.mark.parametrize(("count", "good"), [(10_000, True), (30_000, False)])
def test_a_shape_that_must_be_rebuilt_has_a_limit(narrow, upstreams, count, good):
    upstreams["alpha"].next(answer({"embedding": [0.5] * count}, chunks=16_384))
    reply = narrow.post(PATH, ask())
    if good:
        assert expect.good(reply).json()["data"][0]["embedding"] == [0.5] * count
    else:
        message = expect.gateway_error(reply, 502, "invalid_upstream_response")
        assert str(HELD) in message


def large() -> tuple[bytes, bytes]:
    """An answer of the largest usual kind in floats, and the same in base64."""
    vector = [((number * 7919) % 20_011 - 10_005) / 1_000_003 for number in range(SIZE)]
    texts = [json.dumps(vector, separators=(",", ":")), json.dumps(packed(vector))]
    written = []
    for text in texts:
        items = ",".join(
            f'{{"object":"embedding","index":{index},"embedding":{text}}}'
            for index in range(VECTORS)
        )
        tail = '],"model":"e","usage":{"prompt_tokens":1,"total_tokens":1}}'
        written.append(f'{{"object":"list","data":[{items}{tail}'.encode())
    return written[0], written[1]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_2048_vectors_flow(keep_envoy, upstreams, capsys, encoding):
    envoy = keep_envoy(**NARROW, alone=True)
    floats, converted = large()
    expected = floats if encoding == "float" else converted
    expect.good(envoy.post(PATH, ask(encoding=encoding)))  # V8 and buffers before the count begins
    upstreams["alpha"].next(answer(floats, chunks=65_536))
    memory.restart_peak(envoy.pid)
    before = memory.resident(envoy.pid)
    reply = expect.good(envoy.post(PATH, ask(["x"] * VECTORS, encoding)))
    growth = memory.peak(envoy.pid) - before
    with capsys.disabled():
        print(
            f"\n{len(floats) / MIB:.0f} MiB of embeddings asked for as {encoding}: "
            f"Envoy grew by {growth / MIB:.1f} MiB at most"
        )
    assert len(reply.body) == len(expected)
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(expected).digest()
    assert growth < 12 * MIB


NOT_EXPRESSIBLE = {
    "NaN": '{"data":[{"embedding":[0.5,NaN]}]}',
    "null": '{"data":[{"embedding":[0.5,null]}]}',
    "several vectors": '{"data":[{"embedding":[[1,2],[3,4]]}]}',
    "data behind it": '{"data":[{"embedding":[0.5]}]}x',
    "a text": '{"data":[{"embedding":"not base64!"}]}',
    "cut": '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1',
    "HTML": "<html></html>",
    "nothing": "",
    "invalid UTF-8": b'{"data":[{"embedding":[0.5\xff]}]}',
}


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("body", NOT_EXPRESSIBLE.values(), ids=NOT_EXPRESSIBLE)
def test_what_is_no_embedding_is_a_502(gateway, upstreams, body, encoding):
    upstreams["alpha"].next(answer(body))
    reply = gateway.post(PATH, ask(encoding=encoding))
    expect.gateway_error(reply, 502, "invalid_upstream_response")


@pytest.mark.parametrize("broken", ["cut", "NaN"])
def test_what_breaks_late_is_passed_on_as_it_came(gateway, upstreams, broken):
    """Its head and much of it have gone on."""
    made = answer(late(broken), chunks=16_384)
    upstreams["alpha"].next(made)
    assert expect.good(gateway.post(PATH, ask(["x"] * 200))).body == made.body


@pytest.mark.parametrize("broken", ["cut", "NaN"])
def test_what_breaks_late_is_never_converted_to_a_whole_answer(gateway, upstreams, broken):
    """A cut answer, or 502 if Envoy read all of it at once."""
    upstreams["alpha"].next(answer(late(broken), chunks=16_384))
    reply = gateway.post(PATH, ask(["x"] * 200, "base64"))
    assert (reply.status, reply.complete) in [(200, False), (502, True)]


def late(broken: str) -> str:
    """A large answer that is right until its last 5,000 bytes."""
    vector = [0.5] * 400
    items = [{"object": "embedding", "index": index, "embedding": vector} for index in range(200)]
    text = json.dumps({"object": "list", "data": items, "model": "e"})
    end = "" if broken == "cut" else text[-5_000:].replace("0.5", "NaN")
    return text[:-5_000] + end
