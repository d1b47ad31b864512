"""A provider's key never comes back, and no answer acts on the browser or on Envoy."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from harness import answer, expect, headers, openai_shapes, plugin, sse
from harness.plugin import PROVIDER_KEYS

KEY = PROVIDER_KEYS["alpha"]
BODY = {"model": "alpha/m", "messages": []}
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in KEY)


def secret_free(reply) -> None:
    """Neither the key nor a telling part of it, however it is written."""
    text = reply.body.decode() + str(reply.fields)
    assert KEY not in text and KEY[:12] not in text and ESCAPED not in text
    assert KEY not in json.dumps(reply.body.decode("unicode_escape", "replace"))


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(
            {
                "error": {
                    "message": f"bad key {KEY}",
                    "type": "x",
                    "param": None,
                    "code": None,
                }
            }
        ),
        '{"error":{"message":"bad key %s","type":"x","param":null,"code":null}}'
        % ESCAPED,
        '{"detail":"bad key %s"}' % ESCAPED,
        f"<html><title>{KEY}</title></html>",
        json.dumps({"error": {"message": "x" * 4086 + KEY}}),
        "x" * 4088 + KEY,
        json.dumps({"error": json.dumps({"message": f"bad {KEY}"})}),
    ],
    ids=[
        "canonical",
        "escaped",
        "escaped detail",
        "page",
        "cut",
        "cut text",
        "JSON in JSON",
    ],
)
@pytest.mark.parametrize("status", [401, 200])
def test_in_errors(gateway, upstreams, body, status):
    if status == 200 and not body.startswith("{"):
        status = 500
    upstreams["alpha"].next(answer(body, status))
    reply = gateway.post(body=BODY)
    assert reply.status >= 400
    secret_free(reply)


@pytest.mark.parametrize(
    "name", ["www-authenticate", "location", "x-echo", "link", "x-ratelimit-key"]
)
@pytest.mark.parametrize("status", [200, 302, 401, 503])
def test_in_headers(gateway, upstreams, name, status):
    value = f"https://x.test/?a=b&key={KEY}"
    upstreams["alpha"].next(
        answer(openai_shapes.completion(), status, headers=[(name, value)])
    )
    reply = gateway.post(body=BODY)
    secret_free(reply)
    kept = reply.header(name)
    assert kept is None or "[redacted]" in kept


def test_in_a_late_event(gateway, upstreams):
    first = openai_shapes.chunk({"content": "a"})
    bad = '{"error":{"message":"bad key %s"}}' % ESCAPED
    upstreams["alpha"].next(sse(first, bad))
    reply = gateway.post(body={**BODY, "stream": True})
    assert b"[redacted]" in reply.body
    secret_free(reply)


def base64_of(before: str) -> str:
    return base64.b64encode((before + KEY).encode()).decode()


WRITTEN = {
    "capitals": KEY.upper(),
    "entities": "".join(f"&#{ord(c)};" for c in KEY),
    "hexadecimal entities": "".join(f"&#x{ord(c):x};" for c in KEY),
    "escapes of JavaScript": "".join(f"\\x{ord(c):02x}" for c in KEY),
    "percent, twice": "".join(f"%25{ord(c):02x}" for c in KEY),
    "base64": base64_of(""),
    "base64 of the header": base64_of("Bearer "),
    "base64 behind a name": base64_of("user:"),
    "digits": KEY.encode().hex(),
    "digits apart": KEY.encode().hex(":"),
    "without its beginning": KEY[4:],
    "its middle": KEY[3:-2],
    "backwards": KEY[::-1],
    "letter by letter": " ".join(KEY),
    "masked": f"{KEY[:9]}...{KEY[9:]}",
    "with signs of markup": KEY.replace("-", "&hyphen;"),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize(
    "where", ["message", "text", "page", "header", "good head", "late event"]
)
def test_however_it_is_written(gateway, upstreams, written, where):
    if where == "good head" and written in (WRITTEN["digits apart"], WRITTEN["letter by letter"]):
        return  # in heads of good answers, what interrupts the key is not looked through
    message, late = {"error": {"message": f"bad {written} x"}}, where == "late event"
    echo = [("x-echo", written)]
    upstreams["alpha"].next(
        {
            "message": lambda: answer(message, 401),
            "text": lambda: answer(f"bad {written} x", 401, content_type="text/plain"),
            "page": lambda: answer(
                f"<h1>bad {written}</h1>", 502, content_type="text/html"
            ),
            "header": lambda: answer(
                message, 401, headers=[("www-authenticate", written)]
            ),
            "good head": lambda: answer(openai_shapes.completion(), headers=echo),
            "late event": lambda: sse(openai_shapes.chunk({"content": "a"}), message),
        }[where]()
    )
    reply = gateway.post(body={**BODY, "stream": late})
    text = reply.body.decode() + str(reply.fields)
    assert written not in text and json.dumps(written)[1:-1] not in text
    assert "[redacted]" in text


@pytest.mark.parametrize("status", [200, 401, 429])
@pytest.mark.parametrize("name", [KEY, f"x-ratelimit-{KEY}", f"x-{KEY}-y"])
def test_in_a_headers_name(gateway, upstreams, name, status):
    body = openai_shapes.completion() if status == 200 else {"error": {"message": "x"}}
    upstreams["alpha"].next(answer(body, status, headers=[(name, "1"), ("x-ratelimit-limit", "2")]))
    reply = gateway.post(body=BODY)
    assert reply.status == status and reply.header("x-ratelimit-limit") == "2"
    secret_free(reply)


USUAL = ["content-type", "server", "vary", "cache-control", "x-request-id", "date"]


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("written", [KEY, base64.b64encode(KEY.encode()).decode(), KEY.encode().hex()])
def test_in_headers_that_all_answers_have(gateway, upstreams, name, written):
    value = f"application/json; x={written}"
    typed = name == "content-type"
    upstreams["alpha"].next(
        answer(
            openai_shapes.completion(),
            content_type=value if typed else "application/json",
            headers=[] if typed else [(name, value)],
        )
    )
    reply = gateway.post(body=BODY)
    assert reply.status == 200 and written not in str(reply.fields)


@pytest.mark.parametrize("status", [401, 503])
def test_in_what_nobody_can_read(gateway, upstreams, status):
    body = gzip.compress(json.dumps({"error": {"message": f"bad key {KEY}"}}).encode())
    upstreams["alpha"].next(answer(body, status, headers=[("content-encoding", "gzip")]))
    reply = gateway.post(body=BODY)
    assert reply.status == status and reply.header("content-encoding") is None
    assert "compressed" in expect.envelope(reply)["message"]


def test_in_model_lists(start_envoy, upstreams):
    envoy = start_envoy(config=plugin.configuration(models_cache_seconds=0))
    listed = [{"id": "m", "object": "model", "owned_by": KEY}, {"id": KEY, "object": "model"}]
    for written in (json.dumps(listed), json.dumps(listed).replace(KEY, ESCAPED)):
        for name, server in upstreams.items():
            data = written if name == "alpha" else "[]"
            server.next(answer('{"object":"list","data":%s}' % data))
        reply = envoy.request("GET", "/v1/models", headers("main"))
        assert b'"alpha/m"' in reply.body
        assert KEY not in reply.body.decode() and ESCAPED not in reply.body.decode()


def test_in_a_text_where_an_image_was_asked_for(gateway, upstreams):
    upstreams["alpha"].next(answer(f"bad key {KEY}", content_type="text/plain"))
    reply = gateway.post("/v1/images/generations", {"model": "alpha/m", "prompt": "x"})
    assert reply.status == 502 and b"[redacted]" in reply.body
    secret_free(reply)


@pytest.mark.parametrize("last", [KEY, KEY[:9], "s", "\\u00"])
def test_in_a_stream_that_ends_by_trailers(gateway, upstreams, last):
    """Its last bytes may be the key's beginning, and Envoy adds none behind them."""
    events = f"data: first\n\ndata: {last}"
    upstreams["alpha"].next(
        answer(
            events,
            content_type="text/event-stream",
            framing="chunked",
            chunks=7,
            trailers=[("x-else", "kept")],
        )
    )
    reply = gateway.post("/v1/audio/speech", {"model": "alpha/m", **PASSING["/v1/audio/speech"]})
    shown = "[redacted]" if last.startswith(KEY[:9]) else last
    assert reply.complete and reply.body.decode() == f"data: first\n\ndata: {shown}"
    assert reply.trailers == [("x-else", "kept")]


