"""Resident memory of Envoy in a few states, each in a process of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import work
from contenders import Contender
from measure import figures
from processes import Envoy, Load

Json = dict[str, Any]
MB = 1e6
BODIES = 24
"""Requests of a state in which bodies pass."""


def _status(pid: int, name: str) -> float:
    """VmRSS (now) or VmHWM (the most since it was reset), in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024 / MB
    return 0.0


def _reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def of(load: Load, contender: Contender) -> Json:
    """MB: `idle`, and for each state of work.for_memory() what came on top of idle at the most."""
    result: Json = {}
    idle = []
    for name, row in work.for_memory().items():
        if contender.name == "bare" and name == "20m-last":
            continue
        envoy = Envoy(contender, load.port)
        try:
            # One request first: what is set up once belongs to nobody's state.
            load.run(envoy, work.rows()[0], envoy.expects(work.rows()[0]), 1.0, 1, 1)
            time.sleep(0.2)
            before = _status(envoy.pid, "VmRSS")
            idle.append(before)
            _reset_peak(envoy.pid)
            if row.interval_us:
                held = _while_open(load, envoy, row)
            else:
                load.run(envoy, row, envoy.expects(row), 20.0, requests=BODIES)
                held = _status(envoy.pid, "VmHWM")
            result[name] = round(held - before, 2)
        finally:
            envoy.stop()
    return {"idle": figures(idle), **result}


def _while_open(load: Load, envoy: Envoy, row: work.Work) -> float:
    """In the middle of streams that all run from beginning to end."""
    found: list[float] = []

    def look() -> None:
        time.sleep(row.interval_us * len(row.pieces or ()) / 2e6)
        found.append(_status(envoy.pid, "VmRSS"))

    looker = threading.Thread(target=look)
    looker.start()
    load.run(envoy, row, envoy.expects(row), 1.0, requests=row.connections)
    looker.join()
    return found[0]
