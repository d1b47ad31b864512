#!/usr/bin/env python3
"""What very many virtual keys cost: `make scale`. Memory of one VM, and of an Envoy with either host.

All columns of a row are of one configuration. The memory of the VM is exact; times are those of this machine. With
PUBLISH=1 the figures go to docs/performance.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import contenders
import page
import report
from memory import _status
from processes import ENVOY, FILTER, NATIVE, ROOT, Envoy

COUNTS = (10, 10_000, 100_000)


def configuration(count: int) -> dict:
    """Ten aliases and five entries a key, as an operator would give them: the same for all, but for one of each."""
    config = contenders.governance(**{**contenders.SIZES, "keys": count})
    for number, key in enumerate(config["virtual_keys"]):
        del key["model_aliases"]["alias-0"]
        key["model_aliases"][f"own-{number}"] = "groq/llama-3.3-70b"
        key["models_allowed"][0] = f"own-{number}/*"
    return config


def in_a_vm(configs: list[dict]) -> list[dict[str, float]]:
    """For each: MB of its text and of the module's memory, milliseconds to load, microseconds to authenticate."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.json") for number in range(len(configs))]
        for file, config in zip(files, configs, strict=True):
            file.write_text(json.dumps(config, separators=(",", ":")))
        secret = contenders.VIRTUAL_KEY.removesuffix("0")
        command = ["node", "--no-liftoff", ROOT / "bench/scale.mjs", FILTER, secret, *files]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout)


def in_envoy(contender: contenders.Contender, keys: int) -> dict[str, float]:
    """Until Envoy is ready, and its resident memory once the last of the keys was used."""
    began = time.monotonic()
    envoy = Envoy(contender, 1, seconds=120)
    try:
        ready = time.monotonic() - began
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
    configs = [configuration(count) for count in COUNTS]
    print("== in one VM", file=sys.stderr)
    lines = []
    for count, config, one in zip(COUNTS, configs, in_a_vm(configs), strict=True):
        print(f"== {count:,} virtual keys ({ENVOY})", file=sys.stderr)
        cells = [f"{one['config_mb']:.1f}", f"{one['mb']:.1f}", f"{one['load_ms'] / 1000:.2f} s"]
        cells.append(f"{one['key_us']:.1f} us")
        for make, where in ((contenders.this, FILTER), (contenders.native, NATIVE)):
            told = in_envoy(make(where, f"{make.__name__}-{count}", f"{count:,} keys", config), count)
            cells += [f"{told['ready_s']:.1f} s", f"{told['mb']:.0f}"]
        lines.append([f"{count:,}", *cells])
    head = ["virtual keys, ten aliases each", "configuration, MB", "a VM, MB", "load in a VM", "a key in a VM",
            "Envoy ready, wasm", "resident, MB", "Envoy ready, native", "resident, MB"]  # fmt: skip
    print(report.terminal((head, lines)))
    if "--publish" in sys.argv[1:]:
        page.fill({"scale": report.markdown((head, lines))})


if __name__ == "__main__":
    main()
