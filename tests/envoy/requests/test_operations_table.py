"""Every operation on every kind of provider: the table in docs/reference.md, row by row."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from harness import Answer, Envoy, answer, expect, headers, openai_shapes, plugin, sse
from harness.plugin import VK

FORM = "multipart/form-data; boundary=B"
YES = "forwarded"
NO = "unsupported_operation"
KINDS = ("openai", "vllm")


@dataclass(frozen=True)
class Row:
    """One path of an operation, what each kind makes of it, and what an upstream may answer."""

    operation: str
    path: str
    openai: str = YES
    vllm: str = YES
    method: str = "POST"
    fields: dict[str, Any] | None = None
    """Of a JSON body, beside `model`; None is a form with a file."""
    answers: Answer = field(default_factory=lambda: answer(openai_shapes.completion()))

    def body(self, model: str) -> bytes:
        if self.method == "GET":
            return b""
        if self.fields is not None:
            return json.dumps({"model": model, **self.fields}).encode()
        part = '--B\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        parts = [
            part % ("model", "", model),
            part % ("file", '; filename="f.bin"\r\nContent-Type: audio/wav', "\x00--B-\r\n--"),
            part % ("prompt", "", "hi"),
        ]
        return ("".join(parts) + "--B--\r\n").encode()

    @property
    def content_type(self) -> str | None:
        return None if self.method == "GET" else "application/json" if self.fields else FORM


TEXT = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
TEXT_ANSWER = answer({**TEXT, "choices": [{"index": 0, "text": "x", "finish_reason": "stop"}]})
RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "error": None}
IMAGES = answer({"created": 1, "data": [{"b64_json": "aGk="}]})
RANKED = answer({"id": "r", "results": [{"index": 0, "relevance_score": 0.5}]})
MESSAGES = {"messages": [{"role": "user", "content": "hi"}], "odd_parameter": {"kept": True}}

TABLE = [
    Row("chat_completions", "/chat/completions", fields=MESSAGES),
    Row("completions", "/completions", fields={"prompt": "hi"}, answers=TEXT_ANSWER),
    Row("embeddings", "/embeddings", fields={"input": "a"}, answers=answer(openai_shapes.embeddings())),
    Row("responses", "/responses", fields={"input": "hi"}, answers=answer({**RESPONSE, "output": []})),
    Row("transcriptions", "/audio/transcriptions", answers=answer({"text": "hi"})),
    Row("translations", "/audio/translations", answers=answer({"text": "hi"})),
    Row("speech", "/audio/speech", vllm=NO, fields={"input": "hi", "voice": "v"},
        answers=answer(bytes(range(256)), content_type="audio/mpeg")),
    Row("image_generation", "/images/generations", vllm=NO, fields={"prompt": "p"}, answers=IMAGES),
    Row("image_edit", "/images/edits", vllm=NO, answers=IMAGES),
    Row("image_edit", "/images/variations", vllm=NO, answers=IMAGES),
    Row("rerank", "/rerank", fields={"query": "q", "documents": ["d"]}, answers=RANKED),
    Row("files", "/files", NO, NO, fields={"purpose": "batch"}),
    Row("files", "/files/f-1/content", NO, NO, "GET"),
    Row("batches", "/batches", NO, NO, fields={"input_file_id": "f-1"}),
    Row("batches", "/batches/b-1", NO, NO, "GET"),
]  # fmt: skip
FORWARDED = [row for row in TABLE if row.openai == YES]
CELLS = [pytest.param(row, kind, id=f"{kind}-{row.path}") for row in TABLE for kind in KINDS]


def provider(name: str, cluster: str, **fields: Any) -> plugin.Json:
    return {"name": name, "cluster": cluster, "auth": {"mode": "none"}, **fields}


@pytest.fixture
def table(start_envoy) -> Envoy:
    """A provider of each kind with the Responses API of its own, each the primary of a key; the
    kinds as they are by default; and one for each operation that offers nothing else."""
    url = {"base_url": "http://alpha.test"}
    providers = [
        provider("openai", "alpha", **url, responses_api="native"),
        provider("vllm", "vllm", kind="vllm", responses_api="native"),
        provider("default-openai", "alpha", **url),
        provider("default-vllm", "vllm", kind="vllm"),
    ]
    for operation in {row.operation for row in FORWARDED}:
        only = {"operations": [operation], "responses_api": "native"}
        providers.append(provider(f"only-{operation}", "alpha", **url, **only))
    keys = [
        {"id": "openai", "key": VK["main"], "model_aliases": {"quiet": "vllm/tts"}},
        {"id": "vllm", "key": VK["bound"], "providers": ["vllm"]},
    ]
    fields = {"providers": providers, "virtual_keys": keys, "models_cache_seconds": 0}
    return start_envoy(config=plugin.configuration(model_aliases={}, **fields))


def send(envoy: Envoy, row: Row, model: str, vk: str = "main"):
    fields = headers(vk, row.content_type)
    body = row.body(model) or None
    return envoy.request(row.method, f"/v1{row.path}", fields, body=body)


@pytest.mark.parametrize(("row", "kind"), CELLS)
def test_the_table(table, upstreams, row, kind):
    cluster = {"openai": "alpha", "vllm": "vllm"}[kind]
    vk = {"openai": "main", "vllm": "bound"}[kind]
    upstreams[cluster].next(row.answers)
    if getattr(row, kind) == NO:
        with table.sends_nothing():
            reply = send(table, row, f"{kind}/org/m", vk)
            message = expect.gateway_error(reply, 400, NO)
        assert message == f"{row.operation} is not supported by provider {kind}"
        return
    reply = expect.good(send(table, row, f"{kind}/org/m", vk))
    assert reply.body == row.answers.body
    assert reply.header("content-type") == row.answers.headers[0][1]
    assert reply.header("x-langwatch-provider") == kind
    assert reply.header("x-langwatch-model") == "org/m"
    got = upstreams[cluster].only
    assert (got.method, got.path) == ("POST", f"/v1{row.path}")
    assert got.body == row.body("org/m")
    assert got.header("content-type") == row.content_type


@pytest.mark.parametrize("kind", KINDS)
def test_models(table, upstreams, kind):
    """The table's last row: asked for, and answered by the gateway."""
    cluster, vk = {"openai": ("alpha", "main"), "vllm": ("vllm", "bound")}[kind]
    upstreams[cluster].handler = lambda _: answer({"object": "list", "data": [{"id": "m"}]})
    shown = expect.good(table.request("GET", "/v1/models", headers(vk))).json()["data"]
    assert f"{kind}/m" in [model["id"] for model in shown]
    asked = len(upstreams[cluster].requests)
    reply = expect.good(table.request("GET", f"/v1/models/{kind}%2Fm", headers(vk)))
    assert reply.json() in shown
    assert len(upstreams[cluster].requests) == asked + 1
    assert {got.path for got in upstreams[cluster].requests} == {"/v1/models"}


