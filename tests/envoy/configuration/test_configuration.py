"""What the module refuses to start with, what it says then, and the forms a configuration comes in."""

from __future__ import annotations

import re

import pytest
from harness import HOST, ROOT, Envoy, Setting, expect, plugin, refused_log

PROVIDER = {"name": "alpha", "base_url": "http://alpha.test", "auth": {"mode": "none"}}
KEY = {"id": "a", "key_sha256": plugin.key_sha256("main")}


def with_provider(**fields):
    return {"providers": [{**PROVIDER, **fields}], "virtual_keys": [KEY]}


def with_key(**fields):
    return {"providers": [PROVIDER], "virtual_keys": [{**KEY, **fields}]}


def with_top(**fields):
    return {"providers": [PROVIDER], "virtual_keys": [KEY], **fields}


REFUSED = {
    # case: (configuration, the paths that the log must name)
    "no providers": ({"providers": [], "virtual_keys": [KEY]}, ["providers"]),
    "providers missing": ({"virtual_keys": [KEY]}, ["providers"]),
    "unknown field": (with_top(provider=[]), ["provider"]),
    "unknown provider field": (with_provider(url="x"), ["providers[0]", "url"]),
    "unknown auth field": (
        with_provider(auth={"mode": "none", "token": "x"}),
        ["providers[0].auth", "token"],
    ),
    "unknown key field": (with_key(model_allowed=["x"]), ["virtual_keys[0]", "model_allowed"]),
    "unknown limit": (with_top(limits={"max": 1}), ["limits", "max"]),
    "bad name": (with_provider(name="a/b"), ["providers[0].name"]),
    "empty name": (with_provider(name=""), ["providers[0].name"]),
    "two of a name": (
        {"providers": [PROVIDER, PROVIDER], "virtual_keys": []},
        ["providers[1].name"],
    ),
    "no base_url": (
        {"providers": [{"name": "alpha"}], "virtual_keys": []},
        ["providers[0].base_url"],
    ),
    "base_url without host": (with_provider(base_url="/v1"), ["providers[0].base_url"]),
    "base_url of another scheme": (with_provider(base_url="ftp://x"), ["providers[0].base_url"]),
    "base_url with a line end": (
        with_provider(base_url="http://a\r\nx: y/"),
        ["providers[0].base_url"],
    ),
    "unknown kind": (with_provider(kind="azure"), ["providers[0].kind"]),
    "unknown mode": (with_provider(auth={"mode": "basic"}), ["providers[0].auth.mode"]),
    "header mode without header": (
        with_provider(auth={"mode": "header", "key": "k"}),
        ["providers[0].auth.header"],
    ),
    "key and key_env": (
        with_provider(auth={"key": "k", "key_env": "ALPHA_KEY"}),
        ["providers[0].auth"],
    ),
    "base_url of an operation": (
        with_provider(base_url="http://alpha.test/v1/embeddings"),
        ["providers[0].base_url"],
    ),
    "a key in the place of key_env": (
        with_provider(auth={"key_env": "sk-not/shown"}),
        ["providers[0].auth.key_env"],
    ),
    "key_env not there": (
        with_provider(auth={"key_env": "NOT_SET_ANYWHERE"}),
        ["providers[0].auth.key_env"],
    ),
    "unknown operation": (with_provider(operations=["chat"]), ["providers[0].operations[0]"]),
    "key with two sources": (with_key(key="k"), ["virtual_keys[0]"]),
    "key with no source": (with_top(virtual_keys=[{"id": "a"}]), ["virtual_keys[0]"]),
    "bad digest": (with_key(key_sha256="abc"), ["virtual_keys[0].key_sha256"]),
    "empty key": (with_top(virtual_keys=[{"id": "a", "key": ""}]), ["virtual_keys[0].key"]),
    "key from nowhere": (
        with_top(virtual_keys=[{"id": "a", "key_env": "NOT_SET_ANYWHERE"}]),
        ["virtual_keys[0].key_env"],
    ),
    "one key twice": (with_top(virtual_keys=[KEY, {**KEY, "id": "b"}]), ["virtual_keys[1]"]),
    "one id twice": (
        with_top(virtual_keys=[KEY, {"id": "a", "key": "another-key"}]),
        ["virtual_keys[1].id"],
    ),
    "unknown provider of a key": (with_key(providers=["nobody"]), ["virtual_keys[0].providers[0]"]),
    "models_allowed of numbers": (
        with_key(models_allowed=[1]),
        ["virtual_keys[0].models_allowed[0]"],
    ),
    "alias to nobody": (
        with_key(model_aliases={"x": "nobody/m"}),
        ["virtual_keys[0].model_aliases"],
    ),
    "alias without model": (with_top(model_aliases={"x": "alpha"}), ["model_aliases"]),
    "alias of no arms": (with_top(model_aliases={"x": []}), ["model_aliases"]),
    "alias of no weight": (
        with_top(model_aliases={"x": [{"target": "alpha/m", "weight": 0}]}),
        ["model_aliases"],
    ),
    "bad date": (with_key(expires_at="tomorrow"), ["virtual_keys[0].expires_at"]),
    "bad cache mode": (with_top(cache={"mode": "on"}), ["cache.mode"]),
    "bad prefix": (with_top(header_prefix="x y"), ["header_prefix"]),
    "bad routing header": (
        with_top(routing={"cluster_header": ":path"}),
        ["routing.cluster_header"],
    ),
    "bad path prefix": (with_top(path_prefix="v1"), ["path_prefix"]),
    "negative limit": (with_top(limits={"max_request_bytes": -1}), ["limits.max_request_bytes"]),
    "unknown response model": (with_top(response_model="both"), ["response_model"]),
    "not JSON": ("providers: []", []),
    "cut JSON": ('{"providers":[', []),
    "JSON of another kind": ("[]", []),
    "empty": ("", []),
}


