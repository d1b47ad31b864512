"""The recorded quirks of answers: streams (A), errors (B), embeddings (C), byte by byte."""

from __future__ import annotations

import dataclasses
import time

import pytest
from harness import Gate, headers, quirks
from harness.outcome import differences, read

ANSWERS = quirks.load(lambda quirk: quirk.category in "ABC")
OUTSIDE = {"/api/chat": "/v1/chat/completions", "/embed_sparse": "/v1/embeddings"}
"""Servers' own paths, which are outside the gateway's prefix, and the operation they stand for."""


FIRST_EVENT = {"a-err-tgi-string": 424}
"""Recorded as an error event, but it is the first event, so it has a status of its own."""


class Breath(Gate):
    """Gives Envoy time to read what was sent before the next piece. The result may not depend on
    whether it does."""

    def pass_through(self) -> None:
        time.sleep(0.0002)


def recorded(quirk, chunks=None):
    """What the server answers, with a breath after every piece if it comes in pieces."""
    scripted = quirk.answer(chunks)
    if len(scripted.steps) > 1:
        scripted.steps = [part for step in scripted.steps for part in (step, Breath())]
    return scripted


def ask(gateway, upstreams, quirk, chunks=None):
    upstreams["alpha"].next(recorded(quirk, chunks))
    path = OUTSIDE.get(quirk.path, quirk.path)
    fields = headers("main", None, quirk.fields)
    with gateway.connect() as client:
        body = quirk.request_body
        client.send_head("POST", path, [*fields, ("content-length", str(len(body)))])
        client.send(body)
        incoming = client.answer()
        if quirk.meta["upstream"].get("close") == "never" and incoming.status == 200:
            incoming.read_until(lambda got: got.endswith(b"data: [DONE]\n\n"))
            return dataclasses.replace(incoming.so_far, complete=True)
        return incoming.rest()


def expected(quirk):
    if status := FIRST_EVENT.get(quirk.id):
        return {**quirk.expected, "status_alternatives": [status]}
    return quirk.expected


def named(quirk) -> str:
    return quirk.id


@pytest.mark.parametrize("quirk", ANSWERS, ids=named)
def test_quirk(gateway, upstreams, quirk):
    reply = ask(gateway, upstreams, quirk)
    assert differences(expected(quirk), read(reply)) is None
    for name, value in quirk.expected.get("headers_kept", {}).items():
        assert reply.header(name) == value


@pytest.mark.parametrize("quirk", ANSWERS, ids=named)
def test_quirk_in_pieces_of_one_byte(gateway, upstreams, quirk):
    size = 1 if len(quirk.upstream_body) < 10_000 else 4093
    whole = ask(gateway, upstreams, quirk)
    pieces = ask(gateway, upstreams, quirk, chunks=size)
    assert differences(expected(quirk), read(pieces)) is None
    assert (pieces.status, pieces.body) == (whole.status, whole.body)
    assert pieces.header("content-type") == whole.header("content-type")
