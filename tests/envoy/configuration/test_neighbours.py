"""Filters of Envoy's own beside ours: a JWT's check in front, and decompressors on both sides (docs/security.md,
docs/operating.md)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import os
import time

import pytest
from harness import answer, expect, headers, messages, openai_shapes, plugin, responses, wire
from harness.openai_shapes import completion

ASK = {"model": "alpha/m", "messages": []}
SECRET = b"what signs the tokens of this test"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret: bytes = SECRET) -> str:
    """A JWT that an identity provider might have given to a user."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"iss": "https://login.example.com", "sub": "ada", "exp": int(time.time()) + 600})
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def jwt_authn(forward: bool) -> dict:
    keys = {"keys": [{"kty": "oct", "alg": "HS256", "k": encoded(SECRET)}]}
    provider = {
        "issuer": "https://login.example.com",
        "forward": forward,
        "local_jwks": {"inline_string": json.dumps(keys)},
    }
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"login": provider},
            "rules": [{"match": {"prefix": "/v1"}, "requires": {"provider_name": "login"}}],
        },
    }


def decompressor(coding: str = "gzip") -> dict:
    kind = f"envoy.extensions.compression.{coding}.decompressor.v3.{coding.title()}"
    return {
        "name": f"decompressor-{coding}",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor",
            "decompressor_library": {"name": coding, "typed_config": {"@type": f"type.googleapis.com/{kind}"}},
        },
    }


def both_keys(jwt: str) -> list[tuple[str, str]]:
    """The JWT where Envoy looks for it, and the virtual key in the other place that the gateway knows."""
    return [("authorization", f"Bearer {jwt}"), ("x-api-key", plugin.VK["main"])]


# A JWT in front


def test_a_jwt_that_is_not_forwarded(start_envoy, upstreams):
    envoy = start_envoy(before=[jwt_authn(forward=False)])
    jwt = token()
    expect.good(envoy.post(body=ASK, vk=None, fields=both_keys(jwt)))
    request = upstreams["alpha"].requests[-1]
    assert jwt not in str(request.head), "it ends at Envoy"
    with envoy.sends_nothing():
        # Envoy refuses by itself, in words of its own: without a JWT, and with one of somebody else.
        for fields in ([("x-api-key", plugin.VK["main"])], both_keys(token(b"another secret"))):
            reply = envoy.post(body=ASK, vk=None, fields=fields)
            assert (reply.status, reply.header("content-type")) == (401, "text/plain")
        # A JWT is no virtual key.
        reply = envoy.post(body=ASK, vk=None, fields=[("authorization", f"Bearer {jwt}")])
        assert reply.status == 401
        expect.envelope(reply)


def test_a_jwt_that_is_forwarded_is_taken_for_the_key(start_envoy):
    """What `openai-gateway check` warns of."""
    envoy = start_envoy(before=[jwt_authn(forward=True)])
    with envoy.sends_nothing():
        reply = envoy.post(body=ASK, vk=None, fields=both_keys(token()))
        assert reply.status == 401
        assert expect.envelope(reply)["code"] == "invalid_api_key"


# Decompressors


PACKED = [("content-encoding", "gzip")]


def test_compressed_requests(start_envoy, upstreams):
    """Before ours: what the gateway refuses with 415 is unpacked first. Its model is checked like any other's."""
    envoy = start_envoy(before=[decompressor()])
    for size in (10, 5_000, 200_000):
        padding = os.urandom(size).hex()
        for members in ({"model": "alpha/m", "padding": padding}, {"padding": padding, "model": "alpha/m"}):
            body = gzip.compress(json.dumps({"messages": [], **members}).encode())
            expect.good(envoy.post(body=body, fields=PACKED))
            request = upstreams["alpha"].requests[-1]
            assert json.loads(request.body) == {"messages": [], "padding": padding, "model": "m"}
            assert "content-encoding" not in str(request.head)
    with envoy.sends_nothing():
        reply = envoy.post(body=gzip.compress(b'{"messages":[]}'), fields=PACKED)
        expect.gateway_error(reply, 400, "missing_model")
    # Envoy stops unpacking a bomb, and says so to nobody: what the gateway sees is a body that is cut.
    bomb = gzip.compress(b'{"messages":["' + b"x" * 50_000_000 + b'"],"model":"alpha/m"}')
    with envoy.sends_nothing():
        reply = envoy.post(body=bomb, fields=PACKED)
        assert reply.status in (400, 413), reply.body[:200]
        expect.envelope(reply)


