"""docs/budgets.md and the README's budget: their YAML and their commands, with the real parts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import examples
from test_docs import README, ROOT, blocks, commands

sys.path.insert(0, str(ROOT / "demo"))
from parts import Parts, free_port, post  # noqa: E402

PAGE = (ROOT / "docs" / "budgets.md").read_text()
local = examples.load("examples/budgets-local/run.py")
fleet = examples.load("examples/budgets/run.py")
(README_COMMAND,) = [command for command, comment in commands(README) if comment == "429 rate_limit_exceeded"]
(LOCAL_COMMAND,) = [command for command, comment in commands(PAGE) if comment == "429 rate_limit_exceeded"]
(FLEET_COMMAND,) = [command for command, comment in commands(PAGE) if not comment]
MODE, LOCAL_FILTER, SERVICE_FILE = (yaml.safe_load(block) for block in blocks(PAGE, "yaml"))
QUESTION = [{"role": "user", "content": "hello"}]


def run_on(parts: Any, command: str) -> str:
    """A command of a page, at the ports that the parts really have."""
    for port, real in parts.ports.items():
        command = re.sub(rf"(127\.0\.0\.1:){port}\b", rf"\g<1>{real}", command)
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True).stdout


def expect_refused(answer: str) -> None:
    head, _, body = answer.replace("\r", "").partition("\n\n")
    assert head.startswith("HTTP/1.1 429 "), answer
    assert re.search(r"^retry-after: [1-9]\d*$", head, re.MULTILINE), head
    assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"


@contextmanager
def gateway(limit: dict[str, Any]) -> Iterator[Parts]:
    """The README's minimal configuration with one limit behind the filter, in front of the mock."""
    ports = {port: free_port() for port in (10000, 9901, 18000)}
    with Parts("docs-budgets", ports) as parts:
        config = yaml.safe_load(blocks(README, "yaml")[0].replace("127.0.0.1:8000", "127.0.0.1:18000").replace("8000}", "18000}"))
        config["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}}
        (manager,) = (one["typed_config"] for one in config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"])
        plugin = manager["http_filters"][0]["typed_config"]["config"]
        plugin["vm_config"].pop("environment_variables")
        settings = plugin["configuration"]["value"]
        settings["providers"] = settings["providers"][:1]
        settings["virtual_keys"] = [{"id": name, "key": f"vk-demo-{name}"} for name in ("free-bob", "free-alice", "search-team")]
        settings["usage"] = MODE["usage"]
        manager["http_filters"].insert(1, limit)
        config["static_resources"]["clusters"] = config["static_resources"]["clusters"][:1]
        file = parts.folder / "config.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        parts.mock(18000)
        parts.envoy(file, 10000, 9901)
        yield parts


def chat(parts: Parts, name: str, max_tokens: int) -> int:
    body = {"model": "mock-chat", "messages": QUESTION, "max_tokens": max_tokens}
    return post(parts.port(10000), "/v1/chat/completions", body, f"vk-demo-{name}")[0]


def test_the_readme_s_ten_lines() -> None:
    text = blocks(README, "yaml")[1]
    assert len(text.strip().splitlines()) == 10
    (limit,) = yaml.safe_load(text)
    with gateway(limit) as parts:
        expect_refused(run_on(parts, README_COMMAND))
        # Two fit into 2,000, the third does not, and another key is none the poorer.
        assert [chat(parts, "free-bob", 800) for _ in range(3)] == [200, 200, 429]
        assert chat(parts, "free-alice", 800) == 200


def test_the_filter_of_the_page() -> None:
    with gateway(LOCAL_FILTER[0]) as parts:
        assert [chat(parts, "free-alice", 800) for _ in range(3)] == [200, 200, 429]
        assert [chat(parts, "free-bob", 10) for _ in range(11)] == [200] * 10 + [429]
        assert chat(parts, "search-team", 5000) == 200, "a budget of its own"


def test_what_is_left_up_on_one_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """`make budgets-local STAY=1` shows what the page says, and refuses what the page sends."""
    with examples.start(local.start, local.GATEWAY, local.ADMIN, local.MOCK) as parts:
        local.demonstrate(parts)
        assert shown("make budgets-local") in capsys.readouterr().out
        for command in (README_COMMAND, LOCAL_COMMAND):
            expect_refused(run_on(parts, command))


def shown(command: str) -> str:
    """What the page says that a command prints."""
    return re.search(rf"```sh\n{command}\n```.*?```text\n(.*?)```", PAGE, re.DOTALL)[1]


def test_what_is_left_up_of_a_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    with examples.start(fleet.Fleet, *fleet.PORTS) as running:
        fleet.demonstrate(running)
        assert re.sub(r"retry-after: \d+", "retry-after: 1742", capsys.readouterr().out).find(shown("make budgets")) >= 0
        assert json.loads(run_on(running, FLEET_COMMAND))["usage"]["total_tokens"] > 0


def test_the_service_s_file_is_the_example_s() -> None:
    assert yaml.safe_load((ROOT / "examples/budgets/config/budgets.yaml").read_text()) == SERVICE_FILE


@pytest.mark.parametrize("name", ["usage: {mode: require}", "envoy.filters.http.ratelimit", "name: ratelimit", "BUDGET"])
def test_what_the_page_tells_to_copy_is_there(name: str) -> None:
    assert name in (ROOT / "examples/budgets/envoy.yaml").read_text()
    assert Path(ROOT / "examples/budgets/run.py").exists()
