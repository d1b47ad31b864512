"""What Envoy's own rate limits refuse leaves as an error in the client's shape, and says when to try again."""

from __future__ import annotations

import json
import time
from typing import Any

import anthropic
import openai
import pytest
from harness import Setting, expect, headers, plugin, sdk
from harness.expect import type_of

BODY = {"model": "alpha/m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
TYPE = "type.googleapis.com/envoy.extensions.filters.http"
ALWAYS = {"default_value": {"numerator": 100}}


def local_limit(tokens: int = 1, seconds: int = 60, addend: str | None = None) -> dict[str, Any]:
    """Envoy's local rate limit: so many a minute for each key, or what `addend` says of each request."""
    actions = [{"extension": {"name": "key", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor",
        "descriptor_key": "key",
        "text": "filter_state['wasm.gateway_virtual_key']",
    }}}]
    limit: dict[str, Any] = {"actions": actions}
    if addend is not None:
        limit["hits_addend"] = {"format": addend}
    bucket = {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": f"{seconds}s"}
    return {"name": "limit", "typed_config": {
        "@type": f"{TYPE}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "filter_enabled": ALWAYS,
        "filter_enforced": ALWAYS,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "token_bucket": {"max_tokens": 1000, "tokens_per_fill": 1000, "fill_interval": "60s"},
        "rate_limits": [limit],
        "descriptors": [{"entries": [{"key": "key", "value": "id-main"}], "token_bucket": bucket}],
    }}


def service() -> dict[str, Any]:
    """The global rate limit, whose service is not there."""
    return {"name": "limit", "typed_config": {
        "@type": f"{TYPE}.ratelimit.v3.RateLimit",
        "domain": "gateway",
        "failure_mode_deny": True,
        "rate_limit_service": {
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "down"}},
        },
        "rate_limits": [{"actions": [{"generic_key": {"descriptor_value": "all"}}]}],
    }}


def limited(start_envoy: Any, *behind: dict[str, Any], **fields: Any) -> Any:
    config = plugin.configuration(usage={"mode": "observe"})
    return start_envoy(**vars(Setting(config=config, facts=True, behind=list(behind), **fields)))


def refused(reply: Any) -> dict[str, Any]:
    """The error of a request that a limit refused."""
    error = expect.envelope(reply)
    assert (reply.status, error["code"], error["type"]) == (429, "rate_limit_exceeded", type_of(429))
    assert "upstream" not in error["message"].lower()
    assert int(reply.header("retry-after")) >= 1
    return error


def test_a_key_at_its_limit(start_envoy: Any, upstreams: Any) -> None:
    gateway = limited(start_envoy, local_limit())
    expect.good(gateway.post(body=BODY))
    with gateway.sends_nothing():
        reply = gateway.post(body=BODY)
    refused(reply)
    assert reply.header("x-ratelimit-limit") is not None
    assert reply.header("retry-after") == str(max(1, int(reply.header("x-ratelimit-reset"))))
    with openai_raises():
        sdk.python_client(gateway).chat.completions.create(model="alpha/m", messages=[])
    expect.good(gateway.post(body=BODY, vk="env"))


def openai_raises() -> Any:
    return pytest.raises(openai.RateLimitError)


def test_a_stream_is_refused_alike(start_envoy: Any) -> None:
    gateway = limited(start_envoy, local_limit())
    for _ in range(2):
        reply = gateway.post(body={**BODY, "stream": True})
    refused(reply)
    with openai_raises():
        list(sdk.python_client(gateway).chat.completions.create(model="alpha/m", messages=[], stream=True))


def test_anthropics_clients_read_their_own_shape(start_envoy: Any) -> None:
    gateway = limited(start_envoy, local_limit())
    for _ in range(2):
        reply = gateway.post("/v1/messages", body=BODY)
    body = json.loads(reply.body)
    assert (reply.status, body["type"], body["error"]["type"]) == (429, "error", "rate_limit_error")
    assert int(reply.header("retry-after")) >= 1
    base_url = f"http://127.0.0.1:{gateway.port}"
    client = anthropic.Anthropic(base_url=base_url, api_key=plugin.VK["main"], max_retries=0, timeout=20)
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(model="alpha/m", max_tokens=5, messages=[{"role": "user", "content": "hi"}])


