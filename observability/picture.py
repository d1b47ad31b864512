"""Draws the dashboard's panels from what a Prometheus holds: a picture for those who have no Grafana at hand."""

import re
import time
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter
from PIL import Image

matplotlib.use("Agg")
COLUMNS = 2
MOST_SERIES = 8
"""Of a panel; the largest are drawn, the legend says how many are not."""


def name_of(legend, labels):
    return re.sub(r"{{(\w+)}}", lambda at: labels.get(at[1], "") or "-", legend)


def draw(observed, panels, began, file):
    """Every panel from `began` until now, in the order of the dashboard."""
    rows = -(-len(panels) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(12, 2.6 * rows), squeeze=False)
    now = time.time()
    for (panel, targets), axis in zip(panels, axes.flat, strict=False):
        series = []
        for expression, legend in targets:
            for one in observed.api("query_range", query=expression, start=began, end=now, step=1)["result"]:
                points = [(at - began, float(value)) for at, value in one["values"] if value != "NaN"]
                if points:
                    series.append((name_of(legend, one["metric"]), points))
        series.sort(key=lambda one: -max(value for _, value in one[1]))
        for name, points in series[:MOST_SERIES]:
            axis.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
        if len(series) > MOST_SERIES:
            axis.plot([], [], " ", label=f"and {len(series) - MOST_SERIES} more")
        unit = {"ms": " ms", "reqps": " /s"}.get(panel["fieldConfig"]["defaults"]["unit"], "")
        axis.set_title(panel["title"], loc="left", fontsize=10, fontweight="bold")
        axis.set_ylim(0, 1.3 * max((value for _, points in series for _, value in points), default=1) or 1)
        axis.set_xlim(0, now - began)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: f"{value:g}{unit}"))
        axis.tick_params(labelsize=8)
        axis.grid(visible=True, alpha=0.25)
        axis.legend(fontsize=7, loc="upper left", ncols=2, framealpha=0.7, borderpad=0.2)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("seconds since the load began", fontsize=9)
    figure.tight_layout()
    figure.savefig(Path(file), dpi=80)
    with Image.open(file) as drawn:  # few colours: a third of the bytes
        drawn.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)
