"""What is converted into another request: no second member of a name that counts, and no work without end."""

from __future__ import annotations

import json

import pytest
from harness import expect

BODIES = {
    "/v1/responses": {"model": "alpha/m", "input": "x"},
    "/v1/messages": {
        "model": "alpha/m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
    },
    "/v1/messages/count_tokens": {
        "model": "vllm/m",
        "messages": [{"role": "user", "content": "x"}],
    },
    "/v1/responses/input_tokens": {"model": "vllm/m", "input": "x"},
    "/v1/responses/compact": {"model": "alpha/m", "input": "x"},
}


def with_member(path: str, name: str, value: str) -> bytes:
    """A body with one member more, whose name is written as it is."""
    return json.dumps(BODIES[path]).encode()[:-1] + f',"{name}":{value}}}'.encode("latin-1")


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "name", ["MESSAGES", "Stream", "mess\\u0000ages", "messages\\u0000x", "Max_Tokens", " tools", "%6dessages"]
)
def test_a_name_that_servers_may_take_for_another(gateway, path, name):
    with gateway.sends_nothing():
        reply = gateway.post(path, with_member(path, name, "[]"))
    assert reply.status == 400 and b"duplicate_parameter" in reply.body, reply.body


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", ["model", "Model", "mod\\u0065l", "mode\xc1\xac", "mod\\ud800el"])
def test_a_second_model(gateway, path, name):
    with gateway.sends_nothing():
        reply = gateway.post(path, with_member(path, name, '"beta/m"'))
    assert reply.status == 400 and (b"duplicate_model" in reply.body or b"invalid_json" in reply.body)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("value", ["[" + "0," * 100_000 + "0]", "[" * 400 + "0,[]" * 1 + "]" * 400])
def test_values_are_bounded(gateway, path, value):
    """100,000 of them; and a depth that no walk follows has no effect on the worker."""
    reply = gateway.post(path, with_member(path, "x", value))
    assert reply.status == (413 if len(value) > 10_000 else reply.status)
    assert reply.status in (200, 400, 413, 502)
    expect.good(gateway.post(body={"model": "alpha/m", "messages": []}))
