"""The official SDK for Go, unmodified (`make clients`): each operation, as the SDK's own types read it."""

from __future__ import annotations

import json
import os
import subprocess

from harness import ROOT, answer, openai_shapes, sse
from harness.plugin import VK
from harness.responses_scenes import chunk

DRIVER = ROOT / ".cache" / "clients" / "go"
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


def completion(message, finish="stop"):
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return answer({**openai_shapes.completion(), "choices": [choice], "usage": usage})


def scripted(request):
    path = request.path.removeprefix("/openai/v1")
    if path == "/models":
        return answer({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]})
    if path == "/audio/transcriptions":
        assert b"RIFF" in request.body
        return answer({"text": "said"})
    if path == "/moderations":
        return answer({"id": "m", "model": "omni", "results": [{"flagged": True, "categories": {}}]})
    if path == "/embeddings":
        data = [{"embedding": [1, 2], "index": 0}, {"embedding": [0.5, -0.25], "index": 1}]
        return answer({"data": data, "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    body = request.json()
    if body.get("stream"):
        deltas = [chunk({"role": "assistant", "content": "Hello"}), chunk({"content": " there"}), chunk({}, "stop")]
        return sse(*deltas, "[DONE]")
    if not body.get("tools"):
        return completion({"content": "Hello"})
    if body["messages"][-1]["role"] == "tool":
        assert body["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
        return completion({"content": "It is sunny."})
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    return completion({"content": None, "tool_calls": [call]}, "tool_calls")


def test_each_operation(gateway, upstreams):
    upstreams["alpha"].handler = scripted
    environment = {
        "PATH": os.environ["PATH"],
        "BASE_URL": f"http://127.0.0.1:{gateway.port}/v1",
        "API_KEY": VK["main"],
        "MODEL": "alpha/m",
    }
    done = subprocess.run([DRIVER], env=environment, capture_output=True, text=True, timeout=120, check=False)
    got = {line["name"]: line["got"] for line in map(json.loads, done.stdout.splitlines())}
    assert list(got) == list(WANT), done.stdout + done.stderr
    for name, want in WANT.items():
        if want is not None:
            assert got[name] == want, name
    assert "alpha/m" in got["models"]
    status, kind, code, param = got["typed error"]
    assert (status, code, param) == (404, "model_not_found", "model") and kind
