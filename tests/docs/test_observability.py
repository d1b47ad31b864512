"""docs/observability.md: its commands, with a real Envoy and a real Prometheus, and its tables."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from harness import examples
from test_budgets import run_on
from test_docs import ROOT, commands

PAGE = (ROOT / "docs" / "observability.md").read_text()
RULES = yaml.safe_load((ROOT / "observability" / "rules.yaml").read_text())
run = examples.load("observability/run.py")
STATS, QUERY = (command for command, _ in commands(PAGE))


@pytest.fixture(scope="module")
def observed() -> Iterator[Any]:
    with examples.start(run.Observed, *run.PORTS) as observed:
        observed.start_prometheus()
        status, *_ = observed.send(run.KEYS["search-team"], {"model": "local", "messages": [{"role": "user", "content": "hello"}]})
        assert status == 200
        yield observed


def until(ready: Any, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := ready()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return result


def test_the_command_for_envoy_s_numbers(observed: Any) -> None:
    lines = until(lambda: run_on(observed, STATS + " || true"))
    assert 'virtual_key="search-team"' in lines


def test_the_command_for_prometheus(observed: Any) -> None:
    (one,) = until(lambda: json.loads(run_on(observed, QUERY))["data"]["result"])
    assert one["metric"] == {"virtual_key": "search-team"}
    assert float(one["value"][1]) > 0


def table(head: str) -> list[list[str]]:
    rows = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_table_of_alerts_is_that_of_the_rules() -> None:
    told = {row[0].strip("`"): row[2] for row in table("alert | when | severity")}
    assert told == {rule["alert"]: rule["labels"]["severity"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}


def test_each_metric_and_attribute_of_the_page_is_configured() -> None:
    config = (ROOT / "observability" / "envoy.yaml").read_text()
    names = re.findall(r"`envoy_openai_gateway_(\w+)`", PAGE)
    assert len(set(names)) == 5
    for name in names:
        assert re.search(rf"\bname: {name}\b", config), name
    attributes = re.findall(r"`(gen_ai\.[\w.]+|gateway\.\w+|error\.type)`", PAGE.partition("## Spans")[2])
    assert sorted(attributes) == sorted(re.findall(r"\btag: ([\w.]+)", config))


def test_each_fact_of_the_page_is_one_that_the_configurations_read() -> None:
    files = [ROOT / name for name in ("observability/envoy.yaml", "examples/budgets/envoy.yaml", "examples/budgets-local/envoy.yaml")]
    read = {name for file in files for name in re.findall(r"wasm\.(gateway_\w+)", file.read_text())}
    told = set(re.findall(r"`(gateway_\w+)`", PAGE.partition("## The facts")[2].partition("## Metrics")[0]))
    # In the shipped configurations the answer's head names the provider.
    assert read == told - {"gateway_provider"}
