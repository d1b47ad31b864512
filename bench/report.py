"""Tables for a terminal."""

from __future__ import annotations

from statistics import median

from measure import Series
from work import Work

Rows = list[tuple[Work, dict[str, Series]]]


def table(head: list[str], lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]

    def row(cells: list[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join(padded).rstrip()

    return "\n".join([row(head), row(["-" * width for width in widths]), *map(row, lines)])


def spread(values: list[float], form: str = ".2f") -> str:
    """Median, and how far the rounds were apart."""
    return f"{median(values):{form}} [{min(values):{form}}-{max(values):{form}}]"


def microseconds(value: float, sign: str = "") -> str:
    digits = ",.0f" if abs(value) >= 100 else ".1f"
    return f"{value:{sign}{digits}} us"


def cpu(rows: Rows, titles: dict[str, str]) -> str:
    """CPU a unit of work: bare Envoy's, and everybody's as a ratio to it."""
    names = [name for name in titles if name != "bare"]
    lines = []
    for work, series in rows:
        cost = microseconds(median(series["bare"].cpu_us))
        ratios = [spread(series[name].ratio) if name in series else "-" for name in names]
        lines.append([work.title, work.unit, cost, *ratios])
    return table(["CPU", "per", "bare Envoy", *(f"{titles[name]}, x" for name in names)], lines)


def latency(rows: Rows, titles: dict[str, str]) -> str:
    """Added at one request at a time: p50, p99 and to the first byte of the answer's body."""
    lines = []
    for work, series in rows:
        for name, title in titles.items():
            if name not in series:
                continue
            one = series[name]
            if name == "bare":
                figures = [one.p50_us, one.p99_us, one.first_us]
            else:
                figures = [one.added_us, one.added_p99_us, one.added_first_us]
            sign = "" if name == "bare" else "+"
            cells = [microseconds(median(values), sign) for values in figures]
            lines.append([f"{work.title}: {title}", *cells])
    return table(["one at a time", "p50", "p99", "first byte"], lines)


def targets(rows: Rows) -> tuple[str, bool]:
    """What this filter is to reach, and whether it does."""
    lines, all_met = [], True
    for work, series in rows:
        if work.target is None or "this" not in series:
            continue
        this = median(series["this"].ratio)
        found = [this]
        if "naive" in series:
            found.append(this / median(series["naive"].ratio))
        cells = []
        for value, limit in zip(found, work.target, strict=False):
            met = value <= limit
            all_met &= met
            cells.append(f"{value:.2f} <= {limit:.2f} {'met' if met else 'MISSED'}")
        lines.append([work.title, *cells, *["-"] * (2 - len(cells))])
    return table(["this filter's CPU", "x bare Envoy", "x naive filter"], lines), all_met
