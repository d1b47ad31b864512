#!/usr/bin/env python3
"""`make budgets`: Redis, Envoy's rate limit service, a mock upstream and two Envoys with this folder's configuration; a key is
stopped at its budget, which the two share.

What is not there is installed first: the service is built from its Go module, Redis is Debian's. STAY=1 leaves all of it up.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "demo"))
from parts import Parts, get, listens, post, program  # noqa: E402
from stack import HOST, StackError, as_command, stay  # noqa: E402

FIRST, SECOND, MOCK = 10000, 10001, 18000
ADMIN, SECOND_ADMIN = 9901, 9902
SERVICE, SERVICE_HTTP, SERVICE_DEBUG, REDIS = 18081, 18080, 16070, 16379
PORTS = (FIRST, SECOND, MOCK, ADMIN, SECOND_ADMIN, SERVICE, SERVICE_HTTP, SERVICE_DEBUG, REDIS)
SEARCH, CHAT = "vk-demo-search-team", "vk-demo-chat-team"
BUDGET = 100
"""Of the key SEARCH, in tokens an hour (config/budgets.yaml)."""


class Fleet(Parts):
    """All parts, running."""

    def __init__(self, ports=None):
        super().__init__("budgets", ports or {})
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        self._redis_cli = program("debian.sh", "redis-cli", "redis-server")
        redis = program("debian.sh", "redis-server", "redis-server")
        service = program("ratelimit.sh")
        data = self.folder / "redis"
        data.mkdir()
        self.redis = self.start(
            "redis",
            [redis, "--bind", HOST, "--port", self.port(REDIS), "--save", "", "--appendonly", "no", "--dir", data],
            lambda: listens(self.port(REDIS)),
            ports=[REDIS],
        )
        # The service's whole configuration: environment variables, and the files below RUNTIME_ROOT.
        shutil.copytree(FOLDER / "config", self.folder / "service" / "budgets" / "config")
        self.service = self.start(
            "ratelimit",
            [service],
            lambda: get(f"http://{HOST}:{self.port(SERVICE_HTTP)}/healthcheck") == "OK",
            ports=[SERVICE, SERVICE_HTTP, SERVICE_DEBUG],
            BACKEND_TYPE="redis",
            REDIS_SOCKET_TYPE="tcp",
            REDIS_URL=f"{HOST}:{self.port(REDIS)}",
            RUNTIME_ROOT=str(self.folder / "service"),
            RUNTIME_SUBDIRECTORY="budgets",
            RUNTIME_WATCH_ROOT="false",
            USE_STATSD="false",
            LOG_LEVEL="warn",
            HOST=HOST,
            GRPC_HOST=HOST,
            DEBUG_HOST=HOST,
            PORT=str(self.port(SERVICE_HTTP)),
            GRPC_PORT=str(self.port(SERVICE)),
            DEBUG_PORT=str(self.port(SERVICE_DEBUG)),
        )
        self.mock(MOCK)
        self.envoys = [
            self.envoy(FOLDER / "envoy.yaml", FIRST, ADMIN, "envoy-1"),
            self.envoy(
                FOLDER / "envoy.yaml", FIRST, ADMIN, "envoy-2", {FIRST: self.port(SECOND), ADMIN: self.port(SECOND_ADMIN)}
            ),
        ]

    def redis_command(self, *words):
        command = [self._redis_cli, "-p", str(self.port(REDIS)), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout

    def charged(self, key_id):
        """The tokens that a key has been charged with in this hour, as Redis has them."""
        names = self.redis_command("--scan", "--pattern", f"*tokens_of_{key_id}_*").split()
        return sum(int(self.redis_command("GET", name) or 0) for name in names)

    def forget(self):
        """Every budget is whole again."""
        self.redis_command("FLUSHALL")

    def chat(self, gateway, key, words=30, path="/v1/chat/completions", **more):
        """One chat at FIRST or SECOND. The mock counts words: a question of `words`, and an answer that repeats it."""
        question = " ".join(["word"] * words)
        body = {"model": "mock-chat", "messages": [{"role": "user", "content": question}], **more}
        return post(self.port(gateway), path, body, key)


def wait_for_the_same_hour(seconds=60):
    """The service's hours are the clock's. What is tried across the turn of one would prove nothing."""
    left = 3600 - time.time() % 3600
    if left < seconds:
        print(f"== waiting {left:.0f} s for the next hour, in which every budget is whole", file=sys.stderr)
        time.sleep(left + 1)


def settled(fleet, key_id, at_least, seconds=10):
    """Waits until a key has been charged with at least so much: the charge comes after the answer's end."""
    deadline = time.monotonic() + seconds
    while (charged := fleet.charged(key_id)) < at_least:
        if time.monotonic() > deadline:
            raise StackError(f"{key_id} was charged with {charged} tokens, not {at_least}")
        time.sleep(0.02)
    return charged


def spend(fleet, key, key_id, most=10, **more):
    """Requests at both Envoys in turn until one is refused: (how many passed, the refusal)."""
    for number in range(most):
        before = fleet.charged(key_id)
        told = fleet.chat((FIRST, SECOND)[number % 2], key, **more)
        status, headers, body = told
        if status != 200:
            error = json.loads(body)["error"]
            print(f"  Envoy {number % 2 + 1}: {status} {error['code']}, retry-after: {headers['retry-after']}")
            return number, told
        after = settled(fleet, key_id, before + 1)
        print(f"  Envoy {number % 2 + 1}: 200, {after - before} tokens, {after} of {BUDGET} in this hour")
    raise StackError(f"{key_id} was not stopped after {most} requests")


def demonstrate(fleet):
    wait_for_the_same_hour()
    fleet.forget()
    for title, more in (("plain answers", {}), ("streams, whose usage the client did not ask for", {"stream": True})):
        print(f"\nsearch-team has {BUDGET} tokens an hour. {title.capitalize()}, at both Envoys in turn:")
        passed, _ = spend(fleet, SEARCH, "search-team", **more)
        if passed != 2:
            raise StackError(f"{passed} requests passed, not 2")
        status, *_ = fleet.chat(FIRST, CHAT, **more)
        print(f"  chat-team, at the same moment: {status}")
        if status != 200:
            raise StackError("chat-team has a budget of its own")
        fleet.forget()


def main():
    print("Starting Redis, the rate limit service, the mock upstream and two Envoys …", file=sys.stderr)
    with as_command():
        with Fleet() as fleet:
            demonstrate(fleet)
            stay(f"Up: http://{HOST}:{FIRST}/v1 and http://{HOST}:{SECOND}/v1 with the keys {SEARCH} and {CHAT}.")
        print("\n== budgets: a key is stopped at its budget, which two Envoys share; another one is not")


if __name__ == "__main__":
    main()
