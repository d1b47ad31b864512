"""observability/: what a real Prometheus gets of a real Envoy under load, its rules, and every panel of the dashboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import PATIENCE, ROOT, examples

pytestmark = pytest.mark.one_position  # as its configuration is
run = examples.load("observability/run.py")
FOLDER = ROOT / "observability"
LABELS = {"virtual_key", "operation", "provider", "model"}


@pytest.fixture(scope="module")
def promtool() -> str:
    return run.program("debian.sh", "promtool", "prometheus")


@pytest.fixture(scope="module")
def observed() -> Iterator[Any]:
    with examples.start(run.Observed, *run.PORTS) as observed:
        observed.start_prometheus()
        yield observed


@pytest.fixture(scope="module")
def loaded(observed: Any) -> Iterator[Any]:
    """While clients of all kinds are at work."""
    with run.Load(observed):
        yield observed


def until(what: str, ready: Any) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (result := ready()):
        assert time.monotonic() < deadline, what
        time.sleep(0.25)
    return result


# The rules


def test_promtool_takes_rules_and_configuration(promtool: str) -> None:
    for kind, file in (("rules", "rules.yaml"), ("config", "prometheus.yml")):
        done = subprocess.run([promtool, "check", kind, FOLDER / file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should(promtool: str, tmp_path: Path) -> None:
    test = Path(__file__).with_name("rules_test.yaml")
    shutil.copy(FOLDER / "rules.yaml", tmp_path)
    shutil.copy(test, tmp_path)
    done = subprocess.run([promtool, "test", "rules", test.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = [rule for group in yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"] for rule in group["rules"]]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    bad = yaml.safe_load(test.read_text())["tests"][1]["alert_rule_test"]
    assert {case["alertname"] for case in bad} == alerts, "an alert that no test makes fire"


# What is counted


def counted(observed: Any, name: str, **labels: str) -> dict[str, float]:
    """One series' values by what its other labels say, straight from Envoy."""
    found = {}
    text = run.get(f"http://127.0.0.1:{observed.port(run.ADMIN)}/stats/prometheus")
    for line in text.splitlines():
        if match := re.fullmatch(rf"{name}{{(.*)}} ([\d.e+]+)", line):
            seen = dict(re.findall(r'(\w+)="(.*?)"', match[1]))
            if labels.items() <= seen.items():
                rest = sorted((key, value) for key, value in seen.items() if key not in labels)
                found[" ".join(f"{key}={value}" for key, value in rest)] = float(match[2])
    return found


def tokens(observed: Any) -> dict[str, float]:
    labels = {"virtual_key": "search-team", "provider": "vllm", "model": "mock-chat", "operation": "chat_completions"}
    return counted(observed, "envoy_openai_gateway_tokens", **labels)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_tokens_are_those_of_the_answer(observed: Any, stream: bool) -> None:
    """The mock counts words: 2 of the question, 6 of its answer."""
    before = tokens(observed)
    body = {"model": "local", "messages": [{"role": "user", "content": "two words"}], "stream": stream}
    status, _, text = observed.send(run.KEYS["search-team"], body)
    assert status == 200, text

    def risen() -> bool:
        now = tokens(observed)
        rise = {name: now.get(name, 0) - before.get(name, 0) for name in now}
        return rise == {"type=input": 2, "type=output": 6, "type=cached": 0}

    until(f"{before} became {tokens(observed)}", risen)


def test_refusals_name_the_code_and_the_key(observed: Any) -> None:
    observed.send(run.KEYS["batch-team"], {"model": "hosted/swift-70b", "messages": []})
    observed.send("vk-of-nobody-at-all", {"model": "local", "messages": []})
    name = "envoy_openai_gateway_refusals"
    until("model_not_allowed", lambda: counted(observed, name, virtual_key="batch-team", code="openai_gateway:model_not_allowed"))
    until("invalid_api_key", lambda: counted(observed, name, virtual_key="", code="openai_gateway:invalid_api_key"))


