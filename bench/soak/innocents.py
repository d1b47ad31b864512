"""Clients that do nothing wrong: paced streams in each dialect, which must come to their end."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import gateway  # noqa: F401  (finds the harness)
from harness import Envoy, Gate, headers, openai_shapes, sse
from harness.wire import Truncated

if TYPE_CHECKING:
    from __main__ import Report
    from harness import Answer, Recorded

WORDS = 20
STEP_SECONDS = 0.1


class Pause(Gate):
    """A point at which the upstream waits a moment."""

    def pass_through(self) -> None:
        time.sleep(STEP_SECONDS)


def answers(request: Recorded) -> Answer:
    """A stream of WORDS words, one every STEP_SECONDS."""
    steps: list[Any] = []
    for number in range(WORDS):
        steps += [openai_shapes.chunk({"content": f"w{number} "}), Pause()]
    return sse(*steps, openai_shapes.chunk({}, "stop"), "[DONE]")


TEXT = "".join(f"w{number} " for number in range(WORDS))
REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/chat/completions": ({"messages": []}, "[DONE]"),
    "/v1/responses": ({"input": "x"}, "response.completed"),
    "/v1/messages": (
        {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9},
        "message_stop",
    ),
}
"""A body for each path, and what stands in the last event of its stream."""


def until(ends: float, envoy: Envoy, rng: random.Random, report: Report) -> None:
    while time.monotonic() < ends:
        path = rng.choice(list(REQUESTS))
        fault = one(envoy, path)
        report.streams += 1
        if fault:
            report.cut.append(f"{path}: {fault}")


def one(envoy: Envoy, path: str) -> str | None:
    """One stream; what was wrong with it."""
    body, last = REQUESTS[path]
    text = json.dumps({"model": "beta/m", "stream": True, **body}).encode()
    try:
        with envoy.connect() as connection:
            reply = connection.request("POST", path, headers("literal", "application/json"), text)
    except (OSError, Truncated) as failure:
        return repr(failure)
    if reply.status != 200 or not reply.complete:
        return f"{reply.status}, complete: {reply.complete}: {reply.body[:300]!r}"
    said = reply.body.decode()
    if last not in said.rstrip().rpartition("\n\n")[2]:
        return f"the end is {said[-200:]!r}"
    missing = [word for word in TEXT.split() if f'"{word} "' not in said]
    return f"{missing} are missing" if missing else None
