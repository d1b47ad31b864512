"""Ten thousand virtual keys of ten aliases: what they take of each VM, and that each of them works."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from harness import FILTER_WASM, answer, expect, headers, openai_shapes, plugin

ROOT = Path(__file__).resolve().parents[3]
KEYS = 10_000
SECRET = "vk-many-"
PROVIDER = {"name": "alpha", "base_url": "http://alpha.test/v1"}
BUDGET_MB = 16
"""What one VM may take for them: the most its memory ever was, since it never shrinks."""


def virtual_keys(keys: int) -> list[dict]:
    """That many."""

    def key(number: int) -> dict:
        aliases = {f"alias-{n}": "alpha/shared" for n in range(9)}
        return {
            "id": f"team-{number}",
            "key_sha256": hashlib.sha256(f"{SECRET}{number}".encode()).hexdigest(),
            "models_allowed": [f"alpha/own-{number}"],
            "model_aliases": {**aliases, f"own-{number}": f"alpha/own-{number}"},
        }

    return [key(number) for number in range(keys)]


@pytest.mark.wasm_host
def test_the_memory_of_a_vm(tmp_path):
    files = [tmp_path / f"{keys}.json" for keys in (10, KEYS)]
    for file in files:
        file.write_text(json.dumps({"providers": [PROVIDER], "virtual_keys": virtual_keys(int(file.stem))}))
    done = subprocess.run(
        ["node", ROOT / "bench/scale.mjs", FILTER_WASM, SECRET, *files],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    few, many = json.loads(done.stdout)
    assert few["mb"] < many["mb"] <= BUDGET_MB, (few, many)


def test_each_key_is_known(start_envoy, upstreams):
    config = plugin.configuration(virtual_keys=virtual_keys(KEYS))
    envoy = start_envoy(config=config)

    def asked(number: int, model: str):
        bearer = [("authorization", f"Bearer vk-many-{number}")]
        return envoy.post(body={"model": model, "messages": []}, vk=None, fields=bearer)

    for number in (0, 1, KEYS // 2, KEYS - 1):
        upstreams["alpha"].next(answer(openai_shapes.completion()))
        reply = expect.good(asked(number, f"own-{number}"))
        assert reply.header("x-langwatch-model") == f"own-{number}"
        expect.gateway_error(asked(number, "alias-1"), 403, "model_not_allowed")
        expect.gateway_error(asked(number, f"own-{number + 1}"), 403, "model_not_allowed")
    expect.gateway_error(asked(KEYS, "alias-1"), 401, "invalid_api_key")
    listed = envoy.request("GET", "/v1/models", headers(None, None, [("authorization", "Bearer vk-many-7")]))
    assert [model["id"] for model in expect.good(listed).json()["data"]] == ["own-7"]
