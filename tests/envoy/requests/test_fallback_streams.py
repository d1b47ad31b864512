"""Fallbacks of streams, in each API: what happens before the first event, and what an attempt's time does in mid-stream."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import pytest
from harness import Gate, answer, expect, fallback_route, headers, metering, openai_shapes, plugin, sse
from harness.plugin import PROVIDER_KEYS
from harness.wire import Truncated

Json = dict[str, Any]
FALLBACK = {"fallback": ["alpha/org/first", "gamma/second"], "cluster": "over"}
ERROR = {"error": {"message": "busy", "type": "server_error"}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
MESSAGES = [{"role": "user", "content": "x" * 40}]
TEXT = "twelve bytes"
APIS: dict[str, tuple[str, Json]] = {
    "chat": ("/v1/chat/completions", {"messages": MESSAGES}),
    "completions": ("/v1/completions", {"prompt": "x" * 40}),
    "responses": ("/v1/responses", {"input": "x" * 40}),
    "messages": ("/v1/messages", {"max_tokens": 5, "messages": MESSAGES}),
}
NATIVE = ("chat", "completions")
"""Those that a provider of chat completions speaks itself."""


def piece(api: str, text: str, finish_reason: str | None = None) -> Json:
    if api != "completions":
        return openai_shapes.chunk({"content": text} if text else {}, finish_reason)
    choice = {"index": 0, "text": text, "finish_reason": finish_reason}
    return {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


def whole(api: str) -> Any:
    usage = {**piece(api, ""), "choices": [], "usage": USAGE}
    return sse(piece(api, TEXT), piece(api, "", "stop"), usage, "[DONE]")


@pytest.fixture
def envoy(start_envoy):
    config = plugin.configuration(
        model_aliases={
            "both": FALLBACK,
            "dead": {"fallback": ["down/x", "gamma/second"], "cluster": "dead-first"},
        },
        usage={"mode": "observe"},
    )
    over = {"over": ["alpha", "gamma-cluster"], "dead-first": ["down", "gamma-cluster"]}
    return start_envoy(config=config, positions=2, fallbacks=over, facts=True)


def timed(start_envoy, **policy: Any):
    """With a time for each try."""
    config = plugin.configuration(model_aliases={"both": FALLBACK}, usage={"mode": "observe"})

    def more(_: dict[str, int]) -> tuple[list[Json], list[Json]]:
        typed = {
            "@type": "type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig",
            "clusters": [{"name": "alpha"}, {"name": "gamma-cluster"}],
        }
        kind = {"name": "envoy.clusters.composite", "typed_config": typed}
        over = {"name": "over", "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": kind}
        return [over], [fallback_route("over", {"cluster": "over"}, **policy)]

    return start_envoy(config=config, positions=2, facts=True, more=more)


def ask(envoy, api: str, model: str = "both", stream: bool = True) -> tuple[Any, str]:
    """The reply, as far as it came, and how the log names it."""
    path, asked = APIS[api]
    mark = uuid.uuid4().hex
    body = json.dumps({"model": model, "stream": stream, **asked}).encode()
    fields = [("x-test-id", mark), ("anthropic-version", "2023-06-01"), ("content-length", str(len(body)))]
    with envoy.connect() as client:
        client.send_head("POST", path, headers("main", "application/json", fields))
        client.send(body)
        incoming = client.answer()
        try:
            reply = incoming.rest()
        except (Truncated, OSError):
            reply = incoming.so_far
    return reply, mark


def assert_whole(reply, api: str, trail: str) -> None:
    """The second one's stream, from its beginning to its end, in the client's own API."""
    assert reply.status == 200, reply
    assert reply.body.count(TEXT.encode()) in ({"responses": (4, 5)}.get(api, (1,))), reply.body
    ends = {"responses": b"response.completed", "messages": b"message_stop"}
    assert ends.get(api, b"data: [DONE]\n\n") in reply.body
    assert b"rror" not in reply.body.replace(b'"error":null', b""), reply.body
    assert reply.header("x-langwatch-attempts") == trail
    assert reply.header("x-langwatch-provider") == "gamma"


def assert_asked(upstreams, api: str) -> None:
    """Each one's own model and credential, and no key of one at the other."""
    for name, model, other in (("alpha", "org/first", "gamma"), ("gamma", "second", "alpha")):
        got = upstreams[name].only
        assert got.json()["model"] == model
        assert got.header("content-length") == str(len(got.body))
        assert PROVIDER_KEYS[other].encode() not in got.head.raw + got.body
        assert got.path.endswith(APIS[api][0].removeprefix("/v1") if api in NATIVE else "/chat/completions")


COMMENTS = [b": processing\n\n"] * 3
BEFORE_THE_FIRST_EVENT = {
    "503": (answer(ERROR, 503), "503"),
    "429 in 200": (answer({"error": {"message": "m", "code": 429}}), "429"),
    "first event": (sse({"error": {"message": "m", "code": 500}}), "500"),
    "first event behind comments": (sse(*COMMENTS, {"error": {"message": "m", "type": "overloaded_error"}}), "529"),
    "failed generation": (sse({"error": "Request failed during generation", "error_type": "generation"}), "424"),
    "cancelled": (sse({"error": {"message": "m", "type": "cancelled"}}), "499"),
    "error and done": (sse({"error": {"message": "m"}}, "[DONE]"), "502"),
    "event: error": (sse(b'event: error\ndata: {"message":"m","code":503}\n\n'), "503"),
    "no head": (answer(silent=True, end="never"), "none"),
    "no event": (sse(end="never"), "none"),
    "comments alone": (sse(*COMMENTS, end="never"), "none"),
    "half an event": (sse(b'data: {"id":"chatcmpl-1","choi', end="never"), "none"),
    "reset": (answer(silent=True, end="reset"), "none"),
    "reset behind the head": (sse(end="reset"), "none"),
    "reset behind a comment": (sse(*COMMENTS, end="reset"), "none"),
}


