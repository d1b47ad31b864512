#!/usr/bin/env python3
"""Fills docs/performance.md from the results: everything between `<!-- name -->` and `<!-- /name -->`.

The prose between is written by hand. The plots and the results go to docs/performance/.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import plots
import report
from processes import ROOT

Json = dict[str, Any]
PAGE = ROOT / "docs/performance.md"
FOLDER = ROOT / "docs/performance"


def publish(results: Json) -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    drawn = plots.every(results)
    for name, svg in drawn.items():
        (FOLDER / name).write_text(svg)
    # Of this machine nothing but its versions: errors may name folders.
    text = _lines(results).replace(str(ROOT), ".")
    text = re.sub(r"/tmp/[^\s\"':]+", "/tmp/-", text)
    (FOLDER / "results.json").write_text(text + "\n")
    results = json.loads(text)
    blocks = {name: report.markdown(table) for name, table in report.tables(results).items()}
    blocks |= {
        "versions": _versions(results),
        "left-out": left_out(results),
        "checked": checked(results),
    }
    for name in ("cpu", "gateways", "size", "core"):
        file = f"{name}.svg"
        blocks[f"plot-{name}"] = f"![]({FOLDER.name}/{file})" if file in drawn else ""
    names = re.findall(r"<!-- /([a-z-]+) -->", PAGE.read_text())
    # The table of bench/scale.py is that program's.
    fill({name: blocks.get(name) or "Not measured in this run." for name in names if name != "scale"})
    print(f"wrote {PAGE.relative_to(ROOT)} and {FOLDER.relative_to(ROOT)}", file=sys.stderr)


def fill(blocks: dict[str, str]) -> None:
    """Puts blocks between their marks on the page."""
    text = PAGE.read_text()
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = text.split(begin, 1)
        text = f"{before}{begin}\n{block}\n{end}{rest.split(end, 1)[1]}"
    PAGE.write_text(text)


def _lines(results: Json) -> str:
    """JSON with a line for each row."""

    def compact(value: object) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def section(value: object) -> str:
        if not isinstance(value, dict):
            return compact(value)
        return "{" + ",".join(f"\n {compact(k)}: {compact(v)}" for k, v in value.items()) + "\n}"

    parts = [f"{compact(name)}: {section(value)}" for name, value in results.items()]
    return "{" + ",\n".join(parts) + "}"


def _versions(results: Json) -> str:
    told = results["versions"]
    lines = [[name, value] for name, value in told.items() if name not in ("load before", "python")]
    settings = results["settings"]
    lines.append(["runs", f"{settings.get('runs', 1)} of {settings['rounds']} rounds, {settings['seconds']:g} s each"])
    return report.markdown((["", ""], lines))


def left_out(results: Json) -> str:
    lines = [f"- {what}: {why}" for what, why in results.get("left out", {}).items()]
    for peer in results.get("peers", {}).values():
        if "error" in peer:
            lines.append(f"- {peer['title']} ({peer['version']}): {peer['error']}")
        lines += [f"- {peer['title']}, {row}: {why}" for row, why in peer.get("left out", {}).items()]
    if not results.get("peers"):
        lines.append("- other gateways: not measured in this run")
    return "\n".join(lines) or "Nothing."


def checked(results: Json) -> str:
    """What each gateway made of the small chat, which says what the others can be compared as."""
    lines = []
    for peer in results.get("peers", {}).values():
        told = peer.get("checked", {})
        first = next(iter(told.values()), "-")
        lines.append([f"{peer['title']} ({peer['version']})", first, peer.get("note", "")])
    head = ["gateway", "what was recorded at both ends of a small chat", "note"]
    return report.markdown((head, lines)) if lines else ""


if __name__ == "__main__":
    publish(json.loads(Path(sys.argv[1]).read_text()))
