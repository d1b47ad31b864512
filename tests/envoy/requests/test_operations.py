"""Paths, methods, and which provider offers what."""

from __future__ import annotations

import pytest
from harness import expect, headers

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
