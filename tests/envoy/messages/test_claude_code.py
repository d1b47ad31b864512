"""Real Claude Code, which speaks nothing but the Messages API, in front of a server of chat completions.

`@anthropic-ai/claude-code` runs its own loop, unmodified: it asks, runs the tools that the answer calls, sends what came
of them, and ends its turn.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from harness import ROOT, answer, sse
from harness.plugin import VK
from harness.responses_scenes import begins, chunk, goes_on

CLAUDE = ROOT / "tests" / "node" / "node_modules" / ".bin" / "claude"
PROMPT = "Make the file made.txt."
USAGE = {"prompt_tokens": 1000, "completion_tokens": 5, "total_tokens": 1005}


@dataclass
class Done:
    """What became of one turn."""

    code: int
    told: dict
    """What it printed."""
    asked: list[dict] = field(default_factory=list)
    """The chat requests of the main loop."""


def said(*deltas, finish="stop"):
    """A stream of these deltas."""
    return sse(*map(chunk, deltas), chunk({}, finish), {**chunk({}), "choices": [], "usage": USAGE}, "[DONE]")


def bash(index, id, command):
    """A call of the Bash tool, in two pieces."""
    arguments = json.dumps({"command": command, "description": "Runs it"})
    return [begins(index, id, "Bash"), goes_on(index, arguments[:11]), goes_on(index, arguments[11:])]


def is_main(body):
    return any(tool["function"]["name"] == "Bash" for tool in body.get("tools", []))


@pytest.fixture
def claude(gateway, chat_server, tmp_path):
    """Runs one turn against scripted answers to the main loop; whatever else it asks for is told `ok`."""
    assert CLAUDE.exists(), f"{CLAUDE} is missing: run `make node-env`"

    def run(*answers, environment=None, rest=None) -> Done:
        waiting, asked = list(answers), []

        def handler(request):
            body = request.json()
            if not is_main(body):
                return said({"content": "ok"}) if body.get("stream") else answer(
                    {"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]})  # fmt: skip
            asked.append(body)
            return waiting.pop(0) if waiting else rest or said({"content": "Nothing left."})

        chat_server.handler = handler
        done = launch(gateway.port, tmp_path, environment or {})
        told = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
        assert told, done.stdout + done.stderr
        return Done(done.returncode, told, asked)

    run.folder = tmp_path / "work"
    return run


def launch(port: int, home: Path, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    (home / "work").mkdir(exist_ok=True)
    nowhere = "http://127.0.0.1:9"  # whatever else it would talk to, it can't
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
        "ANTHROPIC_AUTH_TOKEN": VK["main"],
        "ANTHROPIC_MODEL": "alpha/m",
        "ANTHROPIC_SMALL_FAST_MODEL": "alpha/m",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere),
        "NO_PROXY": "127.0.0.1",
        **more,
    }
    words = ["-p", PROMPT, "--allowedTools", "Bash", "--output-format", "json"]
    return subprocess.run(
        [CLAUDE, *words],
        cwd=home / "work",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def outputs(body):
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


def test_a_turn_with_a_call(claude):
    done = claude(
        said({"reasoning_content": "I make it."}, {"content": "I make it."}, *bash(0, "call_1", "echo hi > made.txt && cat made.txt")),
        said({"content": "Done."}),
    )
    assert (done.code, done.told["is_error"], done.told["result"]) == (0, False, "Done.")
    assert (claude.folder / "made.txt").read_text() == "hi\n"
    assert outputs(done.asked[-1]) == ["hi"]
    assert done.told["usage"]["input_tokens"] >= 1000
    for body in done.asked:
        assert "x-anthropic-billing-header" not in json.dumps(body)
        assert "cache_control" not in json.dumps([body["messages"], body["tools"][0]])
        assert body["model"] == "m" and body["max_tokens"] > 0


def test_parallel_calls_whose_pieces_interleave(claude):
    first, second = bash(0, "a", "echo one"), bash(1, "b", "echo two")
    pieces = [piece for pair in zip(first, second, strict=True) for piece in pair]
    done = claude(said(*pieces, finish="tool_calls"), said({"content": "Both."}))
    assert done.told["result"] == "Both."
    assert outputs(done.asked[-1]) == ["one", "two"]


def test_a_call_that_fails(claude):
    done = claude(said(*bash(0, "a", "echo no >&2; exit 3")), said({"content": "It failed."}))
    assert done.told["result"] == "It failed."
    (told,) = outputs(done.asked[-1])
    assert told.startswith("Error: ") and "no" in told


def test_an_error_of_the_server_is_reported(claude):
    fire = {"error": {"message": "The model is on fire.", "type": "invalid_request_error"}}
    done = claude(rest=answer(fire, 400))
    assert done.told["is_error"] is True, done
    assert "The model is on fire." in done.told["result"], done.told


def test_a_rate_limit_is_retried(claude):
    slow = answer({"error": {"message": "slow down", "type": "rate_limit_error"}}, 429, headers=[("retry-after", "0")])
    done = claude(slow, said({"content": "Done."}))
    assert (done.told["is_error"], done.told["result"], len(done.asked)) == (False, "Done.", 2)


def test_a_full_context_is_asked_again_with_fewer_tokens(claude):
    words = "This model's maximum context length is 40960 tokens. However, you requested {} tokens (12000 in the messages, {} in the completion)."
    tokens = 32_000
    told = words.format(12_000 + tokens, tokens)
    full = answer({"error": {"message": told, "type": "BadRequestError", "param": None, "code": 400}}, 400)
    done = claude(full, said({"content": "Done."}), environment={"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(tokens)})
    assert (done.told["is_error"], done.told["result"]) == (False, "Done."), done.told
    first, second = done.asked
    assert second["max_tokens"] < first["max_tokens"]
