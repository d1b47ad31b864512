"""What a client sends with its request that no provider may see, and paths that lead below the prefix in disguise."""

from __future__ import annotations

import pytest
from harness import expect, headers, plugin

BODY = b'{"model":"alpha/m","messages":[]}'
MARK = "client-own-s3cret"

CLIENTS_OWN = [
    "cookie",
    "proxy-authorization",
    "x-goog-api-key",
    "openai-organization",
    "openai-project",
    "X-Gamma-Key",
    "api-key",
    "x-auth-token",
    "x-envoy-original-dst-host",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-made-up",
    "x-gateway-destination-endpoint",
    "x-gateway-destination-made-up",
    # Behind CGI and WSGI these are the same.
    "x_api_key",
    "OpenAI_Project",
    "x_gamma_key",
    "x_gateway_cluster",
    # Whoever has thought of them.
    "helicone-auth",
    "cf-aig-authorization",
    "x-litellm-api-key",
    "x-session-token",
    "x-client-secret",
    "x-apikey",
    # They would make another request of this one.
    "x-http-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-amz-target",
    # Who the client is, as only a proxy in front may say.
    "x-forwarded-user",
    "x-forwarded-email",
    "x-auth-request-groups",
    "x-remote-user",
    "x-goog-authenticated-user-email",
    "cf-access-jwt-assertion",
    "ssl-client-cert",
    # They name a model, or a host, to a gateway or server behind this one.
    "model",
    "x-model-id",
    "x-ai-eg-model",
    "azureml-model-deployment",
    "helicone-target-url",
    "x-portkey-custom-host",
    "x_portkey_provider",
    "x-amzn-sagemaker-inference-component",
    "x-deployment-name",
    "x-upstream",
    # Of a body that does not go on as it came.
    "content-md5",
    "Content-Digest",
]


@pytest.mark.parametrize("name", CLIENTS_OWN)
def test_a_clients_own_header_stays_here(gateway, upstreams, name):
    expect.good(gateway.post(body=BODY, fields=[(name, MARK)]))
    assert MARK not in str(upstreams["alpha"].only.head)


def test_nor_does_one_of_the_trailers(gateway, upstreams):
    trailers = [(name.lower(), MARK) for name in CLIENTS_OWN]
    with gateway.connect2() as client:
        reply = client.request(
            "POST",
            "/v1/chat/completions",
            headers("main"),
            [BODY],
            trailers=[*trailers, ("x-else", "kept")],
        )
    expect.good(reply)
    got = upstreams["alpha"].only
    assert got.body == b'{"model":"m","messages":[]}'
    assert MARK not in str(got.head) + str(got.trailers)


@pytest.mark.parametrize("name", ["x-custom", "from", "user"])
@pytest.mark.parametrize("scheme", ["", "Bearer ", "Key "])
def test_the_virtual_key_goes_nowhere_under_any_name(gateway, upstreams, name, scheme):
    key = scheme + plugin.VK["main"]
    expect.good(gateway.post(body=BODY, fields=[(name, key), ("x-else", "kept")]))
    got = upstreams["alpha"].only
    assert got.header("x-else") == "kept" and plugin.VK["main"] not in str(got.head)
    with gateway.connect2() as client:
        reply = client.request(
            "POST", "/v1/chat/completions", headers("main"), [BODY], trailers=[(name, key)]
        )
    expect.good(reply)
    assert plugin.VK["main"] not in str(upstreams["alpha"].requests[1].wait_complete().trailers)


KEY_AMONG_OTHER_THINGS = [
    ("x-custom", f"key={plugin.VK['main']}; a=b"),
    ("x-custom", f'"{plugin.VK["main"]}"'),
    ("referer", f"https://page.test/?k={plugin.VK['main']}&a=b"),
    ("baggage", f"a=b,key={plugin.VK['main']},c=d"),
    ("user-agent", f"{plugin.VK['main']}/1.0"),
    (plugin.VK["main"], "1"),
]


