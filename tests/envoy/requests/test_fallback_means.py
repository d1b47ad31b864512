"""The ways in which Envoy can try one provider after the other, beside the composite cluster of test_fallback.py."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Gate, answer, expect, fallback_route, host_of, metering, openai_shapes, plugin, sse
from harness.plugin import PROVIDER_KEYS

Json = dict[str, Any]
ERROR = {"error": {"message": "busy", "type": "server_error"}}
BODY = b'{"model":"both","messages":[]}'
PREVIOUS = {
    "name": "envoy.retry_priorities.previous_priorities",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        "update_frequency": 1,
    },
}


def cluster(name: str, kind: str, message: str, **config: Any) -> Json:
    typed = {"@type": f"type.googleapis.com/envoy.extensions.{message}", **config}
    return {
        "name": name,
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": f"envoy.clusters.{kind}", "typed_config": typed},
    }


def aggregate(_: dict[str, int]) -> tuple[list[Json], list[Json]]:
    over = cluster(
        "over", "aggregate", "clusters.aggregate.v3.ClusterConfig", clusters=["alpha", "gamma-cluster"]
    )
    return [over], [fallback_route("over", {"cluster": "over"}, retry_priority=PREVIOUS)]


def aggregate_alone(_: dict[str, int]) -> tuple[list[Json], list[Json]]:
    """Without `previous_priorities`: Envoy chooses the first priority that is healthy, each time."""
    clusters, _ = aggregate({})
    return clusters, [fallback_route("over", {"cluster": "over"})]


def priorities(ports: dict[str, int], **more: Any) -> tuple[list[Json], list[Json]]:
    hosts = [host_of("alpha", ports["alpha"]), host_of("gamma", ports["gamma-cluster"])]
    endpoints = [{"priority": at, "lb_endpoints": [host]} for at, host in enumerate(hosts)]
    over = {
        "name": "over",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "over", "endpoints": endpoints},
    }
    return [over], [fallback_route("over", {"cluster": "over", **more}, retry_priority=PREVIOUS)]


def hedged(ports: dict[str, int]) -> tuple[list[Json], list[Json]]:
    clusters, (route,) = priorities(ports, hedge_policy={"hedge_on_per_try_timeout": True})
    policy = route["route"]["retry_policy"]
    del policy["per_try_idle_timeout"]
    policy["per_try_timeout"] = "0.3s"
    return clusters, [route]


def groups(_: dict[str, int]) -> tuple[list[Json], list[Json]]:
    names = ("alpha", "gamma-cluster")
    config = {
        "@type": "type.googleapis.com/envoy.extensions.router.cluster_specifiers.priority_group.v3."
        "PriorityGroupClusterSpecifier",
        "priority_groups": [
            {"name": name, "clusters": [{"cluster_name": name, "weight": 1}]} for name in names
        ],
    }
    plugin = {"name": "envoy.router.cluster_specifier_plugin.priority_group", "typed_config": config}
    action = {"inline_cluster_specifier_plugin": {"extension": plugin}}
    return [], [fallback_route("over", action, refresh_cluster_on_retry=True)]


FALLBACK = {"fallback": ["alpha/org/first", "gamma/second"], "cluster": "over"}


def start(start_envoy, more, **settings):
    config = plugin.configuration(model_aliases={"both": FALLBACK}, **settings)
    return start_envoy(config=config, positions=2, more=more, facts="usage" in settings)


def assert_each_got_its_own(upstreams, body: bytes = BODY) -> None:
    """Each attempt's path, host, credential and body; and no key of one at the other."""
    first, second = upstreams["alpha"].only, upstreams["gamma"].only
    assert (first.path, second.path) == ("/openai/v1/chat/completions", "/v1/chat/completions")
    assert (first.header("host"), second.header("host")) == ("alpha.test", "gamma.test")
    assert first.header("authorization") == "Bearer " + PROVIDER_KEYS["alpha"]
    assert second.header("x-gamma-key") == "Key " + PROVIDER_KEYS["gamma"]
    for got, other, model in ((first, "gamma", b"org/first"), (second, "alpha", b"second")):
        assert PROVIDER_KEYS[other].encode() not in got.head.raw + got.body
        assert got.body == body.replace(b"both", model)
        assert got.header("content-length") == str(len(got.body))


@pytest.mark.parametrize("more", [aggregate, priorities, groups])
@pytest.mark.parametrize(
    "failed", [answer(ERROR, 503), answer({"error": {"message": "m", "code": 429}})], ids=["503", "429 in 200"]
)
def test_the_second_provider_answers(start_envoy, upstreams, more, failed):
    envoy = start(start_envoy, more)
    upstreams["alpha"].next(failed)
    reply = expect.good(envoy.post(body=BODY))
    status = failed.status if failed.status != 200 else 429
    assert reply.header("x-langwatch-attempts") == f"alpha={status}, gamma=200"
    assert reply.header("x-langwatch-provider") == "gamma"
    assert_each_got_its_own(upstreams)


