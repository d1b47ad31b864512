"""The Responses API over chat completions: what is refused, and what the gateway is for, all the same."""

from __future__ import annotations

import json

import pytest
from harness import answer, expect, plugin, quirks, responses, sse, wire
from harness.plugin import PROVIDER_KEYS
from harness.responses import ask, assistant, called, item, output, post, text, user
from harness.responses_scenes import TEXT

LISTED = {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]}


REFUSED = {
    "state": ({"previous_response_id": "resp_1"}, "previous_response_id"),
    "a conversation": ({"conversation": "conv_1"}, "conversation"),
    "a conversation object": ({"conversation": {"id": "conv_1"}}, "conversation"),
    "in the background": ({"background": True}, "background"),
    "a stored prompt": ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    "a reference": ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    "an unknown item": ({"input": [user("a"), {"type": "telepathy"}]}, "input[1].type"),
    "an item that is none": ({"input": [user("a"), 7]}, "input[1]"),
    "an item without type": ({"input": [{"content": "a"}]}, "input[0].type"),
    "an unknown role": ({"input": [{"role": "ghost", "content": "a"}]}, "input[0].role"),
    "an unknown part": ({"input": [item("user", text("a"), {"type": "smell"})]}, "input[0].content[1].type"),
    "content of a wrong type": ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
    "text of a wrong type": ({"input": [item("user", {"type": "input_text", "text": 7})]},
                             "input[0].content[0].text"),
    "an image by id": ({"input": [item("user", {"type": "input_image", "file_id": "file-1"})]},
                       "input[0].content[0].file_id"),
    "a call without output": ({"input": [user("a"), called("c1")]}, "input[1].call_id"),
    "an output without call": ({"input": [user("a"), output("c1", "x")]}, "input[1].call_id"),
    "an output before its call": ({"input": [output("c1", "x"), called("c1")]}, "input[0].call_id"),
    "two calls of one id": ({"input": [called("c1"), called("c1"), output("c1", "x")]}, "input[1].call_id"),
    "arguments as an object": ({"input": [{**called("c1"), "arguments": {"a": 1}}]}, "input[0].arguments"),
    "a call without a name": ({"input": [{**called("c1"), "name": ""}, output("c1", "x")]}, "input[0].name"),
    "an output of a wrong type": ({"input": [called("c1"), output("c1", 7)]}, "input[1].output"),
    "no input": ({"input": None}, "input"),
    "empty input": ({"input": []}, "input"),
    "input of a wrong type": ({"input": {"a": 1}}, "input"),
    "a number as text": ({"temperature": "warm"}, "temperature"),
    "tools of a wrong type": ({"tools": {"type": "function"}}, "tools"),
    "a tool without type": ({"tools": [{"name": "f"}]}, "tools[0].type"),
    "a function without name": ({"tools": [{"type": "function"}]}, "tools[0].name"),
    "two tools of one name": ({"tools": LISTED["tools"] * 2}, "tools[1].name"),
    "a choice that isn't": ({**LISTED, "tool_choice": "maybe"}, "tool_choice"),
    "a choice of no tool": ({**LISTED, "tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
    "a choice of what was left out": (
        {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}, "tool_choice.type"),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fields", "param"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_has_no_form_in_chat(gateway, chat_server, fields, param, stream):
    with gateway.sends_nothing():
        reply = post(gateway, ask(stream=stream, **fields))
    expect.gateway_error(reply, 400, "unsupported_parameter", param)


@pytest.mark.parametrize("depth", [40, 100_000])
def test_deep_nesting(gateway, chat_server, depth):
    """Never a crash: it passes where it stays as it is, or is refused."""
    nested = '{"a":' * depth + "1" + "}" * depth
    body = f'{{"model":"alpha/m","input":"hi","metadata":{{}},"x":{nested}}}'.encode()
    chat_server.next(TEXT.plain())
    reply = post(gateway, body)
    if reply.status == 200:
        assert chat_server.only.body.count(b'{"a":') == depth
    else:
        expect.gateway_error(reply, 400, ("invalid_json", "unsupported_parameter"))
    assert depth > 100 or reply.status == 200


@pytest.mark.parametrize("body", [b'{"model":"alpha/m","input":"hi"', b'{"model":"alpha/m","input":"hi"}x', b"[]",
                                  b'{"model":"alpha/m","model":"alpha/n","input":"hi"}'])  # fmt: skip
def test_what_is_no_json_object(gateway, chat_server, body):
    with gateway.sends_nothing():
        reply = post(gateway, body)
    expect.gateway_error(reply, 400, ("invalid_json", "duplicate_model", "missing_model"))


def test_names_without_measure(gateway, chat_server):
    """A namespace is part of each of its tools' names: many tools of a long one must not use up the
    memory of the worker."""
    tools = [{"type": "function", "name": f"f{index}"} for index in range(5_000)]
    namespace = {"type": "namespace", "name": "n" * 200_000, "tools": tools}
    with gateway.sends_nothing():
        reply = post(gateway, ask(tools=[namespace]))
    expect.gateway_error(reply, 400, "unsupported_parameter", "tools[0].name")


def test_a_body_over_many_lines(gateway, chat_server):
    """What the events repeat of it stays on their one line."""
    asked = ask(stream=True, metadata={"a": "b"}, text={"verbosity": "low"}, **LISTED)
    chat_server.next(TEXT.stream())
    checked = responses.stream(post(gateway, json.dumps(asked, indent=2).encode()))
    assert (checked.final["tools"], checked.final["metadata"]) == (LISTED["tools"], {"a": "b"})


# The way there


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_the_request_line_and_the_credential(gateway, upstreams, chunked, last):
    """Of each kind of provider; with the length declared or not, `model` first or last."""
    for name, path, host, credential in (
        ("alpha", "/openai/v1/chat/completions", "alpha.test", ("authorization", f"Bearer {PROVIDER_KEYS['alpha']}")),
        ("beta", "/v1/chat/completions", "beta.test:8080", ("api-key", PROVIDER_KEYS["beta"])),
        ("gamma", "/v1/chat/completions", "gamma.test", ("x-gamma-key", f"Key {PROVIDER_KEYS['gamma']}")),
    ):
        fields = {"input": "hi", "stream": False}
        model = {"model": f"{name}/org/m"}
        body = json.dumps({**fields, **model} if last else {**model, **fields}).encode()
        upstreams[name].next(TEXT.plain())
        pieces = wire.split(body, 7) if chunked else None
        reply = post(gateway, None if chunked else body, pieces=pieces)
        responses.whole(reply)
        got = responses.chat_request(upstreams[name])
        assert (got["model"], got["messages"]) == ("org/m", [user("hi")])
        request = upstreams[name].only
        assert (request.path, request.header("host"), request.header(credential[0])) == (path, host, credential[1])
        assert request.header("accept-encoding") is None
        if credential[0] != "authorization":
            assert request.header("authorization") is None


def test_a_query_is_kept(gateway, chat_server):
    chat_server.next(TEXT.plain())
    reply = gateway.post("/v1/responses?api-version=1", ask())
    responses.whole(reply)
    assert chat_server.only.path == "/openai/v1/chat/completions?api-version=1"


def test_an_alias(gateway, upstreams):
    upstreams["beta"].next(TEXT.plain())
    reply = post(gateway, {"model": "smart", "input": "hi"}, vk="aliases")
    responses.whole(reply)
    assert responses.chat_request(upstreams["beta"])["model"] == "own-smart"
    assert reply.header("x-langwatch-model") == "own-smart"


def test_the_allowlist_holds(gateway):
    with gateway.sends_nothing():
        reply = post(gateway, {"model": "beta/secret", "input": "hi"}, vk="allow")
    expect.gateway_error(reply, 403, "model_not_allowed")


def test_a_large_body(gateway, chat_server):
    """As large as may be held."""
    large = "x" * 500_000
    chat_server.next(TEXT.plain())
    responses.whole(post(gateway, ask(input=large)))
    assert responses.chat_request(chat_server)["messages"] == [user(large)]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_what_may_be_held(gateway, chat_server, chunked):
    body = json.dumps(ask(input="x" * 600_000)).encode()
    pieces = wire.split(body, 65_536) if chunked else None
    with gateway.completes_nothing({"alpha": chat_server}):
        reply = post(gateway, None if chunked else body, pieces=pieces)
    assert "524288" in expect.gateway_error(reply, 413, "request_too_large")


# Cache modes: a translated body is marked, or cleared of marks, as one that was chat from the start


MARK = {"type": "ephemeral"}
MODE = "x-langwatch-cache"


def test_force_marks_what_the_server_gets(gateway, chat_server):
    chat_server.next(TEXT.plain())
    reply = post(gateway, ask(instructions="s"), fields=[(MODE, "force")])
    responses.whole(reply)
    system, last = responses.chat_request(chat_server)["messages"]
    for message in (system, last):
        assert message["content"][-1]["cache_control"] == MARK
    assert reply.header("x-langwatch-cache-mode") == "force"


def test_disable_removes_marks(gateway, chat_server):
    chat_server.next(TEXT.plain())
    marked = {**text("hi"), "cache_control": MARK}
    reply = post(gateway, ask(input=[item("user", marked)]), fields=[(MODE, "disable")])
    responses.whole(reply)
    assert b"cache_control" not in chat_server.only.body
    assert chat_server.only.header("cache-control") == "no-cache"
    assert reply.header("x-langwatch-cache") == "bypass"


# What providers differ in


@pytest.fixture
def kinds(start_envoy):
    """A gateway with a provider for each option of the Responses API, all at one server."""
    base = {"base_url": "http://alpha.test/v1", "cluster": "alpha", "auth": {"mode": "none"}}
    providers = [
        {"name": "frugal", **base, "stream_usage": False},
        {"name": "thinker", **base, "reasoning_field": "reasoning_content"},
        {"name": "native", **base, "responses_api": "native"},
    ]
    keys = [{"id": "main", "key": plugin.VK["main"]}]
    return start_envoy(
        config=plugin.configuration(providers=providers, virtual_keys=keys, model_aliases={})
    )


def test_a_server_that_rejects_stream_options(kinds, chat_server):
    chat_server.next(TEXT.stream())
    responses.stream(post(kinds, ask(model="frugal/m", stream=True)))
    body = responses.chat_request(chat_server)
    assert body["stream"] is True and "stream_options" not in body


@pytest.mark.parametrize("place", ["content", "summary"])
def test_a_server_that_wants_its_reasoning_back(kinds, chat_server, place):
    kind = {"content": "reasoning_text", "summary": "summary_text"}[place]
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], place: [text("Hm.", kind)]}
    chat_server.next(TEXT.plain())
    items = [user("a"), thought, called("c1"), output("c1", "one")]
    responses.whole(post(kinds, ask(model="thinker/m", input=items)))
    _, asked, _ = responses.chat_request(chat_server)["messages"]
    assert asked == {**assistant(None, ("c1", "f", "{}")), "reasoning_content": "Hm."}


@pytest.mark.parametrize("stream", [False, True])
def test_a_native_server_is_sent_what_came(kinds, upstreams, stream):
    """Byte for byte but for the model, either way: also what the translation would refuse."""
    body = f'{{"input":"hi","previous_response_id":"r","stream":{str(stream).lower()},"model":"native/m"}}'
    native = b'event: response.created\ndata: {"type":"response.created","sequence_number":0}\n\n'
    whole = answer({"id": "resp_1", "object": "response", "error": None, "output": []})
    scripted = sse(native) if stream else whole
    upstreams["alpha"].next(scripted)
    reply = expect.good(post(kinds, body.encode()))
    assert upstreams["alpha"].only.path == "/v1/responses"
    assert upstreams["alpha"].only.body == body.replace("native/m", "m").encode()
    assert reply.body.startswith(native) if stream else reply.body == whole.body


RETRY = {"retry_on": "5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.01s"}}


