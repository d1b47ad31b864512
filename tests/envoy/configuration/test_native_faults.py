"""A panic in any hook of the native module costs one request: the others, and Envoy, go on."""

from __future__ import annotations

import subprocess
import time

import pytest
from harness import FILTER_NATIVE, PATIENCE, Envoy, Gate, Setting, answer, expect, headers, openai_shapes, plugin, sse
from harness.envoy import EnvoyDied
from harness.wire import Truncated

pytestmark = [pytest.mark.native_host, pytest.mark.one_position]  # in two, a panic strikes both instances
FAULTS = FILTER_NATIVE / "faults"
"""The library that panics where a request's `x-fault` says, or Envoy's GATEWAY_FAULT (scripts/native.sh --faults)."""
ENV = {**plugin.ENV, "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(FAULTS)}
CHAT = "/v1/chat/completions"
BODY = b'{"model":"alpha/m","messages":[],"stream":true}'
chunk = openai_shapes.chunk

HEAD_HELD = ["request_headers", "request_body", "request_trailers", "response_headers", "response_body"]
"""Hooks of a stream in which its request still can get an answer."""
LATE = ["response_trailers", "stream_complete"]
ONCE = ["new", "destroy", "config_new", "config_destroy"]
"""Hooks that know no request: struck once in a process."""
ELSEWHERE = ["scheduled", "http_callout_done"]
"""While a stream waits for lists of models."""
NOTHING = ["local_reply"]
"""Returns a number."""
EMPTY = [
    *(f"{of}http_stream_{what}" for of in ("", "config_") for what in ("headers", "data", "trailers", "complete", "reset")),
    "config_scheduled",
    "config_http_callout_done",
    "downstream_above_write_buffer_high_watermark",
    "downstream_below_write_buffer_low_watermark",
]
"""Envoy refuses a library without them; they have no body."""


def test_every_hook_is_struck_here():
    """What the library exports, against the tables above."""
    library = FAULTS / "libopenai_gateway_filter.so"
    told = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    prefix = "envoy_dynamic_module_on_"
    names = {line.split()[-1].removeprefix(prefix) for line in told.splitlines() if prefix in line}
    hooks = {name.removeprefix("http_filter_") for name in names} - {"program_init"}  # before there is a log
    assert hooks == {*HEAD_HELD, *LATE, *ONCE, *ELSEWHERE, *NOTHING, *EMPTY}


@pytest.fixture(scope="module")
def faulty(ports):
    assert (FAULTS / "libopenai_gateway_filter.so").exists(), "run `make native-faults` first"
    with Envoy(Setting(env=ENV), ports) as envoy:
        yield envoy


def struck(envoy, hook: str):
    """A request that asks for a panic, with trailers in both directions."""
    fields = [("x-fault", hook), ("transfer-encoding", "chunked")]
    with envoy.connect() as client:
        client.send_head("POST", CHAT, headers("main", "application/json", fields))
        client.send(b"%x\r\n%s\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(BODY), BODY))
        return client.answer().rest()


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


def test_nothing_is_answered_where_the_stream_is_over(faulty, upstreams):
    upstreams["alpha"].next(sse(chunk({"content": "a"}, "stop"), "[DONE]", trailers=[("x-end", "1")]))
    assert struck(faulty, "stream_complete").complete
    assert "a panic was caught in the hook stream_complete" in faulty.log()
    upstreams["alpha"].next(answer(openai_shapes.completion()))
    expect.good(faulty.post(body={"model": "alpha/m", "messages": []}))


def lists(upstreams) -> None:
    listed = answer({"object": "list", "data": [{"id": "m"}]})
    for server in upstreams.values():
        server.handler = lambda _: listed


@pytest.mark.parametrize("hook", ["new", "destroy"])
def test_a_hook_without_a_request(ports, upstreams, hook):
    """The first request meets it; the next one is as ever."""
    lists(upstreams)
    setting = Setting(env={**ENV, "GATEWAY_FAULT": hook}, config=plugin.configuration(models_cache_seconds=0))
    with Envoy(setting, ports) as envoy:
        first = envoy.request("GET", "/v1/models", headers("main", None))
        if hook == "new":
            # There is no filter yet that could say more: Envoy's own answer.
            assert (first.status, first.body) == (500, b"")
        else:
            data = expect.good(first).json()["data"]
            assert {"alpha/m", "beta/m"} & {model["id"] for model in data}, data
        second = expect.good(envoy.request("GET", "/v1/models", headers("main", None))).json()["data"]
        assert {"alpha/m", "beta/m"} <= {model["id"] for model in second}
        assert envoy.log().count(f"a panic was caught in the hook {hook}") == 1


def test_a_configuration_that_panics_is_refused(ports):
    with pytest.raises(EnvoyDied, match="a panic was caught in the hook config_new"):
        Envoy(Setting(env={**ENV, "GATEWAY_FAULT": "config_new"}), ports)


def test_a_configuration_that_panics_as_it_goes(ports, upstreams):
    """Replaced, the old one is destroyed while Envoy runs."""
    env = {**ENV, "GATEWAY_FAULT": "config_destroy"}
    with Envoy(Setting(env=env, ecds=True), ports) as envoy:
        taken, log = envoy.offer_filter(Setting(env=env, ecds=True, config=plugin.configuration(models_cache_seconds=1)))
        assert taken, log
        deadline = time.monotonic() + PATIENCE
        while "a panic was caught in the hook config_destroy" not in envoy.log():
            assert time.monotonic() < deadline, envoy.log()
            time.sleep(0.02)
        upstreams["alpha"].next(answer(openai_shapes.completion()))
        expect.good(envoy.post(body={"model": "alpha/m", "messages": []}))


@pytest.mark.parametrize("hook", ELSEWHERE)
def test_a_model_list_that_comes_back_to_a_panic(ports, upstreams, hook):
    """In the hook that Envoy runs when a provider has answered, and in that which it runs when the lists are there."""
    lists(upstreams)
    fields = headers("main", None, [("x-fault", hook)])
    with Envoy(Setting(env=ENV, config=plugin.configuration(models_cache_seconds=0)), ports) as envoy:
        expect.gateway_error(envoy.request("GET", "/v1/models", fields), 500, "internal_error")
        assert expect.good(envoy.request("GET", "/v1/models", headers("main", None))).json()["data"]
        assert f"a panic was caught in the hook {hook}" in envoy.log()
