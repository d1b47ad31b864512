"""JSON answers: good ones keep their bytes and, when they are large, do not wait; others become errors."""

from __future__ import annotations

import gzip
import json
import time

import pytest
from harness import Gate, answer, expect, headers, openai_shapes, plugin
from harness.openai_shapes import TEXT, completion
from harness.outcome import strict_json

ASK = {"model": "alpha/m", "messages": []}
CACHE = "x-langwatch-cache"


def scripted(upstreams, *args, **kwargs):
    made = answer(*args, **kwargs)
    upstreams["alpha"].next(made)
    return made


def invalid(reply) -> str:
    return expect.gateway_error(reply, 502, "invalid_upstream_response")


def post(gateway):
    """A connection with the whole request sent."""
    text = json.dumps(ASK).encode()
    client = gateway.connect()
    fields = headers("main", "application/json", [("content-length", str(len(text)))])
    client.send_head("POST", "/v1/chat/completions", fields)
    client.send(text)
    return client


# Good answers

GOOD = {
    "compact": json.dumps(completion(), separators=(",", ":")),
    "pretty, escapes, unknown members": json.dumps(
        {"vendor": {"error": "no"}, **completion(text='é "x"'), "error": None}, indent=2
    ),
    "not sorted": json.dumps(dict(reversed(completion().items()))),
    "numbers as written": '{"choices":[{"index":0,"message":{"role":"assistant","content":"",'
    '"score":1.10e+2},"finish_reason":"stop"}],"created":1E9}',
    "white space behind": json.dumps(completion()) + "\n",
    "text about errors": json.dumps(completion(text='{"error":{"message":"x"}}\ndata: [DONE]\n\n')),
}


