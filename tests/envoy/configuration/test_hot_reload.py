"""A configuration that is replaced while the gateway works: what is running goes on as it began, what
comes next is governed by the new one, and a bad one changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import (
    ENVOY_BIN,
    FILTER_WASM,
    PATIENCE,
    ROOT,
    Connection,
    Envoy,
    Gate,
    Setting,
    answer,
    expect,
    headers,
    openai_shapes,
    plugin,
    sse,
)
from harness.plugin import VK

CHAT = "/v1/chat/completions"
BODY = {"model": "alpha/m", "messages": []}


def keys(*names: str, **fields: Any) -> list[plugin.Json]:
    return [{"id": f"id-{name}", "key": VK[name], **fields} for name in names]


def setting(*names: str, concurrency: int = 1, **changes: Any) -> Setting:
    """A discovered configuration with these virtual keys."""
    changes.setdefault("virtual_keys", keys(*names))
    config = plugin.configuration(**changes)
    return Setting(config=config, ecds=True, concurrency=concurrency)


@pytest.fixture(scope="module")
def reloading(keep_envoy) -> Envoy:
    first = setting("main", "env")
    return keep_envoy(config=first.config, ecds=True)


@pytest.fixture
def envoy(reloading) -> Envoy:
    """Begins every test with the same configuration."""
    take(reloading, setting("main", "env"))
    return reloading


def take(envoy: Envoy, new: Setting) -> None:
    """Replaces the configuration and waits until it is in force."""
    marker = f"id-{time.monotonic_ns()}"
    new.config["virtual_keys"].append({"id": marker, "key": marker})
    taken, log = envoy.offer_filter(new)
    assert taken, log
    wait_for(lambda: status(envoy, marker) == 200, "the new configuration is not in force")


def status(envoy: Envoy, key: str) -> int:
    return envoy.request("GET", "/v1/models/fast", [("x-api-key", key)]).status


def wait_for(done: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def begin(client: Connection, body: bytes, *fields: tuple[str, str]) -> None:
    """Sends a chat request whose body is announced as a whole."""
    length = [("content-length", str(len(body)))]
    client.send_head("POST", CHAT, headers("main", "application/json", [*length, *fields]))


# What is running


def test_a_stream_goes_on_through_many_replacements(envoy, upstreams):
    gates = [Gate() for _ in range(4)]
    chunk = openai_shapes.chunk
    steps = [step for n, gate in enumerate(gates) for step in (chunk({"content": str(n)}), gate)]
    given = sse(*steps, chunk({}, "stop"), "[DONE]")
    upstreams["alpha"].next(given)
    body = b'{"model":"alpha/m","stream":true}'
    with envoy.connect() as client:
        begin(client, body)
        client.send(body)
        incoming = client.answer()
        for number, gate in enumerate(gates):
            text = f'"content":"{number}"'.encode()
            incoming.read_until(lambda got, text=text: text in got)
            take(envoy, setting("literal" if number % 2 else "env"))
            assert envoy.post(body=BODY).status == 401
            gate.open()
        reply = expect.good(incoming.rest())
    assert reply.body == given.body


@pytest.mark.one_position
def test_an_upload_goes_on(envoy, upstreams):
    """With its model upstream, and with its model still to come."""
    noise = b"x" * 50_000
    early = b'{"model":"alpha/m","prompt":"' + noise + b'"}'
    late = b'{"prompt":"' + noise + b'","model":"alpha/m"}'
    with envoy.connect() as first, envoy.connect() as second:
        for client, body in ((first, early), (second, late)):
            begin(client, body)
            client.send(body[:40_000])
        upstreams["alpha"].wait_request().wait_body(39_000)
        take(envoy, setting("env"))
        for client, body in ((first, early), (second, late)):
            client.send(body[40_000:])
            expect.good(client.answer().rest())
    sent = [got.wait_complete().body for got in upstreams["alpha"].requests]
    assert sent == [early.replace(b"alpha/m", b"m"), late.replace(b"alpha/m", b"m")]


@pytest.mark.parametrize("still", [True, False], ids=["the key is still there", "the key is gone"])
def test_what_is_decided_in_one_position_is_sent_from_the_other(start_envoy, upstreams, still):
    """In two positions the second is that of the new configuration: where that has no such key, nothing is sent."""
    two = {"routing": {"positions": 2}}
    first = setting("main", "env", **two)
    envoy = start_envoy(config=first.config, ecds=True, positions=2)
    take(envoy, first)
    body = b'{"prompt":"' + b"x" * 50_000 + b'","model":"alpha/m"}'
    with envoy.connect() as client:
        begin(client, body)
        client.send(body[:40_000])
        time.sleep(0.1)
        take(envoy, setting(*(("main", "env") if still else ("env",)), **two))
        client.send(body[40_000:])
        reply = client.answer().rest()
    if still:
        expect.good(reply)
        assert upstreams["alpha"].only.body == body.replace(b"alpha/m", b"m")
    else:
        assert reply.status == 500 and b"configuration has changed" in reply.body, reply
        assert upstreams["alpha"].requests == []


def test_a_list_that_is_being_fetched_is_answered(envoy, upstreams):
    """By the configuration that the request began with, also when the lists come later."""
    gate = Gate()
    upstreams["alpha"].next(answer({"data": [{"id": "slow"}]}, hold=gate))
    bound = setting(virtual_keys=keys("main", providers=["alpha"]), models_cache_seconds=0)
    take(envoy, bound)
    with envoy.connect() as client:
        client.send_head("GET", "/v1/models", headers("main"))
        gate.wait_reached()
        take(envoy, setting("env"))
        assert status(envoy, VK["main"]) == 401
        gate.open()
        shown = expect.good(client.answer("GET").rest()).json()["data"]
    assert [model["id"] for model in shown] == ["alpha/slow"]


def test_a_client_that_leaves_after_the_replacement(envoy, upstreams):
    """While the old configuration still fetches for it."""
    gate = Gate()
    upstreams["alpha"].next(answer({"data": []}, hold=gate))
    take(envoy, setting(virtual_keys=keys("main", providers=["alpha"]), models_cache_seconds=0))
    with envoy.connect() as client:
        client.send_head("GET", "/v1/models", headers("main"))
        gate.wait_reached()
        take(envoy, setting("main"))
        client.reset()
    active = "http.gateway.downstream_rq_active"
    wait_for(lambda: envoy.stat(active) == 0, "the request is still there")
    gate.open()
    expect.good(envoy.post(body=BODY))


def test_clients_that_leave_as_the_list_comes(envoy, upstreams):
    """The old configuration ends with the last of its requests, just as the answer to its call comes in: Envoy has died of
    that, once in some fifty times."""
    bound = setting(virtual_keys=keys("main", providers=["alpha"]), models_cache_seconds=0)
    for turn in range(120):
        gate = Gate()
        upstreams["alpha"].reset()
        upstreams["alpha"].next(answer({"data": []}, hold=gate))
        take(envoy, bound)
        with contextlib.suppress(ConnectionResetError), envoy.connect() as client:
            client.send_head("GET", "/v1/models", headers("main"))
            gate.wait_reached()
            take(envoy, setting("main"))
            if turn % 3 == 0:
                gate.open()
            time.sleep(turn % 4 / 1000)
            client.reset()
        gate.open()
        expect.good(envoy.post(body=BODY))


# What comes next


def test_a_key_is_revoked_and_comes_back(envoy):
    expect.good(envoy.post(body=BODY))
    for revoked in (True, False, True):
        take(envoy, setting(virtual_keys=keys("main", revoked=revoked)))
        reply = envoy.post(body=BODY)
        if revoked:
            expect.gateway_error(reply, 403, "virtual_key_revoked")
        else:
            expect.good(reply)


def test_a_kept_connection_gets_the_new_configuration(envoy):
    with envoy.connect() as client:
        body = json.dumps(BODY).encode()
        expect.good(client.request("POST", CHAT, headers("main"), body))
        take(envoy, setting("env"))
        reply = client.request("POST", CHAT, headers("main"), body)
        expect.gateway_error(reply, 401, "invalid_api_key")


def test_a_providers_credential_changes(envoy, upstreams):
    for number in (1, 2):
        providers = plugin.providers()
        providers[0]["auth"] = {"key": f"sk-rotated-{number}"}
        take(envoy, setting("main", providers=providers))
        upstreams["alpha"].reset()
        expect.good(envoy.post(body=BODY))
        got = upstreams["alpha"].only
        assert got.header("authorization") == f"Bearer sk-rotated-{number}"
    assert "sk-rotated" not in envoy.log()


def test_kept_lists_are_those_of_their_configuration(envoy, upstreams):
    """A provider whose address or credential changed may have other models."""
    for number in (1, 2):
        upstreams["alpha"].next(answer({"data": [{"id": f"m{number}"}]}))
        take(envoy, setting(virtual_keys=keys("main", providers=["alpha"])))
        for _ in range(2):
            shown = expect.good(envoy.request("GET", "/v1/models", headers("main"))).json()["data"]
            assert [model["id"] for model in shown] == [f"alpha/m{number}"]
    assert len(upstreams["alpha"].requests) == 2


def test_every_worker_changes(start_envoy):
    first = setting("main", concurrency=2)
    envoy = start_envoy(config=first.config, ecds=True, concurrency=2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(envoy.connect()) for _ in range(12)]

        def statuses(name: str) -> set[int]:
            path = "/v1/models/fast"
            return {client.request("GET", path, headers(name)).status for client in clients}

        for name, other in (("env", "main"), ("main", "env")):
            taken, log = envoy.offer_filter(setting(name, concurrency=2))
            assert taken, log
            wait_for(lambda name=name: statuses(name) == {200}, "a worker has the old configuration")
            assert statuses(other) == {401}


@pytest.mark.one_position
def test_requests_meanwhile_are_all_answered(envoy):
    """Under one configuration or the other, never neither."""
    stop = threading.Event()
    answers: list[int] = []

    def ask() -> None:
        while not stop.is_set():
            answers.append(envoy.post(body=BODY).status)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(10):
        take(envoy, setting(*(("main",) if number % 2 else ("env",))))
    stop.set()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 401} and 200 in answers and 401 in answers


# What is refused


def broken(**fields: Any) -> plugin.Json:
    config = plugin.configuration(virtual_keys=keys("literal"))
    return {**config, **fields}


REFUSED = {
    "an unknown field": (broken(virtual_key=[]), "virtual_key"),
    "a wrong kind": (broken(providers=[{"name": "a", "kind": "nope"}]), "providers[0].kind"),
    "an unknown provider": (
        broken(virtual_keys=keys("literal", providers=["zeta"])),
        "virtual_keys[0].providers[0]",
    ),
    "a key that the VM does not have": (
        broken(virtual_keys=[{"id": "x", "key_env": "NOT_THERE"}]),
        "virtual_keys[0].key_env",
    ),
    "two keys alike": (broken(virtual_keys=keys("literal") + keys("literal")), "virtual_keys[1]"),
    "no JSON": ("{", "refused"),
    "nothing": ("", "refused"),
}


@pytest.mark.parametrize(("config", "said"), REFUSED.values(), ids=REFUSED)
def test_a_bad_configuration_changes_nothing(envoy, config, said):
    taken, log = envoy.offer_filter(Setting(config=config, ecds=True))
    assert not taken
    assert said in log, log
    expect.good(envoy.post(body=BODY))
    expect.good(envoy.post(body=BODY, vk="env"))
    expect.gateway_error(envoy.post(body=BODY, vk="literal"), 401, "invalid_api_key")


def test_a_good_one_is_taken_after_bad_ones(envoy):
    for config in (broken(nonsense=1), "[]", broken(providers=[])):
        taken, _ = envoy.offer_filter(Setting(config=config, ecds=True))
        assert not taken
    take(envoy, setting("literal"))
    expect.good(envoy.post(body=BODY, vk="literal"))
    expect.gateway_error(envoy.post(body=BODY), 401, "invalid_api_key")


# The example, as its README tells it


@pytest.fixture(scope="module")
def example(ports, tmp_path_factory) -> Iterator[tuple[int, Path]]:
    """Envoy on a copy of examples/hot-reload with ports of its own: the listener's port, and the
    folder that it runs in."""
    folder = tmp_path_factory.mktemp("example")
    copied = folder / "examples" / "hot-reload"
    shutil.copytree(ROOT / "examples" / "hot-reload", copied)
    module = folder / "target" / "wasm32-wasip1" / "release" / "openai_gateway_filter.wasm"
    module.parent.mkdir(parents=True)
    module.symlink_to(FILTER_WASM)
    text = (copied / "envoy.yaml").read_text()
    for name, port in (("10000", 0), ("9901", 0), ("8000", ports["vllm"])):
        assert text.count(f"port_value: {name}") == 1
        text = text.replace(f"port_value: {name}", f"port_value: {port}")
    (copied / "envoy.yaml").write_text(text)
    command = [
        *(ENVOY_BIN, "-c", "examples/hot-reload/envoy.yaml", "--reject-unknown-dynamic-fields"),
        *("--admin-address-path", "admin", "--disable-hot-restart", "--concurrency", "1"),
    ]
    environment = {"PATH": os.environ.get("PATH", ""), "TEAM_KEY": VK["main"]}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield listening_port(process, folder), folder
    finally:
        process.kill()
        process.wait()


def listening_port(process: subprocess.Popen[bytes], folder: Path) -> int:
    import urllib.request

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "log").read_text()
        with contextlib.suppress(OSError, KeyError, IndexError, ValueError):
            admin = (folder / "admin").read_text()
            with urllib.request.urlopen(f"http://{admin}/ready", timeout=5) as reply:
                assert reply.read().startswith(b"LIVE")
            with urllib.request.urlopen(f"http://{admin}/listeners?format=json", timeout=5) as reply:
                [listener] = json.loads(reply.read())["listener_statuses"]
            return listener["local_address"]["socket_address"]["port_value"]
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())


@pytest.mark.wasm_host  # its file names the wasm module
def test_the_example(example, upstreams):
    port, folder = example

    def ask(key: str) -> int:
        body = b'{"model":"mock-chat","messages":[]}'
        fields = [("authorization", f"Bearer {key}")]
        with Connection(port) as client:
            return client.request("POST", CHAT, fields, body).status

    def replace(old: str, new: str) -> None:
        text = current.read_text()
        assert text.count(old) == 1
        (current.parent / "next.yaml").write_text(text.replace(old, new))
        (current.parent / "next.yaml").rename(current)

    current = folder / "examples" / "hot-reload" / "filter.yaml"
    contractor = "vk-demo-contractor"
    assert (ask(contractor), ask(VK["main"]), ask("vk-other")) == (200, 200, 401)
    replace("revoked: false", "revoked: true")
    wait_for(lambda: ask(contractor) == 403, "the key is still good")
    assert ask(VK["main"]) == 200
    replace("kind: vllm", "kind: vlllm")
    wait_for(lambda: "providers[0].kind" in (folder / "log").read_text(), "nothing is logged")
    assert (ask(contractor), ask(VK["main"])) == (403, 200)
    replace("kind: vlllm", "kind: vllm")
    replace("revoked: true", "revoked: false")
    wait_for(lambda: ask(contractor) == 200, "the key does not come back")
    assert upstreams["vllm"].requests[-1].path == "/v1/chat/completions"
