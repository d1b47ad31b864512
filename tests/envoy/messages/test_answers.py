"""Chat answers as messages: one scene, plain and as a stream, must be the same message."""

from __future__ import annotations

import pytest
from harness import answer, messages, sse
from harness import responses_scenes as scenes
from harness.messages import comparable, plain, streamed
from harness.responses_scenes import Scene, begins, chunk, goes_on

SCENES = [scene for scene in vars(scenes).values() if isinstance(scene, Scene)]
ORDERED = [scene for scene in SCENES if scene.name not in {"calls interleaved"}]


def pytest_id(scene):
    return scene.name


@pytest.mark.parametrize("scene", SCENES, ids=pytest_id)
def test_every_stream_is_within_the_grammar(gateway, chat_server, scene):
    streamed(gateway, chat_server, scene.stream())


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("scene", SCENES, ids=pytest_id)
def test_cuts_do_not_matter(gateway, chat_server, scene, size):
    whole = scene.stream()
    pieces = answer(whole.body, content_type="text/event-stream", chunks=size, framing="chunked")
    assert comparable(streamed(gateway, chat_server, pieces)) == comparable(streamed(gateway, chat_server, whole))


@pytest.mark.parametrize("scene", ORDERED, ids=pytest_id)
def test_a_stream_makes_the_plain_message(gateway, chat_server, scene):
    one = plain(gateway, chat_server, scene.plain())
    other = streamed(gateway, chat_server, scene.stream())
    if one["stop_reason"] == "max_tokens":  # a call that was cut has been told of already
        other["content"] = other["content"][: len(one["content"])]
    assert comparable(other) == comparable(one)


def test_a_server_that_streams_unasked(gateway, chat_server):
    message = plain(gateway, chat_server, scenes.TEXT.stream())
    assert message["content"] == [{"type": "text", "text": "Hello there."}]


def test_calls_whose_pieces_interleave(gateway, chat_server):
    deltas = [
        begins(0, "a", "f"), begins(1, "b", "g"), goes_on(1, '{"y":'), goes_on(0, '{"x":'), {"content": "so"},
        goes_on(0, "1}"), goes_on(1, "2}"),
    ]  # fmt: skip
    message = streamed(gateway, chat_server, sse(*map(chunk, deltas), chunk({}, "stop"), "[DONE]"))
    assert [block.get("input") for block in message["content"]] == [{"x": 1}, {"y": 2}, None]
    assert message["stop_reason"] == "tool_use"


def test_comments_become_pings(gateway, chat_server):
    chat_server.next(sse(b": processing\n\n", chunk({"content": "a"}), b": more\n\n", chunk({}, "stop"), "[DONE]"))
    reply = messages.post(gateway, messages.ask(stream=True))
    names = [name for name, _ in messages.events(reply.body)]
    assert names[0] == "ping" and names.count("ping") == 2


def test_arguments_that_are_no_object(gateway, chat_server):
    call = scenes.call("a", "f", "{'x': 1}")
    chat_server.next(answer({"choices": [{"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}))
    messages.error(messages.post(gateway, messages.ask()), 502, "invalid_upstream_response")
    chat_server.next(sse(chunk(begins(0, "a", "f", "{'x': 1}")), chunk({}, "tool_calls"), "[DONE]"))
    _, failed = messages.assembled(messages.post(gateway, messages.ask(stream=True)).body)
    assert failed["error"]["type"] == "api_error"
