"""Paths, methods, and which provider offers what."""

from __future__ import annotations

import json

import pytest
from harness import answer, expect, headers, plugin

MULTIPART = "multipart/form-data; boundary=B"

JSON_PATHS = {
    "chat_completions": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "rerank": "/rerank",
    "speech": "/audio/speech",
    "image_generation": "/images/generations",
}
FORM_PATHS = {
    "transcriptions": "/audio/transcriptions",
    "translations": "/audio/translations",
    "image_edit": "/images/edits",
    "image_edit, variations": "/images/variations",
}
UNSUPPORTED_BY_VLLM = [
    "/audio/speech",
    "/images/generations",
    "/images/edits",
    "/images/variations",
]


def form(model: str) -> bytes:
    part = f'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n--B--\r\n'
    return part.encode()


def call(gateway, path: str, model: str, vk: str = "main"):
    """A minimal request of the operation that a path names."""
    if path in FORM_PATHS.values():
        return gateway.post(f"/v1{path}", form(model), vk=vk, content_type=MULTIPART)
    return gateway.post(f"/v1{path}", {"model": model, "input": "hi"}, vk=vk)


@pytest.mark.parametrize("path", [*JSON_PATHS.values(), *FORM_PATHS.values()])
def test_operations_reach_an_openai_provider(gateway, upstreams, path):
    expect.good(call(gateway, path, "alpha/m"))
    got = upstreams["alpha"].only
    assert (got.method, got.path) == ("POST", f"/openai/v1{path}")
    assert b"alpha/m" not in got.body


@pytest.mark.parametrize("path", [*JSON_PATHS.values(), *FORM_PATHS.values()])
def test_a_trailing_slash_is_accepted(gateway, upstreams, path):
    body = form("alpha/m") if path in FORM_PATHS.values() else {"model": "alpha/m"}
    kind = MULTIPART if path in FORM_PATHS.values() else "application/json"
    expect.good(gateway.post(f"/v1{path}/", body, content_type=kind))
    assert upstreams["alpha"].only.path == f"/openai/v1{path}"


@pytest.mark.parametrize("path", [*JSON_PATHS.values(), *FORM_PATHS.values()])
def test_vllm(gateway, upstreams, path):
    if path not in UNSUPPORTED_BY_VLLM:
        expect.good(call(gateway, path, "vllm/m"))
        assert upstreams["vllm"].only.path == f"/v1{path}"
        return
    operation = next(
        name.split(",")[0]
        for name, known in [*JSON_PATHS.items(), *FORM_PATHS.items()]
        if known == path
    )
    with gateway.sends_nothing():
        reply = call(gateway, path, "vllm/m")
        message = expect.gateway_error(reply, 400, "unsupported_operation")
    assert message == f"{operation} is not supported by provider vllm"


def test_a_provider_may_offer_less(gateway, upstreams):
    expect.good(call(gateway, "/chat/completions", "narrow/m"))
    with gateway.sends_nothing():
        reply = call(gateway, "/embeddings", "narrow/m")
        message = expect.gateway_error(reply, 400, "unsupported_operation")
    assert message == "embeddings is not supported by provider narrow"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/files", "/files/", "/files/f-1/content", "/batches", "/batches/b"]
)
def test_files_and_batches_name_no_provider(gateway, method, path):
    with gateway.sends_nothing():
        body = b"{}" if method == "POST" else None
        reply = gateway.request(method, f"/v1{path}", headers("main"), body=body)
        message = expect.gateway_error(reply, 400, "unsupported_operation")
    operation = path.split("/")[1]
    assert message.startswith(f"{operation} is not supported by provider ")


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/chat",
        "/v1/chat/completions/x",
        "/v1/chat/completionsx",
        "/v1/Chat/Completions",
        "/v1/modelsx",
        "/v1/filesx",
        "/v1/assistants",
        "/v1/fine_tuning/jobs",
        "/v1/images",
        "/v1/engines/x/completions",
        "/v1/chat%2Fcompletions",
        "/v1/%ff%fe",
        "/v1/" + "x" * 20_000,
    ],
    ids=lambda path: path[:30].encode("ascii", "replace").decode(),
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_paths(gateway, method, path):
    with gateway.sends_nothing():
        body = b'{"model":"alpha/m"}' if method == "POST" else None
        reply = gateway.request(method, path, headers("main"), body=body)
        message = expect.gateway_error(reply, 404, "unknown_url")
    assert len(message) < 1000


