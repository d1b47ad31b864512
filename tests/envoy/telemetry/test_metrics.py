"""What the filter counts: requests that it refused and answers that were not as they should be."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable

import pytest
from harness import answer, expect, openai_shapes, plugin, sse
from harness.openai_shapes import chunk

CHAT = {"model": "alpha/m", "messages": []}
STREAM = {**CHAT, "stream": True}
EMBED = {"model": "alpha/m", "input": "a"}
LINE = re.compile(r"openai_gateway_(\w+)\{(.*)\} (\d+)")
LABEL = re.compile(r'(\w+)="(.*?)"')


def counted(gateway) -> dict[str, int]:
    """Every counter of the filter's, as Prometheus gets it."""
    found = {}
    for line in gateway.admin("/stats/prometheus").splitlines():
        if match := LINE.fullmatch(line):
            labels = sorted(LABEL.findall(match[2]))
            found[
                " ".join([match[1], *(f"{name}={value}" for name, value in labels)])
            ] = int(match[3])
    return found


def rising(gateway) -> Callable[[], dict[str, int]]:
    """Tells by how much the counters have gone up since."""
    before = counted(gateway)

    def since() -> dict[str, int]:
        risen = {name: now - before.get(name, 0) for name, now in counted(gateway).items()}
        return {name: by for name, by in risen.items() if by}

    return since


@pytest.fixture
def rise(gateway):
    """The counters that have gone up since the test began."""
    return rising(gateway)


def refused(code: str, key: str) -> dict[str, int]:
    return {f"refused code={code} virtual_key={key}": 1}


def answers(kind: str, provider: str = "alpha") -> dict[str, int]:
    return {f"answers kind={kind} provider={provider}": 1}


def test_a_usual_request_counts_nothing(gateway, upstreams, rise):
    upstreams["alpha"].next(answer(openai_shapes.completion()))
    expect.good(gateway.post(body=CHAT))
    upstreams["alpha"].next(sse(chunk({"content": "a"}), chunk({}, "stop"), "[DONE]"))
    expect.good(gateway.post(body=STREAM))
    assert rise() == {}


@pytest.mark.parametrize(
    ("vk", "body", "code", "key"),
    [
        (None, CHAT, "invalid_api_key", "-"),
        ("revoked", CHAT, "virtual_key_revoked", "id-revoked"),
        ("none", CHAT, "model_not_allowed", "id-none"),
        ("main", {"messages": []}, "missing_model", "id-main"),
        ("main", {**CHAT, "model": 1}, "invalid_model", "id-main"),
    ],
)
def test_refusals_by_code_and_key(gateway, rise, vk, body, code, key):
    assert gateway.post(body=body, vk=vk).json()["error"]["code"] == code
    assert rise() == refused(code, key)


def test_a_refusal_after_the_model_was_known(gateway, upstreams, rise):
    """The key is still known when the body turns out to be wrong at its end."""
    reply = gateway.post(body=b'{"model":"alpha/m","messages":[]]')
    assert reply.json()["error"]["code"] == "invalid_json"
    assert rise() == refused("invalid_json", "id-main")


@pytest.mark.parametrize(
    ("ask", "answered", "kind"),
    [
        (CHAT, answer("Bad Gateway", 502, headers=[("content-type", "text/plain")]), "error"),
        (CHAT, answer({"error": {"message": "m", "code": 429}}), "error_in_200"),
        (STREAM, sse({"error": {"message": "m", "code": 429}}), "error_in_200"),
        (STREAM, sse(chunk({"content": "a"}), {"error": {"message": "m"}}), "stream_error"),
        (STREAM, sse(chunk({"content": "a"})), "stream_cut"),
        (EMBED, answer({"embedding": [1.0, 2.0]}), "embeddings"),
        (
            CHAT,
            answer(gzip.compress(b"{}"), headers=[("content-type", "application/json"), ("content-encoding", "gzip")]),
            "unreadable",
        ),
        (
            CHAT,
            answer(gzip.compress(b"no"), 500, headers=[("content-type", "text/plain"), ("content-encoding", "gzip")]),
            "unreadable",
        ),
    ],
)  # fmt: skip
def test_answers_by_kind_and_provider(gateway, upstreams, rise, ask, answered, kind):
    upstreams["alpha"].next(answered)
    path = "/v1/embeddings" if ask is EMBED else "/v1/chat/completions"
    gateway.post(path, body=ask)
    assert rise() == answers(kind)


