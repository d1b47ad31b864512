#!/usr/bin/env python3
"""`make bench`: what the filter costs, beside Envoy without it and with others in its place.

BENCH_SECONDS is about how long it measures (180); more time means longer runs and more rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import contenders
import processes
import report
import work
from measure import Series, measure
from processes import BUILT, CORES, ENVOY, FILTER, Envoy, Load

LATENCY_ROWS = ("chat", "chat-32k", "stream")
QUICK_ROUNDS, FULL_ROUNDS = 3, 7
FULL_SECONDS = 600


def versions() -> dict[str, str]:
    def said(*command: str | Path) -> str:
        try:
            out = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
        except OSError:
            return "none"
        return (out.stdout or out.stderr).strip().splitlines()[-1].strip()

    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2] for line in cpus if line.startswith("model name")), "")
    module = FILTER.read_bytes()
    return {
        "filter": f"{hashlib.sha256(module).hexdigest()[:12]}, {len(module) // 1024} KiB",
        "commit": said("git", "describe", "--always", "--dirty"),
        "envoy": said(ENVOY, "--version"),
        "rustc": said("rustc", "--version"),
        "wasm-opt": said(processes.wasm_opt() or "no-wasm-opt", "--version"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpu": f"{len(CORES)} of {model.strip() or platform.machine()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", help="comma-separated names")
    parser.add_argument("--contenders", help="comma-separated names, besides bare")
    parser.add_argument("--seconds", type=float, help="of one run")
    parser.add_argument("--rounds", type=int, help="runs of each contender and row")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=MODULE",
                        help="another build of this filter, to compare with")  # fmt: skip
    parser.add_argument("--no-latency", action="store_true")
    parser.add_argument("--output", type=Path, default=BUILT / "results.json")
    return parser.parse_args()


def chosen(items: list, names: str | None) -> list:
    if names is None:
        return items
    wanted = names.split(",")
    return [item for item in items if item.name in wanted]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    options = arguments()
    if len(CORES) < 2:
        say("warning: one core only; proxy and load generator share it")
    built = processes.build()
    told = versions()
    print("\n".join(f"{name:12} {value}" for name, value in told.items()), flush=True)

    rivals = contenders.others(built["empty"], built["naive"])
    field = chosen([*rivals, contenders.this(FILTER)], options.contenders)
    for variant in options.variant:
        name, _, module = variant.partition("=")
        field.append(contenders.this(Path(module).absolute(), name, name))
    rows = chosen(work.rows(), options.rows)
    slow = [] if options.no_latency else [row for row in rows if row.name in LATENCY_ROWS]

    budget = float(os.environ.get("BENCH_SECONDS", "180"))
    rounds = options.rounds or (FULL_ROUNDS if budget >= FULL_SECONDS else QUICK_ROUNDS)
    runs = (len(rows) + len(slow)) * (2 * len(field) + 1) * rounds
    seconds = options.seconds or max(0.1, min(3.0, budget / runs))
    say(f"== {runs} runs of {seconds:.2f} s, about {runs * seconds / 60:.0f} minutes")

    began = time.monotonic()
    with ExitStack() as stack:
        load = Load(built["load"])
        stack.callback(load.stop)
        envoys = []
        for contender in (contenders.bare(), *field):
            envoys.append(Envoy(contender, load.port))
            stack.callback(envoys[-1].stop)

        def all_of(rows: list[work.Work], connections: int | None = None) -> report.Rows:
            done = []
            for row in rows:
                say(f"== {row.title}")
                series = measure(load, envoys[0], envoys[1:], row, rounds, seconds, connections)
                done.append((row, series))
            return done

        busy, single = all_of(rows), all_of(slow, connections=1)

    titles = {envoy.contender.name: envoy.contender.title for envoy in envoys}
    met_text, met = report.targets(busy)
    parts = [
        report.cpu(busy, titles),
        report.latency(single, titles) if single else "",
        met_text,
    ]
    print("\n" + "\n\n".join(part for part in parts if part))
    throttled = [
        f"{row.title}, {titles[name]}"
        for row, series in busy
        for name, one in series.items()
        if one.throttled()
    ]
    save(options.output, told, titles, busy, single)
    say(f"== {time.monotonic() - began:.0f} s; figures in {options.output}")
    if throttled:
        say("error: the load generator was the bottleneck: " + "; ".join(throttled))
        return 1
    if not met:
        say("== some targets are missed")
    return 0


def save(path: Path, told: dict[str, str], titles: dict[str, str],
         busy: report.Rows, single: report.Rows) -> None:  # fmt: skip
    def plain(rows: report.Rows) -> dict[str, dict[str, object]]:
        def figures(series: dict[str, Series]) -> dict[str, object]:
            return {name: one.summary() for name, one in series.items()}

        return {row.name: figures(series) for row, series in rows}

    path.parent.mkdir(parents=True, exist_ok=True)
    results = {
        "versions": told,
        "contenders": titles,
        "busy": plain(busy),
        "single": plain(single),
    }
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
