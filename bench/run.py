#!/usr/bin/env python3
"""`make bench`: what the filter costs, beside Envoy without it and with others in its place.

It measures in parts and writes results after each row: what is done is kept when something fails
later. Parts that are not asked for stay as they were, as long as the module is the same.
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
from typing import Any

import contenders
import growth
import memory
import micro
import page
import peers
import processes
import report
import shipped
import vm
import work
from expect import Unverified
from measure import Series, measure, pooled
from processes import BUILT, CORES, ENVOY, FILTER, NATIVE, Envoy, Load, Proxy

Json = dict[str, Any]
PARTS = ("filters", "latency", "vm", "growth", "memory", "micro", "peers")
POOLED = ("filters", "latency")
"""Parts whose rounds are pooled over several runs: how a process happens to lie in memory moves all of its rounds."""
RESULTS = BUILT / "results.json"
PEER_ROUNDS, PEER_SECONDS = 2, 0.4
PEER_LIMIT = 150.0
"""Seconds after which no further row of a peer is begun."""
PEER_ROWS = ("chat", "chat-32k", "chat-4m", "embed-1", "embed-100", "stream", "stream-paced",
             "responses", "responses-stream", "messages", "messages-stream")  # fmt: skip


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def versions() -> dict[str, str]:
    def said(*command: str | Path) -> str:
        try:
            out = subprocess.run(
                command, cwd=processes.ROOT, check=False, capture_output=True, text=True, timeout=20
            )
        except OSError:
            return "none"
        return (out.stdout or out.stderr).strip().splitlines()[-1].strip()

    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2] for line in cpus if line.startswith("model name")), "")
    module = FILTER.read_bytes()
    return {
        "filter": f"{hashlib.sha256(module).hexdigest()[:12]}, {len(module) // 1024} KiB",
        "commit": said("git", "describe", "--always", "--dirty"),
        "envoy": said(ENVOY, "--version").rpartition("version: ")[2],
        "rustc": said("rustc", "--version"),
        "wasm-opt": said(processes.wasm_opt() or "no-wasm-opt", "--version"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpu": f"{len(CORES)} cores of {model.strip() or platform.machine()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", help=f"comma-separated: {', '.join(PARTS)}; default: all but peers")
    parser.add_argument("--peers", action="store_true",
                        help="other gateways too; installs those that are missing")  # fmt: skip
    parser.add_argument("--only-peers", metavar="NAMES", help="comma-separated; implies --peers")
    parser.add_argument("--rows", help="comma-separated names")
    parser.add_argument("--contenders", help="comma-separated names, besides bare")
    parser.add_argument("--seconds", type=float, default=0.25, help="of one run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender and row")
    parser.add_argument("--runs", type=int, default=1,
                        help="of the whole, each with new processes, whose rounds are pooled")  # fmt: skip
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=MODULE",
                        help="another build of this filter, to compare with")  # fmt: skip
    parser.add_argument("--publish", action="store_true",
                        help="write docs/performance.md's tables and the plots")  # fmt: skip
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.peers |= options.only_peers is not None
    options.parts = options.parts.split(",") if options.parts else list(PARTS[:-1])
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.peers and "peers" not in options.parts:
        options.parts.append("peers")
    return options


def chosen(items: list, names: str | None) -> list:
    if names is None:
        return [item for item in items if not getattr(item, "is_extra", False)]
    wanted = names.split(",")
    return [item for item in items if item.name in wanted]


class Bench:
    """One run: the processes that all parts share, and the results so far."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack, pools: bool = False) -> None:
        """`pools`: the rounds of the filters' and the latencies' rows are added to those of the run before."""
        self.options = options
        self.pools = pools
        self.modules = processes.build()
        told = versions()
        print("\n".join(f"{name:12} {value}" for name, value in told.items()), flush=True)
        self.results = self._earlier(told) | {"versions": told}
        self.results["settings"] = {"seconds": options.seconds, "rounds": options.rounds}
        self.failures: list[str] = []
        self.load = Load(self.modules["load"])
        stack.callback(self.load.stop)
        self.bare = Envoy(contenders.bare(), self.load.port)
        stack.callback(self.bare.stop)
        field = chosen(
            [*contenders.others(self.modules), contenders.this(FILTER), contenders.two(FILTER),
             contenders.fallen(FILTER), contenders.counting(FILTER, "observe"),
             contenders.counting(FILTER, "require"), contenders.native(NATIVE), contenders.native_two(NATIVE),
             contenders.native_calls(self.modules["native-calls"]),
             *contenders.floors(FILTER, self.modules["empty"], NATIVE), *shipped.contenders(FILTER)],
            options.contenders,
        )
        for variant in options.variant:
            name, _, module = variant.partition("=")
            path = Path(module).absolute()
            is_native = path.suffix == ".so"  # where Envoy looks for it is a folder
            field.append(contenders.native(path.parent, name, name) if is_native else contenders.this(path, name, name))
        self.field = []
        for contender in field:
            self.field.append(Envoy(contender, self.load.port))
            stack.callback(self.field[-1].stop)
        self.results["titles"] = {e.name: e.title for e in (self.bare, *self.field)}

    def _earlier(self, told: dict[str, str]) -> Json:
        try:
            earlier = json.loads(self.options.output.read_text())
        except (OSError, ValueError):
            return {}
        if earlier.get("versions", {}).get("filter") != told["filter"]:
            return {}
        return earlier

    def save(self) -> None:
        self.options.output.parent.mkdir(parents=True, exist_ok=True)
        part = self.options.output.with_suffix(".part")
        part.write_text(json.dumps(self.results, indent=1) + "\n")
        part.replace(self.options.output)

    def fails(self, what: str) -> None:
        self.failures.append(what)
        say(f"error: {what}")

    def section(self, name: str) -> Json:
        """In the results from the start. Begun anew, unless only some rows are asked for."""
        if self.options.rows is None and not self.pools:
            self.results[name] = {}
        return self.results.setdefault(name, {})

    def compare(self, row: work.Work, field: list[Envoy], base: Proxy | None = None,
                connections: int | None = None) -> dict[str, Series] | None:  # fmt: skip
        """Measures a row; None when it had to be left out. A contender that can't do it stays away."""
        able = []
        for envoy in field:
            try:
                envoy.verify(self.load, row)
                able.append(envoy)
            except Unverified as why:
                self.results.setdefault("left out", {})[f"{row.title}, {envoy.title}"] = str(why)
                say(f"left out: {row.title}, {envoy.title}: {why}")
        if not any(envoy.name == "this" for envoy in able) and row.translated:
            return None
        options = self.options
        try:
            return measure(self.load, base or self.bare, able, row, options.rounds,
                           options.seconds, connections)  # fmt: skip
        except RuntimeError as error:
            self.fails(f"{row.title}: {error}")
            return None

    def table_of(self, part: str, rows: list[work.Work], connections: int | None = None) -> None:
        section = self.section(part)
        for row in rows:
            say(f"== {part}: {row.title}")
            series = self.compare(row, [e for e in self.field if e.joins(row)], None, connections)
            if series is None:
                continue
            if connections is None:
                self.check_load(row, series)
            before = section.get(row.name, {}).get("contenders", {}) if self.pools else {}
            section[row.name] = {
                "title": row.title,
                "unit": row.unit,
                "target": row.target,
                "native_target": row.native_target,
                "contenders": {
                    name: pooled(before.get(name), one.summary()) for name, one in series.items()
                },
            }
            self.save()

    def check_load(self, row: work.Work, series: dict[str, Series]) -> None:
        for name, one in series.items():
            if one.throttled():
                self.fails(f"the load generator was the bottleneck: {row.title}, {name}")

    def filters(self) -> None:
        self.results.pop("left out", None)
        self.table_of("filters", chosen(work.rows(), self.options.rows))

    def latency(self) -> None:
        field, self.field = self.field, [e for e in self.field if e.name != "parsing"]
        self.table_of("latency", chosen(work.one_at_a_time(), self.options.rows), connections=1)
        self.field = field

    def vm(self) -> None:
        say("== the modules' own code (V8 alone)")
        section = self.section("vm")
        modules = {"this": FILTER} | {name: self.modules[name] for name in ("calls", "naive")}
        for variant in self.options.variant:
            name, _, module = variant.partition("=")
            modules[name] = Path(module).absolute()
        rows = chosen(work.rows(), self.options.rows)
        told = vm.run(modules, contenders.governance(**contenders.SIZES), rows)
        for row in rows:
            if row.name not in contenders.CALLS_ROWS:
                del told[row.name]["calls"]
            section[row.name] = {"title": row.title, "modules": told[row.name]}
        self.save()

    def growth(self) -> None:
        growth.run(self, FILTER)

    def memory(self) -> None:
        section = self.section("memory")
        many = contenders.this(FILTER, "this-10000", "this filter, 10,000 keys", keys=10_000)
        few = contenders.this(FILTER, "this-10", "this filter, 10 keys")
        for contender in (contenders.bare(), few, many):
            say(f"== memory: {contender.title}")
            try:
                told = memory.of(self.load, contender)
            except RuntimeError as error:
                self.fails(str(error))
                continue
            section[contender.name] = {"title": contender.title, **told}
            self.save()

    def micro(self) -> None:
        say("== micro-benchmarks (native)")
        self.results["micro"] = micro.run()
        self.save()

    def peers(self) -> None:
        section = self.results.setdefault("peers", {})
        for peer in chosen(peers.every(), self.options.only_peers):
            say(f"== {peer.title}")
            told = section[peer.name] = {"title": peer.title, "version": peer.version}
            if peer.note:
                told["note"] = peer.note
            try:
                if not peer.is_installed():
                    say(f"installing {' '.join(peer.requirements)}")
                    peer.install()
                self.peer(peer, told)
            except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
                told["error"] = str(error).splitlines()[0]
                say(f"left out: {peer.title}: {told['error']}")
            self.save()

    def peer(self, peer: peers.Peer, told: Json) -> None:
        running = peers.Running(peer, self.load.port)
        rows, left_out, checked = (told.setdefault(k, {}) for k in ("rows", "left out", "checked"))
        seconds = max(PEER_SECONDS, self.options.seconds)
        rounds = min(PEER_ROUNDS, self.options.rounds)
        wanted = [row for row in work.rows() if row.name in PEER_ROWS]
        began = time.monotonic()
        try:
            for row in chosen(wanted, self.options.rows):
                try:
                    if time.monotonic() - began > PEER_LIMIT:
                        raise Unverified("no time was left")
                    running.verify(self.load, row)
                    checked[row.title] = running.expects(row).told
                    at_once = min(row.connections, peer.streams) if row.pieces else None
                    series = measure(self.load, self.bare, [running], row, rounds, seconds, at_once)
                except (Unverified, RuntimeError) as error:
                    left_out[row.title] = str(error).splitlines()[0][:200]
                    say(f"left out: {row.title}, {peer.title}: {left_out[row.title]}")
                    continue
                rows[row.name] = {"title": row.title, **series[peer.name].summary()}
                if row.name == "chat":
                    one = measure(self.load, self.bare, [running], row, rounds, seconds, 1)
                    told["added_us"] = one[peer.name].summary()["added_us"]
                    told["added_p99_us"] = one[peer.name].summary()["added_p99_us"]
        finally:
            running.stop()


