"""One model name, several providers: Envoy's retries, with each attempt rewritten for its host."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from harness import answer, expect, openai_shapes, plugin, sse
from harness.plugin import PROVIDER_KEYS

FALLBACK = {"fallback": ["alpha/org/first", "gamma/second"], "cluster": "over"}
EMBED = {"model": "both", "input": ["a"]}
LIMITS = {"max_buffered_bytes": 8_388_608}


@pytest.fixture
def envoy(start_envoy):
    config = plugin.configuration(
        model_aliases={
            "both": FALLBACK,
            "dead": {"fallback": ["down/x", "gamma/second"], "cluster": "dead-first"},
            "mixed": [{**FALLBACK, "weight": 1}],
            "all": {"fallback": ["vllm/a", "alpha/b"], "cluster": "kinds"},
        },
        virtual_keys=[
            *plugin.virtual_keys()[:1],
            {"id": "narrow", "key": plugin.VK["allow"], "models_allowed": ["alpha/*"]},
        ],
        limits=LIMITS,
    )
    return start_envoy(
        config=config,
        positions=2,
        fallbacks={
            "over": ["alpha", "gamma-cluster"],
            "dead-first": ["down", "gamma-cluster"],
            "kinds": ["vllm", "alpha"],
        },
        route_buffer_bytes=34_603_008,
    )


def everything(server) -> bytes:
    return b"".join(got.head.raw + got.body for got in server.requests)


def no_key_strays(upstreams) -> None:
    """Every byte at each upstream, searched for the others' keys."""
    for name, server in upstreams.items():
        for other, key in PROVIDER_KEYS.items():
            assert other == name or key.encode() not in everything(server), (name, other)


def assert_fell_back(upstreams, body: bytes, want: str = "/chat/completions") -> None:
    """Each attempt's path, host, credential, length and model id."""
    first, second = upstreams["alpha"].only, upstreams["gamma"].only
    for got, path, host, header, credential, model in [
        (first, "/openai/v1", "alpha.test", "authorization", "Bearer " + PROVIDER_KEYS["alpha"], "org/first"),
        (second, "/v1", "gamma.test", "x-gamma-key", "Key " + PROVIDER_KEYS["gamma"], "second"),
    ]:
        expected = body.replace(b"both", model.encode())
        assert got.path == path + want
        assert got.header("host") == host
        assert got.header(header) == credential
        assert got.body == expected
        assert got.header("content-length") == str(len(expected))
    assert first.header("x-gamma-key") is None and second.header("authorization") is None
    no_key_strays(upstreams)


def answered_by(reply, trail: str | None) -> None:
    assert reply.header("x-langwatch-attempts") == trail
    if trail:
        provider = trail.rpartition(", ")[2].split("=")[0]
        assert reply.header("x-langwatch-provider") == provider


