"""What the results say, as tables: rows of text for a terminal and for a page."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Table = tuple[list[str], list[list[str]]]
"""Head and lines."""

LATENCY_TARGET = 1.15
"""This filter's p50 at one request at a time, times the empty filter's."""
PEER_TARGETS = {"aigw": 5, "litellm": 50}
"""How many times this filter's added CPU theirs is to be, on every row."""
TITLES = {
    "this": "this filter",
    "native": "this filter, native",
    "native-calls": "its calls alone, native",
    "calls": "its calls alone",
    "naive": "naive wasm filter",
}
"""Modules that are not variants."""
LEAST_ADDED = 0.02
"""Times bare Envoy's CPU. Less can't be told from noise: who adds less counts as adding this."""
SECOND_POSITION_ROW, SECOND_POSITION_TARGET = "small chat", 0.25
"""What the filter in two positions may add to the same in one, times bare Envoy's CPU."""
PER_KEY_TARGET = 1.05
"""CPU a request with 10,000 keys, times that with 10: the same, within what the runs are apart."""


def terminal(table: Table) -> str:
    head, lines = table
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]

    def row(cells: list[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join(padded).rstrip()

    return "\n".join([row(head), row(["-" * width for width in widths]), *map(row, lines)])


def markdown(table: Table) -> str:
    head, lines = table
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def ratio(figures: Json | None) -> str:
    """Median, and how far the rounds were apart."""
    if figures is None:
        return "-"
    return f"{figures['median']:.2f} [{figures['min']:.2f}-{figures['max']:.2f}]"


def microseconds(value: float, sign: str = "") -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:{sign}.1f} ms"
    digits = ",.0f" if abs(value) >= 100 else ".1f"
    return f"{value:{sign}{digits}} us"


def cpu(results: Json) -> Table:
    """CPU a unit of work: bare Envoy's, and everybody's as a ratio to it."""
    titles = results["titles"]
    names = [name for name in titles if name != "bare"]
    lines = []
    for row in results.get("filters", {}).values():
        by = row["contenders"]
        cost = microseconds(by["bare"]["cpu_us"]["median"])
        ratios = [ratio(by[name]["ratio"]) if name in by else "-" for name in names]
        lines.append([row["title"], row["unit"], cost, *ratios])
    return ["CPU", "per", "bare Envoy", *(titles[name] for name in names)], lines


def added(results: Json) -> Table:
    """At one request at a time: p50, p99 and to the first byte of the answer's body."""
    lines = []
    for row in results.get("latency", {}).values():
        for name, series in row["contenders"].items():
            bare = name == "bare"
            keys = ("p50_us", "p99_us", "first_us") if bare else (
                "added_us", "added_p99_us", "added_first_us")  # fmt: skip
            cells = [microseconds(series[key]["median"], "" if bare else "+") for key in keys]
            lines.append([f"{row['title']}: {results['titles'][name]}", *cells])
    return ["one at a time", "p50", "p99", "first byte"], lines


def targets(results: Json) -> Table:
    """What this filter is to reach, what it does, and whether that is it; beside it the same for its
    host calls alone, below which it can't get."""
    lines: list[list[str]] = []

    def line(what: str, measure: str, value: float, limit: float, calls: float | None = None,
             at_least: bool = False) -> None:  # fmt: skip
        met = value >= limit if at_least else value <= limit
        sign = ">=" if at_least else "<="
        digits = ".2f" if limit < 5 else ".1f"
        least = "-" if calls is None else f"{calls:{digits}}"
        lines.append([what, measure, f"{sign} {limit:g}", f"{value:{digits}}",
                      "met" if met else "MISSED", least])  # fmt: skip

    for row in results.get("filters", {}).values():
        by, limits = row["contenders"], row.get("target")
        if not limits or "this" not in by:
            continue
        this = by["this"]["ratio"]["median"]
        calls = by["calls"]["ratio"]["median"] if "calls" in by else None
        line(row["title"], "CPU, x bare Envoy", this, limits[0], calls)
        if "naive" in by:
            naive = by["naive"]["ratio"]["median"]
            least = calls and calls / naive
            line(row["title"], "CPU, x naive filter", this / naive, limits[1], least)
        if "native" in by and row.get("native_target"):
            least = by["native-calls"]["ratio"]["median"] if "native-calls" in by else None
            line(f"{row['title']}, native", "CPU, x bare Envoy", by["native"]["ratio"]["median"],
                 row["native_target"], least)  # fmt: skip
        for one, two, host in (("this", "two", ""), ("native", "native-two", ", native")):
            if {one, two} <= by.keys() and row["title"] == SECOND_POSITION_ROW:
                added = by[two]["ratio"]["median"] - by[one]["ratio"]["median"]
                line(f"{row['title']}, second position{host}", "CPU, + x bare Envoy", added, SECOND_POSITION_TARGET)
    for row in results.get("latency", {}).values():
        by = row["contenders"]
        if {"this", "empty"} <= by.keys():
            least = p50_ratio(by, "calls") if "calls" in by else None
            line(row["title"], "p50 at one a time, x empty filter", p50_ratio(by), LATENCY_TARGET,
                 least)  # fmt: skip
    if many := results.get("growth", {}).get("keys", {}).get("10000"):
        line("10,000 keys", "CPU, x 10 keys", many["median"], PER_KEY_TARGET)
    for name, row, times in against_peers(results):
        if name in PEER_TARGETS:
            title = results["peers"][name]["title"]
            line(row, f"added CPU of {title}, x this filter's", times, PEER_TARGETS[name], at_least=True)
    return ["target", "measure", "limit", "reached", "", "its calls alone"], lines


def p50_ratio(by: Json, name: str = "this") -> float:
    """To the empty filter's, round by round, so that a slow minute of the machine is in both."""
    pairs = zip(by[name]["p50_us"]["rounds"], by["empty"]["p50_us"]["rounds"], strict=True)
    found = sorted(this / empty for this, empty in pairs)
    return found[len(found) // 2]


def against_peers(results: Json) -> list[tuple[str, str, float]]:
    """Peer, row's title, and the CPU that the peer adds to bare Envoy's by what this filter adds."""
    found = []
    for name, peer in results.get("peers", {}).items():
        for row_name, row in peer.get("rows", {}).items():
            mine = results.get("filters", {}).get(row_name, {}).get("contenders", {}).get("this")
            if mine is None:
                continue
            theirs = row["ratio"]["median"] - 1
            found.append(
                (name, row["title"], theirs / max(mine["ratio"]["median"] - 1, LEAST_ADDED))
            )
    return found


def peers(results: Json) -> Table:
    """CPU of each gateway's processes, times bare Envoy's."""
    found = {name: peer for name, peer in results.get("peers", {}).items() if peer.get("rows")}
    lines = []
    for name, row in results.get("filters", {}).items():
        cells = [ratio(peer["rows"].get(name, {}).get("ratio")) for peer in found.values()]
        if any(cell != "-" for cell in cells):
            mine = row["contenders"].get("this", {}).get("ratio")
            lines.append([row["title"], ratio(mine), *cells])
    slow = results.get("latency", {}).get("chat", {}).get("contenders", {}).get("this")
    cells = [microseconds(peer["added_us"]["median"], "+") if "added_us" in peer else "-"
             for peer in found.values()]  # fmt: skip
    if lines:
        mine = microseconds(slow["added_us"]["median"], "+") if slow else "-"
        lines.append(["small chat, one at a time: p50", mine, *cells])
    return ["CPU, x bare Envoy", "this filter", *(peer["title"] for peer in found.values())], lines


def peer_times(results: Json) -> Table:
    """Added CPU, times this filter's."""
    names = [name for name, peer in results.get("peers", {}).items() if peer.get("rows")]
    by_row: dict[str, dict[str, float]] = {}
    for name, row, times in against_peers(results):
        by_row.setdefault(row, {})[name] = times
    lines = [[row, *(f"{max(by[name], 0):,.1f}" if name in by else "-" for name in names)]
             for row, by in by_row.items()]  # fmt: skip
    titles = [results["peers"][name]["title"] for name in names]
    return ["added CPU, x this filter's", *titles], lines


def memory(results: Json) -> Table:
    states = {"streams": "64 streams open", "small": "4 small requests at once",
              "20m": "4 x 20 MB, model first", "20m-last": "4 x 20 MB, model last"}  # fmt: skip
    lines = []
    for told in results.get("memory", {}).values():
        cells = [f"+{told[name]:.1f}" if name in told else "-" for name in states]
        lines.append([told["title"], f"{told['idle']['median']:.1f}", *cells])
    return ["Envoy's memory, MB", "idle", *states.values()], lines


def sizes(results: Json) -> Table:
    found = results.get("growth", {}).get("sizes", {})
    names = next(iter(found.values()))["contenders"] if found else {}
    lines = []
    for row in found.values():
        by = row["contenders"]
        cells = [microseconds(by[name]["cpu_us"]["median"]) for name in names]
        lines.append([row["title"], *cells, ratio(by["this"]["ratio"])])
    titles = [results["titles"][name] for name in names]
    return ["CPU a request of", *titles, "this filter, x bare"], lines


GOVERNED = {"keys": "virtual keys", "aliases": "aliases of the key", "allowed": "allowlist entries"}


def governed(results: Json) -> Table:
    lines = []
    for name, title in GOVERNED.items():
        for count, figures in results.get("growth", {}).get(name, {}).items():
            lines.append([f"{int(count):,} {title}", ratio(figures)])
    return ["small chat with", "CPU, x with 10 keys, 10 aliases, 5 entries"], lines


def micro(results: Json) -> Table:
    lines = []
    for name, group in results.get("micro", {}).items():
        for function in sorted(key for key in group if key.startswith("this")):
            mine = group[function]
            cells = [f"{mine['median']:,.0f} [{mine['min']:,.0f}-{mine['max']:,.0f}]"]
            for other in ("serde_json-value", "serde_json-ignored"):
                cells.append(f"{group[other]['median']:,.0f}" if other in group else "-")
            bare = next((key for key in group if key.startswith("mem")), None)
            cells.append(f"{group[bare]['median']:,.0f} ({bare})" if bare else "-")
            shown = name + function.removeprefix("this").replace("-", ", ", 1).replace("-", " ")
            lines.append([shown, *cells])
    return ["MB/s, native", "this filter", "serde_json tree", "serde_json, ignored", "bare scan"], lines


def vm(results: Json) -> Table:
    rows = results.get("vm", {}).values()
    names = list(dict.fromkeys(name for row in rows for name in row["modules"]))
    head = ["microseconds in V8, host calls", *(TITLES.get(name, name) for name in names)]
    lines = []
    for row in rows:
        cells = []
        for name in names:
            told = row["modules"].get(name)
            times = f", x {told['times_first']:.3f}" if told and name not in TITLES else ""
            cells.append(f"{told['us']:,.1f}, {told['host_calls']}{times}" if told else "-")
        lines.append([row["title"], *cells])
    return head, lines


def tables(results: Json) -> dict[str, Table]:
    """Every table that has lines."""
    every = {
        "cpu": cpu, "latency": added, "peers": peers, "peer-times": peer_times, "memory": memory,
        "sizes": sizes, "governed": governed, "vm": vm, "micro": micro, "targets": targets,
    }  # fmt: skip
    found = {name: make(results) for name, make in every.items()}
    return {name: table for name, table in found.items() if table[1]}
