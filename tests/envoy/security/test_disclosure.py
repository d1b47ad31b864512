"""A provider's key never comes back, and no answer acts on the browser or on Envoy."""

from __future__ import annotations

import json

import pytest
from harness import answer, expect, openai_shapes, sse
from harness.plugin import PROVIDER_KEYS

KEY = PROVIDER_KEYS["alpha"]
BODY = {"model": "alpha/m", "messages": []}
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in KEY)


def secret_free(reply) -> None:
    """Neither the key nor a telling part of it, however it is written."""
    text = reply.body.decode() + str(reply.fields)
    assert KEY not in text and KEY[:12] not in text and ESCAPED not in text
    assert KEY not in json.dumps(reply.body.decode("unicode_escape", "replace"))


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(
            {"error": {"message": f"bad key {KEY}", "type": "x", "param": None, "code": None}}
        ),
        '{"error":{"message":"bad key %s","type":"x","param":null,"code":null}}' % ESCAPED,
        '{"detail":"bad key %s"}' % ESCAPED,
        f"<html><title>{KEY}</title></html>",
        json.dumps({"error": {"message": "x" * 4086 + KEY}}),
        "x" * 4088 + KEY,
        json.dumps({"error": json.dumps({"message": f"bad {KEY}"})}),
    ],
    ids=["canonical", "escaped", "escaped detail", "page", "cut", "cut text", "JSON in JSON"],
)
@pytest.mark.parametrize("status", [401, 200])
def test_in_errors(gateway, upstreams, body, status):
    if status == 200 and not body.startswith("{"):
        status = 500
    upstreams["alpha"].next(answer(body, status))
    reply = gateway.post(body=BODY)
    assert reply.status >= 400
    secret_free(reply)


@pytest.mark.parametrize(
    "name", ["www-authenticate", "location", "x-echo", "link", "x-ratelimit-key"]
)
@pytest.mark.parametrize("status", [200, 302, 401, 503])
def test_in_headers(gateway, upstreams, name, status):
    value = f"https://x.test/?a=b&key={KEY}"
    upstreams["alpha"].next(answer(openai_shapes.completion(), status, headers=[(name, value)]))
    reply = gateway.post(body=BODY)
    secret_free(reply)
    kept = reply.header(name)
    assert kept is None or "[redacted]" in kept


def test_in_a_late_event(gateway, upstreams):
    first = openai_shapes.chunk({"content": "a"})
    bad = '{"error":{"message":"bad key %s"}}' % ESCAPED
    upstreams["alpha"].next(sse(first, bad))
    reply = gateway.post(body={**BODY, "stream": True})
    assert b"[redacted]" in reply.body
    secret_free(reply)


ACTING = [
    "set-cookie",
    "clear-site-data",
    "alt-svc",
    "strict-transport-security",
    "refresh",
    "x-envoy-degraded",
    "x-envoy-immediate-health-check-fail",
    "x-accel-redirect",
]


@pytest.mark.parametrize("status", [200, 404])
def test_headers_that_act_on_others(gateway, upstreams, status):
    fields = [(name, "x=1") for name in ACTING] + [("x-else", "kept")]
    upstreams["alpha"].next(answer(openai_shapes.completion(), status, headers=fields))
    reply = gateway.post(body=BODY)
    assert reply.status == status
    for name in ACTING:
        assert reply.header(name) is None, name
    assert reply.header("x-else") == "kept"
    # Nor in a stream.
    upstreams["alpha"].next(
        sse(openai_shapes.chunk({"content": "a"}), openai_shapes.chunk({}, "stop"), "[DONE]")
    )
    expect.good(gateway.post(body={**BODY, "stream": True}))
