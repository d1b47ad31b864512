"""The native micro-benchmarks (bench/micro), and what criterion wrote about them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

from processes import BUILT, ROOT

Json = dict[str, Any]
SECONDS = 0.5


def run(quick: bool = False) -> Json:
    """Group, then function, then MB/s: median, and the ends of its 95% confidence interval."""
    folder = BUILT / "criterion"
    shutil.rmtree(folder, ignore_errors=True)
    seconds = 0.2 if quick else SECONDS
    command = [
        *(ROOT / "scripts/cargo.sh", "host", "bench", "--locked"),
        *("--manifest-path", ROOT / "bench/micro/Cargo.toml", "--target-dir", BUILT),
        *("--bench", "core"),
    ]
    subprocess.run([*command, "--no-run"], cwd=ROOT, check=True)
    done = subprocess.run(
        [*command, "--", "--noplot", "--warm-up-time", "0.2",
         "--measurement-time", str(seconds), "--sample-size", "20"],
        cwd=ROOT, check=False, capture_output=True, text=True,
        env={**os.environ, "CRITERION_HOME": str(folder)},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the micro-benchmarks failed:\n{done.stderr[-2000:]}")
    groups: Json = {}
    for file in sorted(folder.glob("*/*/new/estimates.json")):
        told = json.loads((file.parent / "benchmark.json").read_text())
        if not told.get("throughput"):
            continue
        size = next(iter(told["throughput"].values()))
        time = json.loads(file.read_text())["median"]
        interval = time["confidence_interval"]
        rates = [size / nanoseconds * 1000 for nanoseconds in (
            time["point_estimate"], interval["upper_bound"], interval["lower_bound"])]  # fmt: skip
        named = dict(zip(("median", "min", "max"), (float(f"{r:.4g}") for r in rates), strict=True))
        groups.setdefault(told["group_id"], {"bytes": size})[told["function_id"]] = named
    return groups