@pytest.mark.parametrize("path", [*JSON_PATHS.values(), *FORM_PATHS.values(), "/responses"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_wrong_methods(gateway, method, path):
    with gateway.sends_nothing():
        reply = gateway.request(method, f"/v1{path}", headers("main"))
        expect.gateway_error(reply, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/models", "/models/alpha/m"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_wrong_methods_on_models(gateway, method, path):
    with gateway.sends_nothing():
        reply = gateway.request(method, f"/v1{path}", headers("main"), body=b"{}")
        expect.gateway_error(reply, 405, "method_not_allowed")


def test_the_query_string_is_kept(gateway, upstreams):
    query = "?api-version=2024-06-01&x=a%20b&model_x=1&xmodel=2"
    expect.good(gateway.post(f"/v1/chat/completions{query}", {"model": "alpha/m"}))
    assert upstreams["alpha"].only.path == f"/openai/v1/chat/completions{query}"


@pytest.mark.parametrize(
    "query",
    ["?model=x", "?a=1&model=x", "?model", "?model=", "?%6dodel=x", "?MODEL=x", "?a;b&model=x"],
)
def test_a_model_in_the_query_is_refused(gateway, query):
    with gateway.sends_nothing():
        reply = gateway.post(f"/v1/chat/completions{query}", {"model": "alpha/m"})
        expect.gateway_error(reply, 400, {"duplicate_model", "invalid_model"}, "model")


# Moderations: the one request that may leave its model to the provider


MODERATION = {"id": "modr-1", "model": "omni", "results": [{"flagged": False}]}


def test_a_moderation(gateway, upstreams):
    upstreams["beta"].next(answer(MODERATION))
    reply = expect.good(gateway.post("/v1/moderations", {"input": "x", "model": "beta/omni"}))
    assert (upstreams["beta"].only.path, upstreams["beta"].only.json()) == (
        "/v1/moderations",
        {"input": "x", "model": "omni"},
    )
    assert (json.loads(reply.body), reply.header("x-langwatch-model")) == (MODERATION, "omni")


@pytest.mark.parametrize("body", [b'{"input":"x"}', b'{ "input" : ["a", {"model": "deep"}] }\n', b"{}"])
def test_a_moderation_without_a_model_goes_to_the_primary_provider(gateway, upstreams, body):
    """Its bytes stay as they are: no model is put in, since the default is the provider's to choose."""
    upstreams["alpha"].next(answer(MODERATION))
    reply = expect.good(gateway.post("/v1/moderations", body))
    assert (upstreams["alpha"].only.path, upstreams["alpha"].only.body) == ("/openai/v1/moderations", body)
    assert upstreams["alpha"].only.header("content-length") == str(len(body))
    assert reply.header("x-langwatch-provider") == "alpha"
    assert reply.header("x-langwatch-model") is None


@pytest.mark.parametrize("vk", ["allow", "none"])
def test_a_key_with_an_allowlist_must_name_the_model_of_a_moderation(gateway, vk):
    with gateway.sends_nothing():
        reply = gateway.post("/v1/moderations", {"input": "x"}, vk=vk)
    expect.gateway_error(reply, 403, "model_not_allowed", "model")


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"input":"x","Model":"alpha/m"}', "missing_model"), (b'{"model":null}', "invalid_model"), (b"[]", "invalid_json")],
    ids=["another case", "null", "no object"],
)
def test_a_model_that_is_not_named_well_is_not_an_absent_one(gateway, body, code):
    with gateway.sends_nothing():
        assert expect.envelope(gateway.post("/v1/moderations", body))["code"] == code


def test_a_provider_with_a_curated_list_has_no_default(gateway):
    with gateway.sends_nothing():
        reply = gateway.post("/v1/moderations", {"input": "x"}, vk="lists")
    expect.gateway_error(reply, 400, "missing_model", "model")


def test_only_moderations_may_leave_the_model_out(gateway):
    for path in JSON_PATHS.values():
        with gateway.sends_nothing():
            reply = gateway.post(f"/v1{path}", {"input": "x"})
        expect.gateway_error(reply, 400, "missing_model", "model")


def test_vllm_has_no_moderations(gateway):
    with gateway.sends_nothing():
        reply = gateway.post("/v1/moderations", {"input": "x", "model": "vllm/m"})
    expect.gateway_error(reply, 400, "unsupported_operation")


# Parts of the Responses API


@pytest.mark.parametrize("path", ["/responses/compact", "/responses/input_tokens"])
def test_parts_of_the_responses_api_are_forwarded_to_a_native_server(start_envoy, upstreams, path):
    providers = [{**one, "responses_api": "native"} for one in plugin.providers()]
    envoy = start_envoy(config=plugin.configuration(providers=providers))
    native = {"object": "response.input_tokens", "input_tokens": 3}
    upstreams["beta"].next(answer(native))
    reply = expect.good(envoy.post(f"/v1{path}", b'{"input":"x", "model":"beta/m"}'))
    assert json.loads(reply.body) == native
    assert (upstreams["beta"].only.path, upstreams["beta"].only.body) == (f"/v1{path}", b'{"input":"x", "model":"m"}')


# HEAD


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/", "/v1/models/listed/listed-1"])
def test_head_says_what_get_would(gateway, path):
    fields = headers("bound" if "listed" in path else "main")
    get = gateway.request("GET", path, fields)
    head = gateway.request("HEAD", path, fields)
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-type") == get.header("content-type")


def test_head_of_what_is_not_there(gateway):
    assert gateway.request("HEAD", "/v1/models", headers(None)).status == 401
    assert gateway.request("HEAD", "/v1/models/listed/nothing", headers("bound")).status == 404
    assert gateway.request("HEAD", "/v1/chat/completions", headers("main")).status == 405
