"""Sets up what the tests of this folder look at. `make istio` says where istiod is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mesh_parts import Provider


def running() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.shutdown()
    server.server_close()


provider = pytest.fixture(running, name="provider")
second = pytest.fixture(running, name="second")


@pytest.fixture(scope="session")
def programs() -> dict[str, str]:
    """What `make istio` has set up. It fails rather than being skipped where a part is missing."""
    found = {"istiod": os.environ.get("ISTIOD", ""), "envoy": os.environ["ENVOY_BIN"], "module": os.environ["FILTER_WASM"]}
    for name, path in found.items():
        assert Path(path).is_file(), f"{name} is not at {path!r}: run `make istio`"
    return found
