"""Two positions: no credential goes where it does not belong, and no body near Envoy's limits ends more than its stream."""

from __future__ import annotations

import json

import pytest
from harness import answer, expect, fallback_route, headers, host_of, plugin
from harness.plugin import PROVIDER_KEYS

CHAT = "/v1/chat/completions"
BODY = {"model": "beta/m", "messages": []}
TWO = {"routing": {"positions": 2}}


def nothing_was_sent(envoy, upstreams, post) -> None:
    """An answer of the gateway's own, twice: no provider is refused for it, and no byte of a request goes anywhere."""
    for _ in range(2):
        with envoy.sends_nothing():
            reply = post()
        assert reply.status == 500 and b"internal_error" in reply.body, reply
        assert b"nothing was sent" in reply.body
    assert all(server.requests == [] for server in upstreams.values())


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_route_that_does_not_follow_the_filter(start_envoy, upstreams, path, stream):
    envoy = start_envoy(config=plugin.configuration(**TWO), positions=2, fixed_cluster="alpha")
    body = {"model": "beta/m", "messages": [], "input": "hi", "max_tokens": 5, "stream": stream}
    nothing_was_sent(envoy, upstreams, lambda: envoy.post(path, body))
    # The provider whose cluster it is goes on, with its own credential.
    expect.good(envoy.post(body={"model": "alpha/m", "messages": []}))
    assert upstreams["alpha"].only.header("authorization") == "Bearer " + PROVIDER_KEYS["alpha"]


def test_other_names_that_envoy_may_show(start_envoy, upstreams):
    providers = plugin.providers()
    providers[1]["upstream_clusters"] = ["nowhere", "al*a"]
    config = plugin.configuration(providers=providers, **TWO)
    envoy = start_envoy(config=config, positions=2, fixed_cluster="alpha")
    expect.good(envoy.post(body=BODY))
    assert upstreams["alpha"].only.header("api-key") == PROVIDER_KEYS["beta"]


def test_a_path_under_the_prefix_that_nobody_decided_about(start_envoy, upstreams):
    """The filter stands in the second position only: the operator has forgotten the first."""
    config = plugin.configuration(**TWO)
    envoy = start_envoy(config=config, positions=2, filter_at="nowhere", fixed_cluster="alpha")
    nothing_was_sent(envoy, upstreams, lambda: envoy.post(body=BODY))


