"""Runs in turn, each contender between two runs of bare Envoy, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from processes import Envoy, Load
from work import Work

Json = dict[str, Any]
WARM_UP_SECONDS = 0.25


@dataclass
class Series:
    """One contender's figures for one row: one of each a round."""

    cpu_us: list[float] = field(default_factory=list)
    """CPU of the process for a unit of work, in microseconds."""
    ratio: list[float] = field(default_factory=list)
    """The same, by the mean of the two runs of bare Envoy around it."""
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)
    first_us: list[float] = field(default_factory=list)
    """Median time to the first byte of the answer's body."""
    added_us: list[float] = field(default_factory=list)
    """p50 above the mean of the neighbouring runs' p50."""
    added_p99_us: list[float] = field(default_factory=list)
    added_first_us: list[float] = field(default_factory=list)
    proxy_busy: list[float] = field(default_factory=list)
    load_busy: list[float] = field(default_factory=list)
    units: float = 0

    def add(self, result: Json, work: Work) -> None:
        units = result["events"] / 1000 if work.pieces else result["completed"]
        self.units += units
        self.cpu_us.append(result["proxy_cpu"] / units * 1e6)
        self.p50_us.append(result["latency_us"]["p50"])
        self.p99_us.append(result["latency_us"]["p99"])
        self.first_us.append(result["first_us"]["p50"])
        self.proxy_busy.append(result["proxy_cpu"] / result["seconds"])
        self.load_busy.append(result["load_cpu"] / result["seconds"])

    def compare(self, around: Series) -> None:
        """Adds what the last run is beside the last two of bare Envoy."""

        def base(figures: list[float]) -> float:
            return sum(figures[-2:]) / 2

        self.ratio.append(self.cpu_us[-1] / base(around.cpu_us))
        self.added_us.append(self.p50_us[-1] - base(around.p50_us))
        self.added_p99_us.append(self.p99_us[-1] - base(around.p99_us))
        self.added_first_us.append(self.first_us[-1] - base(around.first_us))

    def throttled(self) -> bool:
        """Whether the load generator held the proxy back: then nothing here can be believed."""
        return median(self.load_busy) > 0.95 and median(self.proxy_busy) < 0.85

    def summary(self) -> Json:
        figures = {name: value for name, value in vars(self).items() if isinstance(value, list)}
        return {
            "units": self.units,
            **{
                name: {"median": median(values), "min": min(values), "max": max(values)}
                for name, values in figures.items()
                if values
            },
        }


def measure(load: Load, bare: Envoy, others: list[Envoy], work: Work, rounds: int, seconds: float,
            connections: int | None = None) -> dict[str, Series]:  # fmt: skip
    """A/B/A: bare, one, bare, the next, bare, and so on, in another order each round."""
    series = {envoy.contender.name: Series() for envoy in (bare, *others)}

    def run(envoy: Envoy) -> None:
        requests = None
        if work.interval_us:  # streams that all run from beginning to end
            requests = connections or work.connections
        result = load.run(envoy, work, seconds, connections, requests)
        series[envoy.contender.name].add(result, work)

    for envoy in (bare, *others):
        load.run(envoy, work, min(seconds, WARM_UP_SECONDS), connections)
    for number in range(rounds):
        run(bare)
        turn = number % max(len(others), 1)
        for envoy in others[turn:] + others[:turn]:
            run(envoy)
            run(bare)
            series[envoy.contender.name].compare(series[bare.contender.name])
    return series