ERROR = {"error": {"message": "busy", "type": "server_error"}}
FAILURES = {
    "500": (answer(ERROR, 500), "500"),
    "429": (answer(ERROR, 429), "429"),
    "401": (answer(ERROR, 401), "401"),
    "403": (answer(ERROR, 403), "403"),
    "empty 503": (answer(b"", 503), "503"),
    "error in 200": (answer({"error": {"message": "m", "code": 503}}), "503"),
    "flat error in 200": (answer({"object": "error", "message": "m", "code": 429}), "429"),
    "first event": (sse({"error": {"message": "m", "code": 500}}), "500"),
    # Statuses that only a stream's first event can tell: TGI's failed generation, and one that a server cancelled.
    "failed generation": (sse({"error": "Request failed during generation", "error_type": "generation"}), "424"),
    "cancelled": (sse({"error": {"message": "m", "type": "cancelled"}}), "499"),
    "reset": (answer(silent=True, end="reset"), "none"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("failure", FAILURES)
def test_the_second_provider_answers(envoy, upstreams, failure, stream):
    given, status = FAILURES[failure]
    body = json.dumps({"model": "both", "stream": stream, "messages": []}).encode()
    upstreams["alpha"].next(given)
    reply = envoy.post(body=body)
    expect.good(reply)
    assert_fell_back(upstreams, body)
    answered_by(reply, f"alpha={status}, gamma=200")
    if stream:
        assert reply.body.endswith(b"data: [DONE]\n\n")


def test_the_first_one_is_enough(envoy, upstreams):
    reply = envoy.post(body={"model": "both", "messages": []})
    expect.good(reply)
    answered_by(reply, None)
    assert reply.header("x-langwatch-provider") == "alpha"
    assert upstreams["gamma"].requests == []
    no_key_strays(upstreams)


@pytest.mark.parametrize("size", [300, 200_000, 3_000_000])
@pytest.mark.parametrize("first", [True, False], ids=["model first", "model last"])
def test_sizes(envoy, upstreams, size, first):
    padding, model = b'"x":"' + b"y" * size + b'"', b'"model":"both"'
    body = b"{" + b",".join([model, padding] if first else [padding, model]) + b"}"
    upstreams["alpha"].next(answer(ERROR, 503))
    reply = envoy.post(body=body)
    expect.good(reply)
    assert_fell_back(upstreams, body)


@pytest.mark.parametrize("size", [300, 3_000_000])
def test_forms(envoy, upstreams, size):
    part = b'--B\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = part % (b"file", b'; filename="a"', b"y" * size) + part % (b"model", b"", b"both") + b"--B--\r\n"
    upstreams["alpha"].next(answer(ERROR, 503))
    reply = envoy.post(
        "/v1/audio/transcriptions", body, content_type="multipart/form-data; boundary=B"
    )
    assert reply.status == 200, reply
    assert_fell_back(upstreams, body, "/audio/transcriptions")


def test_embeddings(envoy, upstreams):
    body = json.dumps(EMBED).encode()
    upstreams["alpha"].next(answer({"error": {"message": "m", "code": 503}}))
    upstreams["gamma"].next(answer([[1.5, 2]]))
    reply = envoy.post("/v1/embeddings", body)
    assert reply.json()["data"][0]["embedding"] == [1.5, 2]
    assert_fell_back(upstreams, body, "/embeddings")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_responses_over_chat(envoy, upstreams, stream):
    upstreams["alpha"].next(answer(ERROR, 503))
    if stream:
        chunk = openai_shapes.chunk
        upstreams["gamma"].next(sse(chunk({"content": "hi"}), chunk({}, "stop"), "[DONE]"))
    reply = envoy.post("/v1/responses", {"model": "both", "input": "hi", "stream": stream})
    assert reply.status == 200, reply
    assert (b"response.completed" in reply.body) == stream
    assert stream or reply.json()["object"] == "response"
    for name, model in [("alpha", "org/first"), ("gamma", "second")]:
        got = upstreams[name].only
        assert got.path.endswith("/chat/completions") and got.json()["model"] == model
        assert got.header("content-length") == str(len(got.body))
    no_key_strays(upstreams)


def test_messages_over_chat(envoy, upstreams):
    upstreams["alpha"].next(answer(ERROR, 503))
    body = {"model": "both", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    reply = envoy.post("/v1/messages", body, fields=[("anthropic-version", "2023-06-01")])
    assert reply.status == 200 and reply.json()["type"] == "message", reply
    assert [upstreams[name].only.json()["model"] for name in ("alpha", "gamma")] == ["org/first", "second"]
    no_key_strays(upstreams)


def test_a_refused_connection(envoy, upstreams):
    reply = envoy.post(body={"model": "dead", "messages": []})
    expect.good(reply)
    answered_by(reply, "down=none, gamma=200")


def test_a_first_byte_that_never_comes(envoy, upstreams):
    upstreams["alpha"].next(answer(silent=True, end="never"))
    reply = envoy.post(body={"model": "both", "messages": []})
    expect.good(reply)
    answered_by(reply, "alpha=none, gamma=200")


def test_both_fail(envoy, upstreams):
    upstreams["alpha"].next(answer(ERROR, 503))
    upstreams["gamma"].next(answer({"error": {"message": "mine is the last", "code": 429}}))
    reply = envoy.post(body={"model": "both", "messages": []})
    assert reply.status == 429
    assert expect.envelope(reply)["message"] == "mine is the last"
    answered_by(reply, "alpha=503, gamma=429")


@pytest.mark.parametrize("first", [answer(b""), answer(b"", 204), answer(ERROR, 503)], ids=["empty", "204", "503"])
def test_the_access_log_tells_what_the_header_does(envoy, upstreams, first):
    upstreams["alpha"].next(first)
    reply = envoy.post(body={"model": "both", "messages": []}, fields=[("x-test-id", mark := uuid.uuid4().hex)])
    expect.good(reply)
    trail = reply.header("x-langwatch-attempts")
    assert trail == f"alpha={first.status if first.status > 400 else 502}, gamma=200"
    assert envoy.access(mark).endswith(f"attempts={trail}")


def test_a_bad_request_does_not_fall_back(envoy, upstreams):
    upstreams["alpha"].next(answer(ERROR, 400))
    assert envoy.post(body={"model": "both", "messages": []}).status == 400
    assert upstreams["gamma"].requests == []


def test_a_key_that_may_use_the_first_only(envoy, upstreams):
    upstreams["alpha"].next(answer(ERROR, 503))
    reply = envoy.post(body={"model": "both", "messages": []}, vk="allow")
    assert reply.status == 503
    assert upstreams["gamma"].requests == []


def test_who_does_not_offer_the_operation_is_left_out(envoy, upstreams):
    reply = envoy.post("/v1/audio/speech", {"model": "all", "input": "hi", "voice": "v"})
    assert reply.status == 200, reply
    assert upstreams["alpha"].only.json()["model"] == "b"
    assert upstreams["vllm"].requests == []


def test_a_fallback_in_a_split(envoy, upstreams):
    upstreams["alpha"].next(answer(ERROR, 503))
    reply = envoy.post(body={"model": "mixed", "messages": []})
    expect.good(reply)
    answered_by(reply, "alpha=503, gamma=200")


def test_without_a_fallback_all_is_as_in_one_position(envoy, upstreams):
    reply = envoy.post(body={"messages": [], "model": "beta/m"})
    expect.good(reply)
    got = upstreams["beta"].only
    assert got.body == b'{"messages":[],"model":"m"}'
    assert got.header("api-key") == PROVIDER_KEYS["beta"]
    assert got.path == "/v1/chat/completions" and got.header("host") == "beta.test:8080"


def test_a_route_that_leads_elsewhere_gets_no_credential(start_envoy, upstreams):
    """The operator's mistake: `over` is a cluster of hosts that are none of the request's."""
    config = plugin.configuration(model_aliases={"both": FALLBACK}, limits=LIMITS)
    envoy = start_envoy(config=config, positions=2, fallbacks={"over": ["beta", "delta"]})
    with envoy.completes_nothing(upstreams):
        reply = envoy.post(body={"model": "both", "messages": []})
        expect.gateway_error(reply, 500, "internal_error")
    assert all(server.requests == [] for server in upstreams.values())


def test_a_host_that_lies_is_ejected(start_envoy, upstreams):
    config = plugin.configuration(model_aliases={"both": FALLBACK}, limits=LIMITS)
    envoy = start_envoy(
        config=config, positions=2, ejects_for="30s", fallbacks={"over": ["alpha", "gamma-cluster"]}
    )
    upstreams["alpha"].handler = lambda _: answer({"error": {"message": "m", "code": 503}})
    for _ in range(2):
        expect.good(envoy.post(body={"model": "both", "messages": []}))
    until = time.monotonic() + 10  # Envoy's main thread tells its workers
    while not any("alpha::" in line and "failed_outlier_check" in line for line in envoy.admin("/clusters").splitlines()):
        assert time.monotonic() < until, "not ejected"
    for _ in range(4):
        expect.good(envoy.post(body={"model": "both", "messages": []}))
    assert len(upstreams["alpha"].requests) == 2, "an ejected provider is skipped in the same attempt"
