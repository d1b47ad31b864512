"""What is converted into another request: no second member of a name that counts, and no work without end."""

from __future__ import annotations

import json

import pytest
from harness import expect, headers

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


FURTHER = ["models", "fallbacks", "Models", "fallback_models", "mod\\u0065ls", "modelFallbacks", "model_name", "deploymentId", "preset", "extra_body", "apiBase", "user_config", "draft_model"]
PATHS = ["/v1/chat/completions", "/v1/embeddings", "/v1/messages", "/v1/responses"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", FURTHER)
@pytest.mark.parametrize("late", [False, True])
def test_further_models(gateway, upstreams, path, name, late):
    """OpenRouter asks `models`, LiteLLM `fallbacks`, where the first model fails: not for a key that may use some only."""
    rest = {"messages": [{"role": "user", "content": "x"}], "input": "x", "max_tokens": 1}
    if path != "/v1/messages":
        rest.pop("max_tokens")
    if path in ("/v1/responses", "/v1/embeddings"):
        rest.pop("messages")
    if path in ("/v1/chat/completions", "/v1/messages"):
        rest.pop("input")
    body = json.dumps({"model": "alpha/llama-3", **rest}).encode()[:-1]
    pad = b',"x":"' + b"x" * 300_000 + b'"' if late else b""
    body += pad + f',"{name}":["denied"]}}'.encode()
    with gateway.completes_nothing(upstreams):
        reply = gateway.request(
            "POST", path, headers("allow", "application/json"), pieces=[body[:200], body[200:]]
        )
    assert reply.status == 400 and b"unsupported_parameter" in reply.body, reply.body
    # A list of the provider's is a limit, too.
    with gateway.sends_nothing():
        reply = gateway.post(path, json.dumps({"model": "listed/listed-1", "models": ["x"], **rest}).encode())
    assert reply.status == 400 and b"unsupported_parameter" in reply.body, reply.body


@pytest.mark.parametrize("name", ["model_name", "models", "fallbacks[]", "Model-Name", "engine"])
@pytest.mark.parametrize("late", [False, True])
def test_further_models_in_a_form(gateway, upstreams, name, late):
    """faster-whisper-server reads `model_name`, and takes no notice of `model`."""

    def part(name, value):
        return f'--B\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'

    pad = part("prompt", "x" * 300_000) if late else ""

    def send(model, key):
        body = (part("model", model) + pad + part(name, "denied") + "--B--\r\n").encode()
        kind = "multipart/form-data; boundary=B"
        return gateway.request(
            "POST", "/v1/audio/transcriptions", headers(key, kind), pieces=[body[:200], body[200:]]
        )

    with gateway.completes_nothing(upstreams):
        reply = send("alpha/llama-3", "allow")
    assert reply.status == 400 and b"unsupported_parameter" in reply.body, reply.body
    expect.good(send("alpha/m", "main"))


def test_further_models_of_a_key_that_may_use_all(gateway, upstreams):
    body = b'{"model":"alpha/m","models":["b"],"messages":[]}'
    expect.good(gateway.post(body=body))
    assert upstreams["alpha"].only.body == body.replace(b"alpha/m", b"m")


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("value", ["[" + "0," * 100_000 + "0]", "[" * 400 + "0,[]" * 1 + "]" * 400])
def test_values_are_bounded(gateway, path, value):
    """100,000 of them; and a depth that no walk follows has no effect on the worker."""
    reply = gateway.post(path, with_member(path, "x", value))
    assert reply.status == (413 if len(value) > 10_000 else reply.status)
    assert reply.status in (200, 400, 413, 502)
    expect.good(gateway.post(body={"model": "alpha/m", "messages": []}))