@pytest.fixture(scope="module")
def offer(keep_envoy):
    """Offers a configuration to a running Envoy, which asks the module as at start; its log when it
    was refused."""
    envoy: Envoy = keep_envoy(ecds=True)

    def refused(config, form="string") -> str:
        taken, log = envoy.offer_filter(Setting(config=config, form=form, ecds=True))
        assert not taken, log
        return log

    return refused


@pytest.mark.parametrize(("config", "paths"), REFUSED.values(), ids=REFUSED)
def test_refused(offer, config, paths):
    log = offer(config)
    for path in paths:
        assert path in log, log


@pytest.mark.parametrize("config", [with_provider(kind="azure"), "{"], ids=["a value", "not JSON"])
def test_envoy_does_not_start(ports, config):
    """What is refused while Envoy runs keeps it from starting, too."""
    log = refused_log(Setting(config=config), ports)
    assert {"wasm": "Unable to create Wasm plugin", "native": "dynamic module"}[HOST] in log
    assert "the configuration is refused" in log


def test_every_problem_is_named_at_once(offer):
    config = {
        "providers": [{**PROVIDER, "kind": "azure"}, {"name": "b/c", "base_url": "http://b.test"}],
        "virtual_keys": [
            {"id": "a", "key_sha256": "abc"},
            {"id": "b", "key": "bb-key", "providers": ["nobody"], "expires_at": "never"},
        ],
        "model_aliases": {"x": "nobody/m"},
        "limits": {"max_request_bytes": "many"},
        "wrong": 1,
    }
    log = offer(config)
    for path in (
        "providers[0].kind",
        "providers[1].name",
        "virtual_keys[0].key_sha256",
        "virtual_keys[1].providers[0]",
        "virtual_keys[1].expires_at",
        "model_aliases",
        "limits.max_request_bytes",
        "wrong",
    ):
        assert path in log, (path, log)


def test_a_refusal_shows_no_secret(offer):
    """Wrong values that may be keys are not quoted."""
    secret = plugin.VK["main"]
    config = with_top(
        virtual_keys=[{"id": "a", "key_sha256": secret}, {"id": "b", "key": [secret]}, {"id": "c", "key_env": secret}],
        providers=[{**PROVIDER, "auth": {"key": {"x": secret}}}],
    )
    log = offer(config)
    assert "virtual_keys[0].key_sha256" in log


@pytest.mark.parametrize("form", ["string", "struct"])
def test_both_forms_of_a_configuration(start_envoy, upstreams, form):
    envoy = start_envoy(form=form)
    expect.good(envoy.post(body={"model": "beta/m"}))
    expect.good(envoy.post(body={"model": "alpha/m"}, vk="env"))
    assert envoy.post(body={"model": "alpha/m"}, vk="none").status == 403
    limit = plugin.configuration()["limits"]["max_buffered_bytes"]
    body = b'{"x":"' + b"x" * limit + b'","model":"alpha/m"}'
    assert str(limit) in expect.gateway_error(envoy.post(body=body), 413, "request_too_large")


@pytest.mark.parametrize("form", ["string", "struct"])
def test_a_struct_is_checked_like_json(offer, form):
    config = with_provider(auth={"mode": "none", "token": 1}, models=["m", 7])
    log = offer(config, form)
    assert "providers[0].auth" in log and "token" in log


def test_a_key_that_is_its_own_id_is_warned_of(start_envoy):
    """It is taken, as it was before anybody looked for it; the warning does not repeat it."""
    key = "vk-0123456789abcdef"
    log = start_envoy(config=plugin.configuration(virtual_keys=[{"id": key, "key": key}])).log()
    told = [line for line in log.splitlines() if "1 virtual key is its own id" in line]
    assert told and not any(key in line for line in told)


def test_what_was_loaded_is_logged(gateway):
    """Version, names and counts, at start, once a worker."""
    log = gateway.log()
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version and version.group(1) in log
    assert str(len(plugin.providers())) in log and "alpha" in log


def test_ten_thousand_keys_load_quickly(start_envoy):
    """Envoy starts with 10,000 keys and 1,000 aliases, and the last of each works."""
    keys = [{"id": f"k{n}", "key_sha256": f"{n:064x}"} for n in range(10_000)]
    aliases = {f"alias-{n}": f"alpha/model-{n}" for n in range(1_000)}
    config = plugin.configuration(
        virtual_keys=[*keys, *plugin.virtual_keys()], model_aliases=aliases
    )
    envoy = start_envoy(config=config)
    reply = expect.good(envoy.post(body={"model": "alias-999"}, vk="literal"))
    assert reply.header("x-langwatch-model") == "model-999"


def test_other_names(start_envoy, upstreams):
    """Prefixes and the routing header are the operator's choice."""
    config = plugin.configuration(header_prefix="X-Acme", path_prefix="/ai/v1")
    envoy = start_envoy(config=config)
    reply = envoy.post("/ai/v1/chat/completions", {"model": "beta/m"}, fields=[("x-acme-y", "1")])
    expect.good(reply)
    assert reply.header("x-acme-provider") == "beta"
    assert reply.header("x-langwatch-provider") is None
    got = upstreams["beta"].only
    assert (got.path, got.header("x-acme-y")) == ("/v1/chat/completions", None)
    assert envoy.post("/v1/chat/completions", {"model": "beta/m"}, vk=None).status == 503