@pytest.mark.parametrize(("name", "value"), KEY_AMONG_OTHER_THINGS)
def test_nor_among_other_things(gateway, upstreams, name, value):
    expect.good(gateway.post(body=BODY, fields=[(name, value), ("x-else", "kept")]))
    got = upstreams["alpha"].only
    assert got.header("x-else") == "kept" and plugin.VK["main"] not in str(got.head)
    with gateway.connect2() as client:
        reply = client.request(
            "POST", "/v1/chat/completions", headers("main"), [BODY], trailers=[(name, value)]
        )
    expect.good(reply)
    trailers = upstreams["alpha"].requests[1].wait_complete().trailers
    assert plugin.VK["main"] not in str(trailers)


@pytest.mark.parametrize("query", [plugin.VK["main"], f"{plugin.VK['main']}=1", f"a%5B{plugin.VK['main']}%5D=1"])
def test_nor_as_a_name_in_the_query(gateway, upstreams, query):
    expect.good(gateway.post(f"/v1/chat/completions?{query}&c=d", body=BODY))
    assert upstreams["alpha"].only.path == "/openai/v1/chat/completions?c=d"


@pytest.mark.parametrize("name", ["token", "x-api-key", "made_up", "a=b;key", "%61pikey"])
def test_nor_in_the_query(gateway, upstreams, name):
    query = f"{name}={plugin.VK['main']}&c=d"
    expect.good(gateway.post(f"/v1/chat/completions?{query}", body=BODY))
    path = upstreams["alpha"].only.path
    assert plugin.VK["main"] not in path and path.endswith("c=d")


MODEL_IN_A_QUERY = [
    "a=b%26model=x",
    "a?model=x",
    "a=1%2526mod%2565l=x",
    "model%5b%5d=x",
    "a;Model",
    "%u006dodel=x",
    "%EF%BD%8Dodel=x",
    "models=x",
    "engine=x",
    "deployment-id=x",
]


@pytest.mark.parametrize("query", MODEL_IN_A_QUERY)
def test_a_model_in_the_query_in_disguise(gateway, query):
    with gateway.sends_nothing():
        reply = gateway.post(f"/v1/chat/completions?{query}", body=BODY)
        expect.gateway_error(reply, 400, "duplicate_model", "model")


CLIMBING = [
    "BAAI/../denied",
    "BAAI/%252e%252e/denied",
    "BAAI/..;x/denied",
    "BAAI/ .. /denied",
    "BAAI/..%5cdenied",
    "BAAI/..%00/denied",
    "BAAI/%c0%ae%c0%ae/denied",
    "BAAI/\uff0e\uff0e/denied",
    "BAAI/.\u200b./denied",
    "denied%00-mini",
]


@pytest.mark.parametrize("model", CLIMBING)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_an_id_that_climbs(gateway, model, path):
    body = {"model": model, "messages": [], "input": "x", "max_tokens": 1}
    with gateway.sends_nothing():
        reply = gateway.post(path, body, vk="allow")
    assert reply.status == 400 and b"invalid_model" in reply.body


@pytest.mark.parametrize("model", ["alpha/llama-3,denied", "denied?x-mini", "denied;-mini", "denied&x-mini", "BAAI/a%3bdenied", "BAAI/a%23denied", "BAAI/a|denied"])
def test_an_id_that_is_several_or_ends_early(gateway, model):
    """Servers that read a list of ids, or put the id into a URL."""
    with gateway.sends_nothing():
        reply = gateway.post(body={"model": model, "messages": []}, vk="allow")
    assert "`,`" in expect.gateway_error(reply, 400, "invalid_model", "model")


@pytest.mark.parametrize(
    "query", [f"key={MARK}", f"api_key={MARK}", f"API-Key={MARK}&a=b", f"a=b&k%65y={MARK}"]
)
def test_a_key_in_the_query_stays_here(gateway, upstreams, query):
    expect.good(gateway.post(f"/v1/chat/completions?{query}", body=BODY))
    path = upstreams["alpha"].only.path
    assert MARK not in path
    assert path == "/openai/v1/chat/completions" + ("?a=b" if "a=b" in query else "")


