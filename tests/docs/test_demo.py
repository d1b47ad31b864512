"""What the Makefile shows and checks itself, run as it is: `make demo` and `make fallback`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from test_docs import ROOT


@pytest.mark.wasm_host
@pytest.mark.parametrize("program", ["demo.py", "fallback.py"])
def test_everything_is_as_expected(program: str) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "demo" / program], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert result.stdout.endswith("Everything as expected.\n")
