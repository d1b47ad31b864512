"""docs/keys.md: its YAML and its commands, run in a real Envoy."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from test_artefacts import Mount, until
from test_docs import ROOT, blocks

sys.path.insert(0, str(ROOT / "demo"))
from mock_upstream import UPSTREAM_KEY  # noqa: E402
from parts import Parts, free_port, get, post  # noqa: E402

PAGE = (ROOT / "docs" / "keys.md").read_text()
EXAMPLE = ROOT / "envoy" / "envoy.yaml"
SDS = "/etc/llm-gateway/keys"
GATEWAY, ADMIN, MOCK, HOSTED = 10000, 9901, 18000, 18001
CLIENT = "vk-demo-team"
OLD, NEW = "vk-the-old-key-of-this-page", "vk-the-new-key-of-this-page"


YAML = [textwrap.dedent(block) for block in re.findall(r"^ *```yaml\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)]
ROTATION, SECRET_FILE, CLUSTER, SECRET, POD = (yaml.safe_load(block) for block in YAML)
SECRET_TEXT = YAML[1]


def manager(config: dict[str, Any]) -> dict[str, Any]:
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def settings(config: dict[str, Any]) -> dict[str, Any]:
    (plugin,) = (item for item in manager(config)["http_filters"] if item["name"] == "openai-gateway-filter")
    return plugin["typed_config"]["config"]["configuration"]["value"]


@contextmanager
def gateway(change: Callable[[dict[str, Any], Path], None]) -> Iterator[Parts]:
    """The shipped configuration with a change, and one mock for both providers, whose hosted API asks for a key."""
    mock = free_port()
    with Parts("keys", {GATEWAY: free_port(), ADMIN: free_port(), MOCK: mock, HOSTED: mock}) as parts:
        config = yaml.safe_load(EXAMPLE.read_text())
        change(config, parts.folder)
        file = parts.folder / "config.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        parts.mock(MOCK)
        parts.envoy(file, GATEWAY, ADMIN)
        yield parts


def chat(parts: Parts, key: str = CLIENT, model: str = "hosted/swift-8b") -> tuple[int, str]:
    """Status, and what the mock says of the credential, or the error's code."""
    status, _, body = post(parts.port(GATEWAY), "/v1/chat/completions", {"model": model, "messages": []}, key)
    told = json.loads(body)
    return status, told["choices"][0]["message"]["content"].split("; ")[1] if status == 200 else told["error"]["code"]


GOOD = (200, "credential: accepted.")


def test_two_digests_are_one_user() -> None:
    def change(config: dict[str, Any], _: Path) -> None:
        (key,) = ROTATION["virtual_keys"]
        assert len(key["key_sha256"]) == 2
        digests = [hashlib.sha256(one.encode()).hexdigest() for one in (OLD, NEW)]
        settings(config)["virtual_keys"] = [{**key, "key_sha256": digests}]

    with gateway(change) as parts:
        for key in (OLD, NEW):
            assert chat(parts, key) == GOOD
        assert chat(parts, "vk-another-key-altogether") == (401, "invalid_api_key")