@pytest.mark.parametrize("row", FORWARDED, ids=lambda row: row.path)
def test_a_provider_offers_what_its_list_says(table, upstreams, row):
    upstreams["alpha"].next(row.answers)
    expect.good(send(table, row, f"only-{row.operation}/m"))
    assert upstreams["alpha"].only.path == f"/v1{row.path}"
    other = "chat_completions" if row.operation != "chat_completions" else "embeddings"
    with table.sends_nothing():
        message = expect.gateway_error(send(table, row, f"only-{other}/m"), 400, NO)
    assert message == f"{row.operation} is not supported by provider only-{other}"


def test_an_alias_leads_to_the_same_answer(table):
    [row] = [row for row in TABLE if row.operation == "speech"]
    with table.sends_nothing():
        message = expect.gateway_error(send(table, row, "quiet"), 400, NO)
    assert message == "speech is not supported by provider vllm"


@pytest.mark.parametrize("path", ["/audio/speech", "/images/edits"])
def test_it_is_decided_before_the_body_has_come(table, path):
    """As soon as the model is known."""
    [row] = [row for row in TABLE if row.path == path]
    body = row.body("vllm/m")
    head = headers("main", row.content_type, [("content-length", "1000000")])
    with table.sends_nothing(), table.connect() as client:
        client.send_head("POST", f"/v1{path}", head)
        client.send(body[: body.index(b"vllm/m") + 30])
        expect.gateway_error(client.answer().rest(), 400, NO)


# The Responses API


def event(name: str, number: int, **fields: Any) -> bytes:
    data = {"type": name, "sequence_number": number, **fields}
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


STREAM = [
    event("response.created", 0, response={**RESPONSE, "status": "in_progress", "model": "m"}),
    event("response.output_text.delta", 1, delta='an "error": {} in a text', item_id="i"),
    event("response.output_text.delta", 2, delta="[DONE]\n", item_id="i"),
    event("response.completed", 3, response={**RESPONSE, "model": "m", "output": []}),
]


def test_a_native_responses_stream_is_kept_as_it_is(table, upstreams):
    upstreams["alpha"].next(sse(*STREAM))
    body = {"model": "openai/m", "input": "hi", "stream": True}
    reply = expect.good(table.post("/v1/responses", body))
    assert reply.header("content-type") == "text/event-stream"
    assert reply.body == b"".join(STREAM)
    assert upstreams["alpha"].only.json() == {**body, "model": "m"}


def test_a_native_responses_answer_is_kept_as_it_is(table, upstreams):
    text = json.dumps({**RESPONSE, "output": [], "model": "m", "usage": None}, indent=2)
    upstreams["alpha"].next(answer(text))
    reply = expect.good(table.post("/v1/responses", {"input": "x", "model": "openai/m"}))
    assert reply.body == text.encode()


@pytest.mark.parametrize("stream", [False, True])
def test_a_native_responses_error_is_an_error(table, upstreams, stream):
    upstreams["alpha"].next(openai_shapes.error(429, "slow down", code="rate_limit_exceeded"))
    body = {"model": "openai/m", "input": "hi", "stream": stream}
    reply = table.post("/v1/responses", body)
    assert reply.status == 429 and expect.envelope(reply)["message"] == "slow down"


# What an upstream lacks itself

LACKING = {
    "404 JSON": answer({"detail": "Not Found"}, 404),
    "404 text": answer("404 page not found", 404, content_type="text/plain"),
    "404 HTML": answer("<html><title>Not here</title></html>", 404, content_type="text/html"),
    "404 empty": answer(b"", 404, content_type=None),
    "405 JSON": answer({"detail": "Method Not Allowed"}, 405, headers=[("allow", "GET")]),
    "405 empty": answer(b"", 405, content_type=None),
    "501": answer({"error": "not implemented"}, 501),
}


@pytest.mark.parametrize("lacking", LACKING.values(), ids=LACKING)
@pytest.mark.parametrize("row", FORWARDED, ids=lambda row: row.path)
def test_an_upstreams_own_refusal_comes_back(table, upstreams, row, lacking):
    upstreams["alpha"].next(lacking)
    reply = send(table, row, "openai/m")
    assert reply.status == lacking.status
    error = expect.envelope(reply)
    assert error["code"] != NO
    assert error["type"] == expect.type_of(lacking.status)
    assert reply.header("x-langwatch-provider") == "openai"
