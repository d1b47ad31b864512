"""A route that does not follow the filter is noticed with the first answer, and then nothing more is sent that way."""

from __future__ import annotations

import pytest
from harness import answer, expect, openai_shapes, plugin, sse

pytestmark = pytest.mark.one_position  # in two, no credential goes out before the host is known: see test_positions.py

BODY = {"model": "beta/m", "messages": []}


def test_the_first_answer_is_replaced_and_the_next_request_not_sent(start_envoy, upstreams):
    envoy = start_envoy(fixed_cluster="alpha")
    upstreams["alpha"].next(answer(openai_shapes.completion()))
    message = expect.gateway_error(envoy.post(body=BODY), 502, "misrouted")
    assert "routing header" in message and "beta" in message
    assert len(upstreams["alpha"].requests) == 1
    assert "misrouted: a request for provider beta went to cluster" in envoy.log()
    with envoy.sends_nothing():
        expect.gateway_error(envoy.post(body=BODY), 502, "misrouted")
    # The provider whose cluster it is goes on.
    expect.good(envoy.post(body={"model": "alpha/m", "messages": []}))


def test_a_stream_is_replaced_too(start_envoy, upstreams):
    envoy = start_envoy(fixed_cluster="delta", env={**plugin.ENV, "SEVERAL": "1"})
    upstreams["delta"].next(sse(openai_shapes.chunk({"content": "a"}), "[DONE]"))
    expect.gateway_error(envoy.post(body={**BODY, "stream": True}), 502, "misrouted")


def test_other_names_that_envoy_may_show(start_envoy, upstreams):
    providers = plugin.providers()
    providers[1]["upstream_clusters"] = ["nowhere", "al*a"]
    envoy = start_envoy(config=plugin.configuration(providers=providers), fixed_cluster="alpha")
    for _ in range(2):
        expect.good(envoy.post(body=BODY))


@pytest.mark.parametrize("status", [302, 303, 307])
@pytest.mark.parametrize("to", ["http://beta.test/plain/x", "http://beta.test/v1/chat/completions", "http://beta.test/V1/x"])
def test_a_redirect_that_envoy_follows_takes_no_credential_along(start_envoy, upstreams, status, to):
    """`internal_redirect_policy`: the head that goes to the next place is the one that was rewritten."""
    envoy = start_envoy(redirects=True)
    upstreams["alpha"].next(answer("", status, headers=[("location", to)]))
    reply = envoy.post(body={"model": "alpha/m", "messages": []})
    assert reply.status in (401, 404, 500), reply
    assert len(upstreams["alpha"].requests) == 1
    assert all(server.requests == [] for name, server in upstreams.items() if name != "alpha")
    # Who has such a key may use it outside.
    fields = [("authorization", "Bearer " + plugin.PROVIDER_KEYS["alpha"])]
    expect.good(envoy.request("GET", "/plain", fields))
    assert upstreams["plain"].only.header("authorization") == fields[0][1]
