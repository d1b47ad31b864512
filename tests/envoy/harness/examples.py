"""The examples that are more than a configuration: each has a program that starts its parts."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from .envoy import ROOT

T = TypeVar("T")


def load(path: str) -> ModuleType:
    """The program of an example, `examples/budgets/run.py`, as a module."""
    name = path.removesuffix(".py").replace("/", "_").replace("-", "_")
    if name not in sys.modules:
        sys.path.insert(0, str(ROOT / "demo"))
        spec = importlib.util.spec_from_file_location(name, ROOT / path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def start(start_on: Callable[[dict[int, int]], T], *ports: int) -> T:
    """Starts an example with each of its ports replaced by a free one. What can't be installed or does not start is a
    failure that says why."""
    from parts import free_port  # noqa: PLC0415  # of demo/, which `load` makes importable
    from stack import StackError  # noqa: PLC0415

    for attempt in range(3):  # a free port may be taken by somebody else before the part has it
        try:
            return start_on({port: free_port() for port in ports})
        except StackError as error:
            if attempt == 2 or "already in use" not in str(error):
                raise
    raise AssertionError
