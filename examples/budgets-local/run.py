#!/usr/bin/env python3
"""`make budgets-local`: a mock upstream and Envoy with this folder's configuration; two plans, each tried at its limit.

STAY=1 leaves all of it up afterwards.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "demo"))
from parts import Parts, post  # noqa: E402
from stack import StackError, as_command, stay  # noqa: E402

GATEWAY, ADMIN, MOCK = 10000, 9901, 18000
ALICE, BOB, SEARCH = "vk-demo-free-alice", "vk-demo-free-bob", "vk-demo-team-search"


def start(ports=None):
    """The example, on the ports of its files or on others."""
    parts = Parts("budgets-local", ports or {})
    try:
        parts.mock(MOCK)
        parts.envoy(FOLDER / "envoy.yaml", GATEWAY, ADMIN)
    except BaseException:
        parts.stop()
        raise
    return parts


def chat(parts, key, max_tokens, **more):
    """One chat, of about `max_tokens` and a few tokens by the filter's estimate."""
    body = {"model": "mock-chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": max_tokens, **more}
    return post(parts.port(GATEWAY), "/v1/chat/completions", body, key)


def show(name, number, told):
    status, headers, body = told
    if status == 429:
        error = json.loads(body)["error"]
        print(f"  {name}, request {number}: 429 {error['code']}, retry-after: {headers['retry-after']}")
    else:
        print(f"  {name}, request {number}: {status}, x-ratelimit-remaining: {headers['x-ratelimit-remaining']}")
    return status


def until_refused(name, send, most):
    """The number of requests that passed before the first refusal."""
    for number in range(1, most + 1):
        if show(name, number, send()) == 429:
            return number - 1
    raise StackError(f"{name} was not stopped after {most} requests")


def expect(what, seen, wanted):
    if seen != wanted:
        raise StackError(f"{what}: {seen}, not {wanted}")


def demonstrate(parts):
    print("\nPlan free, 2,000 estimated tokens an hour. Each request may take 600 and a few:")
    expect("requests that passed", until_refused("free.alice", lambda: chat(parts, ALICE, 600), 6), 3)
    print("\nPlan free, 5 requests a minute, and a stream is a request like any other:")
    sent = until_refused("free.bob", lambda: chat(parts, BOB, 10, stream=True), 8)
    expect("requests that passed", sent, 5)
    print("\nPlan team: 600 requests a minute, 1,000,000 tokens. The same moment:")
    for number in range(1, 11):
        expect("team.search", show("team.search", number, chat(parts, SEARCH, 600)), 200)


def main():
    print("Starting the mock upstream and Envoy with examples/budgets-local/envoy.yaml …", file=sys.stderr)
    with as_command():
        with start() as parts:
            demonstrate(parts)
            stay(f"Up on http://127.0.0.1:{GATEWAY}/v1 with the keys {ALICE}, {BOB}, {SEARCH}.")
        print("\n== budgets-local: a key is stopped at its budget, another one is not")


if __name__ == "__main__":
    main()
