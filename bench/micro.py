"""The native micro-benchmarks (bench/micro), and what criterion wrote about them.

`python bench/micro.py ROW` prints a row for `bench-micro`, which sends one exchange over and over.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import accumulate
from typing import Any

from processes import BUILT, ROOT
from work import rows

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


def row(name: str) -> Json:
    """A row of the benchmark, as `bench-micro` takes it: what Envoy would show in each call."""
    work = next(row for row in rows() if row.name == name)
    answer = work.answer.decode()
    if not work.pieces:
        pieces = [answer]
    elif work.interval_us:
        ends = list(accumulate(work.pieces))
        cut = zip(ends, work.pieces, strict=True)
        pieces = [work.answer[end - size : end].decode() for end, size in cut]
    else:  # reads of 16 KiB
        pieces = [answer[at : at + (16 << 10)] for at in range(0, len(answer), 16 << 10)]
    request = work.body.decode()
    return {"path": f"/v1{work.path}", "request": request, "answer": pieces, "stream": bool(work.pieces)}


if __name__ == "__main__":
    print(json.dumps(row(sys.argv[1])))