def test_an_operator_changes_a_providers_head(start_envoy, upstreams):
    providers = plugin.providers()
    providers[0]["request_headers"] = {
        "remove": ["x-internal"],
        "set": {"OpenAI-Organization": "org-of-the-operator"},
    }
    envoy = start_envoy(config=plugin.configuration(providers=providers))
    fields = [("x-internal", "1"), ("openai-organization", "org-of-the-client"), ("x-else", "1")]
    expect.good(envoy.post(body=BODY, fields=fields))
    got = upstreams["alpha"].only
    assert got.head.values("openai-organization") == ["org-of-the-operator"]
    assert got.header("x-internal") is None and got.header("x-else") == "1"
    expect.good(envoy.post(body=BODY.replace(b"alpha", b"beta"), fields=fields))
    got = upstreams["beta"].only
    assert got.header("openai-organization") is None and got.header("x-internal") == "1"


BESIDE = [
    "/v1%2fchat/completions",
    "/v1%2Fchat%2Fcompletions",
    "/%2576%31/chat/completions",
    "/V1/chat/completions",
    "/v1;x=1/chat/completions",
    "/v1%20/chat/completions",
    "/%56%31/chat/completions",
    "/v1%c0%afchat/completions",
    "/plain/%c0%ae%c0%ae/v1/chat/completions",
    "/plain/..%252fv1/chat/completions",
    "/plain/.%2e;x/v1/chat/completions",
]


@pytest.mark.parametrize("path", BESIDE)
@pytest.mark.parametrize("vk", ["main", None])
def test_a_path_in_disguise_is_no_way_in(gateway, path, vk):
    with gateway.sends_nothing():
        assert "plainly" in expect.gateway_error(
            gateway.post(path, BODY, vk=vk), 404, "unknown_url"
        )


@pytest.mark.parametrize("path", ["/%761/chat/completions", "/x/%2e%2e/v1/chat/completions"])
def test_what_envoy_decodes_is_governed(gateway, upstreams, path):
    with gateway.sends_nothing():
        expect.gateway_error(gateway.post(path, BODY, vk=None), 401, "invalid_api_key")
    expect.good(gateway.post(path, BODY))
    assert upstreams["alpha"].only.path == "/openai/v1/chat/completions"


def test_outside_refused(start_envoy, upstreams):
    envoy = start_envoy(config=plugin.configuration(outside="refuse"))
    with envoy.sends_nothing():
        for path in ("/plain", "/", "/v2/chat/completions"):
            expect.gateway_error(envoy.post(path, BODY), 404, "unknown_url")
    expect.good(envoy.post(body=BODY))


def test_no_upgrade(gateway, start_envoy):
    """With Envoy's upgrades off, Envoy answers itself; with them on, we do. Nothing goes upstream."""
    upgrade = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
    for method, path in (("GET", "/v1/responses"), ("POST", "/v1/chat/completions")):
        with gateway.sends_nothing():
            reply = gateway.request(method, path, [*headers("main"), *upgrade], body=None)
        assert reply.status in (400, 403, 405, 426)


def test_a_websocket_is_told_to_do_without(start_envoy):
    """The shipped configuration, by its mapper of Envoy's own replies: Codex falls back at once."""
    envoy = start_envoy(shipped_edges=True)
    upgrade = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
    with envoy.sends_nothing():
        reply = envoy.request("GET", "/v1/responses", [*headers("main"), *upgrade])
    assert reply.status == 426


def test_java_offers_h2c_and_is_served(gateway, upstreams):
    offer = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAEAAEAAAAIAAAABAAMAAABk"),
    ]
    expect.good(gateway.post(body=BODY, fields=offer))
    assert upstreams["alpha"].only.header("upgrade") is None
