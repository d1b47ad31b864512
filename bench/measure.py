"""Runs in turn, each contender between two runs of bare Envoy, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from processes import Load, Proxy
from work import Work

Json = dict[str, Any]
WARM_UP_SECONDS = 0.5


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
        lists = {name: value for name, value in vars(self).items() if isinstance(value, list)}
        return {
            "units": self.units,
            **{name: figures(values) for name, values in lists.items() if values},
        }


def figures(values: list[float]) -> Json:
    """What is kept of the rounds: the median, the spread, and each round."""
    rounded = [float(f"{value:.5g}") for value in values]
    return {
        "median": median(rounded),
        "min": min(rounded),
        "max": max(rounded),
        "rounds": rounded,
    }


def pooled(before: Json | None, now: Json) -> Json:
    """The rounds of two runs as those of one."""
    if before is None:
        return now
    result = {"units": before["units"] + now["units"]}
    for name, value in now.items():
        if isinstance(value, dict):
            result[name] = figures([*before.get(name, {"rounds": []})["rounds"], *value["rounds"]])
    return result


def measure(load: Load, base: Proxy, others: list[Proxy], work: Work, rounds: int, seconds: float,
            connections: int | None = None) -> dict[str, Series]:  # fmt: skip
    """A/B/A: base, one, base, the next, base, and so on, in another order each round."""
    series = {proxy.name: Series() for proxy in (base, *others)}
    requests = None
    if work.interval_us:  # streams that all run from beginning to end
        streams = seconds * 1e6 / (work.interval_us * len(work.pieces or ()))
        requests = (connections or work.connections) * max(1, round(streams))

    def run(proxy: Proxy) -> None:
        result = load.run(proxy, work, proxy.expects(work), seconds, connections, requests)
        series[proxy.name].add(result, work)

    for proxy in (base, *others):
        warm_up = connections or work.connections if work.interval_us else None
        load.run(proxy, work, proxy.expects(work), WARM_UP_SECONDS, connections,
                 warm_up)  # fmt: skip
    for number in range(rounds):
        run(base)
        turn = number % max(len(others), 1)
        for proxy in others[turn:] + others[:turn]:
            run(proxy)
            run(base)
            series[proxy.name].compare(series[base.name])
    return series
