"""Parameters that a server refuses are taken out of JSON requests, and named; no other byte changes."""

from __future__ import annotations

import json

import pytest
from harness import answer, headers, openai_shapes, plugin, responses

DROPPED = "x-langwatch-params-dropped"
OPTIONS = {
    "delta": {"drop_params": ["seed", "user", "parallel_tool_calls"]},
    "beta": {"reasoning_effort": False},
    "gamma": {"reasoning_effort": False, "drop_params": ["seed"], "responses_api": "native"},
}


@pytest.fixture
def strict(start_envoy):
    providers = [{**one, **OPTIONS.get(one["name"], {})} for one in plugin.providers()]
    return start_envoy(config=plugin.configuration(providers=providers))


def sent(strict, upstream, path, body, **fields):
    """The bytes that the server got, and what the answer says was left out."""
    upstream.next(answer(fields.pop("answer", openai_shapes.completion())))
    reply = strict.request("POST", path, headers("main", "application/json", **fields), body=body)
    assert reply.status == 200, reply.body
    assert upstream.only.header("content-length") == str(len(upstream.only.body))
    return upstream.only.body, reply.header(DROPPED)


PLAIN = {
    "first and last": (
        b'{"seed": 1, "model": "delta/m", "messages": [], "user":"u"}',
        b'{"model": "m", "messages": []}',
        "seed, user",
    ),
    "behind the model": (
        b'{\n "model" : "delta/m" ,\n "seed" : {"a": [1, 2]} ,\n "messages" : []\n}',
        b'{\n "model" : "m" ,\n "messages" : []\n}',
        "seed",
    ),
    "given twice and escaped": (b'{"model":"delta/m","seed":1,"s\\u0065ed":2}', b'{"model":"m"}', "seed"),
    "deeper ones stay": (
        b'{"model":"delta/m","metadata":{"seed":1},"seeds":2}',
        b'{"model":"m","metadata":{"seed":1},"seeds":2}',
        None,
    ),
    "null goes unnamed": (b'{"model":"delta/m","user":null}', b'{"model":"m"}', None),
}


@pytest.mark.parametrize(("body", "upstream_body", "dropped"), PLAIN.values(), ids=PLAIN)
def test_plain_chat(strict, upstreams, body, upstream_body, dropped):
    assert sent(strict, upstreams["delta"], "/v1/chat/completions", body) == (upstream_body, dropped)


def test_another_operation_with_json(strict, upstreams):
    body = b'{"model":"delta/m","user":"u","input":"x"}'
    got = sent(strict, upstreams["delta"], "/v1/embeddings", body, answer=openai_shapes.embeddings())
    assert got == (b'{"model":"m","input":"x"}', "user")


def test_beside_a_cache_mode(strict, upstreams):
    """A marker inside of what is dropped, and one beside it."""
    mark = '"cache_control":{"type":"ephemeral"}'
    body = '{"model":"delta/m","seed":{%s,"a":1},"messages":[{"role":"user","content":"x",%s}]}' % (mark, mark)
    more = (("x-langwatch-cache", "disable"),)
    got = sent(strict, upstreams["delta"], "/v1/chat/completions", body.encode(), more=more)
    assert got == (b'{"model":"m","messages":[{"role":"user","content":"x"}]}', "seed")


def test_a_converted_request(strict, upstreams):
    """By the name that the server would have seen."""
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]
    body = responses.ask(model="delta/m", tools=tools, parallel_tool_calls=False, user="u", prompt_cache_key="k")
    got, dropped = sent(strict, upstreams["delta"], "/v1/responses", json.dumps(body).encode())
    assert set(json.loads(got)) == {"model", "messages", "tools"}
    assert dropped == "prompt_cache_key, parallel_tool_calls, user"


def test_an_effort(strict, upstreams):
    body = b'{"model":"beta/m","reasoning_effort":"low","messages":[]}'
    got = sent(strict, upstreams["beta"], "/v1/chat/completions", body)
    assert got == (b'{"model":"m","messages":[]}', "reasoning_effort")


def test_an_effort_of_a_converted_request(strict, upstreams):
    body = responses.ask(model="beta/m", reasoning={"effort": "low"})
    got, dropped = sent(strict, upstreams["beta"], "/v1/responses", json.dumps(body).encode())
    assert (set(json.loads(got)), dropped) == ({"model", "messages"}, "reasoning.effort")


def test_an_effort_of_a_native_request(strict, upstreams):
    body = b'{"model":"gamma/m","reasoning":{"effort":"low","summary":"auto"},"seed":1,"input":"x"}'
    native = {"id": "resp_1", "object": "response", "status": "completed", "output": []}
    got = sent(strict, upstreams["gamma"], "/v1/responses", body, answer=native)
    want = b'{"model":"m","reasoning":{"summary":"auto"},"input":"x"}'
    assert got == (want, "seed, reasoning.effort")


def test_a_body_that_can_not_be_held(strict, upstreams):
    """The whole body is needed; above what may be held it is refused, with the reason."""
    body = json.dumps({"model": "delta/m", "messages": [{"role": "user", "content": "x" * 600_000}]})
    with strict.completes_nothing(upstreams):
        reply = strict.request("POST", "/v1/chat/completions", headers("main", "application/json"), body=body.encode())
    assert reply.status == 413 and b"refuses parameters" in reply.body
