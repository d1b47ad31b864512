"""`routing.authority`: who says which host a request is for, and with that in which virtual host Envoy finds its route."""

from __future__ import annotations

import pytest
from harness import answer, expect, headers, plugin

BODY = b'{"model":"alpha/m","messages":[]}'
DOMAINS = ("shop.test", "alpha.test")
"""A client's, and the provider's."""


def ask(envoy):
    fields = [("host", "shop.test"), *headers("main", "application/json")]
    return expect.good(envoy.request("POST", "/v1/chat/completions", fields, body=BODY))


@pytest.mark.parametrize(
    ("positions", "authority", "found_by", "sent"),
    [
        (1, None, "alpha.test", "alpha.test"),
        (1, "filter", "alpha.test", "alpha.test"),
        (1, "route", "shop.test", "shop.test"),
        (2, None, "shop.test", "alpha.test"),
        (2, "upstream", "shop.test", "alpha.test"),
        (2, "filter", "alpha.test", "alpha.test"),
        (2, "route", "shop.test", "shop.test"),
    ],
)
def test_by_which_host_a_route_is_found(start_envoy, upstreams, positions, authority, found_by, sent):
    routing = {"positions": positions, **({"authority": authority} if authority else {})}
    envoy = start_envoy(
        config=plugin.configuration(routing=routing), positions=positions, domains=DOMAINS
    )
    reply = ask(envoy)
    assert reply.header("x-virtual-host") == found_by
    assert upstreams["alpha"].only.header("host") == sent


@pytest.mark.parametrize("positions", [1, 2])
def test_with_route_the_routes_own_host_is_sent(start_envoy, upstreams, positions):
    routing = {"positions": positions, "authority": "route"}
    envoy = start_envoy(
        config=plugin.configuration(routing=routing),
        positions=positions,
        domains=DOMAINS,
        rewrite_host="rewritten.test",
        retry={"retry_on": "5xx", "num_retries": 1},
    )
    upstreams["alpha"].next(answer({"error": {"message": "busy"}}, 503))
    reply = ask(envoy)
    assert reply.header("x-virtual-host") == "shop.test"
    assert [got.header("host") for got in upstreams["alpha"].requests] == ["rewritten.test"] * 2


@pytest.mark.parametrize("shipped", [False, True], ids=["bare", "shipped replies"])
@pytest.mark.parametrize(
    ("positions", "alias"), [(1, None), (2, None), (2, {"fallback": ["alpha/m", "beta/m"], "cluster": "over"})]
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_no_route_for_the_providers_host(start_envoy, upstreams, positions, alias, path, shipped):
    """Envoy's own 404 (NR) is no upstream's, and says nothing of URLs or models: what was looked for is told."""
    config = plugin.configuration(
        routing={"positions": positions, "authority": "filter"}, model_aliases={"both": alias or "alpha/m"}
    )
    envoy = start_envoy(
        config=config, positions=positions, domains=DOMAINS[:1], every_host=False, shipped_edges=shipped
    )
    said = b'"input":"hi"' if path.endswith("responses") else b'"max_tokens":5,"messages":[{"role":"user","content":"hi"}]'
    body = b'{"model":"both",' + said + b"}"
    fields = [("host", "shop.test"), *headers("main", "application/json")]
    reply = envoy.request("POST", path, fields, body=body)
    error = reply.json()["error"]
    assert (reply.status, reply.header("x-langwatch-error") or error["code"]) == (502, "misrouted"), reply
    cluster = "over" if alias else "alpha"
    for told in ("provider alpha", "host alpha.test", f"x-gateway-cluster: {cluster}", "Nobody was asked"):
        assert told in error["message"]
    assert all(server.requests == [] for server in upstreams.values())
