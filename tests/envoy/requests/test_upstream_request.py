"""What an upstream gets, and what it must never get."""

from __future__ import annotations

import pytest
from harness import ROUTING_HEADER, answer, expect, headers, openai_shapes
from harness.plugin import PROVIDER_KEYS, VK

BODY = b'{"model":"%s/m","messages":[]}'
CREDENTIALS = ["authorization", "x-api-key", "api-key", "x-gamma-key"]

PROVIDERS = {
    # provider: (path, authority, its credential)
    "alpha": ("/openai/v1", "alpha.test", {"authorization": f"Bearer {PROVIDER_KEYS['alpha']}"}),
    "beta": ("/v1", "beta.test:8080", {"api-key": PROVIDER_KEYS["beta"]}),
    "gamma": ("/v1", "gamma.test", {"x-gamma-key": f"Key {PROVIDER_KEYS['gamma']}"}),
    "delta": ("/v1", "delta.test", {}),
    "keyless": ("/v1", "keyless.test", {}),
    "vllm": ("/v1", "localhost:8000", {"authorization": f"Bearer {PROVIDER_KEYS['vllm']}"}),
}
CLIENT_KEYS = {
    "bearer": [("authorization", f"Bearer {VK['main']}")],
    "x-api-key": [("x-api-key", VK["main"])],
    "api-key": [("api-key", VK["main"])],
    "all of them": [
        ("authorization", f"Bearer {VK['main']}"),
        ("x-api-key", "client-own-1"),
        ("api-key", "client-own-2"),
    ],
    "twice": [("x-api-key", VK["main"]), ("api-key", "client-own-1"), ("api-key", "client-own-2")],
    "the provider's header": [("x-api-key", VK["main"]), ("X-Gamma-Key", "client-own-1")],
}


