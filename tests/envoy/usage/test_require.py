"""`usage.mode: require`: streams are asked for token counts, and a client that did not ask sees the stream that it would have seen."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from harness import Gate, Setting, answer, expect, headers, openai_shapes, plugin, sse
from harness.openai_shapes import chunk

MESSAGES = [{"role": "user", "content": "x" * 40}]
COUNTS = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3}}
ASKED = {"include_usage": True}
TEXT = ({"role": "assistant", "content": "Hel"}, {"content": "lo"})


def gateway_with(start_envoy: Any, mode: str = "require", positions: int = 1, **fields: Any) -> Any:
    config = plugin.configuration(usage={"mode": mode}, **fields)
    if positions == 2:
        config["routing"] = {"positions": 2}
    return start_envoy(**vars(Setting(config=config, facts=True, positions=positions)))


def server(said: str = "last", usage: dict[str, Any] | None = None) -> Any:
    """A server that sends token counts as it is asked to: in a chunk of their own, in each, or with null in the others."""

    def handle(request: Any) -> Any:
        asked = (json.loads(request.body).get("stream_options") or {}).get("include_usage")
        counts = usage or COUNTS
        chunks = [chunk(delta) for delta in TEXT] + [chunk({}, "stop")]
        if said == "null" and asked:
            chunks = [{**each, "usage": None} for each in chunks]
        if said == "each" and asked:
            chunks = [{**each, "usage": counts} for each in chunks]
        if asked and said != "each":
            chunks.append({**chunk({}), "choices": [], "usage": counts})
        return sse(*chunks, "[DONE]")

    return handle


def ask(gateway: Any, body: dict[str, Any], path: str = "/v1/chat/completions", vk: str = "main") -> tuple[Any, dict[str, str]]:
    mark = uuid.uuid4().hex
    reply = gateway.post(path, body=body, vk=vk, fields=[("x-test-id", mark)])
    expect.good(reply)
    return reply, facts(gateway, mark)


def facts(gateway: Any, mark: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in gateway.access(mark).split(" ") if "=" in part)


def tokens(seen: dict[str, str]) -> tuple[str, ...]:
    return tuple(seen[name] for name in ("input_tokens", "output_tokens", "cached_tokens", "total_tokens", "usage_source"))


TOLD = ("7", "2", "3", "9", "upstream")
STREAM = {"model": "alpha/m", "messages": MESSAGES, "stream": True}


@pytest.mark.parametrize("positions", [1, 2])
@pytest.mark.parametrize("said", ["last", "null", "each"])
def test_a_client_that_did_not_ask_sees_no_difference(start_envoy: Any, upstreams: Any, said: str, positions: int) -> None:
    upstreams["alpha"].handler = server(said)
    before, _ = ask(gateway_with(start_envoy, "off", positions), STREAM)
    upstreams["alpha"].reset()
    upstreams["alpha"].handler = server(said)
    after, seen = ask(gateway_with(start_envoy, positions=positions), STREAM)
    assert json.loads(upstreams["alpha"].only.body)["stream_options"] == ASKED
    assert after.body == before.body
    assert tokens(seen) == TOLD


@pytest.mark.parametrize("said", ['"stream":"true"', '"stream":1', '"stream":"Yes"', '"Stream":true', '"stream":true,"stream":false'])
def test_however_a_stream_is_asked_for(start_envoy: Any, upstreams: Any, said: str) -> None:
    """vLLM (pydantic) reads texts and numbers as true, others the first of two members: no way to escape being counted."""
    upstreams["alpha"].handler = server()
    gateway, mark = gateway_with(start_envoy), uuid.uuid4().hex
    body = f'{{"model":"alpha/m","messages":[],{said}}}'.encode()
    expect.good(gateway.post(body=body, fields=[("x-test-id", mark)]))
    assert json.loads(upstreams["alpha"].only.body)["stream_options"] == ASKED
    assert tokens(facts(gateway, mark)) == TOLD


@pytest.mark.parametrize("said", ["last", "null", "each"])
def test_a_client_that_asked_gets_them(start_envoy: Any, upstreams: Any, said: str) -> None:
    upstreams["alpha"].handler = server(said)
    body = {**STREAM, "stream_options": ASKED}
    before, _ = ask(gateway_with(start_envoy, "off"), body)
    after, seen = ask(gateway_with(start_envoy), body)
    assert after.body == before.body
    assert b'"usage"' in after.body
    assert tokens(seen) == TOLD
    assert json.loads(upstreams["alpha"].requests[-1].body) == json.loads(upstreams["alpha"].requests[0].body)


@pytest.mark.parametrize(
    "options",
    [
        "null",
        "{}",
        '{"include_usage":false}',
        '{"include_usage":null}',
        '{"include_usage":true,"include_usage":false}',
        '{"include_obfuscation":false}',
        '{"include_usage":true},"stream_options":{"include_usage":false}',
        '{"include_usage":true},"stream_options":null',
        '{"include_usage":true},"Stream_Options":{"include_usage":false},"stream_options":{}',
    ],
)
def test_no_way_of_not_asking_escapes(start_envoy: Any, upstreams: Any, options: str) -> None:
    upstreams["alpha"].handler = server()
    gateway, mark = gateway_with(start_envoy), uuid.uuid4().hex
    body = '{"model":"alpha/m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":%s}' % options
    reply = gateway.post(body=body.encode(), fields=[("x-test-id", mark)])
    expect.good(reply)
    assert b'"usage"' not in reply.body
    assert tokens(facts(gateway, mark)) == TOLD


def test_a_client_may_ask_in_escapes(start_envoy: Any, upstreams: Any) -> None:
    upstreams["alpha"].handler = server()
    body = r'{"model":"alpha/m","messages":[],"stream":true,"stream\u005foptions":{"include\u005fusage":true}}'
    reply = gateway_with(start_envoy).post(body=body.encode())
    assert b'"usage"' in reply.body


def test_what_was_asked_for_comes_last_in_the_request(start_envoy: Any, upstreams: Any) -> None:
    """Whether a stream is wanted may stand at the end, after the model."""
    upstreams["alpha"].handler = server()
    gateway, mark = gateway_with(start_envoy), uuid.uuid4().hex
    body = json.dumps({"model": "alpha/m", "messages": MESSAGES, "stream": True}).encode()
    client = gateway.connect()
    more = [("content-length", str(len(body))), ("x-test-id", mark)]
    client.send_head("POST", "/v1/chat/completions", headers("main", "application/json", more))
    client.send(body[:40])
    client.send(body[40:])
    client.answer().rest()
    assert tokens(facts(gateway, mark)) == TOLD


def test_text_completions_are_asked_too(start_envoy: Any, upstreams: Any) -> None:
    piece = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}
    upstreams["alpha"].next(sse(piece, {**piece, "choices": [], "usage": COUNTS}, "[DONE]"))
    reply, seen = ask(gateway_with(start_envoy), {"model": "alpha/m", "prompt": "x", "stream": True}, "/v1/completions")
    assert json.loads(upstreams["alpha"].only.body)["stream_options"] == ASKED
    assert b'"usage"' not in reply.body and b"Hello" in reply.body
    assert tokens(seen) == TOLD


def test_a_plain_request_is_not_changed(start_envoy: Any, upstreams: Any) -> None:
    upstreams["alpha"].next(answer({**openai_shapes.completion(), "usage": COUNTS}))
    reply, seen = ask(gateway_with(start_envoy), {"model": "alpha/m", "messages": MESSAGES})
    assert "stream_options" not in json.loads(upstreams["alpha"].only.body)
    assert json.loads(reply.body)["usage"] == COUNTS
    assert tokens(seen) == TOLD


def test_a_server_that_refuses_the_option_is_not_asked(start_envoy: Any, upstreams: Any) -> None:
    providers = plugin.providers()
    providers[0]["stream_usage"] = False
    upstreams["alpha"].handler = server()
    _, seen = ask(gateway_with(start_envoy, providers=providers), STREAM)
    assert "stream_options" not in json.loads(upstreams["alpha"].only.body)
    assert tokens(seen) == ("10", "1", "0", "11", "estimated")


def test_observe_asks_nobody(start_envoy: Any, upstreams: Any) -> None:
    upstreams["alpha"].handler = server()
    _, seen = ask(gateway_with(start_envoy, "observe"), STREAM)
    assert "stream_options" not in json.loads(upstreams["alpha"].only.body)
    assert tokens(seen) == ("10", "1", "0", "11", "estimated")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_a_converted_stream_tells_its_counts(start_envoy: Any, upstreams: Any, path: str) -> None:
    upstreams["alpha"].handler = server()
    asked = {"input": "x"} if path.endswith("responses") else {"messages": MESSAGES, "max_tokens": 5}
    reply, seen = ask(gateway_with(start_envoy), {"model": "alpha/m", "stream": True, **asked}, path)
    assert b'"input_tokens"' in reply.body
    assert tokens(seen) == TOLD


@pytest.mark.parametrize("positions", [1, 2])
def test_a_client_that_leaves_has_taken_what_was_sent(start_envoy: Any, upstreams: Any, positions: int) -> None:
    gate = Gate()
    gateway, mark = gateway_with(start_envoy, positions=positions), uuid.uuid4().hex
    upstreams["alpha"].next(sse(chunk({"content": "Hello, you" * 4}), gate, chunk({}, "stop"), "[DONE]"))
    client = gateway.connect()
    body = json.dumps(STREAM).encode()
    more = [("content-length", str(len(body))), ("x-test-id", mark)]
    client.send_head("POST", "/v1/chat/completions", headers("main", "application/json", more))
    client.send(body)
    client.answer().read_until(lambda so_far: b"you" in so_far)
    client.close()
    seen = facts(gateway, mark)
    gate.open()
    assert tokens(seen) == ("10", "10", "0", "20", "estimated")


@pytest.mark.parametrize("positions", [1, 2])
def test_a_client_that_leaves_before_the_head_has_sent_its_text(start_envoy: Any, upstreams: Any, positions: int) -> None:
    gate = Gate()
    gateway, mark = gateway_with(start_envoy, positions=positions), uuid.uuid4().hex
    upstreams["alpha"].next(answer(openai_shapes.completion(), hold=gate))
    client = gateway.connect()
    body = json.dumps({**STREAM, "stream": False}).encode()
    more = [("content-length", str(len(body))), ("x-test-id", mark)]
    client.send_head("POST", "/v1/chat/completions", headers("main", "application/json", more))
    client.send(body)
    upstreams["alpha"].wait_request()
    client.close()
    seen = facts(gateway, mark)
    gate.open()
    assert tokens(seen) == ("10", "0", "0", "10", "estimated")


@pytest.mark.parametrize("positions", [1, 2])
def test_errors_take_nothing(start_envoy: Any, upstreams: Any, positions: int) -> None:
    gateway = gateway_with(start_envoy, positions=positions)
    for script in (
        answer({"error": {"message": "busy"}}, 503),
        answer({"error": {"message": "no"}}, 200),
        sse({"error": {"message": "no"}}, "[DONE]"),
    ):
        upstreams["alpha"].next(script)
        mark = uuid.uuid4().hex
        gateway.post(body=STREAM, fields=[("x-test-id", mark)])
        assert tokens(facts(gateway, mark)) == ("0", "0", "0", "0", "-")
