"""The native module and the Envoy at hand speak of the same functions."""

from __future__ import annotations

import subprocess
import sys

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


PROGRAM = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.dlopen.restype = libc.dlsym.restype = ctypes.c_void_p
library = libc.dlopen(sys.argv[1].encode(), os.RTLD_LAZY)
assert library, "it can't be opened"
start = libc.dlsym(ctypes.c_void_p(library), b"envoy_dynamic_module_on_program_init")
told = ctypes.CFUNCTYPE(ctypes.c_void_p)(start)()
assert told is None, "it starts all the same"
"""
"""Opens the module as Envoy does, without Envoy's functions."""


def test_an_envoy_that_lacks_a_function_is_told_which_one_it_takes():
    done = subprocess.run([sys.executable, "-c", PROGRAM, LIBRARY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "for Envoy 1.38 and later" in done.stderr
    assert "has no function envoy_dynamic_module_callback_" in done.stderr


def test_a_struct_is_read_as_well(ports):
    """Envoy passes a Struct as JSON to a dynamic module; what is wrong with it is named with its path."""
    log = refused_log(Setting(config={"providers": "none"}, form="struct"), ports)
    assert "providers: " in log
