"""The plugin configuration that most tests run with, its keys, and the ways to hand it to Envoy."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

Json = dict[str, Any]

PROVIDER_KEYS = {
    "alpha": "sk-alpha-secret-90b1",
    "beta": "sk-beta-secret-4c77",
    "gamma": "sk-gamma-secret-e5d2",
    "vllm": "sk-vllm-secret-38fa",
}
"""What each provider must see as its credential; the others are unauthenticated."""

VK = {
    "main": "vk-main-secret-1f6a",
    "env": "vk-env-secret-7d20",
    "literal": "vk-literal-secret-c84e",
    "revoked": "vk-revoked-secret-0a93",
    "expired": "vk-expired-secret-b15f",
    "future": "vk-future-secret-66e8",
    "allow": "vk-allow-secret-2b4d",
    "none": "vk-none-secret-93c7",
    "bound": "vk-bound-secret-f0e1",
    "lists": "vk-lists-secret-5a5c",
    "aliases": "vk-aliases-secret-d73b",
    "disable": "vk-disable-secret-48e6",
}
"""Virtual keys by id, as a client presents them."""

ENV = {
    "ALPHA_KEY": PROVIDER_KEYS["alpha"],
    "VK_ENV": VK["env"],
    "EMPTY_KEY": "",
}
"""Environment of Envoy; the VM gets exactly these names."""

SECRETS = [*PROVIDER_KEYS.values(), *VK.values()]


def key_sha256(name: str) -> str:
    """What an operator writes for a virtual key."""
    return hashlib.sha256(VK[name].encode()).hexdigest()


def _virtual_key(name: str, **fields: Any) -> Json:
    return {"id": f"id-{name}", "key_sha256": key_sha256(name), **fields}


def _provider(name: str, **fields: Any) -> Json:
    return {"name": name, "base_url": f"http://{name}.test/v1", "auth": {"mode": "none"}, **fields}


def providers() -> list[Json]:
    """One provider for each way of being one; `alpha` is everybody's primary."""
    gamma = {"mode": "header", "header": "X-Gamma-Key", "prefix": "Key "}
    return [
        _provider(
            "alpha",
            base_url="https://alpha.test/openai/v1",
            auth={"mode": "bearer", "key_env": "ALPHA_KEY"},
        ),
        _provider(
            "beta",
            base_url="http://beta.test:8080",
            auth={"mode": "api_key", "key": PROVIDER_KEYS["beta"]},
        ),
        _provider("gamma", auth={**gamma, "key": PROVIDER_KEYS["gamma"]}, cluster="gamma-cluster"),
        _provider("delta"),
        _provider("keyless", auth={"mode": "bearer", "key_env": "EMPTY_KEY"}),
        {"name": "vllm", "kind": "vllm", "auth": {"key": PROVIDER_KEYS["vllm"]}},
        _provider("listed", models=["listed-1", "org/listed-2", "both"]),
        _provider("other", models=["other-1", "both"]),
        _provider("narrow", operations=["chat_completions"]),
        _provider("down"),
        _provider("nowhere", cluster="no-such-cluster"),
    ]


def virtual_keys() -> list[Json]:
    """One virtual key for each way of being one."""
    allowed = ["alpha/llama-3*", "BAAI/*", "fast", "*-mini", "beta/*/chat"]
    own_aliases = {
        "smart": "beta/own-smart",
        "split": [{"target": "alpha/arm-a", "weight": 50}, {"target": "beta/arm-b", "weight": 50}],
        "alpha/shadow": "gamma/shadowed",
        "deep": "delta/org/sub/model:v1",
    }
    return [
        _virtual_key("main"),
        {"id": "id-env", "key_env": "VK_ENV"},
        {"id": "id-literal", "key": VK["literal"]},
        _virtual_key("revoked", revoked=True),
        _virtual_key("expired", expires_at="2020-01-01T00:00:00Z"),
        _virtual_key("future", expires_at="2999-12-31T23:59:59Z"),
        _virtual_key("allow", models_allowed=allowed),
        _virtual_key("none", models_allowed=[]),
        _virtual_key("bound", providers=["beta", "listed"]),
        _virtual_key("lists", providers=["other", "listed", "alpha"]),
        _virtual_key("aliases", model_aliases=own_aliases),
        _virtual_key("disable", cache={"mode": "disable"}),
    ]


def configuration(**changes: Any) -> Json:
    """The suite's configuration with top-level fields replaced."""
    return {
        "providers": providers(),
        "virtual_keys": virtual_keys(),
        "model_aliases": {"fast": "delta/fast-7b", "smart": "delta/global-smart"},
        "limits": {"max_buffered_bytes": 524_288},
        **changes,
    }


def encode(config: Json | str, form: Literal["string", "struct"]) -> Json:
    """The `configuration` field of Envoy's plugin config. A string is passed on as it is."""
    if form == "struct":
        return {"@type": "type.googleapis.com/google.protobuf.Struct", "value": config}
    text = config if isinstance(config, str) else json.dumps(config)
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text}
