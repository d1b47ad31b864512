"""The official SDKs, unmodified, with a gateway as their `base_url`."""

from __future__ import annotations

import json
import os
import subprocess

import openai

from . import openai_shapes
from .envoy import ROOT, Envoy
from .plugin import VK


def python_client(envoy: Envoy, vk: str = VK["main"]) -> openai.OpenAI:
    """A client of a virtual key. It never retries, so that a test sees each answer."""
    base_url = f"http://127.0.0.1:{envoy.port}/v1"
    return openai.OpenAI(base_url=base_url, api_key=vk, max_retries=0, timeout=20)


def run_node(envoy: Envoy, *arguments: str) -> str:
    """Runs a file of tests/node; what it prints. Fails when the program does."""
    environment = {
        "PATH": os.environ["PATH"],
        "GATEWAY_URL": f"http://127.0.0.1:{envoy.port}/v1",
        "GATEWAY_KEYS": json.dumps(VK),
        "GATEWAY_TEXT": openai_shapes.TEXT,
    }
    done = subprocess.run(
        ["node", *arguments],
        cwd=ROOT / "tests" / "node",
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_node_tests(envoy: Envoy, file: str) -> str:
    """Runs a file with node:test; its report. Fails when one of its tests does."""
    return run_node(envoy, "--test", "--test-reporter=spec", file)