def test_an_aggregate_cluster_alone_asks_the_first_twice(start_envoy, upstreams):
    """`check` warns of it. Both attempts are the first provider's, and nothing of the second is shown to it."""
    envoy = start(start_envoy, aggregate_alone)
    upstreams["alpha"].handler = lambda _: answer(ERROR, 503)
    reply = envoy.post(body=BODY)
    assert (reply.status, expect.envelope(reply)["message"]) == (503, "busy")
    assert reply.header("x-langwatch-attempts") == "alpha=503, alpha=503"
    assert upstreams["gamma"].requests == []
    for got in upstreams["alpha"].requests:
        assert got.body == BODY.replace(b"both", b"org/first")
        assert got.header("authorization") == "Bearer " + PROVIDER_KEYS["alpha"]
        assert PROVIDER_KEYS["gamma"].encode() not in got.head.raw
    # Where the first failure was a passing one, the second attempt at the same provider is answered.
    upstreams["alpha"].reset()
    upstreams["alpha"].next(answer(ERROR, 503))
    reply = expect.good(envoy.post(body=BODY))
    assert reply.header("x-langwatch-attempts") == "alpha=503, alpha=200"


COUNTS = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
TOLD = ("upstream", [7, 2, 0, 9])
LATE = {"prompt_tokens": 700, "completion_tokens": 200, "total_tokens": 900}


def spoken(text: str, counts: Json, stream: bool, first: Gate | None = None, **how: Any):
    """A provider's answer; a stream may wait before its first event."""
    if not stream:
        return answer({**openai_shapes.completion(text=text), "usage": counts}, hold=first, **how)
    chunk = openai_shapes.chunk
    usage = {**chunk({}), "choices": [], "usage": counts}
    waits = [first] if first else []
    return sse(*waits, chunk({"content": text}), chunk({}, "stop"), usage, "[DONE]", **how)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_hedging(start_envoy, upstreams, stream):
    """A slow provider loses to the next one; both were asked, and the tokens are those of the one that answered."""
    envoy = start(start_envoy, hedged, usage={"mode": "observe"})
    gate, mark = Gate(), uuid.uuid4().hex
    upstreams["alpha"].next(spoken("slow", LATE, stream, gate))
    upstreams["gamma"].next(spoken("quick", COUNTS, stream))
    body = BODY.replace(b"{", b'{"stream":true,', 1) if stream else BODY
    reply = expect.good(envoy.post(body=body, fields=[("x-test-id", mark)]))
    assert b"quick" in reply.body and b"slow" not in reply.body
    assert reply.header("x-langwatch-provider") == "gamma"
    assert reply.header("x-langwatch-attempts") == "alpha=none, gamma=200"
    assert_each_got_its_own(upstreams, body)
    assert metering.counts(envoy, mark) == TOLD
    upstreams["alpha"].only.wait_abandoned()
    gate.open()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_hedging_when_the_slow_one_is_first_after_all(start_envoy, upstreams, stream):
    envoy = start(start_envoy, hedged, usage={"mode": "observe"})
    slow, never, mark = Gate(), Gate(), uuid.uuid4().hex
    upstreams["alpha"].next(spoken("slow", COUNTS, stream, slow))
    upstreams["gamma"].next(spoken("slower", LATE, stream, never))
    body = BODY.replace(b"{", b'{"stream":true,', 1) if stream else BODY
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: envoy.post(body=body, fields=[("x-test-id", mark)]))
        upstreams["gamma"].wait_request()
        slow.open()
        reply = expect.good(asked.result(20))
    assert b"slow" in reply.body and b"slower" not in reply.body
    assert reply.header("x-langwatch-provider") == "alpha"
    assert reply.header("x-langwatch-model") == "org/first"
    assert_each_got_its_own(upstreams, body)
    assert metering.counts(envoy, mark) == TOLD
    upstreams["gamma"].only.wait_abandoned()
    never.open()


def test_the_listeners_position_alone_does_not_see_what_a_200_hides(start_envoy, upstreams):
    """Why there are two: Envoy's retry policy comes before the filter."""
    route = {"retry_on": "5xx", "num_retries": 1}
    envoy = start_envoy(retry=route, positions=1)
    upstreams["alpha"].next(answer({"error": {"message": "m", "code": 503}}))
    assert envoy.post(body={"model": "alpha/m", "messages": []}).status == 503
    assert len(upstreams["alpha"].requests) == 1


def no_host(_: dict[str, int]) -> tuple[list[Json], list[Json]]:
    """A composite cluster whose first provider has no host at all."""
    empty = {"name": "alpha-empty", "load_assignment": {"cluster_name": "alpha-empty"}}
    parts = [{"name": "alpha-empty"}, {"name": "gamma-cluster"}]
    over = cluster("over", "composite", "clusters.composite.v3.ClusterConfig", clusters=parts)
    nobody = cluster(
        "nobody", "composite", "clusters.composite.v3.ClusterConfig", clusters=parts[:1]
    )
    return [empty, over, nobody], [
        fallback_route("over", {"cluster": "over"}),
        fallback_route("nobody", {"cluster": "nobody"}),
    ]


def test_a_provider_without_hosts_is_skipped(start_envoy, upstreams):
    """In the same attempt, so that nothing was tried twice."""
    aliases = {"both": FALLBACK, "none": {**FALLBACK, "cluster": "nobody"}}
    envoy = start_envoy(
        config=plugin.configuration(model_aliases=aliases), positions=2, more=no_host
    )
    reply = expect.good(envoy.post(body=BODY))
    assert reply.header("x-langwatch-provider") == "gamma"
    assert upstreams["alpha"].requests == []
    assert upstreams["gamma"].only.body == BODY.replace(b"both", b"second")
    with envoy.sends_nothing():
        reply = envoy.post(body={"model": "none", "messages": []})
    assert reply.status == 503
    expect.envelope(reply)
