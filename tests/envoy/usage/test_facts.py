"""Token counts in filter state: who asked, for what, what it was estimated to take, and what it took."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from harness import Gate, Setting, answer, expect, headers, openai_shapes, plugin

MESSAGES = [{"role": "user", "content": "x" * 40}]
ZEROS = {
    "input_tokens": "0",
    "output_tokens": "0",
    "cached_tokens": "0",
    "total_tokens": "0",
}


def setting(mode: str = "observe", **fields: Any) -> Setting:
    config = plugin.configuration(usage={"mode": mode}, **fields)
    return Setting(config=config, facts=True)


def facts(gateway: Any, mark: str) -> dict[str, str]:
    """What the access log shows of a request; what is not there is left out."""
    shown = dict(
        part.split("=", 1) for part in gateway.access(mark).split(" ") if "=" in part
    )
    return {
        name: value
        for name, value in shown.items()
        if name not in {"request", "cache", "attempts"} and value != "-"
    }


def ask(
    gateway: Any,
    body: dict[str, Any],
    vk: str | None = "main",
    path: str = "/v1/chat/completions",
) -> Any:
    """The reply to a request, and its facts."""
    mark = uuid.uuid4().hex
    reply = gateway.post(path, body=body, vk=vk, fields=[("x-test-id", mark)])
    return reply, facts(gateway, mark)


@pytest.fixture
def observed(start_envoy: Any) -> Any:
    return start_envoy(**vars(setting()))


def test_with_mode_off_nothing_is_written(start_envoy: Any) -> None:
    gateway = start_envoy(**vars(setting("off")))
    reply, seen = ask(gateway, {"model": "alpha/m", "messages": MESSAGES})
    expect.good(reply)
    assert seen == {}


def test_a_chat(observed: Any, upstreams: Any) -> None:
    upstreams["alpha"].next(answer(openai_shapes.completion()))
    reply, seen = ask(
        observed, {"model": "alpha/m", "messages": MESSAGES, "max_tokens": 5}
    )
    expect.good(reply)
    assert (seen["virtual_key"], seen["operation"], seen["model"]) == (
        "id-main",
        "chat_completions",
        "other",
    )
    assert seen["estimate"] == "15"


TEXT = "x" * 40
ESTIMATES = [
    ("chat/completions", {"messages": MESSAGES}, 10 + 1024),
    ("chat/completions", {"messages": MESSAGES, "max_tokens": 5, "max_completion_tokens": 7, "n": 2}, 10 + 14),
    ("chat/completions", {"messages": MESSAGES, "max_tokens": None}, 10 + 1024),
    ("completions", {"prompt": [TEXT, TEXT], "max_tokens": 5}, 20 + 10),
    ("completions", {"prompt": [[1, 22], [333]], "max_tokens": 5, "n": 2}, 3 + 20),
    ("completions", {"prompt": [1, 22, 333], "max_tokens": 5}, 3 + 5),
    ("responses", {"input": TEXT, "max_output_tokens": 5}, 10 + 5),
    ("messages", {"messages": MESSAGES, "system": TEXT, "max_tokens": 5}, 20 + 5),
    ("embeddings", {"input": [TEXT, "é" * 20]}, 20),
    ("rerank", {"query": TEXT, "documents": [TEXT, {"text": TEXT}]}, 30),
    ("moderations", {"input": TEXT}, 10),
]


@pytest.mark.parametrize(("path", "body", "estimate"), ESTIMATES)
def test_each_operation_is_estimated_by_its_text(
    observed: Any, upstreams: Any, path: str, body: dict[str, Any], estimate: int
) -> None:
    upstreams["alpha"].next(answer({"error": {"message": "no"}}, 400))
    _, seen = ask(observed, {"model": "alpha/m", **body}, path=f"/v1/{path}")
    assert seen["operation"] == path.replace("/", "_")
    assert int(seen["estimate"]) == estimate


def test_a_form_is_estimated_by_its_fields_and_not_its_file(observed: Any, upstreams: Any) -> None:
    upstreams["alpha"].next(answer({"text": "hello"}))
    mark = uuid.uuid4().hex
    parts = [("model", None, b"alpha/m"), ("prompt", None, TEXT.encode()), ("file", "a.wav", b"\0" * 4000)]
    lines = [
        b'--B\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (name.encode(), b'; filename="%s"' % file.encode() if file else b"", data)
        for name, file, data in parts
    ]
    reply = observed.post(
        "/v1/audio/transcriptions",
        body=b"".join(lines) + b"--B--\r\n",
        content_type="multipart/form-data; boundary=B",
        fields=[("x-test-id", mark)],
    )
    assert reply.status == 200
    assert facts(observed, mark)["estimate"] == "10"


def test_a_body_that_is_not_whole_is_estimated_by_its_length(observed: Any, upstreams: Any) -> None:
    upstreams["alpha"].next(answer({"error": {"message": "no"}}, 400))
    gateway, mark = observed, uuid.uuid4().hex
    client = gateway.connect()
    body = json.dumps({"model": "alpha/m", "messages": MESSAGES, "max_tokens": 5}).encode()
    more = [("content-length", str(len(body))), ("x-test-id", mark)]
    client.send_head("POST", "/v1/chat/completions", headers("main", "application/json", more))
    client.send(body[:30])
    upstreams["alpha"].wait_request()
    client.send(body[30:])
    client.answer().rest()
    assert int(facts(gateway, mark)["estimate"]) == len(body) // 4


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("alpha/m", "other"),
        ("fast", "fast-7b"),
        ("delta/fast-7b", "fast-7b"),
        ("listed/listed-1", "listed-1"),
    ],
)
def test_a_model_is_shown_only_if_the_configuration_names_it(observed: Any, model: str, named: str) -> None:
    _, seen = ask(observed, {"model": model, "messages": MESSAGES})
    assert seen["model"] == named


def test_a_key_has_a_mode_of_its_own(start_envoy: Any) -> None:
    keys = plugin.virtual_keys()
    keys[0]["usage"] = {"mode": "off"}
    keys[1]["usage"] = {"default_max_tokens": 7}
    gateway = start_envoy(**vars(setting(virtual_keys=keys)))
    names = [key["id"].removeprefix("id-") for key in keys]
    _, off = ask(gateway, {"model": "alpha/m", "messages": MESSAGES}, vk=names[0])
    _, own = ask(gateway, {"model": "alpha/m", "messages": MESSAGES}, vk=names[1])
    assert (off, own["estimate"]) == ({}, "17")


@pytest.mark.parametrize(
    ("vk", "key", "operation"),
    [
        ("revoked", "id-revoked", None),
        ("expired", "id-expired", None),
        ("none", "id-none", "chat_completions"),
        (None, None, None),
    ],
)
def test_a_refused_request_takes_nothing(
    observed: Any, vk: str | None, key: str | None, operation: str | None
) -> None:
    reply, seen = ask(observed, {"model": "alpha/m", "messages": MESSAGES}, vk=vk)
    assert reply.status in {401, 403}
    expected = {"virtual_key": key, "operation": operation, **ZEROS}
    assert seen == {
        name: value for name, value in expected.items() if value is not None
    }


def test_an_error_takes_nothing(observed: Any, upstreams: Any) -> None:
    upstreams["alpha"].next(answer({"error": {"message": "busy"}}, 503))
    _, seen = ask(observed, {"model": "alpha/m", "messages": MESSAGES})
    assert {name: seen[name] for name in ZEROS} == ZEROS
    assert "usage_source" not in seen


def test_a_client_that_leaves_before_the_head_has_sent_its_text(
    observed: Any, upstreams: Any
) -> None:
    gate, mark = Gate(), uuid.uuid4().hex
    upstreams["alpha"].next(answer(openai_shapes.completion(), hold=gate))
    client = observed.connect()
    body = json.dumps({"model": "alpha/m", "messages": MESSAGES}).encode()
    more = [("content-length", str(len(body))), ("x-test-id", mark)]
    client.send_head(
        "POST", "/v1/chat/completions", headers("main", "application/json", more)
    )
    client.send(body)
    upstreams["alpha"].wait_request()
    client.close()
    seen = facts(observed, mark)
    gate.open()
    assert (seen["output_tokens"], seen["usage_source"]) == ("0", "estimated")
    assert int(seen["input_tokens"]) >= 10
    assert seen["total_tokens"] == seen["input_tokens"]
