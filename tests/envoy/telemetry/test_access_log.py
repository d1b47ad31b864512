"""What the access log can tell of a request: whose it was, where it went, and no secret."""

from __future__ import annotations

import json
import uuid

import pytest
from harness import Gate, answer, expect, headers, openai_shapes, plugin, sse
from harness.openai_shapes import USAGE, chunk

MESSAGES = {"messages": []}
DECIDED = "request=id-main chat_completions alpha/m cache=-"


def logged(gateway, body, vk="main"):
    """The reply to a request, and its line."""
    mark = uuid.uuid4().hex
    reply = gateway.post(body=body, vk=vk, fields=[("x-test-id", mark)])
    return reply, gateway.access(mark)


def test_whose_it_was_and_where_it_went(gateway):
    reply, line = logged(gateway, {"model": "alpha/m", **MESSAGES})
    expect.good(reply)
    assert line == DECIDED


def test_also_without_an_answer(gateway):
    reply, line = logged(gateway, {"model": "down/m", **MESSAGES})
    assert reply.status == 503
    assert line == "request=id-main chat_completions down/m cache=-"


@pytest.mark.parametrize(
    ("vk", "body", "status", "line"),
    [
        ("none", {"model": "alpha/m"}, 403, "request=id-none cache=-"),
        ("main", {"model": 1}, 400, "request=id-main cache=-"),
        ("revoked", {"model": "alpha/m"}, 403, "request=id-revoked cache=-"),
        ("expired", {"model": "alpha/m"}, 403, "request=id-expired cache=-"),
        (None, {"model": "alpha/m"}, 401, "request=- cache=-"),
    ],
)
def test_a_refused_request_shows_whose_it_was(gateway, vk, body, status, line):
    reply, seen = logged(gateway, body, vk)
    assert (reply.status, seen) == (status, line)


@pytest.mark.parametrize(
    ("vk", "body", "code"),
    [
        (None, {"model": "alpha/m"}, "invalid_api_key"),
        ("revoked", {"model": "alpha/m"}, "virtual_key_revoked"),
        ("main", {"model": 1}, "invalid_model"),
        ("main", {"model": "alpha/m", "stream": True, "x": "\ud800"}, None),
    ],
)
def test_the_details_name_the_gateways_own_code(gateway, upstreams, vk, body, code):
    """`%RESPONSE_CODE_DETAILS%` of the gateway's own replies, and of nobody else's."""
    logged(gateway, body, vk)
    told = "via_upstream" if code is None else f"openai_gateway:{code}"
    assert f" {told} HTTP/1.1 " in [
        line for line in gateway.log().splitlines() if line.startswith("access ")
    ][-1]


@pytest.mark.parametrize(
    ("scripted", "told"),
    [
        (answer(b"", status=503), "via_upstream"),
        (answer(b"", status=204), "openai_gateway:invalid_upstream_response"),
        (answer(b"", status=302), "openai_gateway:invalid_upstream_response"),
        (answer(b""), "openai_gateway:invalid_upstream_response"),
    ],
)
def test_an_answer_without_a_body_keeps_its_details_in_the_reply_that_replaces_it(gateway, upstreams, scripted, told):
    """Or has the gateway's own code, where it was no error before."""
    upstreams["alpha"].next(scripted)
    reply, _ = logged(gateway, {"model": "alpha/m", **MESSAGES})
    expect.envelope(reply)
    assert f" {told} HTTP/1.1 " in [line for line in gateway.log().splitlines() if line.startswith("access ")][-1]


def test_a_stream_tells_its_cache_outcome(gateway, upstreams):
    used = {**chunk({}), "choices": [], "usage": USAGE}
    upstreams["alpha"].next(sse(chunk({"content": "a"}), chunk({}, "stop"), used, "[DONE]"))
    reply, line = logged(gateway, {"model": "alpha/m", "stream": True, **MESSAGES})
    expect.good(reply)
    assert line == DECIDED.replace("cache=-", "cache=miss")


def test_a_client_that_leaves_while_it_waits(gateway, upstreams):
    gate, mark = Gate(), uuid.uuid4().hex
    upstreams["alpha"].next(answer(openai_shapes.completion(), hold=gate))
    client = gateway.connect()
    body = json.dumps({"model": "alpha/m", **MESSAGES}).encode()
    more = [("content-length", str(len(body))), ("x-test-id", mark)]
    client.send_head("POST", "/v1/chat/completions", headers("main", "application/json", more))
    client.send(body)
    upstreams["alpha"].wait_request()
    client.close()
    assert gateway.access(mark) == DECIDED
    gate.open()


def test_no_line_holds_a_secret(gateway):
    lines = [line for line in gateway.log().splitlines() if line.startswith("access ")]
    assert lines
    assert not [line for line in lines for secret in plugin.SECRETS if secret in line]