@pytest.mark.one_position
def test_a_retry_of_the_upstream_position(start_envoy, chat_server):
    """The filter sees each attempt anew, and translates it anew."""
    envoy = start_envoy(filter_at="upstream", retry=RETRY)
    chat_server.next(answer({"error": {"message": "busy", "code": 503}}), TEXT.stream())
    responses.stream(post(envoy, ask(stream=True)))
    first, second = responses.chat_only(chat_server)
    assert (first.path, first.body) == (second.path, second.body)
    assert second.json()["messages"] == [user("hi")]


def test_a_native_stream_without_numbers_is_completed(kinds, upstreams):
    """llama.cpp's own Responses API; openai-python raises a TypeError on events without an index."""
    recorded = next(quirk for quirk in quirks.load() if quirk.id == "r-llamacpp-responses-no-index")
    upstreams["alpha"].next(recorded.answer(chunks=7))
    reply = expect.good(kinds.post("/v1/responses", body={"model": "native/m", "input": "hi", "stream": True}))
    events = [json.loads(line[6:]) for line in reply.body.split(b"\n") if line.startswith(b"data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["response"]["output"] == [] and events[-1]["type"] == "response.completed"
    for event in events:
        if "item" in event or "item_id" in event:
            assert event["output_index"] == 0, event
        if "part" in event or event["type"].startswith("response.output_text"):
            assert event["content_index"] == 0, event
