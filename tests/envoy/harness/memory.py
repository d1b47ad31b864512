"""How much memory a process has, and the most it had."""

from __future__ import annotations

from pathlib import Path


def resident(pid: int) -> int:
    """Resident set size now, in bytes."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The largest resident set since the last `restart_peak`, in bytes."""
    return _status(pid, "VmHWM")


def restart_peak(pid: int) -> None:
    """Makes `peak` count from now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)