@pytest.mark.parametrize("chunks", [None, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_a_good_answer_keeps_its_bytes(gateway, upstreams, body, framing, chunks):
    made = scripted(upstreams, body, chunks=chunks, framing=framing)
    reply = expect.good(gateway.post(body=ASK))
    assert reply.body.rstrip() == made.body.rstrip()
    assert strict_json(reply.body) == json.loads(body)
    assert reply.header("content-length") in (None, str(len(reply.body)))
    assert reply.header("content-type") == "application/json"


def test_a_content_type_with_a_charset_stays(gateway, upstreams):
    kind = "application/json; charset=utf-8"
    scripted(upstreams, completion(), content_type=kind)
    assert expect.good(gateway.post(body=ASK)).header("content-type") == kind


def test_trailers_end_an_answer(gateway, upstreams):
    made = scripted(upstreams, completion(), framing="chunked", trailers=[("x-end", "yes")])
    assert expect.good(gateway.post(body=ASK)).body == made.body


@pytest.mark.parametrize("size", [300_000, 2_000_000])
def test_a_large_answer_streams_through(gateway, upstreams, size):
    """Most of it is with the client before the rest is sent; it has no cache header."""
    body = json.dumps(completion(text="x" * size)).encode()
    gate = Gate()
    made = scripted(upstreams, body)
    made.steps = [body[:-1000], gate, body[-1000:]]
    with post(gateway) as client:
        incoming = client.answer()
        incoming.read_until(lambda got: len(got) >= len(body) - 1000)
        gate.open()
        reply = expect.good(incoming.rest())
    assert reply.body == body
    assert reply.header("content-length") == str(len(body))
    assert reply.header(CACHE) is None


# What the cache header says

PLAIN = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
USAGE = {
    "details": ({**PLAIN, "prompt_tokens_details": {"cached_tokens": 8}}, "hit"),
    "zero": ({**PLAIN, "prompt_tokens_details": {"cached_tokens": 0}}, "miss"),
    "null": ({**PLAIN, "prompt_tokens_details": None}, "miss"),
    "none": (PLAIN, "miss"),
    "deepseek": ({**PLAIN, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1}, "hit"),
    "anthropic": ({**PLAIN, "cache_read_input_tokens": 8}, "hit"),
}


@pytest.mark.parametrize(("usage", "outcome"), USAGE.values(), ids=USAGE)
@pytest.mark.parametrize("mode", ["respect", "force", "disable"])
def test_the_cache_header(gateway, upstreams, usage, outcome, mode):
    made = scripted(upstreams, {**completion(), "usage": usage})
    reply = expect.good(gateway.post(body=ASK, fields=[(CACHE, mode)]))
    assert reply.header(CACHE) == ("bypass" if mode == "disable" else outcome)
    assert reply.header("x-langwatch-cache-mode") == mode
    assert reply.body == made.body


def test_text_completions_have_a_cache_header(gateway, upstreams):
    choice = {"index": 0, "text": TEXT, "finish_reason": "stop", "logprobs": None}
    scripted(upstreams, {"id": "c", "object": "text_completion", "choices": [choice],
                         "usage": USAGE["details"][0]})  # fmt: skip
    reply = gateway.post("/v1/completions", {"model": "alpha/m", "prompt": "hi"})
    assert expect.good(reply).header(CACHE) == "hit"


def test_the_largest_answer_with_a_cache_header(gateway, upstreams):
    scripted(upstreams, {**completion(text="x" * 200_000), "usage": USAGE["details"][0]})
    assert expect.good(gateway.post(body=ASK)).header(CACHE) == "hit"


@pytest.mark.parametrize("mode", ["respect", "disable"])
def test_a_stream_and_embeddings_have_no_cache_header(gateway, upstreams, mode):
    fields = [(CACHE, mode)]
    stream = gateway.post(body={**ASK, "stream": True}, fields=fields)
    vectors = gateway.post("/v1/embeddings", {"model": "alpha/m", "input": "a"}, fields=fields)
    for reply in (stream, vectors):
        assert expect.good(reply).header(CACHE) is None
        assert reply.header("x-langwatch-cache-mode") == mode


# The model's name


@pytest.fixture
def renaming(start_envoy):
    return start_envoy(config=plugin.configuration(response_model="requested"))


@pytest.mark.parametrize("asked", ["alpha/m", "m"])
def test_the_requested_model_in_json(renaming, upstreams, asked):
    made = scripted(upstreams, json.dumps(completion(), indent=1))
    reply = expect.good(renaming.post(body={**ASK, "model": asked}))
    assert reply.body == made.body.replace(b'"m"', f'"{asked}"'.encode())
    assert reply.header("content-length") == str(len(reply.body))
    assert reply.header("x-langwatch-model") == "m"


def test_the_requested_model_in_a_stream(renaming, upstreams):
    made = openai_shapes.stream()
    upstreams["alpha"].next(made)
    reply = expect.good(renaming.post(body={**ASK, "stream": True}))
    assert reply.body == made.body.replace(b'"m"', b'"alpha/m"')


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_requested_model_in_embeddings(renaming, upstreams, encoding):
    scripted(upstreams, openai_shapes.embeddings())
    body = {"model": "alpha/m", "input": "a", "encoding_format": encoding}
    assert expect.good(renaming.post("/v1/embeddings", body)).json()["model"] == "alpha/m"


def test_an_alias_is_what_was_requested(renaming, upstreams):
    upstreams["delta"].next(answer(completion(model="fast-7b")))
    reply = expect.good(renaming.post(body={**ASK, "model": "fast"}))
    assert reply.json()["model"] == "fast"


def test_the_models_name_is_left_alone_by_default(gateway, upstreams):
    made = scripted(upstreams, completion(model="other-name"))
    assert expect.good(gateway.post(body=ASK)).body == made.body


# What is no answer

NO_ANSWER = {
    "HTML": ("<html><head><title>Sign in</title></head><body>x</body></html>", "text/html"),
    "HTML labelled as JSON": ("<html><body>x</body></html>", "application/json"),
    "text": ("try again later", "text/plain"),
    "nothing": ("", "application/json"),
    "white space": (" \n ", "application/json"),
    "a number": ("7", "application/json"),
    "cut in a string": (json.dumps(completion())[:40], "application/json"),
    "cut before its last brace": (json.dumps(completion())[:-1], "application/json"),
    "bytes": (bytes(range(128, 256)), "application/json"),
}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("body", "kind"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_what_is_no_answer_is_a_502(gateway, upstreams, body, kind, framing):
    scripted(upstreams, body, content_type=kind, framing=framing)
    assert "<" not in invalid(gateway.post(body=ASK))


DRIFT = {
    "labelled as a stream": ("%s", "text/event-stream"),
    "not labelled": ("%s", None),
    "labelled as text": ("%s", "text/plain"),
    "blank lines before": ("\n\n \n%s", "application/json"),
    "an end behind": ("%s\n\ndata: [DONE]\n\n", "application/json"),
    "a byte order mark": ("\ufeff%s", "application/json"),
}


@pytest.mark.parametrize("chunks", [None, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize(("around", "kind"), DRIFT.values(), ids=DRIFT)
def test_an_answer_that_drifts_becomes_plain_json(gateway, upstreams, around, kind, chunks):
    text = json.dumps(completion(), separators=(",", ":"))
    scripted(upstreams, around % text, content_type=kind, chunks=chunks)
    reply = expect.good(gateway.post(body=ASK))
    assert reply.body.decode() == text
    assert reply.header("content-type") == "application/json"


NEARLY = {
    "NaN": (b'"score": NaN', b'"score": null'),
    "Infinity": (b'"score": Infinity', b'"score": null'),
    "-Infinity": (b'"score": [-Infinity, -1]', b'"score": [-9999.0, -1]'),
    "a control character": (b'"note": "a\tb\x01"', b'"note": "a\\tb\\u0001"'),
    "no UTF-8": (b'"note": "a\xffb"', "\"note\": \"a\ufffdb\"".encode()),
}


@pytest.mark.parametrize("chunks", [None, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize(("comes", "leaves"), NEARLY.values(), ids=NEARLY)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/rerank", "/v1/completions"])
def test_nearly_json_is_mended(gateway, upstreams, path, comes, leaves, chunks):
    good = completion()
    if path == "/v1/rerank":
        good = {"results": [{"index": 0, "relevance_score": 0.5}]}
    if path == "/v1/completions":
        good = {**good, "object": "text_completion", "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}
    text = json.dumps({**good, "score": 0}).encode()
    scripted(upstreams, text.replace(b'"score": 0', comes), chunks=chunks)
    reply = expect.good(gateway.post(path, body={**ASK, "query": "q", "documents": ["d"], "prompt": "p"}))
    assert reply.body == text.replace(b'"score": 0', leaves)


def test_a_number_that_is_no_json_is_a_502(gateway, upstreams):
    text = json.dumps({**completion(), "score": 0}).replace('"score": 0', '"score": 01')
    scripted(upstreams, text)
    invalid(gateway.post(body=ASK))


def test_a_compressed_answer_that_nobody_asked_for(gateway, upstreams):
    """Unread, so untouched: a stream as well."""
    body = gzip.compress(openai_shapes.stream().body)
    scripted(upstreams, body, content_type="text/event-stream", chunks=20, framing="chunked",
             headers=[("content-encoding", "gzip")])  # fmt: skip
    reply = expect.good(gateway.post(body={**ASK, "stream": True}))
    assert (reply.body, reply.header("content-encoding")) == (body, "gzip")


# Limits and broken connections


@pytest.fixture
def small(start_envoy):
    limits = {"max_answer_bytes": 100_000}
    return start_envoy(config=plugin.configuration(limits=limits, response_model="requested"))


@pytest.mark.parametrize(("size", "good"), [(90_000, True), (110_000, False), (1_900_000, False)])
def test_an_answer_that_must_be_held_has_a_limit(small, upstreams, size, good):
    scripted(upstreams, completion(text="x" * size))
    reply = small.post(body=ASK)
    if good:
        assert expect.good(reply).json()["model"] == "alpha/m"
    else:
        assert "100000" in invalid(reply)


def test_an_answer_over_envoys_own_limit(renaming, upstreams):
    """Envoy answers past the filter: `local_reply_config` gives this reply its body."""
    scripted(upstreams, completion(text="x" * 4_000_000))
    reply = renaming.post(body=ASK)
    assert (reply.status, reply.complete) == (500, True)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/chat/completions"])
def test_an_answer_that_outgrows_both_limits_in_one_piece(start_envoy, upstreams, path):
    """One error, of Envoy's or the filter's making, and both go on living."""
    limits = {**plugin.configuration()["limits"], "max_answer_bytes": 10_000}
    envoy = start_envoy(buffer_bytes=65_536, config=plugin.configuration(limits=limits))
    gate = Gate()
    made = answer(b"[" + b"1," * 200_000 + b"1]", chunks=[5_000, -1])
    made.steps.insert(1, gate)
    upstreams["alpha"].next(made)
    with envoy.connect() as client:
        body = json.dumps({"model": "alpha/m", "input": "a", "messages": []}).encode()
        fields = headers("main", "application/json", [("content-length", str(len(body)))])
        client.send_head("POST", path, fields)
        client.send(body)
        upstreams["alpha"].wait_request().wait_complete()
        time.sleep(0.5)  # the first piece is held now
        gate.open()
        assert client.answer("POST").rest().status in (500, 502)


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_a_connection_that_breaks_while_the_answer_is_held(gateway, upstreams, end):
    """As above."""
    half = json.dumps(completion()).encode()[:50]
    scripted(upstreams, half, framing="chunked", end=end)
    reply = gateway.post(body=ASK)
    assert (reply.status, reply.complete) == (502, True)


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_a_connection_that_breaks_after_the_head_has_gone(gateway, upstreams, end):
    """The client sees a cut answer, never a short one that looks whole."""
    body = json.dumps(completion(text="x" * 400_000)).encode()[:-1]
    gate = Gate()
    made = scripted(upstreams, body, framing="chunked", end=end)
    made.steps.append(gate)
    with post(gateway) as client:
        incoming = client.answer()
        incoming.read_until(lambda got: len(got) == len(body))
        gate.open()
        assert not incoming.rest().complete
