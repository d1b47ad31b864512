"""The official Node SDK, unmodified: runs the files of tests/node against the shared gateway."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from harness import ROOT, openai_shapes
from harness.plugin import PROVIDER_KEYS, VK

FOLDER = ROOT / "tests" / "node"


def run_node(gateway, file: str) -> str:
    """Runs a file with node:test; its report. Fails when one of its tests does."""
    environment = {
        "PATH": os.environ["PATH"],
        "GATEWAY_URL": f"http://127.0.0.1:{gateway.port}/v1",
        "GATEWAY_KEYS": json.dumps(VK),
        "GATEWAY_TEXT": openai_shapes.TEXT,
    }
    command = ["node", "--test", "--test-reporter=spec", file]
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("file", ["chat.test.mjs", "errors.test.mjs"])
def test_node(gateway, file):
    run_node(gateway, file)


def test_node_uploads(gateway, upstreams):
    run_node(gateway, "uploads.test.mjs")
    sent = [got for name in ("alpha", "vllm") for got in upstreams[name].requests]
    assert len(sent) == 3
    for got in sent:
        assert b"whisper-1" in got.body
        assert b"alpha/" not in got.body and b"vllm/" not in got.body
        assert got.header("authorization") in {f"Bearer {key}" for key in PROVIDER_KEYS.values()}
    first_model = [got.body.index(b'name="model"') < got.body.index(b'name="file"') for got in sent]
    assert first_model == [True, False, False]