@pytest.mark.parametrize("status", [101, 102, 103, 199])
def test_a_protocol_that_nobody_asked_for(gateway, upstreams, status):
    """Behind a 101 a server could write anything. Envoy reads over the others."""
    head = f"HTTP/1.1 {status} x\r\nupgrade: websocket\r\nconnection: upgrade\r\nx-echo: {KEY}\r\n\r\n"
    good = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    rest = b"" if status == 101 else good
    upstreams["alpha"].next(answer(head.encode() + rest, silent=True, framing="raw"))
    reply = gateway.post(body=BODY)
    assert reply.status in (502, 503)
    secret_free(reply)


TRAILERS = [
    ("set-cookie", "a=b"),
    ("x-echo", f"Bearer {KEY}"),
    ("x-langwatch-provider", "forged"),
    ("x-else", "kept"),
]


@pytest.mark.parametrize("stream", [False, True])
def test_in_trailers(gateway, upstreams, stream):
    first, last = openai_shapes.chunk({"content": "a"}), openai_shapes.chunk({}, "stop")
    plain = answer(openai_shapes.completion(), framing="chunked", trailers=TRAILERS)
    streamed = sse(first, last, "[DONE]", trailers=TRAILERS)
    upstreams["alpha"].next(streamed if stream else plain)
    reply = gateway.post(body={**BODY, "stream": stream})
    assert reply.status == 200
    assert sorted(reply.trailers) == [
        ("x-echo", "Bearer [redacted]"),
        ("x-else", "kept"),
    ]