def show(results: Json) -> None:
    for table in report.tables(results).values():
        print("\n" + report.terminal(table))
    for what, why in results.get("left out", {}).items():
        print(f"left out: {what}: {why}")
    for peer in results.get("peers", {}).values():
        if "error" in peer:
            print(f"left out: {peer['title']} ({peer['version']}): {peer['error']}")
        for what, why in peer.get("left out", {}).items():
            print(f"left out: {peer['title']}, {what}: {why}")
    if not results.get("peers"):
        print("left out: other gateways (make bench PEERS=1 installs and measures them)")


def main() -> int:
    options = arguments()
    if len(CORES) < 2:
        say("warning: one core only; proxy and load generator share it")
    began = time.monotonic()
    failures: list[str] = []
    for number in range(options.runs):
        with ExitStack() as stack:
            bench = Bench(options, stack, pools=number > 0)
            for part in PARTS:
                # What is measured in processes of its own is measured once.
                if part not in options.parts or (number > 0 and part not in POOLED):
                    continue
                since = time.monotonic()
                try:
                    getattr(bench, part)()
                except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                    bench.fails(f"{part}: {error}")
                say(f"== {part} took {time.monotonic() - since:.0f} s (run {number + 1} of {options.runs})")
            bench.results["settings"]["runs"] = number + 1
            bench.save()
            failures += bench.failures
    show(bench.results)
    if options.publish:
        page.publish(bench.results)
    say(f"== {time.monotonic() - began:.0f} s; figures in {options.output}")
    for failure in failures:
        say(f"error: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
