"""Where a fallback ends: what is never tried again, what Envoy's own limits take away, and how a provider comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Gate, answer, expect, fallback_route, host_of, openai_shapes, plugin, sse
from harness.plugin import PROVIDER_KEYS

Json = dict[str, Any]
FALLBACK = {"fallback": ["alpha/org/first", "gamma/second"], "cluster": "over"}
BODY = {"model": "both", "messages": []}
ERROR = {"error": {"message": "busy", "type": "server_error"}}
PARTS = ("alpha", "gamma-cluster")


def composite(parts: Sequence[str] = PARTS, **more: Any) -> Json:
    config = {
        "@type": "type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig",
        "clusters": [{"name": part} for part in parts],
    }
    kind = {"name": "envoy.clusters.composite", "typed_config": config}
    return {"name": "over", "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": kind, **more}


def start(start_envoy, *, cluster: Json | None = None, providers=None, limits=None, policy=None, **setting):
    """The two providers behind `over`, with another retry policy or other limits of its cluster."""
    settings = {"model_aliases": {"both": FALLBACK}, **({"limits": limits} if limits else {})}
    config = plugin.configuration(providers=providers or plugin.providers(), **settings)

    def more(_: dict[str, int]) -> tuple[list[Json], list[Json]]:
        return [composite(**(cluster or {}))], [fallback_route("over", {"cluster": "over"}, **(policy or {}))]

    return start_envoy(config=config, positions=2, more=more, **setting)


def attempts(reply) -> str | None:
    return reply.header("x-langwatch-attempts")


def test_a_status_that_another_provider_may_not_have(start_envoy, upstreams):
    """With `retry-after`, which is the first provider's own word and no reason to wait."""
    envoy = start(start_envoy)
    for status in (401, 402, 403, 404, 408, 424, 429, 499, 500, 502, 503, 504, 529):
        upstreams["alpha"].next(answer(ERROR, status, headers=[("retry-after", "30")]))
        began = time.monotonic()
        reply = expect.good(envoy.post(body=BODY))
        assert time.monotonic() - began < 5
        assert attempts(reply) == f"alpha={status}, gamma=200"
        assert reply.header("retry-after") is None


def test_what_is_the_clients_own_fault(start_envoy, upstreams):
    envoy = start(start_envoy)
    for status in (400, 413, 415, 422):
        upstreams["alpha"].next(answer({"error": {"message": "yours"}}, status))
        reply = envoy.post(body=BODY)
        assert reply.status == status
        assert expect.envelope(reply)["message"] == "yours"
    assert upstreams["gamma"].requests == []


def test_the_last_providers_retry_after(start_envoy, upstreams):
    envoy = start(start_envoy)
    upstreams["alpha"].next(answer(ERROR, 429, headers=[("retry-after", "30")]))
    upstreams["gamma"].next(answer(ERROR, 429, headers=[("retry-after", "7")]))
    reply = envoy.post(body=BODY)
    assert (reply.status, reply.header("retry-after")) == (429, "7")
    assert attempts(reply) == "alpha=429, gamma=429"


def test_an_attempt_behind_the_last_target_hides_its_answer(start_envoy, upstreams):
    """`check` warns of it: with more retries than targets less one the composite cluster has no host left."""
    envoy = start(start_envoy, policy={"num_retries": 2})
    for name in ("alpha", "gamma"):
        upstreams[name].next(answer(ERROR, 429, headers=[("retry-after", "7")]))
    reply = envoy.post(body=BODY)
    assert (reply.status, reply.header("retry-after")) == (503, None)
    assert attempts(reply) == "alpha=429, gamma=429"


@pytest.mark.parametrize("ending", ["reset", "event", "end"])
def test_a_stream_that_breaks_after_its_first_event_is_not_asked_again(start_envoy, upstreams, ending):
    envoy = start(start_envoy)
    first = openai_shapes.chunk({"content": "Hel"})
    broken = {
        "reset": sse(first, end="reset"),
        "event": sse(first, {"error": {"message": "m", "code": 503}}),
        "end": sse(first),
    }
    upstreams["alpha"].next(broken[ending])
    try:
        reply = envoy.post(body={**BODY, "stream": True})
    except (OSError, EOFError) as error:  # the reset has come through, after the first event
        reply = error
    assert upstreams["gamma"].requests == [], "what a client has seen is never begun again"
    assert len(upstreams["alpha"].requests) == 1
    if ending == "event":
        assert reply.status == 200
        assert b"Hel" in reply.body and b'"error"' in reply.body
        assert attempts(reply) is None