def test_no_client_can_make_a_label(observed: Any) -> None:
    """Models, paths and headers that nobody configured leave no trace in a name."""
    for number in range(20):
        fields = {"x-langwatch-provider": f"made-up-{number}", "x-langwatch-model": f"made-up-{number}"}
        body = {"model": f"vllm/made-up-{number}", "messages": []}
        run.post(observed.port(run.GATEWAY), run.CHAT, body, run.KEYS["chat-team"], **fields)
        run.post(observed.port(run.GATEWAY), f"/v1/made-up-{number}", body, run.KEYS["chat-team"])
        run.post(observed.port(run.GATEWAY), run.CHAT, body, f"vk-made-up-{number}")
    seen = until("other", lambda: counted(observed, "envoy_openai_gateway_requests", virtual_key="chat-team", model="other"))
    assert sum(seen.values()) >= 20
    text = run.get(f"http://127.0.0.1:{observed.port(run.ADMIN)}/stats/prometheus")
    assert "made-up" not in text


def test_health_checks_and_failures_of_envoy_s_own_loggers(observed: Any) -> None:
    """No value of a fact is missing when a logger needs it."""
    (log,) = [process.log for name, process in observed.running if name == "envoy"]
    assert "non-number" not in log.read_text()


# Prometheus


def test_every_panel_of_the_dashboard_has_data(loaded: Any) -> None:
    shown = [panel for panel, _ in run.panels()]
    assert len(shown) == len({panel["title"] for panel in shown}) >= 8
    for panel, targets in run.panels():
        for expression, legend in targets:
            series = until(f"nothing in {panel['title']}: {expression}", lambda: loaded.query(expression))  # noqa: B023
            # A label that is empty Prometheus leaves out: no series has it only where the legend is wrong.
            labels = {name for seen, _ in series for name in seen}
            assert set(re.findall(r"{{(\w+)}}", legend)) <= labels, legend
            assert all(value >= 0 for _, value in series)


def several(observed: Any, metric: str, label: str) -> list[str]:
    """A label's values, once there are two."""
    values = observed.api(f"label/{label}/values", **{"match[]": metric})
    return values if len(values) >= 2 else []


def test_the_dashboard_asks_for_nothing_that_prometheus_lacks(loaded: Any) -> None:
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    variables = [one for one in dashboard["templating"]["list"] if one["type"] == "query"]
    assert {one["name"] for one in variables} == {"virtual_key", "provider", "model"}
    for one in variables:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", one["query"]).groups()
        values = until(f"values of {label}", lambda: several(loaded, metric, label))  # noqa: B023
        assert "" not in values


def test_recording_rules_give_data_and_no_rule_fails(loaded: Any) -> None:
    rules = [rule for group in loaded.api("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == 15
    for rule in rules:
        if rule["type"] == "recording":
            until(f"no data: {rule['name']}", lambda: loaded.query(rule["name"]))  # noqa: B023
    rules = [rule for group in loaded.api("rules")["groups"] for rule in group["rules"]]
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


def test_labels_are_the_configurations(loaded: Any) -> None:
    names = json.loads(json.dumps(yaml.safe_load((FOLDER / "envoy.yaml").read_text()), default=str))
    text = json.dumps(names)
    for label in LABELS:
        for value in loaded.api(f"label/{label}/values", **{"match[]": "envoy_openai_gateway_requests"}):
            known = value in ("", "other", "chat_completions", "embeddings") or f'"{value}"' in text or f"/{value}" in text
            assert known, (label, value)


# Those who have containers


def test_the_compose_file_names_what_is_there() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (FOLDER / source).resolve().exists() or source.startswith("../target/"), source
    version = (ROOT / ".envoy-version").read_text().strip()
    assert services["envoy"]["image"] == f"envoyproxy/envoy:v{version}"