@pytest.mark.one_position
def test_a_decompressor_behind_ours(start_envoy, upstreams):
    """Streams pass it. What the gateway holds does not: Envoy's decompressor puts trailers behind the body, and Envoy
    does not hand them to a filter that holds the last bytes. `openai-gateway check` warns of it."""
    envoy = start_envoy(behind=[decompressor()])
    packed = gzip.compress(openai_shapes.stream().body)
    for chunks in (1, 20):
        upstreams["alpha"].next(
            answer(packed, content_type="text/event-stream", headers=PACKED, chunks=chunks, framing="chunked")
        )
        reply = expect.good(envoy.post(body={**ASK, "stream": True}))
        assert reply.header("content-encoding") is None
        assert reply.body.endswith(b"data: [DONE]\n\n")
    # An Envoy that has this mended may have its decompressor back: then this fails.
    upstreams["alpha"].next(answer(gzip.compress(json.dumps(completion()).encode()), headers=PACKED))
    with envoy.connect() as connection:
        connection.sock.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.request("POST", "/v1/chat/completions", headers("main", "application/json"), body=json.dumps(ASK).encode())
    # What is not compressed is none of its business.
    expect.good(envoy.post(body=ASK))


HOLDS = {
    "name": "holds",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
        "max_request_bytes": 1_000_000,
    },
}


