"""The Vercel AI SDK, unmodified: three turns with a reasoning model and a tool, nothing stored."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from harness import ROOT, answer, openai_shapes, plugin, sse
from harness.plugin import VK
from harness.responses_scenes import chunk

FOLDER = ROOT / "tests" / "clients" / "ai-sdk"


@pytest.fixture
def thinker(start_envoy):
    """`alpha` wants earlier reasoning back."""
    providers = [{**one, "reasoning_field": "reasoning_content"} for one in plugin.providers()]
    return start_envoy(config=plugin.configuration(providers=providers))


def scripted(request):
    """Thinks, then calls the tool in the first turn, and answers in each."""
    messages, stream = request.json()["messages"], request.json().get("stream")
    turn = sum(message["role"] == "user" for message in messages)
    thought = f"thought {len(messages)}"
    if turn == 1 and messages[-1]["role"] != "tool":
        call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
        said, end = {"content": None, "tool_calls": [call]}, "tool_calls"
    else:
        said, end = {"content": f"answer {turn}"}, "stop"
    if stream:
        calls = [{"index": 0, **call} for call in said.pop("tool_calls", [])]
        deltas = [{"reasoning_content": thought}, {**said, **({"tool_calls": calls} if calls else {})}]
        return sse(*map(chunk, deltas), chunk({}, end), "[DONE]")
    whole = openai_shapes.completion()
    whole["choices"][0] |= {"message": {"role": "assistant", "reasoning_content": thought, **said}, "finish_reason": end}
    return answer(whole)


@pytest.mark.parametrize("stream", ["", "1"], ids=["plain", "stream"])
def test_three_turns_with_nothing_stored(thinker, upstreams, stream):
    upstreams["alpha"].handler = scripted
    environment = {
        "PATH": os.environ["PATH"],
        "BASE_URL": f"http://127.0.0.1:{thinker.port}/v1",
        "API_KEY": VK["main"],
        "MODEL": "alpha/o9",
        "STREAM": stream,
    }
    done = subprocess.run(
        ["node", "three-turns.mjs"], cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    turns = json.loads(done.stdout)
    assert [turn["text"] for turn in turns] == ["answer 1", "answer 2", "answer 3"]
    # Its reasoning is shown.
    assert [turn["reasoning"] for turn in turns] == [["thought 1", "thought 3"], ["thought 5"], ["thought 7"]]
    assert turns[0]["results"] == ["Sunny in Rome."]
    # And goes back to the server, behind which it stands.
    last = upstreams["alpha"].requests[-1].json()["messages"]
    assert [message["role"] for message in last] == ["user", "assistant", "tool", "assistant", "user", "assistant", "user"]
    thoughts = [message.get("reasoning_content") for message in last if message["role"] == "assistant"]
    assert thoughts == ["thought 1", "thought 3", "thought 5"]
