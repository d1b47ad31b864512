"""From the model id that a client asks for to a provider and its own id, and who may ask for what."""

from __future__ import annotations

import json

import pytest
from harness import expect


def ask(gateway, model: str, vk: str = "main"):
    return gateway.post(
        body=json.dumps({"model": model, "messages": []}).encode(), vk=vk
    )


RESOLVED = [
    # provider/rest: the first slash only
    ("main", "alpha/m", "alpha", "m"),
    ("main", "beta/org/sub/m:v1", "beta", "org/sub/m:v1"),
    ("main", "gamma/m", "gamma", "m"),
    (
        "main",
        "vllm/meta-llama/Llama-3.2-1B-Instruct",
        "vllm",
        "meta-llama/Llama-3.2-1B-Instruct",
    ),
    ("main", "delta//m", "delta", "/m"),
    ("main", "alpha/alpha/m", "alpha", "alpha/m"),
    ("main", "delta/ m ", "delta", " m "),
    # no provider before the slash: an upstream's own id, the primary's without a list
    ("main", "gpt-4o", "alpha", "gpt-4o"),
    (
        "main",
        "meta-llama/Llama-3.2-1B-Instruct",
        "alpha",
        "meta-llama/Llama-3.2-1B-Instruct",
    ),
    ("main", "Beta/m", "alpha", "Beta/m"),
    ("main", "alph/m", "alpha", "alph/m"),
    # the only provider that lists it
    ("main", "listed-1", "listed", "listed-1"),
    ("main", "org/listed-2", "listed", "org/listed-2"),
    ("main", "other-1", "other", "other-1"),
    ("bound", "listed-1", "listed", "listed-1"),
    # several list it: the primary
    ("main", "both", "alpha", "both"),
    ("lists", "both", "other", "both"),
    ("lists", "listed-1", "listed", "listed-1"),
    # `both` is listed by `listed` and by `other`; only `listed` is bound here
    ("bound", "both", "listed", "both"),
    # not bound: the text is no provider for this key, so the whole id is the primary's
    ("bound", "alpha/m", "beta", "alpha/m"),
    ("bound", "other-1", "beta", "other-1"),
    # aliases: the key's own before the global one, and before provider names
    ("main", "fast", "delta", "fast-7b"),
    ("main", "smart", "delta", "global-smart"),
    ("aliases", "smart", "beta", "own-smart"),
    ("aliases", "fast", "delta", "fast-7b"),
    ("aliases", "alpha/shadow", "gamma", "shadowed"),
    ("aliases", "deep", "delta", "org/sub/model:v1"),
    # aliases are exact
    ("aliases", "Smart", "alpha", "Smart"),
    ("aliases", "smart ", "alpha", "smart "),
]


@pytest.mark.parametrize(("vk", "asked", "provider", "model"), RESOLVED)
def test_resolution(gateway, upstreams, vk, asked, provider, model):
    reply = expect.good(ask(gateway, asked, vk))
    got = upstreams[provider].only
    assert got.json()["model"] == model
    assert sum(len(server.requests) for server in upstreams.values()) == 1
    assert reply.header("x-langwatch-provider") == provider
    assert reply.header("x-langwatch-model") == model.strip()


NOT_FOUND = [
    ("lists", "unknown"),
    ("lists", "other-1x"),
    ("lists", "listed/nobody-lists-this"),
    ("main", "listed/other-1"),
    ("main", "other/"),
    ("bound", "listed/x"),
]


@pytest.mark.parametrize(("vk", "asked"), NOT_FOUND)
def test_not_found(gateway, vk, asked):
    """A provider's list is all that it can be asked for."""
    with gateway.sends_nothing():
        expect.gateway_error(ask(gateway, asked, vk), 404, "model_not_found", "model")


def test_an_alias_target_outside_the_bound_providers(gateway):
    """A global alias gives a key no provider that it is not bound to."""
    with gateway.sends_nothing():
        reply = ask(gateway, "fast", "bound")
        expect.gateway_error(
            reply, reply.status, {"model_not_found", "model_not_allowed"}
        )
        assert reply.status in (403, 404)


def test_an_alias_of_two_arms_reaches_both(gateway, upstreams):
    rounds = 60
    for _ in range(rounds):
        expect.good(ask(gateway, "split", "aliases"))
    arms = {name: len(upstreams[name].requests) for name in ("alpha", "beta")}
    assert sum(arms.values()) == rounds
    assert all(arms.values()), arms
    assert {got.json()["model"] for got in upstreams["alpha"].requests} == {"arm-a"}
    assert {got.json()["model"] for got in upstreams["beta"].requests} == {"arm-b"}


ALLOWED = [
    ("allow", "alpha/llama-3", "alpha"),
    ("allow", "alpha/llama-3.3-70b-versatile", "alpha"),
    ("allow", "llama-3.3-70b", "alpha"),
    ("allow", "BAAI/bge-m3", "alpha"),
    ("allow", "alpha/BAAI/bge-m3", "alpha"),
    ("allow", "vllm/BAAI/bge-m3", "vllm"),
    ("allow", "fast", "delta"),
    ("allow", "alpha/fast", "alpha"),
    ("allow", "gpt-4o-mini", "alpha"),
    ("allow", "delta/gpt-4o-mini", "delta"),
    ("allow", "beta/org/chat", "beta"),
    ("allow", "beta/a/b/c/chat", "beta"),
]


@pytest.mark.parametrize(("vk", "asked", "provider"), ALLOWED)
def test_allowed(gateway, upstreams, vk, asked, provider):
    expect.good(ask(gateway, asked, vk))
    assert len(upstreams[provider].requests) == 1


DENIED = [
    ("allow", "alpha/llama-2"),
    ("allow", "alpha/Llama-3"),
    ("allow", "beta/llama-3"),
    ("allow", "delta/fast-7b"),
    ("allow", "smart"),
    ("allow", "gpt-4o-minix"),
    ("allow", "beta/chat"),
    ("allow", "xBAAI/bge"),
    ("allow", "listed/nobody-lists-this"),
    ("allow", "alpha/*"),
    ("none", "alpha/m"),
    ("none", "fast"),
    ("none", "listed/nobody-lists-this"),
]


@pytest.mark.parametrize(("vk", "asked"), DENIED)
def test_denied(gateway, vk, asked):
    """Denied before "not found" can tell what exists; the list is never shown."""
    with gateway.sends_nothing():
        message = expect.gateway_error(
            ask(gateway, asked, vk), 403, "model_not_allowed", "model"
        )
    for entry in ("llama-3*", "BAAI/*", "*-mini", "beta/*"):
        assert entry not in message


def test_messages_name_the_model_safely(gateway):
    """A client's id comes back in JSON's own escapes, never as markup of ours or unbounded."""
    asked = 'alpha/"}{<script>' + "x" * 900
    message = expect.gateway_error(
        ask(gateway, asked, "none"), 403, "model_not_allowed"
    )
    assert len(message) < 1000


@pytest.mark.parametrize(
    "model", ["alpha/a\nb", "alpha/a\x7f", "alpha/\x00", "alpha/" + "m" * 2000]
)
def test_ids_that_no_model_has(gateway, model):
    """A control character, or an endless id, is refused for every key."""
    with gateway.sends_nothing():
        message = expect.gateway_error(
            ask(gateway, model), 400, "invalid_model", "model"
        )
    assert len(message) < 1000 and message.isprintable()
