"""Requests under random faults at two providers: whatever one of them could answer is answered.

`make chaos`, or with SEED and REQUESTS set in the environment. Prints what was drawn and what came of it.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import random
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from harness import Envoy, Setting, Upstream, answer, openai_shapes, plugin, sse
from harness.script import Answer
from harness.upstream import Recorded

ERROR = {"error": {"message": "busy", "type": "server_error"}}
FAULTS: dict[str, Callable[[], Answer]] = {
    "500": lambda: answer(ERROR, 500),
    "503 without a body": lambda: answer(b"", 503),
    "429": lambda: answer(ERROR, 429),
    "401": lambda: answer(ERROR, 401),
    "404": lambda: answer(ERROR, 404),
    "error in 200": lambda: answer({"error": {"message": "m", "code": 503}}),
    "first event an error": lambda: sse({"error": {"message": "m", "code": 500}}),
    "reset": lambda: answer(silent=True, end="reset"),
    "no first byte": lambda: answer(silent=True, end="never"),
}
NONE = "none"


def serve(name: str) -> Callable[[Recorded], Answer]:
    def handler(request: Recorded) -> Answer:
        fault = request.header(f"x-fault-{name}")
        return FAULTS[fault]() if fault in FAULTS else openai_shapes.good_answer(request)

    return handler


def ask(envoy: Envoy, first: str, second: str, stream: bool, size: int) -> bool:
    body = {"model": "both", "stream": stream, "messages": [], "user": "u" * size}
    fields = [("x-fault-alpha", first), ("x-fault-gamma", second)]
    reply = envoy.post(body=body, fields=fields)
    if reply.status != 200:
        json.loads(reply.body)["error"]["message"]
        return False
    return reply.body.endswith(b"data: [DONE]\n\n") if stream else b"choices" in reply.body


def main() -> int:
    seed, count = int(os.environ.get("SEED", "1")), int(os.environ.get("REQUESTS", "1000"))
    draw = random.Random(seed)
    kinds = [NONE] * 6 + list(FAULTS)
    plan = [
        (draw.choice(kinds), draw.choice(kinds), draw.random() < 0.5, draw.choice([10, 2_000, 200_000]))
        for _ in range(count)
    ]
    with contextlib.ExitStack() as stack:
        servers = {"alpha": Upstream("alpha"), "gamma-cluster": Upstream("gamma")}
        for server in servers.values():
            stack.callback(server.stop)
            server.handler = serve(server.name)
        fallback = {"fallback": ["alpha/first", "gamma/second"], "cluster": "over"}
        setting = Setting(
            config=plugin.configuration(model_aliases={"both": fallback}),
            positions=2,
            fallbacks={"over": ["alpha", "gamma-cluster"]},
            route_buffer_bytes=34_603_008,
            concurrency=2,
        )
        ports = {name: server.port for name, server in servers.items()}
        # The harness has a route to it.
        envoy = stack.enter_context(Envoy(setting, {**ports, "plain": ports["alpha"]}))
        with ThreadPoolExecutor(8) as pool:
            answered = list(pool.map(lambda drawn: ask(envoy, *drawn), plan))
        envoy.check()
        for server in servers.values():
            for other, key in plugin.PROVIDER_KEYS.items():
                sent = b"".join(got.head.raw + got.body for got in server.requests)
                assert other == server.name or key.encode() not in sent, f"{other}'s key at {server.name}"
    faults = collections.Counter(fault for drawn in plan for fault in drawn[:2] if fault != NONE)
    answerable = [NONE in drawn[:2] for drawn in plan]
    lost = [drawn for drawn, could, did in zip(plan, answerable, answered, strict=True) if could and not did]
    print(f"seed {seed}: {count} requests, {sum(drawn[2] for drawn in plan)} of them streams")
    for fault, number in sorted(faults.items()):
        print(f"  {fault:22} {number}")
    print(f"  answered {sum(answered)}, unanswerable {count - sum(answerable)}, lost {len(lost)}")
    for drawn in lost[:10]:
        print("  lost:", drawn)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