def in_one_position(value: Any) -> Any:
    """A configuration without the filter's second position, and so without fallbacks."""
    if isinstance(value, list):
        return [in_one_position(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: in_one_position(member) for name, member in value.items() if name != "upstream_http_filters"}
    if "positions" in kept:
        kept["positions"] = 1
    aliases = kept.get("model_aliases", {})
    for name in [name for name, alias in aliases.items() if isinstance(alias, dict) and "fallback" in alias]:
        del aliases[name]
    return kept


def with_sds(folder: Path) -> Callable[[dict[str, Any], Path], None]:
    """The page's cluster filters, for a secret in `folder`; in one position, as the page says."""

    def change(config: dict[str, Any], _: Path) -> None:
        config |= in_one_position(config)
        config["node"] = {"id": "gateway", "cluster": "gateway"}
        cluster = next(one for one in config["static_resources"]["clusters"] if one["name"] == "hosted")
        cluster |= yaml.safe_load(yaml.safe_dump(CLUSTER).replace(SDS, str(folder)))
        hosted = next(one for one in settings(config)["providers"] if one["name"] == "hosted")
        hosted["auth"] = {"mode": "none"}
        del hosted["models"]  # the list comes from the server, by a call of the filter's own

    return change


def secret(key: str) -> str:
    assert SECRET_TEXT.count("CHANGE") == 1
    return SECRET_TEXT.replace("CHANGE", key)


def test_a_provider_key_by_sds_is_rotated_without_a_restart(tmp_path: Path) -> None:
    (tmp_path / "groq.yaml").write_text(secret(UPSTREAM_KEY))
    with gateway(with_sds(tmp_path)) as parts:
        pid = parts.running[-1][1].pid
        assert chat(parts) == GOOD
        # The filter's own calls carry it too.
        assert models(parts) >= {"hosted/swift-8b", "hosted/swift-70b"}

        stream = threading.Thread(target=lambda: streamed.append(stream_of(parts)))
        streamed: list[str] = []
        stream.start()
        active = f"http://127.0.0.1:{parts.port(ADMIN)}/stats?filter=cluster.hosted.upstream_rq_active$"
        until(lambda: get(active), "cluster.hosted.upstream_rq_active: 1\n", seconds=5)
        (command,) = (block for block in blocks(PAGE, "sh") if "mv next" in block)
        for key, expected in (("wrong", (401, "401")), (UPSTREAM_KEY, GOOD)):
            line = command.replace(SDS, str(tmp_path))
            subprocess.run(["bash", "-ec", line], env=os.environ | {"NEW_KEY": key}, check=True, timeout=10)
            until(lambda: chat(parts), expected, seconds=5)
        stream.join(20)
        assert streamed
        assert streamed[0].endswith("data: [DONE]\n\n"), "a request under way ends with the key that it began with"
        assert parts.running[-1][1].pid == pid
        assert parts.running[-1][1].poll() is None


def models(parts: Parts) -> set[str]:
    url = f"http://127.0.0.1:{parts.port(GATEWAY)}/v1/models"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {CLIENT}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return {one["id"] for one in json.loads(answer.read())["data"]}


def stream_of(parts: Parts) -> str:
    words = [{"role": "user", "content": " ".join(["word"] * 40)}]
    body = {"model": "hosted/swift-8b", "messages": words, "stream": True}
    return post(parts.port(GATEWAY), "/v1/chat/completions", body, CLIENT)[2]


def test_a_provider_key_by_sds_is_in_no_dump_and_goes_to_no_other_provider(tmp_path: Path) -> None:
    canary = "sk-canary-of-this-test-0123456789"
    (tmp_path / "groq.yaml").write_text(secret(canary))
    with gateway(with_sds(tmp_path)) as parts:
        assert chat(parts) == (401, "401")
        # Another cluster, without the injector, to the same mock.
        assert chat(parts, model="vllm/mock-chat") == (200, "credential: none.")
        for path in ("/config_dump", "/stats", "/clusters", "/config_dump?resource=static_clusters"):
            told = get(f"http://127.0.0.1:{parts.port(ADMIN)}{path}")
            assert told
            for spelled in (canary, base64.b64encode(canary.encode()).decode(), base64.b64encode(f"Bearer {canary}".encode()).decode()):
                assert spelled not in told, path
        assert canary not in parts.running[-1][1].log.read_text()


def test_without_a_secret_nothing_goes_out(tmp_path: Path) -> None:
    (tmp_path / "groq.yaml").write_text("resources: []\n")
    with gateway(with_sds(tmp_path)) as parts:
        status, code = chat(parts)
        assert (status, code) != GOOD
        assert status == 401
        (tmp_path / "next").write_text(secret(UPSTREAM_KEY))
        (tmp_path / "next").rename(tmp_path / "groq.yaml")
        until(lambda: chat(parts), GOOD, seconds=5)


def test_a_replaced_kubernetes_secret_takes_effect(tmp_path: Path) -> None:
    """As the kubelet replaces it."""
    kubernetes_validate.validate(SECRET, "1.34", strict=True)
    (mounted,) = (one["mountPath"] for one in POD["containers"][0]["volumeMounts"])
    assert mounted == SDS
    assert POD["volumes"][0]["secret"]["secretName"] == SECRET["metadata"]["name"]
    (text,) = SECRET["stringData"].values()
    assert yaml.safe_load(text) == SECRET_FILE

    def files(key: str) -> dict[str, str]:
        return {"groq.yaml": text.replace("CHANGE", key)}

    mount = Mount(tmp_path / "keys", files("wrong"))
    with gateway(with_sds(tmp_path / "keys")) as parts:
        assert chat(parts)[0] == 401
        mount.replace(files(UPSTREAM_KEY))
        until(lambda: chat(parts), GOOD, seconds=5)


@pytest.mark.parametrize("row", [line for line in PAGE.splitlines() if line.startswith("| ") and "403 `" in line])
def test_the_codes_of_the_page_exist(row: str) -> None:
    code = row.split("403 `")[1].split("`")[0]
    assert f"`{code}`" in (ROOT / "docs" / "reference.md").read_text()