def test_an_error_in_the_right_shape_is_no_news(gateway, upstreams, rise):
    envelope = {"error": {"message": "m", "type": "t", "param": None, "code": None}}
    upstreams["alpha"].next(answer(envelope, 400))
    assert gateway.post(body=CHAT).json() == envelope
    assert rise() == {}


def test_envoys_own_replies_count_for_their_provider(gateway, rise):
    assert gateway.post(body={**CHAT, "model": "down/m"}).status == 503
    assert rise() == answers("error", "down")


def test_an_attempt_that_another_one_follows(start_envoy, upstreams):
    """Every client is served: nothing else shows that the first provider is down."""
    fallback = {"fallback": ["down/x", "gamma/second"], "cluster": "dead-first"}
    config = plugin.configuration(model_aliases={"both": fallback})
    envoy = start_envoy(config=config, positions=2, fallbacks={"dead-first": ["down", "gamma-cluster"]})
    rise = rising(envoy)
    for _ in range(2):
        reply = expect.good(envoy.post(body={"model": "both", "messages": []}))
        assert reply.header("x-langwatch-attempts") == "down=none, gamma=200"
    assert rise()["answers kind=retried provider=down"] == 2


def test_a_native_stream_that_fails(start_envoy, upstreams):
    """Its last event passes as it is, but for the provider's key."""
    config = plugin.configuration()
    for provider in config["providers"]:
        provider["responses_api"] = "native"
    gateway = start_envoy(config=config)
    rise = rising(gateway)
    error = {
        "code": "server_error",
        "message": f"Bad key: {plugin.PROVIDER_KEYS['alpha']}",
    }
    failed = {
        "type": "response.failed",
        "sequence_number": 1,
        "response": {"error": error},
    }
    named = [
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        for event in ({"type": "response.created", "sequence_number": 0}, failed)
    ]
    upstreams["alpha"].next(sse(*named))
    reply = gateway.post(
        "/v1/responses", body={"model": "alpha/m", "input": "hi", "stream": True}
    )
    assert b"Bad key: [redacted]" in reply.body
    assert rise() == answers("stream_error")


@pytest.mark.parametrize("positions", [1, 2])
def test_counts_that_can_not_be_are_named(start_envoy, upstreams, positions):
    """Where tokens are counted: once an answer, in the position that reads it."""
    gateway = start_envoy(config=plugin.configuration(usage={"mode": "observe"}), positions=positions)
    rise = rising(gateway)
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    for told, want in ((usage, {}), ({**usage, "total_tokens": 8}, answers("miscounted"))):
        upstreams["alpha"].next(answer({**openai_shapes.completion(), "usage": told}))
        expect.good(gateway.post(body=CHAT))
        assert rise() == want
    upstreams["alpha"].next(answer({**openai_shapes.completion(), "usage": {**usage, "completion_tokens": -2}}))
    assert gateway.post(body=CHAT).json()["usage"] is None
    assert rise() == answers("miscounted") | answers("repaired_usage")


def test_names_hold_no_secret(gateway):
    gateway.post(body=CHAT, vk="none")
    assert counted(gateway)["refused code=model_not_allowed virtual_key=id-none"] > 0
    names = gateway.admin("/stats?filter=openai_gateway")
    assert not [secret for secret in plugin.SECRETS if secret in names]


def test_workers_share_their_counters(start_envoy):
    gateway = start_envoy(concurrency=2)
    rise = rising(gateway)
    workers = [
        f"listener.127.0.0.1_0.worker_{number}.downstream_cx_total" for number in (0, 1)
    ]
    before = [gateway.stat(worker) for worker in workers]
    sent = 0
    while any(gateway.stat(worker) == count for worker, count in zip(workers, before, strict=True)):
        assert sent < 500, "one worker gets every connection"
        gateway.post(body=CHAT, vk="none")
        sent += 1
    assert rise() == {"refused code=model_not_allowed virtual_key=id-none": sent}