CHAT = {"messages": [{"role": "user", "content": "hi"}]}
REFUSED = {
    "chat/completions": CHAT,
    "completions": {"prompt": "hi"},
    "responses": {"input": "hi"},
    "messages": {**CHAT, "max_tokens": 5},
    "embeddings": {"input": "hi"},
    "rerank": {"query": "a", "documents": ["b"]},
    "moderations": {"input": "hi"},
    "audio/speech": {"input": "hi", "voice": "v"},
    "images/generations": {"prompt": "hi"},
}


@pytest.mark.parametrize("positions", [1, 2])
@pytest.mark.parametrize("path", REFUSED)
def test_each_operation_is_refused_in_its_own_shape(start_envoy: Any, path: str, positions: int) -> None:
    gateway = limited(start_envoy, local_limit(seconds=3600), positions=positions)
    gateway.post(body=BODY)  # takes what there is
    for stream in (False, True):
        with gateway.sends_nothing():
            reply = gateway.post(f"/v1/{path}", body={"model": "alpha/m", "stream": stream, **REFUSED[path]})
        assert reply.header("content-type") == "application/json"
        assert reply.header("content-length") == str(len(reply.body))
        if path.startswith("messages"):
            body = json.loads(reply.body)
            assert (reply.status, body["type"], body["error"]["type"]) == (429, "error", "rate_limit_error")
        else:
            refused(reply)
        reset = reply.header("x-ratelimit-reset")
        assert reply.header("retry-after") == reset and 1 <= int(reset) <= 3600
        assert reply.header("x-ratelimit-limit").startswith("1")
        assert reply.header("x-ratelimit-remaining") == "0"


def test_more_than_is_left_is_refused(start_envoy: Any) -> None:
    """There are tokens left, but fewer than the request is estimated to take: Envoy says a reset in 0 seconds."""
    gateway = limited(start_envoy, local_limit(10, addend="%FILTER_STATE(wasm.gateway_estimate:PLAIN)%"))
    expect.good(gateway.post(body=BODY))
    reply = gateway.post(body=BODY)
    refused(reply)
    # Nobody was asked, so the refusal is nobody's: dashboards go by these.
    assert [reply.header(f"x-langwatch-{name}") for name in ("provider", "model")] == [None, None]


ASKS = {
    "Envoy drops what adds more than a billion": {"max_tokens": 2_000_000_000},
    "many answers": {"max_tokens": 1000, "n": 2_000_000},
    "the best of many": {"max_tokens": 100, "best_of": 200},
    "as text": {"max_tokens": "30000"},
    "in another case": {"Max_Tokens": 30000},
    "the larger of two": {"max_tokens": 2_000_000_000, "max_completion_tokens": 50},
}


@pytest.mark.parametrize("mode", ["observe", "require"])
@pytest.mark.parametrize("asked", ASKS)
def test_what_asks_for_more_than_a_budget_holds_never_passes(start_envoy: Any, upstreams: Any, asked: str, mode: str) -> None:
    limit = local_limit(10_000, addend="%FILTER_STATE(wasm.gateway_estimate:PLAIN)%")
    config = plugin.configuration(usage={"mode": mode})
    gateway = start_envoy(**vars(Setting(config=config, facts=True, behind=[limit])))
    path = "/v1/completions" if "best_of" in ASKS[asked] else "/v1/chat/completions"
    refused(gateway.post(path, body={"model": "alpha/m", "messages": [], "prompt": "hi", **ASKS[asked]}))
    assert upstreams["alpha"].requests == []


def test_a_body_in_pieces_says_what_it_asks_for(start_envoy: Any, upstreams: Any) -> None:
    """With `require` nothing goes on before."""
    limit = local_limit(10_000, addend="%FILTER_STATE(wasm.gateway_estimate:PLAIN)%")
    gateway = start_envoy(**vars(Setting(config=plugin.configuration(usage={"mode": "require"}), facts=True, behind=[limit])))
    with gateway.connect() as client:
        client.send_head("POST", "/v1/chat/completions", headers("main", "application/json", [("transfer-encoding", "chunked")]))
        for piece in (b'{"model":"alpha/m",', b'"messages":[],"n":8,"max_tokens":100000}'):
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(0.1)
        client.send(b"0\r\n\r\n")
        refused(client.answer().rest())
    assert upstreams["alpha"].requests == []


def test_a_service_that_is_not_there(start_envoy: Any) -> None:
    gateway = limited(start_envoy, service())
    with gateway.sends_nothing():
        reply = gateway.post(body=BODY)
    error = expect.envelope(reply)
    assert (reply.status, error["code"]) == (500, "internal_error")
    assert "upstream" not in error["message"].lower()