PASSING = {
    "/v1/audio/speech": {"input": "x", "voice": "a", "stream_format": "sse"},
    "/v1/images/generations": {"prompt": "x", "stream": True},
}


@pytest.mark.parametrize("path", PASSING)
@pytest.mark.parametrize("cut", [None, 1, 7])
def test_in_streams_that_pass(start_envoy, upstreams, path, cut):
    """However the key is cut into chunks; every other byte is the server's."""
    envoy = start_envoy(config=plugin.configuration())
    events = (
        'event: x\ndata: {"type":"x","audio":"aa"}\n\n'
        'event: error\ndata: {"type":"error","error":{"type":"x","message":"bad %s"}}\n\n'
    )
    upstreams["alpha"].next(
        answer(
            events % KEY,
            content_type="text/event-stream",
            framing="chunked",
            chunks=cut,
        )
    )
    reply = envoy.post(path, {"model": "alpha/m", **PASSING[path]})
    assert reply.complete and reply.body.decode() == events % "[redacted]"


NATIVE = {
    "messages": 'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
    '"role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
    '"usage":{"input_tokens":1,"output_tokens":1}}}\n\n',
    "responses": 'event: response.created\ndata: {"type":"response.created","sequence_number":0,'
    '"response":{"id":"r","object":"response","status":"in_progress","output":[]}}\n\n',
}
FAILED = {
    "messages": {"type": "error", "error": {"type": "x", "message": None}},
    "responses": {"type": "error", "code": "x", "message": None, "param": None},
}


@pytest.mark.parametrize("api", NATIVE)
@pytest.mark.parametrize("written", ["capitals", "entities", "base64 of the header"])
@pytest.mark.parametrize("cut", [None, 1, 7])
@pytest.mark.parametrize("late", [False, True])
def test_in_streams_of_other_protocols(start_envoy, upstreams, api, written, cut, late):
    """An error of a server that speaks them itself: neither the key nor models that the client may not use."""
    providers = plugin.providers()
    providers[0][f"{api}_api"] = "native"
    keys = plugin.virtual_keys()
    keys[0]["models_allowed"] = ["alpha/m"]
    envoy = start_envoy(
        config=plugin.configuration(providers=providers, virtual_keys=keys)
    )
    failed = json.loads(json.dumps(FAILED[api]))
    message = f"bad {WRITTEN[written]} x. Available models: m, secret-model"
    failed.get("error", failed)["message"] = message
    events = (
        NATIVE[api] if late else ""
    ) + f"event: error\ndata: {json.dumps(failed)}\n\n"
    upstreams["alpha"].next(
        answer(events, content_type="text/event-stream", framing="chunked", chunks=cut)
    )
    body = {
        "model": "alpha/m",
        "max_tokens": 5,
        "stream": True,
        "messages": [],
        "input": "x",
    }
    reply = envoy.post(f"/v1/{api}", body)
    assert reply.status == 200 if late else reply.status >= 500
    secret_free(reply)
    text = reply.body.decode()
    assert (
        "[redacted]" in text
        and WRITTEN[written] not in text
        and "secret-model" not in text
    )
    if late:
        assert text.startswith(NATIVE[api]) and text.count("event: error\n") == 1