@pytest.mark.parametrize("client", CLIENT_KEYS.values(), ids=CLIENT_KEYS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_path_authority_and_credential(gateway, upstreams, provider, client):
    reply = gateway.post(body=BODY % provider.encode(), vk=None, fields=client)
    expect.good(reply)
    path, authority, credential = PROVIDERS[provider]
    got = upstreams[provider].only
    assert got.path == f"{path}/chat/completions"
    assert got.header("host") == authority
    sent = {name: got.head.values(name) for name in CREDENTIALS}
    assert {name: values for name, values in sent.items() if values} == {
        name: [value] for name, value in credential.items()
    }


def test_what_compresses_is_not_asked_for(gateway, upstreams):
    expect.good(gateway.post(body=BODY % b"alpha", fields=[("accept-encoding", "gzip, br")]))
    assert upstreams["alpha"].only.header("accept-encoding") is None


def test_other_headers_pass(gateway, upstreams):
    fields = [
        ("openai-beta", "assistants=v2"),
        ("anthropic-version", "2023-06-01"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-stainless-lang", "python"),
        ("idempotency-key", "i"),
        ("user-agent", "OpenAI/Python"),
        ("accept", "application/json"),
        ("x-twice", "1"),
        ("x-twice", "2"),
    ]
    expect.good(gateway.post(body=BODY % b"alpha", fields=fields))
    got = upstreams["alpha"].only
    for name, value in fields:
        assert value in ",".join(got.head.values(name)), name


OWN = [
    (ROUTING_HEADER, "beta"),
    ("X-Gateway-Cluster", "beta"),
    ("x-langwatch-provider", "beta"),
    ("x-langwatch-model", "x"),
    ("X-LangWatch-Anything", "x"),
    ("x-langwatch-request-id", "forged"),
    ("x-langwatch-cache-mode", "force"),
    ("x-langwatch-", "x"),
    ("x-langwatch", "x"),
]


@pytest.mark.parametrize("field", OWN, ids=lambda field: field[0])
def test_a_client_cannot_set_the_gateways_headers(gateway, upstreams, field):
    expect.good(gateway.post(body=BODY % b"alpha", fields=[field, field]))
    got = upstreams["alpha"].only
    name, value = field
    if name.lower() == ROUTING_HEADER:
        assert value not in got.head.values(name)
    else:
        assert got.head.values(name) == []


@pytest.mark.parametrize("field", OWN, ids=lambda field: field[0])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nor_outside_the_prefix(gateway, upstreams, method, field):
    body = b"\xff not json" if method == "POST" else None
    reply = gateway.request(method, "/plain/x?model=1", [field, field], body=body)
    expect.good(reply)
    got = upstreams["plain"].only
    assert got.head.values(field[0]) == []
    assert (got.path, got.body) == ("/plain/x?model=1", body or b"")


@pytest.mark.parametrize("path", ["/", "/other", "/v1x", "/v1beta/models"])
def test_a_client_cannot_route_outside_the_prefix(gateway, path):
    """Envoy's route reads the routing header; without one it has no cluster."""
    with gateway.sends_nothing():
        reply = gateway.request("POST", path, [(ROUTING_HEADER, "alpha")], body=b"{}")
    assert (reply.status, reply.body) == (503, b"")


def test_outside_the_prefix_nothing_is_touched(gateway, upstreams):
    fields = [
        ("authorization", "Bearer somebody-else"),
        ("x-api-key", "a"),
        ("accept-encoding", "gzip"),
        ("content-encoding", "gzip"),
        ("x-odd", "\xff"),
    ]
    body = bytes(range(256)) * 5000
    expect.good(gateway.request("POST", "/plain", fields, body=body))
    got = upstreams["plain"].only
    for name, value in fields:
        assert got.header(name) == value
    assert got.body == body


@pytest.mark.parametrize(
    "path",
    ["/v1/../plain/chat/completions", "/plain/../v1/chat/completions", "/v1//chat//completions"],
)
def test_paths_are_judged_as_envoy_routes_them(gateway, upstreams, path):
    """With Envoy's path normalisation, filter and route see the same path."""
    reply = gateway.post(path, BODY % b"alpha", fields=[(ROUTING_HEADER, "beta")], vk=None)
    if path.startswith("/v1/.."):
        assert upstreams["plain"].only.path == "/plain/chat/completions"
    else:
        expect.gateway_error(reply, 401, "invalid_api_key")


def test_answers_say_who_answered(gateway, upstreams):
    reply = expect.good(gateway.post(body=BODY % b"beta"))
    seen = {
        name: reply.header(f"x-langwatch-{name}") for name in ("provider", "model", "cache-mode")
    }
    assert seen == {"provider": "beta", "model": "m", "cache-mode": "respect"}
    assert reply.header("x-langwatch-request-id") == upstreams["beta"].only.header("x-request-id")


def test_an_upstream_cannot_forge_the_answers_headers(gateway, upstreams):
    forged = [("x-langwatch-provider", "forged"), ("x-langwatch-model", "forged")]
    upstreams["beta"].next(answer(openai_shapes.completion(), headers=forged))
    reply = expect.good(gateway.post(body=BODY % b"beta"))
    assert reply.header("x-langwatch-provider") == "beta"
    assert reply.header("x-langwatch-model") == "m"


def test_a_model_id_that_no_header_can_hold(gateway):
    body = '{"model":"delta/a\\r\\nset-cookie: x=1\\u0000é"}'.encode()
    reply = gateway.post(body=body)
    assert reply.header("set-cookie") is None
    assert reply.status in (200, 400)


def test_http2_requests_look_the_same_upstream(gateway, upstreams):
    with gateway.connect2() as client:
        fields = headers("main", "application/json", [(ROUTING_HEADER, "beta")])
        reply = client.request("POST", "/v1/chat/completions?x=1", fields, [BODY % b"alpha"])
    expect.good(reply)
    got = upstreams["alpha"].only
    assert got.path == "/openai/v1/chat/completions?x=1"
    assert got.header("host") == "alpha.test"
    assert got.header("authorization") == f"Bearer {PROVIDER_KEYS['alpha']}"
    assert got.body == b'{"model":"m","messages":[]}'
