"""Real servers with the tiny models of `make servers`, and a gateway before them."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import anthropic
import openai
import pytest
from harness import ROOT, Envoy, Setting, plugin
from harness.plugin import VK

SERVERS = ROOT / ".cache" / "servers"
SLOTS = 2
CONTEXT = 2048
"""Tokens of one conversation."""


@contextmanager
def llama_server(log: Path, *options: str) -> Iterator[int]:
    command = [SERVERS / "env/bin/llama-server-vulkan", "-m", SERVERS / "tiny.gguf", "--alias", "tiny", "-ngl", "0"]
    command += ["-c", str(SLOTS * CONTEXT), "-np", str(SLOTS), "-t", "1", *options]
    with running(log, *command) as port:
        yield port


@contextmanager
def whisper_server(log: Path) -> Iterator[int]:
    program = [SERVERS / "env/bin/python", "-m", "faster_whisper_server", SERVERS / "tiny-whisper"]
    with running(log, *program) as port:
        yield port


@contextmanager
def running(log: Path, *command: str | Path) -> Iterator[int]:
    """A server's port, once it answers."""
    port = free_port()
    command = (*command, "--host", "127.0.0.1", "--port", str(port))
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", lambda: server.poll() is None, log)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def wait_for(url: str, lives: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and lives():
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"the server does not answer:\n{log.read_text(errors='replace')[-2000:]}")


class Ways(NamedTuple):
    """The same server, asked in several ways."""

    direct: openai.OpenAI
    direct_embeddings: openai.OpenAI
    direct_speech: openai.OpenAI
    gateway: openai.OpenAI
    anthropic: anthropic.Anthropic
    direct_anthropic: anthropic.Anthropic
    envoy: Envoy


@pytest.fixture(scope="session")
def ways(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Ways]:
    folder = tmp_path_factory.mktemp("servers")
    with (
        llama_server(folder / "chat.log", "--jinja") as chat,
        llama_server(folder / "embeddings.log", "--embeddings", "--pooling", "mean") as embeddings,
        whisper_server(folder / "whisper.log") as speech,
        Envoy(Setting(config=configuration()), {**ports, "alpha": chat, "beta": embeddings, "gamma": speech}) as envoy,
    ):
        base = f"http://127.0.0.1:{envoy.port}"
        yield Ways(
            direct=openai_client(f"http://127.0.0.1:{chat}/v1"),
            direct_embeddings=openai_client(f"http://127.0.0.1:{embeddings}/v1"),
            direct_speech=openai_client(f"http://127.0.0.1:{speech}/v1"),
            gateway=openai_client(f"{base}/v1"),
            anthropic=anthropic.Anthropic(base_url=base, api_key=VK["main"], max_retries=0, timeout=30),
            direct_anthropic=anthropic.Anthropic(
                base_url=f"http://127.0.0.1:{chat}", api_key="x", max_retries=0, timeout=30
            ),
            envoy=envoy,
        )


def openai_client(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=base_url, api_key=VK["main"], max_retries=0, timeout=30)


def configuration() -> dict:
    """`bridge` converts the Responses and Messages APIs, `native` forwards them to the server's own."""

    def provider(name: str, cluster: str, **more: object) -> dict:
        return {"name": name, "cluster": cluster, "base_url": "http://llama.test/v1", "auth": {"mode": "none"}, **more}

    native = {"responses_api": "native", "messages_api": "native"}
    others = [provider("vectors", "beta"), provider("speech", "gamma")]
    providers = [provider("bridge", "alpha"), provider("native", "alpha", **native), *others]
    keys = [{"id": "id-main", "key_sha256": plugin.key_sha256("main")}]
    return {"providers": providers, "virtual_keys": keys}