@pytest.mark.parametrize("limit", ["max_retries", "budget"])
def test_more_fall_back_at_a_time_than_envoy_may_try_again(start_envoy, upstreams, limit):
    """Who finds no retry left gets the first provider's failure, whole: nothing hangs and nothing is mixed."""
    thresholds: Json = {"max_retries": 1}
    if limit == "budget":
        thresholds = {"retry_budget": {"budget_percent": {"value": 1}, "min_retry_concurrency": 1}}
    envoy = start(start_envoy, cluster={"circuit_breakers": {"thresholds": [thresholds]}})
    gate, failed = Gate(), answer({"error": {"message": "first", "code": "x"}}, 503)
    upstreams["alpha"].handler = lambda _: failed
    upstreams["gamma"].next(openai_answer(hold=gate))
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(lambda: envoy.post(body=BODY))
        upstreams["gamma"].wait_request()
        refused = envoy.post(body=BODY)
        gate.open()
        served = holder.result(20)
    assert attempts(expect.good(served)) == "alpha=503, gamma=200"
    assert (refused.status, expect.envelope(refused)["message"]) == (503, "first")
    assert len(upstreams["gamma"].requests) == 1
    # And the retry comes back when it is done.
    expect.good(envoy.post(body=BODY))


def openai_answer(**how: Any):
    return answer(openai_shapes.completion(), **how)


def tight(ports: dict[str, int]) -> tuple[list[Json], list[Json]]:
    """The first provider takes one request at a time."""
    one = {
        "name": "alpha-tight",
        "circuit_breakers": {"thresholds": [{"max_requests": 1}]},
        "load_assignment": {
            "cluster_name": "alpha-tight",
            "endpoints": [{"lb_endpoints": [host_of("alpha", ports["alpha"])]}],
        },
    }
    clusters = [one, composite(["alpha-tight", "gamma-cluster"])]
    return clusters, [fallback_route("over", {"cluster": "over"})]


def test_a_first_provider_that_overflows(start_envoy, upstreams):
    """A circuit breaker is the operator's word, and Envoy tries nothing again that met one: 503, and nothing is sent."""
    config = plugin.configuration(model_aliases={"both": FALLBACK})
    envoy = start_envoy(config=config, positions=2, more=tight)
    gate = Gate()
    upstreams["alpha"].next(openai_answer(hold=gate))
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(lambda: envoy.post(body=BODY))
        upstreams["alpha"].wait_request()
        reply = envoy.post(body=BODY)
        gate.open()
        expect.good(holder.result(20))
    assert reply.status == 503, reply
    expect.envelope(reply)
    assert len(upstreams["alpha"].requests) == 1 and upstreams["gamma"].requests == []
    expect.good(envoy.post(body=BODY))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_time_for_each_try(start_envoy, upstreams, stream):
    """`per_try_timeout` bounds the whole of one attempt, `per_try_idle_timeout` its silence."""
    envoy = start(start_envoy, policy={"per_try_timeout": "0.5s", "per_try_idle_timeout": "20s"})
    upstreams["alpha"].next(answer(silent=True, end="never"))
    reply = expect.good(envoy.post(body={**BODY, "stream": stream}))
    assert attempts(reply) == "alpha=none, gamma=200"


@pytest.mark.parametrize("first", [True, False], ids=["model first", "model last"])
def test_a_body_larger_than_what_envoy_keeps(start_envoy, upstreams, first):
    """A retry needs the whole body in Envoy's buffer. Beyond it the first provider's word is the last, or the body is refused;
    the second one never gets a part of it."""
    envoy = start(start_envoy, buffer_bytes=65_536, route_buffer_bytes=None, limits={"max_buffered_bytes": 8_388_608})
    upstreams["alpha"].handler = lambda _: answer(ERROR, 503)
    padding, model = b'"x":"' + b"y" * 400_000 + b'"', b'"model":"both"'
    body = b"{" + b",".join([model, padding] if first else [padding, model]) + b"}"
    reply = envoy.post(body=body)
    assert reply.status in (413, 503), reply
    expect.envelope(reply)
    for got in upstreams["gamma"].requests:
        assert got.body in (b"", body.replace(b"both", b"second"))
    upstreams["alpha"].reset()
    expect.good(envoy.post(body=BODY))


RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": []}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
DIALECTS = {
    "responses": ("/v1/responses", {"model": "both", "input": "hi"}, RESPONSE),
    "messages": (
        "/v1/messages",
        {"model": "both", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
        MESSAGE,
    ),
}


@pytest.mark.parametrize("native", ["first", "second"])
@pytest.mark.parametrize("api", DIALECTS)
def test_each_provider_is_asked_in_the_api_that_it_speaks(start_envoy, upstreams, api, native):
    """One speaks the client's own API, the other one chat alone: each attempt begins with the client's own body."""
    path, body, whole = DIALECTS[api]
    providers = plugin.providers()
    speaks, converts = ("alpha", "gamma") if native == "first" else ("gamma", "alpha")
    for provider in providers:
        if provider["name"] == speaks:
            provider[f"{api}_api"] = "native"
    envoy = start(start_envoy, providers=providers)
    upstreams["alpha"].next(answer(ERROR, 503))
    if native == "second":
        upstreams["gamma"].next(answer(whole))
    raw = json.dumps(body).encode()
    reply = envoy.post(path, raw, fields=[("anthropic-version", "2023-06-01")] if api == "messages" else [])
    assert reply.status == 200, reply
    assert reply.json()["object" if api == "responses" else "type"] == whole["object" if api == "responses" else "type"]
    assert attempts(reply) == "alpha=503, gamma=200"
    own, chat = upstreams[speaks].only, upstreams[converts].only
    model = {"alpha": b"org/first", "gamma": b"second"}
    assert own.path.endswith(path.removeprefix("/v1")) and own.body == raw.replace(b"both", model[speaks])
    assert chat.path.endswith("/chat/completions") and chat.json()["model"] == model[converts].decode()
    assert chat.json()["messages"][0] == {"role": "user", "content": "hi"}
    for got, other in ((upstreams["alpha"].only, "gamma"), (upstreams["gamma"].only, "alpha")):
        assert got.header("content-length") == str(len(got.body))
        assert PROVIDER_KEYS[other].encode() not in got.head.raw + got.body


@pytest.mark.parametrize("lies", [False, True], ids=["503", "503 in 200"])
def test_a_provider_comes_back(start_envoy, upstreams, lies):
    """It fails, is ejected and skipped, and is asked first again when its time is over: with its own credential."""
    envoy = start(start_envoy, ejects_for="0.5s")
    failed = answer({"error": {"message": "m", "code": 503}}, 200 if lies else 503)
    upstreams["alpha"].handler = lambda _: failed
    for _ in range(2):
        assert attempts(expect.good(envoy.post(body=BODY))) == "alpha=503, gamma=200"

    def ejected() -> bool:
        lines = envoy.admin("/clusters").splitlines()
        return any("alpha::" in line and "failed_outlier_check" in line for line in lines)

    assert ejected()
    reply = expect.good(envoy.post(body=BODY))
    assert reply.header("x-langwatch-provider") == "gamma" and attempts(reply) is None
    assert len(upstreams["alpha"].requests) == 2, "skipped in the same attempt"
    upstreams["alpha"].reset()
    deadline = time.monotonic() + 10
    while ejected() and time.monotonic() < deadline:
        time.sleep(0.1)
    # Each worker learns of it a moment later.
    reply = expect.good(envoy.post(body=BODY))
    while reply.header("x-langwatch-provider") != "alpha" and time.monotonic() < deadline:
        time.sleep(0.1)
        reply = expect.good(envoy.post(body=BODY))
    assert reply.header("x-langwatch-provider") == "alpha" and attempts(reply) is None
    got = upstreams["alpha"].only
    assert got.header("authorization") == "Bearer " + PROVIDER_KEYS["alpha"]
    assert got.json()["model"] == "org/first"
