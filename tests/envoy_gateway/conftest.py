"""Sets up what the tests of this folder look at. `make envoy-gateway` says where Envoy Gateway is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from controller import ModuleServer
from mesh_parts import Provider


def running() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.shutdown()
    server.server_close()


groq = pytest.fixture(running, name="groq")
vllm = pytest.fixture(running, name="vllm")


@pytest.fixture(scope="session")
def programs() -> dict[str, str]:
    """What `make envoy-gateway` has set up. It fails rather than being skipped where a part is missing."""
    found = {
        "envoy_gateway": os.environ.get("ENVOY_GATEWAY", ""),
        "envoy": os.environ["ENVOY_BIN"],
        "module": os.environ["FILTER_WASM"],
    }
    for name, path in found.items():
        assert Path(path).is_file(), f"{name} is not at {path!r}: run `make envoy-gateway`"
    return found


@pytest.fixture
def module_server(programs: dict[str, str]) -> Iterator[ModuleServer]:
    server = ModuleServer(Path(programs["module"]))
    yield server
    server.close()