@pytest.mark.parametrize("retry", [None, {"retry_on": "5xx", "num_retries": 1}], ids=["once", "retried"])
@pytest.mark.parametrize("size", [32_000, 65_000, 65_500])
@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
@pytest.mark.parametrize("trailers", [False, True])
def test_a_body_that_outgrows_envoys_buffer(start_envoy, upstreams, path, size, retry, trailers):
    """A longer model id, and a conversion of many small parts: sent whole or refused, and Envoy lives."""
    aliases = {"s": "alpha/" + "long" * 200}
    config = plugin.configuration(
        limits={"max_buffered_bytes": 33_554_432}, model_aliases=aliases, **TWO
    )
    envoy = start_envoy(
        config=config, positions=2, retry=retry, buffer_bytes=65_536, route_buffer_bytes=None
    )
    if path == CHAT:
        body = b'{"messages":[],"x":"' + b"x" * (size - 32) + b'","model":"s"}'
    else:
        one = '{"role":"user","content":"a"},{"role":"assistant","content":"b"}'
        items = ",".join([one] * (size // (len(one) + 1) - 1))
        body = f'{{"input":[{items}],"model":"s"}}'.encode()
    if trailers:
        with envoy.connect2() as client:
            number = client.start("POST", path, headers("main", "application/json"))
            client.send(number, body)
            client.end(number, [("x-last", "1")])
            reply = client.wait(number)
    else:
        reply = envoy.post(path, body)
    if reply.status == 200:
        got = upstreams["alpha"].only
        assert json.loads(got.body)["model"] == "long" * 200
        assert path != CHAT or got.body == body.replace(b'"s"}', b'"' + b"long" * 200 + b'"}')
    else:
        assert reply.status == 413, (reply.status, reply.body[:300])
        for request in upstreams["alpha"].requests:
            request.wait_aborted()
    upstreams["alpha"].reset()
    expect.good(envoy.post(body={"model": "alpha/m", "messages": []}))


def test_what_one_provider_is_sent_is_not_there_for_the_next(start_envoy, upstreams):
    """`request_headers` of one attempt are undone in the next: set ones, removed ones, and a client's several values."""
    providers = plugin.providers()
    by_name = {provider["name"]: provider for provider in providers}
    by_name["alpha"]["request_headers"] = {
        "set": {"openai-organization": "org-alpha", "x-tenant": "alpha", "user-agent": "alpha"},
        "remove": ["x-trace", "x-many"],
    }
    by_name["gamma"]["request_headers"] = {"set": {"x-gamma": "1"}}
    config = plugin.configuration(
        providers=providers,
        model_aliases={"both": {"fallback": ["alpha/a", "gamma/c", "beta/b"], "cluster": "over"}},
    )
    envoy = start_envoy(
        config=config, positions=2, fallbacks={"over": ["alpha", "gamma-cluster", "beta"]}
    )
    busy = answer({"error": {"message": "busy"}}, 503)
    for name in ("alpha", "gamma"):
        upstreams[name].next(busy)
    # Bytes that are no UTF-8 come back, too.
    tenant = "caf\xe9 %e9"
    fields = [("x-tenant", tenant), ("x-trace", "t"), ("x-many", "1"), ("x-many", "2"), ("user-agent", "curl")]
    reply = envoy.post(body={"model": "both", "messages": []}, fields=fields)
    expect.good(reply)
    assert reply.header("x-langwatch-attempts") == "alpha=503, gamma=503, beta=200"

    def seen(name, *names):
        got = upstreams[name].only
        return [got.header(one) for one in names]

    names = ("openai-organization", "x-tenant", "x-trace", "user-agent", "x-gamma")
    assert seen("alpha", *names) == ["org-alpha", "alpha", None, "alpha", None]
    assert seen("alpha", "x-many") == [None]
    assert seen("gamma", *names) == [None, tenant, "t", "curl", "1"]
    assert seen("beta", *names) == [None, tenant, "t", "curl", None]
    for name in ("gamma", "beta"):
        head = upstreams[name].only.head
        many = ",".join(value for field, value in head.fields if field.lower() == "x-many")
        assert many == "1,2"


def own_filters(ports):
    """A cluster with filters of its own, which take the place of the router's: the second position is not there."""
    codec = {"@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"}
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [{"name": "codec", "typed_config": codec}],
    }
    endpoints = [{"lb_endpoints": [host_of("alpha", ports["alpha"])]}]
    cluster = {
        "name": "own-filters",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": "own-filters", "endpoints": endpoints},
    }
    return [cluster], [fallback_route("alpha", {"cluster": "own-filters"})]


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key"])
def test_a_cluster_with_filters_of_its_own_gets_no_key(start_envoy, upstreams, name):
    """Neither the provider's, which is set in the second position, nor the client's."""
    envoy = start_envoy(config=plugin.configuration(**TWO), positions=2, more=own_filters)
    key = plugin.VK["main"]
    fields = [(name, f"Bearer {key}" if name == "authorization" else key), ("content-type", "application/json")]
    envoy.request("POST", CHAT, fields, body=json.dumps({"model": "alpha/m", "messages": []}).encode())
    got = upstreams["alpha"].only
    for secret in (key, *PROVIDER_KEYS.values()):
        assert secret.encode() not in got.head.raw + got.body


@pytest.mark.parametrize("name", ["x-envoy-overloaded", "x-envoy-ratelimited", "x-envoy-max-retries", "x-langwatch-attempts"])
def test_no_answer_keeps_the_next_provider_from_being_asked(start_envoy, upstreams, name):
    config = plugin.configuration(model_aliases={"both": {"fallback": ["alpha/a", "beta/b"], "cluster": "over"}})
    envoy = start_envoy(config=config, positions=2, fallbacks={"over": ["alpha", "beta"]})
    upstreams["alpha"].next(answer({"error": {"message": "busy"}}, 503, headers=[(name, "0")]))
    reply = envoy.post(body={"model": "both", "messages": []})
    expect.good(reply)
    assert reply.header("x-langwatch-attempts") == "alpha=503, beta=200"


FORGED = [
    ("x-envoy-max-retries", "9"),
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-attempt-count", "2"),
    ("x-envoy-hedge-on-per-try-timeout", "true"),
    ("x-langwatch-attempts", "alpha=200"),
    ("x-gateway-cluster", "beta"),
]


@pytest.mark.parametrize("forged", FORGED, ids=[name for name, _ in FORGED])
@pytest.mark.parametrize("allowed", ["first", "all"])
def test_no_header_of_a_clients_changes_who_is_asked(start_envoy, upstreams, forged, allowed):
    """A key that may use the first target only asks that one; every other gets all of them, in order."""
    keys = [{"id": "id-first", "key": "vk-first-of-three-0001", "models_allowed": ["alpha/*"]}]
    config = plugin.configuration(
        virtual_keys=[*plugin.virtual_keys(), *keys],
        model_aliases={"both": {"fallback": ["alpha/a", "beta/b"], "cluster": "over"}},
    )
    envoy = start_envoy(config=config, positions=2, fallbacks={"over": ["alpha", "beta"]})
    upstreams["alpha"].next(answer({"error": {"message": "busy"}}, 503))
    fields = [("content-type", "application/json"), forged]
    key = "vk-first-of-three-0001" if allowed == "first" else plugin.VK["main"]
    fields.append(("authorization", f"Bearer {key}"))
    body = json.dumps({"model": "both", "messages": []}).encode()
    reply = envoy.request("POST", CHAT, fields, body=body)
    assert reply.status == (503 if allowed == "first" else 200)
    assert len(upstreams["alpha"].requests) == 1
    assert len(upstreams["beta"].requests) == (0 if allowed == "first" else 1)
    for name, server in upstreams.items():
        for request in server.requests:
            others = [key for of, key in PROVIDER_KEYS.items() if of != name]
            assert not any(key.encode() in request.head.raw + request.body for key in others)
