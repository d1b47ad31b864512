"""Fixtures: upstreams and Envoys, and the checks that follow every test."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import ENVOY_BIN, FILTER_NATIVE, FILTER_WASM, HOST, Envoy, Pool, Setting, Upstream, responses

UPSTREAMS = {
    **{name: name for name in ("alpha", "beta", "delta", "keyless", "vllm")},
    **{name: name for name in ("listed", "other", "narrow", "plain")},
    "gamma": "gamma-cluster",
}
"""Upstreams by name, each with its Envoy cluster."""

Upstreams = dict[str, Upstream]
StartEnvoy = Callable[..., Envoy]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clients", action="store_true", help="drive the clients that `make clients` builds")
    parser.addoption("--servers", action="store_true", help="ask the servers that `make servers` installs")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What `make clients` and `make servers` get first are suites of their own."""
    own = {"test_drivers.py": "--clients", "servers": "--servers"}
    option = own.get(collection_path.name)
    return True if option and not config.getoption(option) else None


def pytest_sessionstart() -> None:
    module = FILTER_WASM if HOST == "wasm" else FILTER_NATIVE / "libopenai_gateway_filter.so"
    for path in (ENVOY_BIN, module):
        if not path.exists():
            pytest.exit(f"{path} is missing: run `make {HOST} envoy` first", returncode=2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [{"native": "wasm_host", "wasm": "native_host"}[HOST]]
    if Setting().positions == 2:
        others.append("one_position")
    of_other = {item for item in items if any(item.get_closest_marker(other) for other in others)}
    config.hook.pytest_deselected(items=list(of_other))
    items[:] = [item for item in items if item not in of_other]


@pytest.fixture(scope="session")
def all_upstreams() -> Iterator[Upstreams]:
    servers = {name: Upstream(name) for name in UPSTREAMS}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="session")
def ports(all_upstreams: Upstreams) -> Iterator[dict[str, int]]:
    """The port of every cluster. `down` is a port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        clusters = {UPSTREAMS[name]: server.port for name, server in all_upstreams.items()}
        yield {**clusters, "down": bound.getsockname()[1]}


@pytest.fixture(scope="session")
def running() -> list[Envoy]:
    """Every Envoy that runs now."""
    return []


@pytest.fixture(scope="session")
def gateway(ports: dict[str, int], running: list[Envoy]) -> Iterator[Envoy]:
    """The Envoy that tests share, with the suite's own configuration and one worker."""
    with Envoy(Setting(), ports) as envoy:
        running.append(envoy)
        yield envoy
        running.remove(envoy)


@pytest.fixture(scope="session")
def pool(ports: dict[str, int]) -> Iterator[Pool]:
    """What no file uses now."""
    pool = Pool(ports)
    yield pool
    pool.stop()


@pytest.fixture(scope="module", autouse=True)
def file_begins(pool: Pool) -> None:
    """No file gets what another one has used, unless it is made new."""
    pool.begin_file()


@pytest.fixture
def start_envoy(pool: Pool, running: list[Envoy]) -> Iterator[StartEnvoy]:
    """Lends Envoys of other settings; equal settings of one file are one Envoy."""
    with lending(pool, running) as start:
        yield start


@pytest.fixture(scope="module")
def keep_envoy(pool: Pool, running: list[Envoy]) -> Iterator[StartEnvoy]:
    """The same, to the tests of a whole file."""
    with lending(pool, running) as start:
        yield start


@contextmanager
def lending(pool: Pool, running: list[Envoy]) -> Iterator[StartEnvoy]:
    """Lends Envoys until its end."""
    lent: list[tuple[Setting, Envoy]] = []

    def start(**fields: object) -> Envoy:
        setting = Setting(**fields)
        for other, envoy in lent:
            if other == setting and not setting.ecds:
                return envoy
        envoy = pool.lend(setting)
        lent.append((setting, envoy))
        running.append(envoy)
        return envoy

    yield start
    for setting, envoy in lent:
        running.remove(envoy)
        pool.give_back(envoy, setting)


@pytest.fixture(autouse=True)
def upstreams(all_upstreams: Upstreams) -> Upstreams:
    """The scripted upstreams by name, with nothing scripted and nothing recorded."""
    for server in all_upstreams.values():
        server.reset()
    return all_upstreams


@pytest.fixture
def chat_server(upstreams: Upstreams) -> Iterator[Upstream]:
    """`alpha` as a server of chat completions and nothing else: whatever else it is asked for is a
    failure of the test."""
    server = upstreams["alpha"]
    server.handler = responses.not_found
    yield server
    responses.chat_only(server)


@pytest.fixture(autouse=True)
def clean(running: list[Envoy], upstreams: Upstreams, start_envoy: StartEnvoy) -> Iterator[None]:
    """After every test: no panic, no secret where it does not belong, no virtual key upstream. Before what was lent goes back."""
    from harness import plugin

    yield
    for envoy in running:
        envoy.check()
    for name, server in upstreams.items():
        for request in server.requests:
            sent = request.head.raw.decode("latin-1")
            leaked = [key for key in plugin.VK.values() if key in sent]
            assert not leaked, f"{name} was sent {leaked}"