def lua(code: str) -> dict:
    return {
        "name": "lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    }


HOLDERS = {
    "buffer": HOLDS,
    "Lua": lua("function envoy_on_request(handle) handle:body() end"),
    "Lua that writes": lua(
        "function envoy_on_request(handle) local body = handle:body();"
        " body:setBytes(body:getBytes(0, body:length())) end"
    ),
}
WHERE = [("before",), ("behind",), ("before", "behind")]


def beside(where: tuple[str, ...], filter_: dict) -> dict[str, list[dict]]:
    return {place: [{**filter_, "name": place}] for place in where}


@pytest.mark.parametrize("where", WHERE, ids=" and ".join)
@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.parametrize("size", [100, 5_000, 300_000])
def test_a_filter_that_holds_the_body(start_envoy, upstreams, size, holder, where):
    """Envoy has one buffer for all of its filters: what has been held before ours comes in the one that ours holds in."""
    envoy = start_envoy(**beside(where, holder))
    turns = b'"messages":[{"role":"user","content":"%s"}]' % (b"x" * size)
    for vk, asked, provider, sent in (("main", b"alpha/m", "alpha", b"m"), ("aliases", b"deep", "delta", b"org/sub/model:v1")):
        for parts in (
            (b'{"model":"', b'",' + turns + b"}"),
            (b"{" + turns + b',"model":"', b'"}'),
            (b"{" + turns + b',"model":"', b'","x":"' + b"y" * size + b'"}'),
        ):
            body = asked.join(parts)
            for how in ({"body": body}, {"pieces": [body[:20], body[20:-7], body[-7:]]}):
                upstreams[provider].reset()
                expect.good(envoy.post(vk=vk, **how))
                assert upstreams[provider].only.body == sent.join(parts)


@pytest.mark.parametrize("shown", [10, 1_000, 100_000])
def test_a_filter_before_ours_that_holds_a_part_of_the_body(start_envoy, upstreams, shown):
    """Envoy's ext_authz shows so much of a body to a service; the rest comes when that has answered."""
    authz = {
        "name": "authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "http_service": {"server_uri": {"uri": "http://beta.test", "cluster": "beta", "timeout": "2s"}},
            "with_request_body": {"max_request_bytes": shown, "allow_partial_message": True},
        },
    }
    envoy = start_envoy(before=[authz])
    for before, behind in ((0, 300_000), (300_000, 0), (5_000, 5_000), (300_000, 300_000), (500, 0)):
        parts = b'{"x":"%s","model":"' % (b"b" * before), b'","y":"%s"}' % (b"a" * behind)
        body = b"deep".join(parts)
        for how in ({"body": body}, {"pieces": wire.split(body, len(body) // 5 + 1)}, {"pieces": wire.split(body, [8])}):
            upstreams["beta"].next(answer(b""))
            upstreams["delta"].reset()
            expect.good(envoy.post(vk="aliases", **how))
            assert upstreams["delta"].only.body == b"org/sub/model:v1".join(parts)
            upstreams["beta"].reset()


@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize("dialect", [responses, messages])
def test_what_it_has_held_is_converted(start_envoy, chat_server, dialect, size):
    text = "x" * size
    body = {**dialect.ask(), "input" if dialect is responses else "system": text}
    sent = []
    for before in ([], [HOLDS]):
        envoy = start_envoy(before=before)
        for pieces in (None, 20):
            chat_server.next(answer(completion()))
            whole = json.dumps(body).encode()
            how = {"pieces": wire.split(whole, [pieces])} if pieces else {}
            expect.good(dialect.post(envoy, None if pieces else whole, **how))
            sent.append(chat_server.requests[-1].body)
    assert text in sent[0].decode()
    assert sent[0] == sent[1] == sent[2] == sent[3]


ANSWERS = {
    "good": lambda text: completion(text=text),
    "mended": lambda text: {**completion(text=text), "object": "chat.completions", "id": None},
    "an error in 200": lambda text: {"error": {"message": text, "code": 429}},
}


@pytest.mark.parametrize("size", [100, 5_000, 300_000])
@pytest.mark.parametrize("kind", [*ANSWERS, "a stream"])
@pytest.mark.parametrize("where", WHERE, ids=" and ".join)
def test_a_filter_that_holds_the_answer(start_envoy, upstreams, where, kind, size):
    """It comes in the buffer in which ours would hold, too, and is the same to the client."""
    events = openai_shapes.stream().body * (size // 1000 + 1)
    got = []
    for places in ((), where):
        envoy = start_envoy(**beside(places, lua("function envoy_on_response(handle) handle:body() end")))
        for chunks in (None, max(size // 10, 20)):
            if kind == "a stream":
                given = answer(events, content_type="text/event-stream", chunks=chunks, framing="chunked")
            else:
                given = answer(ANSWERS[kind]("x" * size), chunks=chunks, framing="chunked")
            upstreams["alpha"].next(given)
            reply = envoy.post(body={**ASK, "stream": kind == "a stream"})
            got.append((reply.status, reply.body))
    assert got[0] == got[1] == got[2] == got[3]


@pytest.mark.parametrize("size", [100, 5_000, 30_000])
def test_a_filter_that_cuts_the_body_between_the_positions(start_envoy, upstreams, size):
    """Envoy's bandwidth limit hands on a few kilobytes at a time: the second position waits for what it edits."""
    limit = {
        "name": "slow",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit",
            "stat_prefix": "slow",
            "enable_mode": "REQUEST",
            "limit_kbps": 64,
        },
    }
    envoy = start_envoy(positions=2, behind=[limit])
    for body in (
        b'{"messages":[{"role":"user","content":"%s"}],"model":"alpha/m"}' % (b"x" * size),
        b'{"model":"alpha/m","messages":[{"role":"user","content":"%s"}]}' % (b"x" * size),
    ):
        upstreams["alpha"].reset()
        upstreams["alpha"].next(answer(openai_shapes.completion()))
        expect.good(envoy.post("/v1/chat/completions", body=body))
        got = upstreams["alpha"].only
        assert got.body == body.replace(b"alpha/m", b"m")
        assert got.header("content-length") == str(len(got.body))


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.parametrize("size", [100, 300_000])
def test_a_filter_that_holds_the_body_before_the_attempts(start_envoy, upstreams, holder, size):
    """The length that it tells of a body in pieces is no attempt's: each one's body is as long as its own model makes it."""
    aliases = {"both": {"fallback": ["alpha/org/first", "gamma/2"], "cluster": "over"}}
    envoy = start_envoy(
        config=plugin.configuration(model_aliases=aliases),
        positions=2,
        behind=[holder],
        fallbacks={"over": ["alpha", "gamma-cluster"]},
    )
    turns = b'"messages":[{"role":"user","content":"%s"}]' % (b"x" * size)
    for parts in ((b'{"model":"', b'",' + turns + b"}"), (b"{" + turns + b',"model":"', b'"}')):
        body = b"both".join(parts)
        for how in ({"body": body}, {"pieces": wire.split(body, [20, len(body) - 27])}):
            upstreams["alpha"].reset()
            upstreams["gamma"].reset()
            upstreams["alpha"].next(answer(b"", 503))
            expect.good(envoy.post(**how))
            assert upstreams["alpha"].only.body == b"org/first".join(parts)
            assert upstreams["gamma"].only.body == b"2".join(parts)
