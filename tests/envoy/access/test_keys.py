"""Who may enter: virtual keys at the header phase, before a byte of body is read."""

from __future__ import annotations

import pytest
from harness import expect, headers
from harness.plugin import VK

CHAT = {"model": "alpha/m", "messages": []}
MAIN = VK["main"]
WRONG = "vk-nobody-knows-this-one"


@pytest.mark.parametrize(
    "fields",
    [
        [("authorization", f"Bearer {MAIN}")],
        [("authorization", f"bearer {MAIN}")],
        [("Authorization", f"BEARER {MAIN}")],
        [("x-api-key", MAIN)],
        [("X-Api-Key", MAIN)],
        [("api-key", MAIN)],
        [("authorization", f"Bearer {MAIN}"), ("x-api-key", WRONG)],
        [("x-api-key", MAIN), ("api-key", WRONG)],
    ],
    ids=lambda fields: " + ".join(f"{name}={value.split(' ')[0][:7]}" for name, value in fields),
)
def test_a_key_is_found(gateway, upstreams, fields):
    expect.good(gateway.post(body=CHAT, vk=None, fields=fields))
    assert upstreams["alpha"].only.header("authorization") == "Bearer sk-alpha-secret-90b1"


@pytest.mark.parametrize("vk", ["main", "env", "literal", "future"])
def test_a_key_may_be_configured_by_digest_name_or_value(gateway, vk):
    expect.good(gateway.post(body=CHAT, vk=vk))


REFUSED = {
    "none": [],
    "unknown": [("authorization", f"Bearer {WRONG}")],
    "empty bearer": [("authorization", "Bearer ")],
    "bearer without key": [("authorization", "Bearer")],
    "empty x-api-key": [("x-api-key", "")],
    "basic": [("authorization", "Basic dXNlcjpwYXNz")],
    "no scheme": [("authorization", MAIN)],
    "key with a tail": [("authorization", f"Bearer {MAIN}x")],
    "key cut short": [("authorization", f"Bearer {MAIN[:-1]}")],
    "other case": [("authorization", f"Bearer {MAIN.upper()}")],
    "two, both good": [("authorization", f"Bearer {MAIN}")] * 2,
    "two, one good": [("authorization", f"Bearer {MAIN}"), ("authorization", f"Bearer {WRONG}")],
    "two in one": [("authorization", f"Bearer {MAIN},Bearer {MAIN}")],
    "bearer wins": [("authorization", f"Bearer {WRONG}"), ("x-api-key", MAIN)],
    "x-api-key wins": [("x-api-key", WRONG), ("api-key", MAIN)],
    "not UTF-8": [("authorization", "Bearer \xff\xfe\x80")],
    "the digest": [("x-api-key", "0" * 64)],
    "1 MB": [("authorization", "Bearer " + "k" * 1_000_000)],
    "1 MB x-api-key": [("x-api-key", "k" * 1_000_000)],
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED)
def test_without_a_known_key_nothing_is_sent(gateway, fields):
    with gateway.sends_nothing():
        message = expect.gateway_error(
            gateway.post(body=CHAT, vk=None, fields=fields), 401, "invalid_api_key"
        )
    assert WRONG not in message


@pytest.mark.parametrize(
    ("vk", "code"), [("revoked", "virtual_key_revoked"), ("expired", "virtual_key_expired")]
)
def test_keys_that_are_over(gateway, vk, code):
    with gateway.sends_nothing():
        expect.gateway_error(gateway.post(body=CHAT, vk=vk), 403, code)


def test_the_answer_comes_before_the_body(gateway):
    with gateway.sends_nothing(), gateway.connect() as client:
        client.send_head("POST", "/v1/chat/completions", [("content-length", "1000")])
        expect.gateway_error(client.answer().rest(), 401, "invalid_api_key")


def test_every_operation_asks_for_a_key(gateway):
    for method, path in [
        ("GET", "/v1/models"),
        ("POST", "/v1/audio/transcriptions"),
        ("POST", "/v1/files"),
    ]:
        reply = gateway.request(method, path, body=b"" if method == "POST" else None)
        expect.gateway_error(reply, 401, "invalid_api_key")


def test_http2_keys(gateway):
    with gateway.connect2() as client:
        reply = client.request("POST", "/v1/chat/completions", [], [b"{}"])
        expect.gateway_error(reply, 401, "invalid_api_key")
        body = [b'{"model":"alpha/m"}']
        expect.good(client.request("POST", "/v1/chat/completions", headers("main"), body))


def test_headers_that_are_not_utf8_are_carried_on(gateway, upstreams):
    odd = "a\xff\xfe\x80b"
    expect.good(gateway.post(body=CHAT, fields=[("x-odd", odd), ("user-agent", odd)]))
    assert upstreams["alpha"].only.header("x-odd") == odd
    expect.good(gateway.post(body=CHAT))
