"""How cost grows: with the body's size, and with what there is to govern."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import contenders
import work
from measure import measure
from processes import Envoy

COUNTS = {"keys": (10, 1_000, 10_000), "aliases": (10, 1_000, 10_000), "allowed": (1, 100, 1_000)}
COMPARED = ("naive", "this")


class Bench(Protocol):
    """What this part asks of the run that it is a part of."""

    field: list[Envoy]
    load: Any
    options: Any

    def section(self, name: str) -> dict[str, Any]: ...
    def compare(self, row: work.Work, field: list[Envoy]) -> Any: ...
    def save(self) -> None: ...


def run(bench: Bench, module: Path) -> None:
    section = bench.section("growth")
    section["sizes"] = {}
    field = [envoy for envoy in bench.field if envoy.name in COMPARED]
    for row in work.sizes():
        series = bench.compare(row, field)
        if series is None:
            continue
        told = {name: one.summary() for name, one in series.items()}
        section["sizes"][row.name] = {"title": row.title, "bytes": len(row.body), "contenders": told}
        bench.save()
    small = work.rows()[0]
    base = next((envoy for envoy in bench.field if envoy.name == "this"), None)
    for kind, counts in COUNTS.items():
        section[kind] = {}
        for count in counts if base else ():
            title = f"this filter, {count:,} {kind}"
            envoy = Envoy(contenders.this(module, f"{kind}-{count}", title, **{kind: count}),
                          bench.load.port)  # fmt: skip
            try:
                series = measure(bench.load, base, [envoy], small, bench.options.rounds,
                                 bench.options.seconds)  # fmt: skip
                section[kind][str(count)] = series[envoy.name].summary()["ratio"]
            finally:
                envoy.stop()
            bench.save()