ACTING = [
    "set-cookie",
    "clear-site-data",
    "alt-svc",
    "strict-transport-security",
    "refresh",
    "x-envoy-degraded",
    "x-envoy-immediate-health-check-fail",
    "x-accel-redirect",
    "x-envoy-made-up",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "content-security-policy",
    "speculation-rules",
    "attribution-reporting-register-source",
    "x-gateway-cluster",
]


@pytest.mark.parametrize("status", [200, 404])
def test_headers_that_act_on_others(gateway, upstreams, status):
    fields = [(name, "x=1") for name in ACTING] + [("x-else", "kept")]
    upstreams["alpha"].next(answer(openai_shapes.completion(), status, headers=fields))
    reply = gateway.post(body=BODY)
    assert reply.status == status
    for name in ACTING:
        assert reply.header(name) is None, name
    assert reply.header("x-else") == "kept"
    # Nor in a stream.
    upstreams["alpha"].next(
        sse(
            openai_shapes.chunk({"content": "a"}),
            openai_shapes.chunk({}, "stop"),
            "[DONE]",
        )
    )
    expect.good(gateway.post(body={**BODY, "stream": True}))


# What each operation is asked, beside its model.
ASKED = {
    "/v1/chat/completions": {"messages": []},
    "/v1/completions": {"prompt": "x"},
    "/v1/embeddings": {"input": "x"},
    "/v1/moderations": {"input": "x"},
    "/v1/rerank": {"query": "x", "documents": ["a"]},
    "/v1/images/generations": {"prompt": "x"},
    "/v1/audio/speech": {"input": "x", "voice": "a"},
}
WHY = {"code": "server_error", "message": f"bad key {KEY}"}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
OF_RESPONSE = {"id": "resp_1", "object": "response", "status": "failed", "error": WHY, "output": []}
FAILURES = {
    "a failed Response": OF_RESPONSE,
    "one with output": {**OF_RESPONSE, "output": [MESSAGE]},
    "one that tells it last": {"object": "response", "output": [MESSAGE], "error": WHY},
    "one whose label is last": {"output": [MESSAGE], "status": "failed", "error": WHY, "object": "response"},
    "a failed batch": {"id": "b", "object": "batch", "status": "failed", "error": WHY},
    "a failed file": {"id": "f", "object": "file", "status": "error", "error": WHY},
    "a model's": {"id": "m", "object": "model", "error": WHY},
    "beside results": {"results": [{}], "error": WHY},
    "beside data": {"object": "list", "data": [{}], "error": WHY},
    "a broken choice": {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "error", "error": WHY}],
    },
    "an event's": {"type": "response.failed", "response": OF_RESPONSE},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("path", ASKED)
def test_a_failure_of_one_operation_is_one_of_all(gateway, upstreams, path, failure):
    """Where nobody asked for it, what says that it failed is no good answer."""
    upstreams["alpha"].next(answer(failure))
    reply = gateway.post(path, {"model": "alpha/m", **ASKED[path]})
    assert expect.envelope(reply)["message"] == "bad key [redacted]"
    assert reply.status >= 400
    secret_free(reply)


STREAMED = [path for path in ASKED if path.split("/")[2] in ("chat", "completions", "images", "audio")]


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("label", ["application/json", "text/event-stream", "audio/mpeg"])
@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("path", STREAMED)
def test_nor_does_a_stream_tell_it(gateway, upstreams, path, framed, label, failure):
    """Whatever it is called: as an event, or as the whole body where a stream was asked for."""
    body = f"data: {json.dumps(failure)}\n\n" if framed else json.dumps(failure)
    upstreams["alpha"].next(answer(body, content_type=label))
    reply = gateway.post(path, {"model": "alpha/m", "stream": True, **ASKED[path]})
    secret_free(reply)
    assert reply.status >= 400 or b"[redacted]" in reply.body
