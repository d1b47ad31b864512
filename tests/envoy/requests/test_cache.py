"""Cache modes: which one is in force, and what it does to the request."""

from __future__ import annotations

import json

import pytest
from harness import expect

MARK = {"type": "ephemeral"}
MARKED = {
    "model": "alpha/m",
    "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": MARK}],
    "messages": [
        {
            "role": "system",
            "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "text", "text": '"cache_control":{}'},
            ],
        },
        {"role": "user", "content": [{"cache_control": MARK, "type": "text", "text": "b"}]},
    ],
}
PLAIN = {
    "model": "alpha/m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a"}]},
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
    ],
}


def send(gateway, upstreams, body, mode=None, vk="main"):
    """Sends pretty-printed JSON, whose bytes tell splices from a rewrite; the answer and what the
    upstream got."""
    fields = [("x-langwatch-cache", mode)] if mode else []
    text = json.dumps(body, indent=1).encode()
    reply = expect.good(gateway.post(body=text, vk=vk, fields=fields))
    return reply, upstreams["alpha"].only, text.replace(b"alpha/m", b"m")


def without_marks(value):
    if isinstance(value, dict):
        return {k: without_marks(v) for k, v in value.items() if k != "cache_control"}
    return [without_marks(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "value", ["", "off", "Respect ", "respect,force", "disable\xff", "x" * 9000]
)
def test_other_modes_are_refused(gateway, value):
    with gateway.sends_nothing():
        reply = gateway.post(body=PLAIN, fields=[("x-langwatch-cache", value)])
        expect.gateway_error(reply, 400, "cache_override_invalid")


@pytest.mark.parametrize("mode", [None, "respect"])
@pytest.mark.parametrize("body", [MARKED, PLAIN], ids=["marked", "plain"])
def test_respect_changes_nothing(gateway, upstreams, mode, body):
    reply, got, expected = send(gateway, upstreams, body, mode)
    assert got.body == expected
    assert got.header("cache-control") is None
    assert reply.header("x-langwatch-cache-mode") == "respect"


def test_respect_passes_cache_headers(gateway, upstreams):
    expect.good(gateway.post(body=PLAIN, fields=[("cache-control", "max-age=5")]))
    assert upstreams["alpha"].only.header("cache-control") == "max-age=5"


@pytest.mark.parametrize(("mode", "vk"), [("disable", "main"), (None, "disable")])
def test_disable_removes_every_mark(gateway, upstreams, mode, vk):
    reply, got, _ = send(gateway, upstreams, MARKED, mode, vk)
    assert got.json() == {**without_marks(MARKED), "model": "m"}
    assert got.header("content-length") == str(len(got.body))
    assert got.header("cache-control") == "no-cache"
    assert reply.header("x-langwatch-cache-mode") == "disable"


def test_disable_leaves_a_body_without_marks_alone(gateway, upstreams):
    _, got, expected = send(gateway, upstreams, PLAIN, "disable")
    assert got.body == expected


def test_force_marks_the_last_parts(gateway, upstreams):
    reply, got, _ = send(gateway, upstreams, PLAIN, "force")
    messages = got.json()["messages"]
    assert messages[0]["content"] == [{"type": "text", "text": "a", "cache_control": MARK}]
    assert messages[1]["content"] == "hi"
    assert messages[2]["content"][0] == {"type": "text", "text": "b"}
    assert messages[2]["content"][1] == {"type": "text", "text": "c", "cache_control": MARK}
    assert got.header("content-length") == str(len(got.body))
    assert reply.header("x-langwatch-cache-mode") == "force"


def test_force_leaves_marks_alone(gateway, upstreams):
    body = json.loads(json.dumps(MARKED))
    body["messages"][0]["content"].pop()
    _, got, expected = send(gateway, upstreams, body, "force")
    assert got.body == expected


def test_the_header_wins_over_the_key(gateway, upstreams):
    reply, got, expected = send(gateway, upstreams, MARKED, "respect", "disable")
    assert got.body == expected
    assert reply.header("x-langwatch-cache-mode") == "respect"
