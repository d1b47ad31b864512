"""Each rule of docs/security.md names a test that there is."""

from __future__ import annotations

import re

from test_docs import ROOT

ROW = re.compile(r"^\| [^|]+ \| `([^`:]+)::(\w+)` \|$", re.MULTILINE)


def test_each_named_test_exists() -> None:
    page = (ROOT / "docs/security.md").read_text()
    _, _, section = page.partition("## Each rule and its test")
    rows = ROW.findall(section)
    assert len(rows) == section.count("\n| ") - 2, "a row that names no test"
    missing = [
        f"{path}::{name}"
        for path, name in rows
        if not (ROOT / path).is_file() or not re.search(rf"(def|fn) {name}\(", (ROOT / path).read_text())
    ]
    assert not missing
