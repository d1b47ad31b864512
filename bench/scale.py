#!/usr/bin/env python3
"""What very many virtual keys cost: `make scale`. Memory of one VM, and of an Envoy with either host.

The memory of the VM is exact; times are those of this machine. With PUBLISH=1 the figures go to docs/performance.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

import contenders
import page
import report
from memory import _status
from processes import ENVOY, FILTER, NATIVE, ROOT, Envoy

COUNTS = (10, 10_000, 100_000)


def in_a_vm() -> dict[str, dict]:
    """By count: MB of the module's memory, seconds to load, microseconds to authenticate."""
    command = ["node", "--no-liftoff", ROOT / "bench/scale.mjs", FILTER, *map(str, COUNTS)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


def in_envoy(contender: contenders.Contender) -> dict[str, float]:
    """Until Envoy is ready, and its resident memory once the last of the keys was used."""
    began = time.monotonic()
    envoy = Envoy(contender, 1)
    try:
        ready = time.monotonic() - began
        keys = int(contender.name.rpartition("-")[2])
        request = urllib.request.Request(
            f"http://{envoy.target}/v1/models/none",
            headers={"authorization": f"Bearer vk-bench-{keys - 1}"},
        )
        try:
            urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            # 404 by a key that is known; another one gets a 401.
            if error.code != 404:
                raise RuntimeError(f"{contender.title}: HTTP {error.code}") from error
        return {"ready_s": ready, "mb": _status(envoy.pid, "VmRSS")}
    finally:
        envoy.stop()


def main() -> None:
    vm = in_a_vm()
    lines = []
    for count in COUNTS:
        print(f"== {count:,} virtual keys ({ENVOY})", file=sys.stderr)
        one = vm[str(count)]
        cells = [f"{one['config_mb']:.1f}", f"{one['mb']:.1f}", f"{one['load_ms'] / 1000:.2f} s"]
        cells.append(f"{one['key_us']:.1f} us")
        for make, where in ((contenders.this, FILTER), (contenders.native, NATIVE)):
            told = in_envoy(make(where, f"{make.__name__}-{count}", f"{count:,} keys", keys=count))
            cells += [f"{told['ready_s']:.1f} s", f"{told['mb']:.0f}"]
        lines.append([f"{count:,}", *cells])
    head = ["virtual keys, ten aliases each", "configuration, MB", "a VM, MB", "load in a VM", "a key in a VM",
            "Envoy ready, wasm", "resident, MB", "Envoy ready, native", "resident, MB"]  # fmt: skip
    print(report.terminal((head, lines)))
    if "--publish" in sys.argv[1:]:
        page.fill({"scale": report.markdown((head, lines))})


if __name__ == "__main__":
    main()
