"""A panic in any hook of the native module costs one request: the others, and Envoy, go on."""

from __future__ import annotations

import pytest
from harness import FILTER_NATIVE, Envoy, Gate, Setting, answer, expect, headers, openai_shapes, plugin, sse
from harness.wire import Truncated

pytestmark = [pytest.mark.native_host, pytest.mark.one_position]  # in two, a panic strikes both instances
FAULTS = FILTER_NATIVE / "faults"
"""The library that panics where a request's `x-fault` says (scripts/native.sh --faults)."""
CHAT = "/v1/chat/completions"
BODY = b'{"model":"alpha/m","messages":[],"stream":true}'
chunk = openai_shapes.chunk


@pytest.fixture(scope="module")
def faulty(ports):
    assert (FAULTS / "libopenai_gateway_filter.so").exists(), "run `make native-faults` first"
    env = {**plugin.ENV, "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(FAULTS)}
    with Envoy(Setting(env=env), ports) as envoy:
        yield envoy


def struck(envoy, hook: str):
    """A request that asks for a panic, with trailers in both directions."""
    fields = [("x-fault", hook), ("transfer-encoding", "chunked")]
    with envoy.connect() as client:
        client.send_head("POST", CHAT, headers("main", "application/json", fields))
        client.send(b"%x\r\n%s\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(BODY), BODY))
        return client.answer().rest()


HEAD_HELD = ["request_head", "request_body", "request_trailers", "response_head", "response_body"]


@pytest.mark.parametrize("hook", HEAD_HELD)
def test_its_request_gets_a_500_and_the_others_go_on(faulty, upstreams, hook):
    told = f"a panic was caught in the hook {hook};"
    before = faulty.log().count(told)
    gate = Gate()
    upstreams["beta"].next(
        sse(chunk({"content": "Hel"}), gate, chunk({"content": "lo"}), chunk({}, "stop"), "[DONE]")
    )
    beside = BODY.replace(b"alpha", b"beta")
    with faulty.connect() as client:
        length = ("content-length", str(len(beside)))
        client.send_head("POST", CHAT, headers("main", None, [length]))
        client.send(beside)
        incoming = client.answer()
        incoming.read_until(lambda got: b"Hel" in got)

        for _ in range(3):
            upstreams["alpha"].next(sse(chunk({"content": "a"}, "stop"), "[DONE]", trailers=[("x-end", "1")]))
            expect.gateway_error(struck(faulty, hook), 500, "internal_error")
        assert faulty.log().count(told) == before + 3

        gate.open()
        rest = incoming.rest()
        assert rest.complete and rest.body.endswith(b"data: [DONE]\n\n")
    upstreams["alpha"].next(answer(openai_shapes.completion()))
    expect.good(faulty.post(body={"model": "alpha/m", "messages": []}))


def test_an_answer_that_has_begun_is_cut(faulty, upstreams):
    """Behind a head that has gone on there is no 500: the stream is reset, not ended as if it were whole."""
    upstreams["alpha"].next(sse(chunk({"content": "a"}, "stop"), "[DONE]", trailers=[("x-end", "1")]))
    try:
        assert not struck(faulty, "response_trailers").complete
    except Truncated:
        pass
    assert "a panic was caught in the hook response_trailers" in faulty.log()
    upstreams["alpha"].next(answer(openai_shapes.completion()))
    expect.good(faulty.post(body={"model": "alpha/m", "messages": []}))


def test_a_model_list_that_comes_back_to_a_panic(faulty, upstreams):
    """In the hook that Envoy runs when the lists are there."""
    listed = answer({"object": "list", "data": [{"id": "m"}]})
    for server in upstreams.values():
        server.handler = lambda _: listed
    fields = headers("main", None, [("x-fault", "scheduled")])
    expect.gateway_error(faulty.request("GET", "/v1/models", fields), 500, "internal_error")
    assert expect.good(faulty.request("GET", "/v1/models", headers("main", None))).json()["data"]
