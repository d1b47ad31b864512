"""Where the filter stands and how Envoy is set around it: retries, the upstream position, the knob,
and a configuration that is replaced while streams run."""

from __future__ import annotations

import time

import pytest
from harness import (
    Gate,
    Setting,
    answer,
    expect,
    headers,
    openai_shapes,
    plugin,
    sse,
    wire,
)
from harness.plugin import PROVIDER_KEYS

CHAT = "/v1/chat/completions"
BODY = b'{"messages":[{"role":"user","content":"hi"}],"model":"alpha/m"}'
REWRITTEN = BODY.replace(b"alpha/m", b"m")
RETRY = {"retry_on": "5xx,reset", "num_retries": 2, "retry_back_off": {"base_interval": "0.01s"}}


def assert_same_attempts(attempts):
    """Every attempt is the rewritten request, whole, with the provider's credential."""
    for got in attempts:
        got.wait_complete()
        assert got.path == "/openai/v1/chat/completions"
        assert got.header("host") == "alpha.test"
        assert got.header("authorization") == f"Bearer {PROVIDER_KEYS['alpha']}"
        assert got.body == REWRITTEN
        assert got.header("content-length") in (str(len(REWRITTEN)), None)


@pytest.mark.parametrize("position", ["downstream", pytest.param("upstream", marks=pytest.mark.one_position)])
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_retry_sends_the_rewritten_request(start_envoy, upstreams, position, chunked):
    envoy = start_envoy(filter_at=position, retry=RETRY)
    upstreams["alpha"].next(
        answer({"error": {"message": "busy"}}, 503), answer(silent=True, end="reset")
    )
    sent = {"pieces": wire.split(BODY, 10)} if chunked else {"body": BODY}
    expect.good(envoy.post(**sent))
    attempts = upstreams["alpha"].requests
    assert len(attempts) == 3
    assert_same_attempts(attempts)


@pytest.mark.one_position
def test_the_upstream_position_governs_too(start_envoy, upstreams):
    envoy = start_envoy(filter_at="upstream", retry=RETRY)
    expect.gateway_error(envoy.post(body=BODY, vk=None), 401, "invalid_api_key")
    expect.gateway_error(envoy.post(body=BODY, vk="none"), 403, "model_not_allowed")
    assert upstreams["alpha"].requests == []
    expect.good(envoy.post(body=BODY))
    assert_same_attempts(upstreams["alpha"].requests)


@pytest.mark.wasm_host
def test_without_the_knob_nothing_passes_unchecked(start_envoy, upstreams):
    """Without `allow_on_headers_stop_iteration` Envoy never shows the body of a held request: it
    waits until Envoy's idle timeout. No request goes out, and what needs no body still answers."""
    envoy = start_envoy(stop_iteration=False, idle_timeout="0.5s")
    with envoy.sends_nothing():
        reply = envoy.post(body=BODY)
        assert reply.status in (408, 504), reply
        expect.gateway_error(envoy.post(body=BODY, vk=None), 401, "invalid_api_key")
        reply = envoy.request("POST", "/v1/nothing", headers("main"))
        expect.gateway_error(reply, 404, "unknown_url")
    expect.good(envoy.request("GET", "/plain"))


def keys_only(*names: str) -> dict:
    """The suite's configuration with some of its virtual keys."""
    kept = [key for key in plugin.virtual_keys() if key["id"] in {f"id-{name}" for name in names}]
    return plugin.configuration(virtual_keys=kept)


def wait_status(envoy, vk: str, status: int) -> None:
    """Asks until a key gets a status."""
    deadline = time.monotonic() + 20
    while (reply := envoy.post(body={"model": "alpha/m"}, vk=vk)).status != status:
        assert time.monotonic() < deadline, (vk, reply)
        time.sleep(0.05)


def test_a_new_configuration_is_used_without_a_restart(start_envoy, upstreams):
    before = Setting(config=keys_only("main"), ecds=True)
    envoy = start_envoy(config=before.config, ecds=True)
    wait_status(envoy, "main", 200)
    assert envoy.post(body={"model": "alpha/m"}, vk="literal").status == 401
    upstreams["alpha"].reset()

    gate = Gate()
    chunk = openai_shapes.chunk
    upstreams["alpha"].next(
        sse(chunk({"content": "Hel"}), gate, chunk({"content": "lo"}), chunk({}, "stop"), "[DONE]")
    )
    with envoy.connect() as client:
        body = b'{"model":"alpha/m","stream":true}'
        client.send_head("POST", CHAT, headers("main", None, [("content-length", str(len(body)))]))
        client.send(body)
        incoming = client.answer()
        incoming.read_until(lambda got: b"Hel" in got)

        envoy.replace_filter(Setting(config=keys_only("literal"), ecds=True))
        wait_status(envoy, "literal", 200)
        wait_status(envoy, "main", 401)

        gate.open()
        running = incoming.rest()
        assert running.complete and running.body.endswith(b"data: [DONE]\n\n")

    bad = keys_only("main")
    bad["providers"][0]["kind"] = "unknown"
    taken, log = envoy.offer_filter(Setting(config=bad, ecds=True))
    assert not taken and "providers[0].kind" in log
    assert envoy.post(body={"model": "alpha/m"}, vk="literal").status == 200
    assert envoy.post(body={"model": "alpha/m"}, vk="main").status == 401

    envoy.replace_filter(before)
    wait_status(envoy, "main", 200)
