"""What an upstream's error may tell a client, and heads that are no answer at all."""

from __future__ import annotations

import json

import pytest
from harness import answer, expect, openai_shapes

ASK = {"model": "alpha/m", "messages": []}
BEGIN = "Provider alpha refused the gateway's credential: "
SAID = {
    "vLLM": (404, "The model `nope` does not exist. Valid aliases: org/one, org/two.", "org/"),
    "Infinity": (400, "Engine for model name `nope` not found. Available model names are ['org/one', 'org/two']", "org/"),
    "a list": (404, "Model not found. Available models: [\"org/one\",\"secret-model\"]", "secret-model"),
    "a suggestion": (404, "Unknown model nope. Did you mean org/two?", "org/two"),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "want"),
    [
        (401, "invalid_api_key", "invalid_api_key"),
        (401, None, "upstream_authentication_failed"),
        (403, None, "upstream_authentication_failed"),
    ],
)
def test_whose_credential_was_refused(gateway, upstreams, status, code, want, stream):
    upstreams["alpha"].next(openai_shapes.error(status, "no", code=code))
    reply = gateway.post(body={**ASK, "stream": stream})
    error = expect.envelope(reply)
    assert (reply.status, error["message"], error["code"]) == (status, f"{BEGIN}no", want)


def test_a_403_for_what_was_asked_is_no_matter_of_credentials(gateway, upstreams):
    upstreams["alpha"].next(openai_shapes.error(403, "Your input was flagged", code="moderation"))
    assert expect.envelope(gateway.post(body=ASK))["message"] == "Your input was flagged"


def test_a_firewalls_403_is_no_matter_of_credentials(gateway, upstreams):
    page = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body></body></html>"
    upstreams["alpha"].next(answer(page, 403, content_type="text/html"))
    reply = gateway.post(body=ASK)
    error = expect.envelope(reply)
    assert (reply.status, error["message"]) == (403, "Attention Required! | Cloudflare")
    assert error["code"] is None


@pytest.mark.parametrize(("status", "message", "hidden"), SAID.values(), ids=SAID)
@pytest.mark.parametrize("inside", [False, True], ids=["status", "inside 200"])
def test_a_list_of_models_shows_no_more_than_the_key_may_use(gateway, upstreams, status, message, hidden, inside):
    body = {"error": {"message": message, "type": "NotFoundError", "param": "model", "code": status}}
    upstreams["alpha"].next(answer(body, 200 if inside else status))
    reply = gateway.post(body={**ASK, "model": "alpha/llama-3-8b"}, vk="allow")
    error = expect.envelope(reply)
    assert (reply.status, error["code"]) == (status, str(status))
    assert hidden not in error["message"]
    # Nothing is hidden from a key that may use all.
    upstreams["alpha"].next(answer(body, 200 if inside else status))
    assert expect.envelope(gateway.post(body=ASK))["message"] == message


@pytest.mark.parametrize("finding", [
    "1 validation error:\n  {'type': 'float_parsing', 'loc': 'body.temperature', 'msg': 'Not a number', 'input': 'PRIVATE'}",
    "[{'type': 'float_parsing', 'loc': ('body', 'temperature'), 'msg': 'Not a number', 'input': 'PRIVATE'}]",
    "1 validation error for Request\ntemperature\n  Not a number [type=float_parsing, input_value='PRIVATE', input_type=str]",
])  # fmt: skip
def test_findings_in_a_whole_envelope_do_not_repeat_the_request(gateway, upstreams, finding):
    error = {"message": finding, "type": "Bad Request", "param": "body.temperature", "code": None}
    upstreams["alpha"].next(answer({"error": error}, 400))
    reply = expect.envelope(gateway.post(body=ASK))
    assert "PRIVATE" not in json.dumps(reply) and "Not a number" in reply["message"]
    assert reply["param"] == "temperature"


@pytest.mark.parametrize("body", [b"", b"see http://up.internal/"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(gateway, upstreams, status, body):
    location = [("location", "http://up.internal/v1"), ("retry-after", "3")]
    upstreams["alpha"].next(answer(body, status, headers=location))
    reply = gateway.post(body=ASK)
    expect.gateway_error(reply, 502, "invalid_upstream_response")
    assert reply.header("location") is None and b"internal" not in reply.body
    assert reply.header("retry-after") == "3"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "body"), [(202, b""), (202, b'{"requestId":"r"}'), (204, b"")])
def test_no_answer_yet(gateway, upstreams, status, body, stream):
    upstreams["alpha"].next(answer(body, status))
    expect.gateway_error(gateway.post(body={**ASK, "stream": stream}), 502, "invalid_upstream_response")


@pytest.mark.parametrize("coding", ["none", "utf-8", "text"])
def test_a_coding_that_is_none_is_taken_off(gateway, upstreams, coding):
    made = answer(openai_shapes.completion(), headers=[("content-encoding", coding)])
    upstreams["alpha"].next(made)
    reply = expect.good(gateway.post(body=ASK))
    assert reply.header("content-encoding") is None and reply.body == made.body
