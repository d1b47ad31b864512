"""The recorded quirks of requests: credentials that servers want (E), bodies that mislead (F)."""

from __future__ import annotations

import json

import pytest
from harness import Envoy, expect, headers, plugin, quirks, wire

KEY = "UPKEY-secret-77aa"
MODES = {
    "bearer": {"mode": "bearer"},
    "api-key": {"mode": "api_key"},
    "x-api-key": {"mode": "header", "header": "x-api-key"},
    "custom": {"mode": "header"},
}
CREDENTIALS = quirks.load(lambda quirk: quirk.category == "E")
OUTSIDE = "f-azure-no-body-model"
"""Its path names the model and lies outside `path_prefix`."""
DECISIONS = quirks.load(lambda quirk: quirk.category == "F" and quirk.id != OUTSIDE)


def client_key(quirk) -> str:
    return f"vk-for-{quirk.id}"


@pytest.fixture
def swapping(start_envoy) -> Envoy:
    """A provider and a virtual key for each credential that a server may want."""
    providers, keys = [], []
    for quirk in CREDENTIALS:
        wanted = quirk.meta["gateway_config"]
        auth = {**MODES[wanted["auth"]], "key": KEY}
        auth |= {name: wanted[name] for name in ("header", "prefix") if name in wanted}
        url = "http://alpha.test"
        providers.append({"name": quirk.id, "base_url": url, "cluster": "alpha", "auth": auth})
        keys.append({"id": quirk.id, "key": client_key(quirk), "providers": [quirk.id]})
    config = plugin.configuration(providers=providers, virtual_keys=keys, model_aliases={})
    return start_envoy(config=config)


@pytest.mark.parametrize("quirk", CREDENTIALS, ids=lambda quirk: quirk.id)
def test_credentials(swapping, upstreams, quirk):
    fields = [("authorization", f"Bearer {client_key(quirk)}"), *quirk.fields]
    expect.good(swapping.request("POST", quirk.path, fields, body=quirk.request_body))
    got = upstreams["alpha"].only
    for name, value in quirk.expected["headers"].items():
        assert got.header(name) == (value and value.replace("UPKEY", KEY)), name
    assert client_key(quirk).encode() not in got.head.raw


def main_key(**fields):
    return {"id": "main", "key": plugin.VK["main"], **fields}


@pytest.fixture
def deciding(start_envoy) -> Envoy:
    """`alpha` is the primary; `main` may ask for anything, `allow` for `allowed` only."""
    names = ["alpha", "custom-groq"]
    providers = [
        {
            "name": name,
            "base_url": f"http://{name}.test",
            "cluster": "alpha",
            "auth": {"mode": "none"},
        }
        for name in names
    ]
    allowed = {"id": "allow", "key": plugin.VK["allow"], "models_allowed": ["allowed"]}
    return start_envoy(
        config=plugin.configuration(
            providers=providers, model_aliases={}, virtual_keys=[main_key(), allowed]
        )
    )


@pytest.mark.parametrize("size", [None, 1000], ids=["whole", "chunked"])
@pytest.mark.parametrize("quirk", DECISIONS, ids=lambda quirk: quirk.id)
def test_decisions(deciding, upstreams, quirk, size):
    vk = "allow" if "models_allowed" in quirk.meta.get("gateway_config", {}) else "main"
    body = quirk.request_body
    sent = {"pieces": wire.split(body, size)} if size else {"body": body}
    upstreams["alpha"].next(quirk.answer())
    expected = quirk.expected
    if expected.get("reject"):
        with deciding.sends_nothing():
            reply = deciding.request("POST", quirk.path, headers(vk, None, quirk.fields), **sent)
            assert 400 <= reply.status < 500
            assert reply.status == expected.get("status", reply.status)
            expect.envelope(reply)
        return
    deciding.request("POST", quirk.path, headers(vk, None, quirk.fields), **sent)
    got = upstreams["alpha"].only
    if "headers_out" in expected and not size:
        assert got.header("content-length") == expected["headers_out"]["content-length"]
    if "model_out" in expected:
        assert json.loads(got.body)["model"] == expected["model_out"]
        assert got.header("host") == f"{expected['provider']}.test"
    elif "model" in expected:
        assert expected["model"].encode() in got.body
        assert got.body in (body, body.removeprefix(b"\xef\xbb\xbf"))
    else:
        assert got.body == body


def test_a_deployments_path(deciding):
    """A path that names the model and lies outside the prefix is not the gateway's, and the routing
    header that would lead anywhere is not the client's to set."""
    [quirk] = quirks.load(lambda quirk: quirk.id == OUTSIDE)
    fields = headers("main", None, [*quirk.fields, ("x-gateway-cluster", "alpha")])
    with deciding.sends_nothing():
        assert deciding.request("POST", quirk.path, fields, body=quirk.request_body).status == 503
