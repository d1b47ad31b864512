"""What each operation's answer takes, in each dialect, plain and streaming, and of which attempt."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from harness import Setting, answer, expect, openai_shapes, plugin, sse
from harness.openai_shapes import chunk

CHAT = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3}}
TOLD = ("7", "2", "3", "9", "upstream")
RESPONSES = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9, "input_tokens_details": {"cached_tokens": 3}}
MESSAGES = {"input_tokens": 1, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 3, "output_tokens": 2}
TEXT = "x" * 40
ASKED = {
    "chat/completions": {"messages": [{"role": "user", "content": TEXT}]},
    "completions": {"prompt": TEXT},
    "responses": {"input": TEXT},
    "messages": {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 5},
    "embeddings": {"input": TEXT},
    "rerank": {"query": TEXT, "documents": ["a"]},
}
COMPLETION = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
    "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}],
}
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None,
    "content": [{"type": "text", "text": "Hello"}],
}
RERANKED = {"id": "r", "model": "m", "results": [{"index": 0, "relevance_score": 0.5}]}


def event(payload: dict[str, Any]) -> bytes:
    return f"event: {payload['type']}\ndata: {json.dumps(payload)}\n\n".encode()


def responses_stream(usage: dict[str, Any] | None) -> Any:
    begun = {**RESPONSE, "status": "in_progress", "output": []}
    done = {**RESPONSE, **({"usage": usage} if usage else {})}
    delta = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Hello"}
    events = [{"type": "response.created", "response": begun}, delta, {"type": "response.completed", "response": done}]
    return sse(*(event({**each, "sequence_number": number}) for number, each in enumerate(events)))


def messages_stream(usage: dict[str, Any] | None) -> Any:
    first = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1} if usage else {}}
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2} if usage else {}}
    return sse(*map(event, [
        {"type": "message_start", "message": first},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        last,
        {"type": "message_stop"},
    ]))


def with_usage(body: dict[str, Any], usage: dict[str, Any] | None) -> Any:
    return answer({**body, **({"usage": usage} if usage else {})})


def chat_stream(usage: dict[str, Any] | None) -> Any:
    last = [{**chunk({}), "choices": [], "usage": usage}] if usage else []
    return sse(chunk({"role": "assistant", "content": "Hello"}), chunk({}, "stop"), *last, "[DONE]")


def gateway_for(start_envoy: Any, positions: int = 1, native: bool = False, mode: str = "observe") -> Any:
    providers = plugin.providers()
    if native:
        providers[0] |= {"responses_api": "native", "messages_api": "native"}
    config = plugin.configuration(usage={"mode": mode}, providers=providers)
    if positions == 2:
        config["routing"] = {"positions": 2}
    return start_envoy(**vars(Setting(config=config, facts=True, positions=positions)))


def facts(gateway: Any, mark: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in gateway.access(mark).split(" ") if "=" in part)


def tokens(seen: dict[str, str]) -> tuple[str, ...]:
    return tuple(seen[name] for name in ("input_tokens", "output_tokens", "cached_tokens", "total_tokens", "usage_source"))


def take(gateway: Any, path: str, stream: bool) -> tuple[str, ...]:
    mark = uuid.uuid4().hex
    body = {"model": "alpha/m", **ASKED[path], **({"stream": True} if stream else {})}
    reply = gateway.post(f"/v1/{path}", body=body, fields=[("x-test-id", mark)])
    assert reply.status == 200, reply
    return tokens(facts(gateway, mark))


PLAIN = openai_shapes.completion()
CASES = {
    "chat": ("chat/completions", False, lambda usage: with_usage({**PLAIN, "usage": None}, usage), CHAT),
    "chat stream": ("chat/completions", True, chat_stream, CHAT),
    "completions": ("completions", False, lambda usage: with_usage(COMPLETION, usage), CHAT),
    "completions stream": (
        "completions", True,
        lambda usage: sse(COMPLETION, *([{**COMPLETION, "choices": [], "usage": usage}] if usage else []), "[DONE]"), CHAT,
    ),
    "responses over chat": ("responses", False, lambda usage: with_usage({**PLAIN, "usage": None}, usage), CHAT),
    "responses over chat, stream": ("responses", True, chat_stream, CHAT),
    "messages over chat": ("messages", False, lambda usage: with_usage({**PLAIN, "usage": None}, usage), CHAT),
    "messages over chat, stream": ("messages", True, chat_stream, CHAT),
    "native responses": ("responses", False, lambda usage: with_usage(RESPONSE, usage), RESPONSES),
    "native responses, stream": ("responses", True, responses_stream, RESPONSES),
    "native messages": ("messages", False, lambda usage: with_usage(MESSAGE, usage), MESSAGES),
    "native messages, stream": ("messages", True, messages_stream, MESSAGES),
}


@pytest.mark.parametrize("positions", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_what_an_answer_tells_counts(start_envoy: Any, upstreams: Any, name: str, positions: int) -> None:
    path, stream, script, usage = CASES[name]
    upstreams["alpha"].next(script(usage))
    gateway = gateway_for(start_envoy, positions, native=name.startswith("native"))
    assert take(gateway, path, stream) == TOLD


@pytest.mark.parametrize("positions", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_what_an_answer_does_not_tell_is_estimated(start_envoy: Any, upstreams: Any, name: str, positions: int) -> None:
    path, stream, script, _ = CASES[name]
    upstreams["alpha"].next(script(None))
    gateway = gateway_for(start_envoy, positions, native=name.startswith("native"))
    assert take(gateway, path, stream) == ("10", "1", "0", "11", "estimated")


@pytest.mark.parametrize(
    ("path", "body", "want"),
    [
        ("embeddings", openai_shapes.embeddings(), ("3", "0", "0", "3", "upstream")),
        ("rerank", {**RERANKED, "usage": {"prompt_tokens": 7, "total_tokens": 7}}, ("7", "0", "0", "7", "upstream")),
        ("rerank", RERANKED, ("10", "0", "0", "10", "estimated")),
    ],
)
def test_what_writes_no_text(start_envoy: Any, upstreams: Any, path: str, body: dict[str, Any], want: tuple[str, ...]) -> None:
    upstreams["alpha"].next(answer(body))
    assert take(gateway_for(start_envoy), path, stream=False) == want


def test_lists_and_counts_of_tokens_take_nothing(start_envoy: Any, upstreams: Any) -> None:
    gateway = gateway_for(start_envoy, native=True)
    for method, path, body in [
        ("POST", "/v1/messages/count_tokens", {"model": "alpha/m", "messages": [{"role": "user", "content": TEXT}]}),
        ("GET", "/v1/models", None),
    ]:
        upstreams["alpha"].next(answer({"input_tokens": 12} if body else {"object": "list", "data": []}))
        mark = uuid.uuid4().hex
        if body:
            gateway.post(path, body=body, fields=[("x-test-id", mark)])
        else:
            gateway.request(method, path, fields=[("authorization", f"Bearer {plugin.VK['main']}"), ("x-test-id", mark)])
        seen = facts(gateway, mark)
        assert tokens(seen) == ("0", "0", "0", "0", "-")
        # A limit that asks for it is told; a list is answered here, and asks nobody.
        assert seen["estimate"] == ("0" if body else "-"), "nothing is taken from a budget"


@pytest.mark.parametrize("stream", [False, True])
def test_the_attempt_that_answers_counts(start_envoy: Any, upstreams: Any, stream: bool) -> None:
    """The first fails, the second is cheaper: model and counts are its own."""
    aliases = {"both": {"fallback": ["alpha/org/first", "gamma/second"], "cluster": "over"}}
    config = plugin.configuration(usage={"mode": "require"}, model_aliases=aliases)
    gateway = start_envoy(**vars(Setting(
        config=config, facts=True, positions=2, fallbacks={"over": ["alpha", "gamma-cluster"]}, route_buffer_bytes=34_603_008,
    )))
    upstreams["alpha"].next(answer({"error": {"message": "busy"}, "usage": {"prompt_tokens": 99}}, 503))
    upstreams["gamma"].next(chat_stream(CHAT) if stream else with_usage(PLAIN, CHAT))
    mark = uuid.uuid4().hex
    body = {"model": "both", **ASKED["chat/completions"], "stream": stream}
    expect.good(gateway.post(body=body, fields=[("x-test-id", mark)]))
    seen = facts(gateway, mark)
    assert seen["model"] == "second"
    assert tokens(seen) == TOLD
