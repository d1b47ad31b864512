#!/usr/bin/env python3
"""`make fallback`: examples/fallback with two mocks, of which the first one fails, is killed and comes back.

Exits 0 only when every answer is as it says.
"""

import json
import re
import sys
import time

from mock_upstream import BUSY, UPSTREAM_KEY
from parts import Parts, end, free_port, get, post
from stack import HOST, ROOT, StackError, exit_on_signals, paint

CONFIG = ROOT / "examples" / "fallback" / "envoy.yaml"
MOCK = ROOT / "demo" / "mock_upstream.py"
GATEWAY, ADMIN, VLLM, HOSTED = 10000, 9901, 8000, 8001
TEAM, CHEAP = "vk-team-of-the-example", "vk-cheap-of-the-example"
EJECTED_AFTER = 5
"""`consecutive_5xx`."""


class NotAsExpected(Exception):
    """An answer that is not what the example promises."""


class Example(Parts):
    """The example's Envoy, and a mock for each provider as a process that can be killed."""

    def __init__(self):
        super().__init__("fallback", {port: free_port() for port in (GATEWAY, ADMIN, VLLM, HOSTED)})

    def mock_process(self, name, port):
        url = f"http://{HOST}:{self.port(port)}/health"
        command = [sys.executable, MOCK, "--port", self.port(port)]
        return self.start(name, command, lambda: get(url) is not None, [port])

    def ask(self, model="fast", key=TEAM, question="hello", stream=False):
        """(status, who answered, who was asked, the answer as text)"""
        body = {"model": model, "messages": [{"role": "user", "content": question}], "stream": stream}
        status, headers, text = post(self.port(GATEWAY), "/v1/chat/completions", body, key)
        return status, headers.get("x-langwatch-provider"), headers.get("x-langwatch-attempts"), text

    def is_ejected(self):
        told = get(f"http://{HOST}:{self.port(ADMIN)}/clusters") or ""
        return re.search(r"^hosted::.*health_flags::/failed_outlier_check", told, re.MULTILINE) is not None


def show(title, reply, status, provider, attempts):
    """Prints an answer and holds it against what was promised."""
    got_status, got_provider, got_attempts, text = reply
    said = " ".join(text.split())
    if got_status == 200 and text.startswith("{"):
        said = json.loads(text)["choices"][0]["message"]["content"]
    print(f"{paint('1', title)}\n   {got_status} by {got_provider}, attempts: {got_attempts}\n   {said[:110]}", flush=True)
    if (got_status, got_provider, got_attempts) != (status, provider, attempts):
        raise NotAsExpected(f"expected {status} by {provider}, attempts: {attempts}")
    if provider == "vllm" and "credential: accepted" in said:
        raise NotAsExpected("vLLM was sent the hosted API's key")


def play(parts):
    parts.mock_process("vllm", VLLM)
    hosted = parts.mock_process("hosted", HOSTED)
    parts.envoy(CONFIG, GATEWAY, ADMIN, variables={"HOSTED_API_KEY": UPSTREAM_KEY, "TEAM_KEY": TEAM, "CHEAP_KEY": CHEAP})

    show("All is well: the first provider answers", parts.ask(), 200, "hosted", None)
    fell_back = "hosted=429, vllm=200"
    show("It is out of quota: the second one", parts.ask(question=BUSY), 200, "vllm", fell_back)
    show("The same as a stream", parts.ask(question=BUSY, stream=True), 200, "vllm", fell_back)
    show("A key that may use the first one only", parts.ask(key=CHEAP, question=BUSY), 429, "hosted", None)

    end(hosted)
    show("The first one is killed", parts.ask(), 200, "vllm", "hosted=none, vllm=200")
    for _ in range(EJECTED_AFTER):
        parts.ask()
    if not parts.is_ejected():
        raise NotAsExpected("Envoy's /clusters shows no ejected host")
    show("After five failures it is not even asked (/clusters: failed_outlier_check)", parts.ask(), 200, "vllm", None)

    parts.mock_process("hosted-again", HOSTED)
    deadline = time.monotonic() + 60
    while parts.is_ejected():
        if time.monotonic() > deadline:
            raise NotAsExpected("the host stays ejected")
        time.sleep(0.2)
    show("It comes back", parts.ask(), 200, "hosted", None)


def main():
    exit_on_signals()
    try:
        with Example() as parts:
            play(parts)
    except (NotAsExpected, StackError) as error:
        sys.exit(f"{paint('31', 'error:')} {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(paint("32", "Everything as expected."))


if __name__ == "__main__":
    main()
