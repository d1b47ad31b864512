"""A real coding CLI that speaks nothing but the Responses API, in front of a server of chat completions.

`@openai/codex` runs its own loop, unmodified: it asks, runs the tools that the answer calls, sends
what came of them, and ends its turn. It talks to the gateway through a recorder, which shows each of
its requests and the very stream that it was answered with.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from harness import ROOT, Answer, Envoy, Recorded, Response, Upstream, openai_shapes, plugin, responses, sse
from harness.plugin import VK
from harness.responses_scenes import begins, chunk, goes_on

CODEX = ROOT / "tests" / "node" / "node_modules" / ".bin" / "codex"
PROMPT = "Make the file made.txt."
PATCH = "*** Begin Patch\n*** Add File: patched.txt\n+from the \"patch\"\n*** End Patch"


@dataclass
class Cli:
    """The CLI in a home of its own, and what it said to the gateway."""

    gateway: Envoy
    home: Path
    requests: list[dict] = field(default_factory=list)
    replies: list[Response] = field(default_factory=list)

    def relay(self, request: Recorded) -> Answer:
        """Passes a request on as it came, and the whole answer back."""
        hop = {"host", "content-length", "connection", "transfer-encoding"}
        fields = [pair for pair in request.head.fields if pair[0].lower() not in hop]
        reply = self.gateway.request(request.method, request.path, fields, body=request.body)
        self.requests.append(request.json())
        self.replies.append(reply)
        kept = [pair for pair in reply.fields if pair[0].lower() not in hop]
        return Answer(reply.status, kept, [reply.body])

    def run(self, model: str = "alpha/m") -> tuple[int, list[dict]]:
        """One turn: the exit code and what the CLI reported, event by event."""
        recorder = Upstream("recorder")
        recorder.handler = self.relay
        try:
            done = self._run(model, recorder.port)
        finally:
            recorder.stop()
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert events, done.stdout + done.stderr
        return done.returncode, events

    def _run(self, model: str, port: int) -> subprocess.CompletedProcess[str]:
        config = self.home / "home"
        config.mkdir()
        self.folder.mkdir()
        (config / "config.toml").write_text(
            f"""
            model = "{model}"
            model_provider = "gateway"
            check_for_update_on_startup = false
            analytics.enabled = false
            [model_providers.gateway]
            name = "gateway"
            base_url = "http://127.0.0.1:{port}/v1"
            wire_api = "responses"
            env_key = "GATEWAY_KEY"
            request_max_retries = 0
            stream_max_retries = 0
            """
        )
        # The folder is thrown away and its sandbox needs a kernel that not every machine has.
        words = ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        nowhere = "http://127.0.0.1:9"  # whatever else it would talk to, it can't
        environment = {
            "PATH": os.environ["PATH"],
            **dict.fromkeys(("HOME", "CODEX_HOME"), str(config)),
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere),
            "NO_PROXY": "127.0.0.1",
            "GATEWAY_KEY": VK["main"],
        }
        return subprocess.run(
            [CODEX, *words, PROMPT],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def folder(self) -> Path:
        """Where it works."""
        return self.home / "work"

    def streams(self) -> list[responses.Checked]:
        """Every stream that it got, each within the grammar."""
        return [responses.stream(reply) for reply in self.replies]


@pytest.fixture
def cli(gateway, tmp_path):
    return Cli(gateway, tmp_path)


def ends(events) -> str:
    """The last message of a turn that was completed."""
    assert events[-1]["type"] == "turn.completed", events
    said = [event["item"]["text"] for event in events if event.get("item", {}).get("type") == "agent_message"]
    return said[-1]


def offers(request) -> dict[str, dict]:
    """The functions that the server was offered, by name."""
    return {tool["function"]["name"]: tool["function"] for tool in request.json()["tools"]}


def server_of(chat_server, *deltas):
    """First the model calls tools, which depends on what it is offered, then it says what it was told."""

    def scripted(request):
        if not request.path.endswith("/chat/completions"):
            return responses.not_found(request)
        assert request.json()["stream"] is True
        if any(message["role"] == "tool" for message in request.json()["messages"]):
            pieces = [chunk({"content": word}) for word in ("All ", "done.")]
            return sse(*pieces, chunk({}, "stop"), {**chunk({}), "choices": [], "usage": openai_shapes.USAGE}, "[DONE]")
        made = [delta(offers(request)) if callable(delta) else delta for delta in deltas]
        return sse(*map(chunk, made), chunk({}, "tool_calls"), "[DONE]")

    chat_server.handler = scripted


def told(chat_server) -> list[tuple[str, str, str]]:
    """The calls that the last request tells the server of: id, arguments, and what came of each."""
    messages = responses.chat_only(chat_server)[-1].json()["messages"]
    made = {call["id"]: call["function"]["arguments"] for it in messages for call in it.get("tool_calls", [])}
    results = [(it["tool_call_id"], it["content"]) for it in messages if it["role"] == "tool"]
    return [(id, made[id], result) for id, result in results]


def test_a_turn_with_a_tool_call(cli, chat_server):
    arguments = json.dumps({"cmd": "echo from the tool > made.txt && cat made.txt"})
    begun = begins(0, "call_a", "exec_command")
    server_of(chat_server, {"reasoning_content": "I need a file."}, {"content": "I make it."}, begun,
              goes_on(0, arguments[:9]), goes_on(0, arguments[9:]))  # fmt: skip
    code, events = cli.run()
    assert (code, ends(events)) == (0, "All done.")
    assert (cli.folder / "made.txt").read_text() == "from the tool\n"
    ((id, sent, output),) = told(chat_server)
    assert (id, sent) == ("call_a", arguments) and "from the tool" in output
    first, second = cli.streams()
    assert [item["type"] for item in first.final["output"]] == ["reasoning", "message", "function_call"]
    assert second.final["usage"]["total_tokens"] == openai_shapes.USAGE["total_tokens"]
    assert events[-1]["usage"]["input_tokens"] == openai_shapes.USAGE["prompt_tokens"]
    assert cli.replies[0].header("x-langwatch-params-dropped") == "web_search, prompt_cache_key, client_metadata"


def test_parallel_calls_and_a_namespace(cli, chat_server):
    """Interleaved; one of them to a function inside of a namespace, another without arguments."""

    def close(offered):
        (name,) = [name for name in offered if name.endswith("close_agent")]
        return begins(1, "call_b", name)

    server_of(chat_server, begins(0, "call_a", "exec_command"), close, begins(2, "call_c", "get_goal"),
              goes_on(1, '{"target":'), goes_on(0, '{"cmd":"echo a > made.txt"}'), goes_on(1, '"nobody"}'),
              goes_on(2, "{}"))  # fmt: skip
    code, events = cli.run()
    assert (code, ends(events)) == (0, "All done.")
    assert (cli.folder / "made.txt").read_text() == "a\n"
    results = told(chat_server)
    assert [id for id, _, _ in results] == ["call_a", "call_b", "call_c"]
    assert "nobody" in results[1][2] and "goal" in results[2][2]
    first, _ = cli.streams()
    assert first.final["output"][1]["namespace"] and first.final["output"][1]["name"] == "close_agent"


def test_a_custom_tool(cli, chat_server):
    """To a model whose id it knows the CLI offers a tool with free text: a patch."""

    def patch(offered):
        (argument,) = offered["apply_patch"]["parameters"]["properties"]
        return goes_on(0, json.dumps({argument: PATCH}))

    server_of(chat_server, begins(0, "call_a", "apply_patch"), patch)
    code, events = cli.run("gpt-5.5")
    assert (code, ends(events)) == (0, "All done.")
    assert (cli.folder / "patched.txt").read_text() == 'from the "patch"\n'
    ((id, sent, output),) = told(chat_server)
    assert id == "call_a" and list(json.loads(sent).values()) == [PATCH] and "patched.txt" in output
    assert cli.streams()[0].final["output"][0]["type"] == "custom_tool_call"


def test_tools_that_come_as_an_item(cli, chat_server):
    """To newer models whose ids it knows the CLI offers its tools inside of the input, and one of
    them runs a program that calls the others."""
    program = "const r = await tools.exec_command({cmd: 'echo b > made.txt; cat made.txt'}); text(r.output);"

    def execute(offered):
        (name,) = [name for name in offered if name.endswith("exec")]
        (argument,) = offered[name]["parameters"]["properties"]
        return begins(0, "call_a", name, json.dumps({argument: program}))

    server_of(chat_server, execute)
    code, events = cli.run("gpt-5.6-sol")
    assert (code, ends(events)) == (0, "All done.")
    assert (cli.folder / "made.txt").read_text() == "b\n"
    ((id, _, output),) = told(chat_server)
    assert id == "call_a" and "b\n" in output
    assert "tools" not in cli.requests[0] and cli.streams()


def test_a_stream_that_fails_ends_the_turn(cli, chat_server):
    chat_server.next(sse(chunk({"content": "I "}), {"error": {"message": "out of memory", "code": 500}}))
    code, events = cli.run()
    assert code != 0
    assert events[-1]["type"] == "turn.failed" and "out of memory" in events[-1]["error"]["message"]
    (only,) = cli.streams()
    assert only.final["status"] == "failed"


def test_an_error_ends_the_turn(cli, chat_server):
    chat_server.next(openai_shapes.error(400, "no such thing"))
    code, events = cli.run()
    assert code != 0
    assert events[-1]["type"] == "turn.failed" and "no such thing" in events[-1]["error"]["message"]


# Its built-in provider: a WebSocket try first, and compactions by the API


def built_in(envoy, home: Path, *settings: str) -> tuple[int, list[dict], str]:
    """One turn of the CLI with the provider that it has built in, told nothing but another base URL."""
    config, folder = home / "home", home / "work"
    config.mkdir()
    folder.mkdir()
    (config / "config.toml").write_text(
        f"""
        model = "alpha/m"
        openai_base_url = "http://127.0.0.1:{envoy.port}/v1"
        check_for_update_on_startup = false
        analytics.enabled = false
        """
        + "\n".join(settings)
    )
    nowhere = "http://127.0.0.1:9"
    environment = {
        "PATH": os.environ["PATH"],
        **dict.fromkeys(("HOME", "CODEX_HOME"), str(config)),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere),
        "NO_PROXY": "127.0.0.1",
        "CODEX_API_KEY": VK["main"],
    }
    words = ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    done = subprocess.run(
        [CODEX, *words, PROMPT],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert events, done.stdout + done.stderr
    return done.returncode, events, done.stderr


def test_a_session_with_a_compaction(start_envoy, chat_server, tmp_path):
    """The context is full behind the tool call: the conversation is compacted, and the session goes on."""
    full = {"prompt_tokens": 90_000, "completion_tokens": 10_000, "total_tokens": 100_000}
    asked = []

    def scripted(request):
        if not request.path.endswith("/chat/completions"):
            return responses.not_found(request)
        messages = request.json()["messages"]
        last = str(messages[-1]["content"])
        if last.startswith("Write a summary"):
            asked.append("compaction")
            pieces = [chunk({"content": word}) for word in ("The file ", "was made.")]
            return sse(*pieces, chunk({}, "stop"), {**chunk({}), "choices": [], "usage": openai_shapes.USAGE}, "[DONE]")
        if any("Summary of the conversation so far:\n\nThe file was made." in str(it["content"]) for it in messages):
            asked.append("after it")
            return sse(chunk({"content": "All done."}), chunk({}, "stop"), "[DONE]")
        asked.append("before it")
        call = begins(0, "call_a", "exec_command")
        arguments = goes_on(0, json.dumps({"cmd": "echo a > made.txt"}))
        usage = {**chunk({}), "choices": [], "usage": full}
        return sse(chunk(call), chunk(arguments), chunk({}, "tool_calls"), usage, "[DONE]")

    chat_server.handler = scripted
    envoy = start_envoy(shipped_edges=True)
    code, events, log = built_in(envoy, tmp_path, "model_auto_compact_token_limit = 20000")
    assert (code, ends(events)) == (0, "All done."), log[-2000:]
    assert (tmp_path / "work" / "made.txt").read_text() == "a\n"
    assert asked == ["before it", "compaction", "after it"]


GROQ = {
    "citation_options", "compound_custom", "disable_tool_validation", "documents", "exclude_domains", "frequency_penalty",
    "function_call", "functions", "include_domains", "include_reasoning", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "model", "n", "parallel_tool_calls", "presence_penalty", "reasoning_effort",
    "reasoning_format", "response_format", "search_settings", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user",
}  # fmt: skip
"""The members that Groq's API reference lists; its servers answer 400 to any other."""


@pytest.mark.parametrize("refused", [[], ["parallel_tool_calls", "stream_options"]], ids=["as it is", "drop_params"])
def test_a_server_with_a_closed_list_of_parameters(start_envoy, chat_server, tmp_path, refused):
    """By default nothing goes there that it does not know; `drop_params` takes out what else it refuses."""
    providers = [
        {**one, "drop_params": refused} if one["name"] == "alpha" else one for one in plugin.providers()
    ]
    server_of(chat_server, begins(0, "call_a", "exec_command"), goes_on(0, '{"cmd":"echo a > made.txt"}'))
    scripted = chat_server.handler

    def closed(request):
        unknown = set(request.json()) - (GROQ - set(refused)) if request.body else set()
        return openai_shapes.error(400, f"property {unknown} is unsupported") if unknown else scripted(request)

    chat_server.handler = closed
    cli = Cli(start_envoy(config=plugin.configuration(providers=providers)), tmp_path)
    code, events = cli.run()
    assert (code, ends(events)) == (0, "All done.")
    assert (cli.folder / "made.txt").read_text() == "a\n"
