#!/usr/bin/env python3
"""Wicked clients and wicked upstreams, reloads and an exhausted budget, beside innocent streams: not one of those may be cut,
nothing traps, and memory returns to where it was. On one worker, then on two.

SOAK_MINUTES (3), SOAK_SEED, HOST (wasm | native). Prints a report; exits 1 where something does not hold."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import attacks
import innocents
from gateway import BETA, CLUSTERS, HELD, WICKED, configuration
from harness import HOST, Envoy, Setting, Upstream, memory
from workers import Workers

MINUTES = float(os.environ.get("SOAK_MINUTES", "3"))
SEED = int(os.environ.get("SOAK_SEED", str(random.SystemRandom().randrange(1 << 30))))
ATTACKERS, INNOCENTS = 6, 4
RELOAD_SECONDS = 10.0
MOST_GROWTH = 96 << 20
"""Envoy's own allocator keeps some of what it had; a VM's memory never shrinks, but does not grow twice."""


@dataclass
class Report:
    """What one run has seen."""

    workers: int
    outcomes: Counter[str] = field(default_factory=Counter)
    streams: int = 0
    cut: list[str] = field(default_factory=list)
    reloads: int = 0
    faults: list[str] = field(default_factory=list)
    before: int = 0
    peak: int = 0
    after: int = 0
    room: tuple[int, int] = (0, 0)

    @property
    def holds(self) -> bool:
        return not self.cut and not self.faults and self.streams > 0

    def show(self) -> None:
        mib = 1 << 20
        print(f"  innocent streams     {self.streams}, cut: {len(self.cut)}")
        print(f"  traps                {len(self.faults)}")
        print(f"  reloads              {self.reloads}")
        print(
            f"  memory (MiB)         before {self.before // mib}, most {self.peak // mib}, "
            f"after {self.after // mib}"
        )
        print(f"  streams in a budget  before {self.room[0]}, after {self.room[1]}")
        told = ", ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items()))
        print(f"  wicked requests      {told}")
        for line in [*self.cut, *self.faults][:10]:
            print(f"  ! {line}")


def soak(workers: int, seconds: float, servers: dict[str, Upstream]) -> Report:
    """One Envoy with so many workers under attack."""
    report = Report(workers)
    ports = {name: server.port for name, server in servers.items()}
    setting = Setting(
        config=configuration(HELD),
        ecds=True,
        concurrency=workers,
        buffer_bytes=20 << 20,
        route_buffer_bytes=64 << 20,
    )
    with Envoy(setting, ports) as envoy:
        room = attacks.room(envoy)
        # Once through everything, so that the memory that follows is compared with one that was used.
        warming = min(seconds / 4, 15.0)
        warm(envoy, report, warming)
        report.before = settled(envoy)
        memory.restart_peak(envoy.pid)
        ends = time.monotonic() + seconds - warming
        crowd = start(envoy, report, ends)
        changes = 0
        while time.monotonic() < ends:
            time.sleep(min(RELOAD_SECONDS, max(0.0, ends - time.monotonic())))
            changes += 1
            # Another configuration, whose budget is the same: only its cache of model lists differs.
            envoy.replace_filter(
                Setting(
                    config=configuration(HELD, models_cache_seconds=60 + changes),
                    ecds=True,
                    concurrency=workers,
                    buffer_bytes=20 << 20,
                    route_buffer_bytes=64 << 20,
                )
            )
            for server in servers.values():
                server.requests = []
        crowd.join()
        report.reloads = changes
        report.peak = memory.peak(envoy.pid)
        report.after = settled(envoy)
        report.room = (room, attacks.room(envoy))
        judge(envoy, report)
    return report


def warm(envoy: Envoy, report: Report, seconds: float) -> None:
    quiet = Report(report.workers)
    start(envoy, quiet, time.monotonic() + seconds).join()
    report.cut += quiet.cut


def start(envoy: Envoy, report: Report, ends: float) -> Workers:
    """Attackers and innocents until `ends`; the innocents finish what they have begun."""
    crowd = Workers()
    for number in range(ATTACKERS):
        rng = random.Random(SEED + number)
        crowd.add(lambda rng=rng: attacks.until(ends, envoy, rng, report.outcomes))
    for number in range(INNOCENTS):
        rng = random.Random(SEED - 1 - number)
        crowd.add(lambda rng=rng: innocents.until(ends, envoy, rng, report))
    return crowd


def settled(envoy: Envoy) -> int:
    """Resident memory once no request is alive any more."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and envoy.stat("http.gateway.downstream_rq_active"):
        time.sleep(0.2)
    return memory.resident(envoy.pid)


def judge(envoy: Envoy, report: Report) -> None:
    try:
        envoy.check()
    except AssertionError as fault:
        report.faults.append(str(fault)[:2000])
    left = envoy.stat("http.gateway.downstream_rq_active")
    if left:
        report.faults.append(f"{left} requests never ended")
    if report.after > report.before + MOST_GROWTH:
        report.faults.append("memory has grown")
    before, after = report.room
    # Each worker has its own budget, and Envoy chooses the worker.
    if report.workers == 1 and after < before:
        report.faults.append(f"of {before} streams' room in the budget {after} came back")


def main() -> int:
    print(f"soak: {MINUTES:g} min, {HOST} host, SOAK_SEED={SEED}", flush=True)
    servers = {name: Upstream(name) for name in CLUSTERS}
    servers[BETA].handler = innocents.answers
    for name in WICKED:
        servers[name].handler = attacks.Upstreams(random.Random(SEED)).answers
    held = True
    try:
        for workers in (1, 2):
            print(f"{workers} worker{'s' * (workers > 1)}:", flush=True)
            report = soak(workers, MINUTES * 60 / 2, servers)
            report.show()
            held &= report.holds
    finally:
        for server in servers.values():
            server.stop()
    print("holds" if held else "DOES NOT HOLD")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
