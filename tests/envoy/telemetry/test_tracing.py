"""observability/envoy.yaml's spans, as an OpenTelemetry collector gets them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import PATIENCE, Upstream, answer, examples
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = pytest.mark.one_position  # as its configuration is
run = examples.load("observability/run.py")
SEARCH = run.KEYS["search-team"]
QUESTION = [{"role": "user", "content": "two words"}]


@pytest.fixture(scope="module")
def collector() -> Iterator[Upstream]:
    server = Upstream("collector")
    server.handler = lambda _: answer(b"", content_type="application/x-protobuf")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def observed(collector: Upstream) -> Iterator[Any]:
    def start(ports: dict[int, int]) -> Any:
        return run.Observed({**ports, run.COLLECTOR: collector.port}, collector=False)

    with examples.start(start, *run.PORTS) as observed:
        yield observed


def spans(collector: Upstream) -> list[Any]:
    found = []
    for request in list(collector.requests):
        if request.state == "complete":
            sent = ExportTraceServiceRequest.FromString(request.body)
            found += [span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans]
    return found


def attributes(span: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes if one.value.HasField("string_value")}


def span_of(collector: Upstream, traceparent: str) -> Any:
    """The gateway's span in a client's trace."""
    trace = bytes.fromhex(traceparent.split("-")[1])
    deadline = time.monotonic() + PATIENCE
    while not (found := [span for span in spans(collector) if span.trace_id == trace]):
        assert time.monotonic() < deadline, "no span"
        time.sleep(0.1)
    (span,) = found
    return span


def send(observed: Any, number: int, key: str, path: str, body: dict[str, Any]) -> tuple[int, str]:
    traceparent = f"00-{number:032x}-00f067aa0ba902b7-01"
    status, *_ = run.post(observed.port(run.GATEWAY), path, body, key, traceparent=traceparent)
    return status, traceparent


@pytest.mark.parametrize(
    ("number", "path", "body", "operation", "model", "used"),
    [
        (1, run.CHAT, {"model": "local", "messages": QUESTION}, "chat", "mock-chat", ("2", "6")),
        (2, run.CHAT, {"model": "local", "messages": QUESTION, "stream": True}, "chat", "mock-chat", ("2", "6")),
        (3, "/v1/responses", {"model": "local", "input": "two words"}, "chat", "mock-chat", ("2", "6")),
        (4, "/v1/completions", {"model": "local", "prompt": "two words"}, "text_completion", "mock-chat", ("2", "4")),
        (5, "/v1/embeddings", {"model": "local-embed", "input": ["two words"]}, "embeddings", "mock-embed", ("1", "0")),
    ],
)
def test_a_request_is_a_span_of_the_clients_trace(
    observed: Any, collector: Upstream, number: int, path: str, body: Any, operation: str, model: str, used: tuple[str, str]
) -> None:
    status, traceparent = send(observed, number, SEARCH, path, body)
    assert status == 200
    span = span_of(collector, traceparent)
    assert span.parent_span_id.hex() == "00f067aa0ba902b7"
    told = attributes(span)
    expected = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.usage.input_tokens": used[0],
        "gen_ai.usage.output_tokens": used[1],
        "gen_ai.usage.cache_read.input_tokens": "0",
        "gateway.virtual_key": "search-team",
        "gateway.usage_source": "upstream",
        "http.status_code": "200",
    }
    assert {name: told.get(name) for name in expected} == expected
    assert told.get("error.type", "") == ""


def test_a_refusal_says_why(observed: Any, collector: Upstream) -> None:
    status, traceparent = send(observed, 10, run.KEYS["batch-team"], run.CHAT, {"model": "hosted/swift-70b", "messages": []})
    assert status == 403
    told = attributes(span_of(collector, traceparent))
    assert told["error.type"] == "openai_gateway:model_not_allowed"
    assert told["gateway.virtual_key"] == "batch-team"
    status, traceparent = send(observed, 11, "vk-of-nobody-at-all", run.CHAT, {"model": "local", "messages": []})
    assert status == 401
    told = attributes(span_of(collector, traceparent))
    assert told["error.type"] == "openai_gateway:invalid_api_key"
    assert "gateway.virtual_key" not in told
    assert told.get("gen_ai.usage.input_tokens", "0") == "0"


def test_no_span_holds_a_secret(observed: Any, collector: Upstream) -> None:
    _, traceparent = send(observed, 20, SEARCH, run.CHAT, {"model": "small", "messages": QUESTION})
    span_of(collector, traceparent)
    sent = b"".join(request.body for request in collector.requests)
    assert not [secret for secret in ("vk-demo", "demo-upstream-key", "two words") if secret.encode() in sent]