@pytest.mark.parametrize("failure", BEFORE_THE_FIRST_EVENT)
@pytest.mark.parametrize("api", APIS)
def test_before_the_first_event(envoy, upstreams, api, failure):
    given, status = BEFORE_THE_FIRST_EVENT[failure]
    upstreams["alpha"].next(given)
    upstreams["gamma"].next(whole(api))
    reply, mark = ask(envoy, api)
    assert_whole(reply, api, f"alpha={status}, gamma=200")
    assert_asked(upstreams, api)
    assert metering.counts(envoy, mark) == ("upstream", [7, 2, 0, 9])


@pytest.mark.parametrize("api", APIS)
def test_a_refused_connection(envoy, upstreams, api):
    upstreams["gamma"].next(whole(api))
    reply, _ = ask(envoy, api, "dead")
    assert_whole(reply, api, "down=none, gamma=200")


def error_of(reply, api: str) -> Json:
    body = json.loads(reply.body)
    if api == "messages":
        assert body["type"] == "error"
        return body["error"]
    return expect.envelope(reply)


LAST = {
    "429": answer({"error": {"message": "the last"}}, 429),
    "429 in 200": answer({"error": {"message": "the last", "code": 429}}),
    "first event": sse({"error": {"message": "the last", "code": "429"}}),
}


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("api", APIS)
def test_both_fail(envoy, upstreams, api, last):
    """The last one's error, as a status and in the client's own shape; nothing counts."""
    upstreams["alpha"].next(sse({"error": {"message": "the first", "code": 503}}))
    upstreams["gamma"].next(LAST[last])
    reply, mark = ask(envoy, api)
    assert reply.status == 429
    assert error_of(reply, api)["message"] == "the last"
    assert reply.header("x-langwatch-attempts") == "alpha=503, gamma=429"
    assert reply.header("content-type") == "application/json"
    assert_asked(upstreams, api)
    assert metering.counts(envoy, mark) == (None, [0, 0, 0, 0])


@pytest.mark.parametrize("api", APIS)
def test_silence_in_mid_stream(start_envoy, upstreams, api):
    """`per_try_idle_timeout`: Envoy cuts the stream and gives no filter a word for it: a client sees a cut connection, never
    an end. Nobody is asked again, nothing of the stream comes twice, and what was sent is counted."""
    envoy = timed(start_envoy, per_try_idle_timeout="0.8s")
    upstreams["alpha"].next(sse(*[piece(api, TEXT)] * 3, end="never"))
    reply, mark = ask(envoy, api)
    assert reply.status == 200
    assert reply.body.count(TEXT.encode()) == 3
    for end in (b"[DONE]", b"response.completed", b"message_stop"):
        assert end not in reply.body
    upstreams["alpha"].only.wait_abandoned()
    assert upstreams["gamma"].requests == []
    assert metering.counts(envoy, mark) == ("estimated", [10, 9, 0, 19])
    line = next(line for line in envoy.log().splitlines() if mark in line)
    assert line.startswith("access 200 UT upstream_per_try_idle_timeout ")


def test_the_time_of_a_try_ends_with_its_head(start_envoy, upstreams):
    """`per_try_timeout`, the whole of a try, does not bound a stream that has begun: one may take longer."""
    envoy = timed(start_envoy, per_try_timeout="1s", per_try_idle_timeout="20s")
    gate = Gate()
    upstreams["alpha"].next(sse(piece("chat", TEXT), gate, piece("chat", "", "stop"), "[DONE]"))
    opens = threading.Timer(2, gate.open)
    opens.start()
    reply, _ = ask(envoy, "chat")
    opens.join()
    assert reply.body.count(TEXT.encode()) == 1 and reply.body.endswith(b"data: [DONE]\n\n")
    assert reply.header("x-langwatch-provider") == "alpha" and reply.header("x-langwatch-attempts") is None


@pytest.mark.parametrize("api", APIS)
def test_a_plain_answer_stalls(start_envoy, upstreams, api):
    """Held until it is whole, so that the next one can still answer it."""
    envoy = timed(start_envoy, per_try_idle_timeout="0.8s")
    said = openai_shapes.completion(text=TEXT)
    if api == "completions":
        said = {**piece(api, TEXT, "stop"), "usage": USAGE}
    half = json.dumps(said).encode()[:90]
    upstreams["alpha"].next(answer(half, framing="raw", headers=[("content-length", "400")], end="never"))
    upstreams["gamma"].next(answer({**said, "usage": USAGE}))
    reply, mark = ask(envoy, api, stream=False)
    assert reply.status == 200, reply
    assert reply.body.count(TEXT.encode()) == 1
    assert reply.header("x-langwatch-attempts") == "alpha=none, gamma=200"
    assert_asked(upstreams, api)
    assert metering.counts(envoy, mark) == ("upstream", [7, 2, 0, 9])
