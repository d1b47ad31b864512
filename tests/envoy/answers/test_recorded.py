"""The recorded quirks of answers: streams (A), errors (B), embeddings (C), byte by byte."""

from __future__ import annotations

import dataclasses
import random

import pytest
from harness import headers
from harness.outcome import differences, read
from harness.quirks import ANSWERS, OTHER_TYPES, expected, params, path_of, recorded

def ask(gateway, upstreams, quirk, chunks=None):
    upstreams["alpha"].next(recorded(quirk, chunks))
    fields = headers("main", None, quirk.fields)
    with gateway.connect() as client:
        body = quirk.request_body
        client.send_head("POST", path_of(quirk), [*fields, ("content-length", str(len(body)))])
        client.send(body)
        incoming = client.answer()
        if quirk.meta["upstream"].get("close") == "never" and incoming.status == 200:
            incoming.read_until(lambda got: got.endswith(b"data: [DONE]\n\n"))
            return dataclasses.replace(incoming.so_far, complete=True)
        return incoming.rest()


def outcome(quirk, reply):
    return read(reply, accept_other=quirk.path in OTHER_TYPES)


@pytest.mark.parametrize("quirk", params(ANSWERS, strict=True))
def test_quirk(gateway, upstreams, quirk):
    reply = ask(gateway, upstreams, quirk)
    assert differences(expected(quirk), outcome(quirk, reply)) is None
    for name, value in quirk.expected.get("headers_kept", {}).items():
        assert reply.header(name) == value


@pytest.mark.parametrize("quirk", params(ANSWERS))
def test_quirk_in_pieces_of_one_byte(gateway, upstreams, quirk):
    size = 1 if len(quirk.upstream_body) < 10_000 else 4093
    whole = ask(gateway, upstreams, quirk)
    pieces = ask(gateway, upstreams, quirk, chunks=size)
    assert differences(expected(quirk), outcome(quirk, pieces)) is None
    assert (pieces.status, pieces.body) == (whole.status, whole.body)
    assert pieces.header("content-type") == whole.header("content-type")


@pytest.mark.parametrize("quirk", params(ANSWERS))
def test_quirk_in_random_pieces(gateway, upstreams, quirk):
    """Cut where the case's own name says, so that a failure comes again."""
    dice, left, sizes = random.Random(quirk.id), len(quirk.upstream_body), []
    while left > 0:
        sizes.append(min(left, dice.choice([1, 2, 3, 5, 8, 13, 40, 200, 3000])))
        left -= sizes[-1]
    whole = ask(gateway, upstreams, quirk)
    pieces = ask(gateway, upstreams, quirk, chunks=sizes or None)
    assert (pieces.status, pieces.body) == (whole.status, whole.body)
