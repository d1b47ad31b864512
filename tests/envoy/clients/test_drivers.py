"""Clients in other languages, unmodified (`make clients`): each operation, as the client's own types read it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from harness import ROOT, answer, openai_shapes, sse
from harness.plugin import VK
from harness.responses_scenes import chunk

DRIVERS = ROOT / ".cache" / "clients"
WANT = {
    "chat": ["Hello", 12],
    "stream": ["Hello there", True],
    "tool": ["weather", "{}", "It is sunny."],
    "embeddings": [2, [0.5, -0.25]],
    "models": None,
    "upload": "said",
    "moderation": True,
    "response": ["Hello", "completed"],
    "response stream": ["Hello there", "response.completed"],
    "typed error": None,
}
# async-openai's types are strict, so that a stream of every kind of item is worth reading with them.
STREAM = "response.completed"
MORE = {
    "response stream": ["Hello there", STREAM, ["message"]],
    "response items": ["Let me look.", STREAM, ["reasoning", "message", "function_call", "function_call"]],
}
# What its type of a moderation must have.
CATEGORIES = [
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
]  # fmt: skip


def completion(message, finish="stop"):
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return answer({**openai_shapes.completion(), "choices": [choice], "usage": usage})


def items():
    """A stream that thinks, says something and calls twice, the pieces of the calls mixed."""

    def call(index, name=None, arguments="", **more):
        return chunk({"tool_calls": [{"index": index, **more, "function": {"arguments": arguments} | ({"name": name} if name else {})}]})

    yield chunk({"role": "assistant", "reasoning_content": "Where?"})
    yield chunk({"content": "Let me look."})
    yield call(0, "weather", "", id="call_1", type="function")
    yield call(0, arguments='{"city":')
    yield call(1, "weather", '{"city":"Rome"}', id="call_2", type="function")
    yield call(0, arguments='"Paris"}')
    yield chunk({}, "tool_calls")


def scripted(request):
    path = request.path.removeprefix("/openai/v1")
    if path == "/models":
        return answer({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]})
    if path == "/audio/transcriptions":
        assert b"RIFF" in request.body
        # async-openai reads no transcription without a usage.
        return answer({"text": "said", "usage": {"type": "duration", "seconds": 1}})
    if path == "/moderations":
        result = {
            "flagged": True,
            "categories": dict.fromkeys(CATEGORIES, False),
            "category_scores": dict.fromkeys(CATEGORIES, 0.5),
            "category_applied_input_types": dict.fromkeys(CATEGORIES, []),
        }
        return answer({"id": "m", "model": "omni", "results": [result]})
    if path == "/embeddings":
        # Strict clients want an `object`, which this server leaves out.
        data = [{"embedding": [1, 2], "index": 0}, {"embedding": [0.5, -0.25], "index": 1}]
        return answer({"data": data, "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    body = request.json()
    if body.get("stream"):
        if body.get("tools"):
            return sse(*items(), "[DONE]")
        deltas = [chunk({"role": "assistant", "content": "Hello"}), chunk({"content": " there"}), chunk({}, "stop")]
        return sse(*deltas, "[DONE]")
    if not body.get("tools"):
        return completion({"content": "Hello"})
    if body["messages"][-1]["role"] == "tool":
        assert body["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
        return completion({"content": "It is sunny."})
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    return completion({"content": None, "tool_calls": [call]}, "tool_calls")


@pytest.mark.parametrize(("driver", "more"), [("go", {}), ("rust", MORE)], ids=["openai-go", "async-openai"])
def test_each_operation(gateway, upstreams, driver, more):
    upstreams["alpha"].handler = scripted
    environment = {
        "PATH": os.environ["PATH"],
        "BASE_URL": f"http://127.0.0.1:{gateway.port}/v1",
        "API_KEY": VK["main"],
        "MODEL": "alpha/m",
    }
    done = subprocess.run([DRIVERS / driver], env=environment, capture_output=True, text=True, timeout=120, check=False)
    got = {line["name"]: line["got"] for line in map(json.loads, done.stdout.splitlines())}
    assert got.keys() == WANT.keys() | more.keys(), done.stdout + done.stderr
    for name, want in (WANT | more).items():
        if want is not None:
            assert got[name] == want, name
    assert "alpha/m" in got["models"]
    status, kind, code, param = got["typed error"]
    assert (status, code, param) == (404, "model_not_found", "model") and kind
