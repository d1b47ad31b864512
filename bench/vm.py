"""What the modules' own code takes, in V8 as Envoy sets it up, with a host that does nothing.

No sockets, no Envoy: what is left repeats to a percent or two, where a run with them may differ by ten.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from contenders import VIRTUAL_KEY
from processes import ROOT
from work import SDK_HEADERS, Work

Json = dict[str, Any]
READ_BYTES = 256 << 10
"""What Envoy shows of a long body at once, give or take."""


def run(modules: dict[str, Path], config: Json, rows: list[Work]) -> Json:
    """Row, then module, then its microseconds an exchange, host calls, and times the first module's."""
    node = shutil.which("node")
    if node is None:
        raise OSError("Node is needed to measure code in the VM alone")
    asked = {
        "modules": {name: {"file": str(file), "config": config} for name, file in modules.items()},
        "rows": {row.name: _exchange(row) for row in rows},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asked, file)
        file.flush()
        done = subprocess.run(
            [node, "--no-liftoff", ROOT / "bench/vm.mjs", file.name],
            check=False, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the modules could not be run alone:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def _exchange(row: Work) -> Json:
    content_type = "text/event-stream" if row.pieces else "application/json"
    sdk = [line.split(": ", 1) for line in SDK_HEADERS.splitlines()]
    framing = ["transfer-encoding", "chunked"] if row.pieces else ["content-length", str(len(row.answer))]
    request = [
        [":method", "POST"],
        [":path", f"/v1{row.path}"],
        [":authority", "gateway.test"],
        [":scheme", "http"],
        ["authorization", f"Bearer {VIRTUAL_KEY}"],
        ["content-type", "application/json"],
        *sdk,
        ["content-length", str(len(row.body))],
        ["x-forwarded-for", "127.0.0.1"],
        ["x-forwarded-proto", "http"],
        ["x-envoy-internal", "true"],
        ["x-request-id", "6d7f8a70-9d2b-4d3e-8f6e-0c8f0e5f1a2b"],
    ]
    response = [
        [":status", "200"],
        ["content-type", content_type],
        ["server", "uvicorn"],
        ["date", "Fri, 21 Nov 2025 10:00:00 GMT"],
        ["x-request-id", "4f1c7d"],
        framing,
        ["x-envoy-upstream-service-time", "1"],
    ]
    # At full speed many events come at once, else each alone.
    lengths = row.pieces if row.interval_us else None
    return {
        "request": {"head": request, "body": _pieces(row.body)},
        "response": {"head": response, "body": _pieces(row.answer, lengths)},
    }


def _pieces(body: bytes, lengths: tuple[int, ...] | None = None) -> list[str]:
    if lengths is None:
        lengths = (READ_BYTES,) * (len(body) // READ_BYTES + 1)
    pieces, at = [], 0
    for length in lengths:
        if piece := body[at : at + length]:
            pieces.append(base64.b64encode(piece).decode())
        at += length
    return pieces
