"""The native module and the Envoy at hand speak of the same functions."""

from __future__ import annotations

import subprocess

import pytest
from harness import ENVOY_BIN, FILTER_NATIVE, Setting, refused_log

pytestmark = pytest.mark.native_host
LIBRARY = FILTER_NATIVE / "libopenai_gateway_filter.so"


def symbols(path, kind: str) -> set[str]:
    told = subprocess.run(
        ["nm", "-D", f"--{kind}-only", path], check=True, capture_output=True, text=True
    ).stdout
    names = {line.split()[-1].partition("@")[0] for line in told.splitlines()}
    return {name for name in names if name.startswith("envoy_dynamic_module_")}


def test_envoy_has_every_function_that_the_module_calls():
    called = symbols(LIBRARY, "undefined")
    assert called
    assert called <= symbols(ENVOY_BIN, "defined")


def test_a_struct_is_read_as_well(ports):
    """Envoy passes a Struct as JSON to a dynamic module; what is wrong with it is named with its path."""
    log = refused_log(Setting(config={"providers": "none"}, form="struct"), ports)
    assert "providers: " in log
