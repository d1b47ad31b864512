"""What an answer counts to that does not come to its end, and which attempt's answer counts."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from harness import Gate, answer, headers, metering, openai_shapes, plugin, sse

PIECE = "twelve bytes"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
ASKED = 10
"""The request has 40 bytes of text."""

BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x" * 40}]},
    "/v1/responses": {"input": "x" * 40},
    "/v1/messages": {
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "x" * 40}],
    },
}


@pytest.fixture
def falling_back(start_envoy: Any) -> Any:
    """In two positions, with a fallback."""
    aliases = {"both": {"fallback": ["alpha/first", "gamma/second"], "cluster": "over"}}
    setting = metering.setting(model_aliases=aliases)
    more = {"positions": 2, "fallbacks": {"over": ["alpha", "gamma-cluster"]}}
    return start_envoy(**{**vars(setting), **more})


@pytest.fixture(params=["one position", "two positions"])
def observed(request: Any, start_envoy: Any) -> Any:
    if request.param == "two positions":
        return request.getfixturevalue("falling_back")
    return start_envoy(**vars(metering.setting()))


def ask(gateway: Any, path: str, **fields: Any) -> tuple[Any, Any, str]:
    """A connection on which a request has been sent, what comes back, and how the log names it."""
    mark = uuid.uuid4().hex
    body = json.dumps({"model": "alpha/m", **BODIES[path], **fields}).encode()
    more = [
        ("content-length", str(len(body))),
        ("x-test-id", mark),
        ("anthropic-version", "2023-06-01"),
    ]
    client = gateway.connect()
    client.send_head("POST", path, headers("main", "application/json", more))
    client.send(body)
    return client, client.answer(), mark


def deltas(count: int) -> list[dict[str, Any]]:
    return [openai_shapes.chunk({"role": "assistant", "content": ""})] + [
        openai_shapes.chunk({"content": PIECE}) for _ in range(count)
    ]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_client_that_leaves_a_stream(
    observed: Any, upstreams: Any, path: str, count: int
) -> None:
    gate = Gate()
    end = openai_shapes.chunk({}, "stop")
    upstreams["alpha"].next(
        sse(*deltas(count), gate, end, {**end, "choices": [], "usage": USAGE}, "[DONE]")
    )
    client, incoming, mark = ask(observed, path, stream=True)
    if count:
        incoming.read_until(lambda got: got.count(PIECE.encode()) >= count)
    gate.wait_reached()
    client.close()
    output = metering.estimated(count * len(PIECE))
    assert metering.counts(observed, mark) == (
        "estimated",
        [ASKED, output, 0, ASKED + output],
    )
    gate.open()


@pytest.mark.one_position
@pytest.mark.parametrize("path", BODIES)
def test_a_client_that_leaves_a_filter_in_the_upstreams_cluster_alone(
    start_envoy: Any, upstreams: Any, path: str
) -> None:
    envoy = start_envoy(**{**vars(metering.setting()), "filter_at": "upstream"})
    gate = Gate()
    end = openai_shapes.chunk({}, "stop")
    whole = [*deltas(2), end, {**end, "choices": [], "usage": USAGE}, "[DONE]"]
    upstreams["alpha"].next(sse(*deltas(3), gate, "[DONE]"), sse(*whole))
    client, incoming, mark = ask(envoy, path, stream=True)
    incoming.read_until(lambda got: got.count(PIECE.encode()) >= 3)
    gate.wait_reached()
    client.close()
    output = metering.estimated(3 * len(PIECE))
    assert metering.counts(envoy, mark) == (
        "estimated",
        [ASKED, output, 0, ASKED + output],
    )
    gate.open()
    client, incoming, mark = ask(envoy, path, stream=True)
    incoming.rest()
    client.close()
    assert metering.counts(envoy, mark) == ("upstream", [7, 3, 0, 10])


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("end", ["reset", "clean"])
def test_a_stream_that_breaks_off(
    observed: Any, upstreams: Any, path: str, end: str
) -> None:
    upstreams["alpha"].next(sse(*deltas(3), end=end))
    client, incoming, mark = ask(observed, path, stream=True)
    with client:
        incoming.read_until(lambda got: got.count(PIECE.encode()) >= 3)
    assert metering.counts(observed, mark) == ("estimated", [ASKED, 9, 0, ASKED + 9])


@pytest.mark.parametrize("path", BODIES)
def test_a_whole_stream(observed: Any, upstreams: Any, path: str) -> None:
    end = openai_shapes.chunk({}, "stop")
    usage = {**end, "choices": [], "usage": USAGE}
    upstreams["alpha"].next(
        sse(*deltas(3), end, usage, "[DONE]"), sse(*deltas(3), end, "[DONE]")
    )
    for source, want in (
        ("upstream", [7, 3, 0, 10]),
        ("estimated", [ASKED, 9, 0, ASKED + 9]),
    ):
        client, incoming, mark = ask(observed, path, stream=True)
        with client:
            incoming.rest()
        assert metering.counts(observed, mark) == (source, want)


@pytest.mark.parametrize("path", BODIES)
def test_a_plain_answer(observed: Any, upstreams: Any, path: str) -> None:
    told = {**openai_shapes.completion(text=PIECE * 3), "usage": USAGE}
    untold = {name: value for name, value in told.items() if name != "usage"}
    # The whole of it leaves for a length; in pieces, and larger than what is held.
    large = {**told, "padding": "x" * 400_000}
    for body, source, want in [
        (told, "upstream", [7, 3, 0, 10]),
        (untold, "estimated", [ASKED, 9, 0, ASKED + 9]),
        (large, "upstream", [7, 3, 0, 10]),
    ]:
        upstreams["alpha"].next(answer(body))
        client, incoming, mark = ask(observed, path)
        with client:
            assert incoming.rest().status == 200
        assert metering.counts(observed, mark) == (source, want), path


def test_a_large_answer_that_passes_is_read_to_its_usage(
    observed: Any, upstreams: Any
) -> None:
    vectors = {"object": "embedding", "index": 0, "embedding": [0.125] * 200_000}
    body = {
        "object": "list",
        "data": [vectors],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    upstreams["alpha"].next(answer(body))
    mark = uuid.uuid4().hex
    asked = {"model": "alpha/m", "input": "x" * 40}
    reply = observed.post(
        "/v1/embeddings", body=asked, vk="main", fields=[("x-test-id", mark)]
    )
    assert reply.status == 200
    assert metering.counts(observed, mark) == ("upstream", [7, 0, 0, 7])


def test_a_failed_attempt_counts_nothing(falling_back: Any, upstreams: Any) -> None:
    busy = {"error": {"message": "a long message of what is wrong", "code": 503}}
    for failure in (answer(busy, 503), answer(busy), sse(busy)):
        upstreams["alpha"].next(failure)
        upstreams["gamma"].next(
            answer({**openai_shapes.completion(text=PIECE), "usage": USAGE})
        )
        client, incoming, mark = ask(falling_back, "/v1/chat/completions", model="both")
        with client:
            assert (
                incoming.rest().header("x-langwatch-attempts") == "alpha=503, gamma=200"
            )
        assert metering.counts(falling_back, mark) == ("upstream", [7, 3, 0, 10])
    upstreams["alpha"].next(answer(busy, 503))
    upstreams["gamma"].next(answer(busy, 503))
    client, incoming, mark = ask(falling_back, "/v1/chat/completions", model="both")
    with client:
        assert incoming.rest().status == 503
    assert metering.counts(falling_back, mark) == (None, [0, 0, 0, 0])


NATIVE_MESSAGES = [
    (
        "message_start",
        {
            "message": {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "content": [],
                "model": "m",
                "usage": {
                    "input_tokens": 25,
                    "cache_read_input_tokens": 100,
                    "output_tokens": 1,
                },
            }
        },
    ),
    (
        "content_block_start",
        {"index": 0, "content_block": {"type": "text", "text": ""}},
    ),
    (
        "content_block_delta",
        {"index": 0, "delta": {"type": "text_delta", "text": PIECE * 5}},
    ),
    ("content_block_stop", {"index": 0}),
    (
        "message_delta",
        {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
    ),
    ("message_stop", {}),
]


@pytest.mark.parametrize(
    ("sent", "source", "want"),
    [
        (1, "upstream", [125, 1, 100, 126]),
        (3, "estimated", [125, 15, 100, 140]),
        (6, "upstream", [125, 20, 100, 145]),
    ],
)
def test_native_messages(
    start_envoy: Any, upstreams: Any, sent: int, source: str, want: list[int]
) -> None:
    providers = [
        {**one, "messages_api": "native"}
        for one in plugin.providers()
        if one["name"] == "alpha"
    ]
    keys = [key for key in plugin.virtual_keys() if key["id"] == "id-main"]
    config = {
        "providers": providers,
        "virtual_keys": keys,
        "usage": {"mode": "observe"},
    }
    gateway = start_envoy(config=config, facts=True)
    events = [
        f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
        for name, data in NATIVE_MESSAGES
    ]
    gate = Gate()
    upstreams["alpha"].next(sse(*events[:sent], gate, *events[sent:]))
    client, incoming, mark = ask(gateway, "/v1/messages", stream=True)
    incoming.read_until(lambda got: got.count(b"\n\n") >= sent)
    if sent == len(events):
        gate.open()
        incoming.rest()
    client.close()
    assert metering.counts(gateway, mark) == (source, want)
    gate.open()
