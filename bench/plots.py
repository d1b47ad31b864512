"""SVG plots of the results: bars and lines, in colours that can be read on light and on dark."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import Any


Json = dict[str, Any]
GREY, FAINT = "#7d8590", "#7d859040"
COLOURS = {
    "empty": "#9aa4b0", "calls": "#3f9c74", "naive": "#d1862c", "parsing": "#a4632a", "lua": "#8d6bc7",
    "this": "#2f81f7", "bare": "#7d8590",
}  # fmt: skip
OTHERS = ("#d1862c", "#c2514d", "#8d6bc7", "#4c9fb8", "#b0518f", "#7f9a3a", "#9c7a5b")
WIDTH, LABEL, RIGHT, BAR, GAP = 760, 210, 64, 13, 12
FONT = "font-family='system-ui, sans-serif' font-size='12'"


def _svg(width: int, height: float, parts: list[str], title: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height:.0f}' "
        f"width='{width}' height='{height:.0f}' role='img' {FONT}>\n<title>{escape(title)}</title>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = GREY,
          bold: bool = False) -> str:  # fmt: skip
    weight = " font-weight='600'" if bold else ""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' fill='{colour}' text-anchor='{anchor}'{weight}>"
        f"{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = FAINT, more: str = "") -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}'{more}/>"


def _legend(entries: list[tuple[str, str]], y: float) -> list[str]:
    parts, x = [], 0.0
    for title, colour in entries:
        parts.append(f"<rect x='{x:.1f}' y='{y - 9:.1f}' width='10' height='10' fill='{colour}'/>")
        parts.append(_text(x + 15, y, title))
        x += 32 + 6.4 * len(title)
    return parts


Group = tuple[str, list[tuple[str, float, float, float]]]
"""A title, and for each bar its colour, its value and the ends of its spread."""


def bars(title: str, groups: list[Group], legend: list[tuple[str, str]], start: float,
         form: Callable[[float], str], log: bool = False) -> str:  # fmt: skip
    """Horizontal bars from `start`. `log`: by powers of ten; a value below `start` gets no bar."""
    most = max(value for _, found in groups for _, value, *_ in found)
    room = WIDTH - LABEL - RIGHT

    def at(value: float) -> float:
        value = max(value, start)
        share = (
            math.log(value / start) / math.log(most / start) if log
            else (value - start) / (most - start)
        )  # fmt: skip
        return LABEL + room * min(share, 1.0)

    parts = [_text(0, 16, title, bold=True), *_legend(legend, 38)]
    y = 58.0
    top = y
    for name, found in groups:
        height = BAR * len(found)
        parts.append(_text(LABEL - 10, y + height / 2 + 4, name, "end"))
        for colour, value, low, high in found:
            width = max(at(value) - LABEL, 1)
            parts.append(f"<rect x='{LABEL}' y='{y:.1f}' width='{width:.1f}' height='{BAR - 3}' "
                         f"fill='{colour}'/>")  # fmt: skip
            middle = y + (BAR - 3) / 2
            if high > low:
                parts.append(_line(at(low), middle, at(min(high, most)), middle, GREY))
            parts.append(_text(max(at(value), at(min(high, most))) + 5, y + BAR - 4, form(value)))
            y += BAR
        y += GAP
    parts.insert(1, _line(LABEL, top - 4, LABEL, y - GAP + 4, GREY))
    return _svg(WIDTH, y, parts, title)


def lines(title: str, series: list[tuple[str, str, list[tuple[float, float]]]],
          marks: list[tuple[float, str]], unit: str) -> str:  # fmt: skip
    """Curves on two logarithmic axes. `marks`: the ticks of the lower one."""
    height, bottom, top = 340.0, 300.0, 60.0
    values = [y for *_, points in series for _, y in points]
    low, high = 10 ** math.floor(math.log10(min(values))), max(values) * 1.1
    first, last = marks[0][0], marks[-1][0]

    def x_of(value: float) -> float:
        return 70 + (WIDTH - 160) * math.log(value / first) / math.log(last / first)

    def y_of(value: float) -> float:
        return bottom - (bottom - top) * math.log(value / low) / math.log(high / low)

    parts = [_text(0, 16, title, bold=True), _text(0, 38, unit)]
    tick = low
    while tick <= high:
        parts.append(_line(70, y_of(tick), WIDTH - 90, y_of(tick)))
        parts.append(_text(62, y_of(tick) + 4, f"{tick:,.0f}", "end"))
        tick *= 10
    for value, name in marks:
        parts.append(_text(x_of(value), bottom + 20, name, "middle"))
    ends: list[float] = []
    for name, colour, points in series:
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [f"<circle cx='{x_of(x):.1f}' cy='{y_of(y):.1f}' r='3' fill='{colour}'/>"
                  for x, y in points]  # fmt: skip
        end = y_of(points[-1][1]) + 4
        while any(abs(end - other) < 14 for other in ends):
            end += 4
        ends.append(end)
        parts.append(_text(x_of(points[-1][0]) + 8, end, name.removesuffix(" wasm filter"),
                           colour=colour))  # fmt: skip
    return _svg(WIDTH, height, parts, title)


def _ratio_groups(results: Json, names: list[str]) -> list[Group]:
    groups = []
    for row in results["filters"].values():
        by = row["contenders"]
        found = []
        for name in names:
            if name in by and name != "bare":
                figures = by[name]["ratio"]
                found.append((COLOURS.get(name, GREY), *(figures[k] for k in ("median", "min", "max"))))
        if found:
            groups.append((row["title"], found))
    return groups


def cpu(results: Json) -> str | None:
    names = [name for name in ("empty", "calls", "naive", "this") if name in results["titles"]]
    if not results.get("filters") or "this" not in names:
        return None
    legend = [(results["titles"][name], COLOURS[name]) for name in names]
    return bars("CPU of Envoy, times bare Envoy's (left edge: 1)", _ratio_groups(results, names),
                legend, 1.0, lambda value: f"{value:.2f}")  # fmt: skip


def peers(results: Json) -> str | None:
    found = {name: peer for name, peer in results.get("peers", {}).items() if peer.get("rows")}
    if not found or not results.get("filters"):
        return None
    colours = dict(zip(found, OTHERS, strict=False))
    groups: list[Group] = []
    for name, row in results["filters"].items():
        bars_of = []
        mine = row["contenders"].get("this", {}).get("ratio")
        if mine:
            bars_of.append((COLOURS["this"], mine["median"], mine["median"], mine["median"]))
        for peer, told in found.items():
            if name in told["rows"]:
                value = told["rows"][name]["ratio"]["median"]
                bars_of.append((colours[peer], value, value, value))
        if len(bars_of) > bool(mine):
            groups.append((row["title"], bars_of))
    legend = [("this filter", COLOURS["this"])]
    legend += [(peer["title"], colours[name]) for name, peer in found.items()]
    return bars("CPU of the gateway, times bare Envoy's (logarithmic, left edge: 1)", groups,
                legend, 1.0, lambda value: f"{value:,.1f}", log=True)  # fmt: skip


def sizes(results: Json) -> str | None:
    found = results.get("growth", {}).get("sizes")
    if not found:
        return None
    rows = list(found.values())
    names = [name for name in ("bare", "naive", "this") if name in rows[0]["contenders"]]
    series = [
        (results["titles"][name], COLOURS[name],
         [(row["bytes"], row["contenders"][name]["cpu_us"]["median"]) for row in rows])
        for name in names
    ]  # fmt: skip
    marks = [(row["bytes"], row["title"]) for row in rows]
    return lines("CPU a request against the body's size", series, marks, "microseconds")


def micro(results: Json) -> str | None:
    if not (found := results.get("micro")):
        return None
    functions = (("this", "this filter", COLOURS["this"]),
                 ("serde_json-ignored", "serde_json, ignored", "#9aa4b0"),
                 ("serde_json-value", "serde_json tree", "#d1862c"))  # fmt: skip
    groups: list[Group] = []
    for name, group in found.items():
        chosen = []
        for function, _, colour in functions:
            key = function if function in group else f"{function}-check"
            if key in group:
                chosen.append((colour, *(group[key][k] for k in ("median", "min", "max"))))
        groups.append((name, chosen))
    legend = [(title, colour) for _, title, colour in functions]
    return bars("Native speed of the core, MB/s (logarithmic, left edge: 10)", groups, legend, 10.0,
                lambda value: f"{value:,.0f}", log=True)  # fmt: skip


def every(results: Json) -> dict[str, str]:
    """File name, and the SVG, of each plot that has something to show."""
    made = {"cpu": cpu(results), "gateways": peers(results), "size": sizes(results), "core": micro(results)}
    return {f"{name}.svg": svg for name, svg in made.items() if svg}
