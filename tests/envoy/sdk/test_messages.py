"""The Messages API over chat completions through Anthropic's official SDKs, unmodified."""

from __future__ import annotations

import json

import anthropic
import pytest
from harness import answer, responses, sse
from harness.plugin import VK
from harness.responses_scenes import (
    CUT_BY_LENGTH,
    ONE_CALL,
    REASONING,
    TEXT,
    Scene,
    begins,
    chunk,
    goes_on,
)
from harness.sdk import run_node_tests

HI = [{"role": "user", "content": "hi"}]
ASK = {"model": "alpha/m", "max_tokens": 100, "messages": HI}
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def scripted(request):
    """A chat-only server: the answer depends on what it is asked, as a server's would."""
    if not request.path.endswith("/chat/completions"):
        return responses.not_found(request)
    body = request.json()
    scene = TEXT
    said = body["messages"][-1]["content"]
    if said in FAILURES:
        status, error = FAILURES[said]
        return answer({"error": error}, status)
    if any(message["role"] == "tool" for message in body["messages"]):
        output = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        text = f"It is {' and '.join(output)}."
        scene = Scene("told", {"role": "assistant", "content": text}, ({"content": text},), ())
    elif body.get("tools"):
        scene = ONE_CALL
    elif body["max_tokens"] == 1:
        scene = CUT_BY_LENGTH
    elif body.get("reasoning_effort"):
        scene = REASONING
    return scene.stream() if body.get("stream") else scene.plain()


FAILURES = {
    "fail 400": (400, {"message": "bad", "type": "invalid_request_error"}),
    "fail 401": (401, {"message": "no", "type": "x", "code": "y"}),
    "fail 403": (403, {"message": "no", "type": "x", "code": "y"}),
    "fail 404": (404, {"message": "no"}),
    "fail 413": (413, {"message": "no"}),
    "fail 422": (422, {"message": "no"}),
    "fail 429": (429, {"message": "slow"}),
    "fail 500": (500, {"message": "boom"}),
    "fail 529": (529, {"message": "busy"}),
}


@pytest.fixture(autouse=True)
def server(chat_server):
    chat_server.handler = scripted
    return chat_server


@pytest.fixture
def claude(gateway):
    def make(vk=VK["main"]):
        base_url = f"http://127.0.0.1:{gateway.port}"
        return anthropic.Anthropic(base_url=base_url, api_key=vk, max_retries=0, timeout=20)

    return make


def test_create(claude, server):
    reply = claude().messages.create(**ASK, system="be")
    assert (reply.content[0].text, reply.stop_reason) == ("Hello there.", "end_turn")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (11, 7)
    assert server.only.json()["model"] == "m"


def test_reasons(claude):
    assert claude().messages.create(**{**ASK, "max_tokens": 1}).stop_reason == "max_tokens"
    reply = claude().messages.create(**ASK, thinking={"type": "enabled", "budget_tokens": 2000})
    assert [block.type for block in reply.content] == ["thinking", "text"]
    assert reply.usage.cache_read_input_tokens == 8 and reply.usage.input_tokens == 3


def test_stream(claude):
    with claude().messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream) == "Hello there."
        message = stream.get_final_message()
    plain = claude().messages.create(**ASK)
    assert message.content == plain.content or message.content[0].text == plain.content[0].text
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 7)
    assert message.usage.input_tokens == 11


def test_a_call_and_its_result(claude, server):
    first = claude().messages.create(**ASK, tools=[WEATHER])
    assert first.stop_reason == "tool_use"
    call = first.content[-1]
    assert (call.id, call.name, call.input) == ("call_a", "get_weather", {"city": "Bern"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    turns = [*HI, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    last = claude().messages.create(**{**ASK, "messages": turns}, tools=[WEATHER])
    assert last.content[0].text == "It is sunny."


def test_parallel_calls_in_a_stream(claude, server):
    deltas = [begins(0, "a", "f"), begins(1, "b", "g"), goes_on(1, '{"y":2}'), goes_on(0, '{"x":1}')]
    server.handler = lambda _: sse(*map(chunk, deltas), chunk({}, "stop"), "[DONE]")
    with claude().messages.stream(**ASK) as stream:
        message = stream.get_final_message()
    assert [(block.name, block.input) for block in message.content] == [("f", {"x": 1}), ("g", {"y": 2})]
    assert message.stop_reason == "tool_use"


@pytest.mark.parametrize("stream", [False, True])
def test_tool_runner(claude, stream):
    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather in a city.

        Args:
            city: Which one.
        """
        return f"sunny in {city}"

    runner = claude().beta.messages.tool_runner(**ASK, tools=[get_weather], stream=stream)
    if stream:
        said = [turn.get_final_message() for turn in runner]
    else:
        said = list(runner)
    assert said[-1].content[0].text == "It is sunny in Bern."


def test_count_tokens(gateway, claude, upstreams):
    upstreams["vllm"].next(answer({"count": 12, "max_model_len": 4096, "tokens": [1]}))
    assert claude().messages.count_tokens(model="vllm/m", messages=HI).input_tokens == 12
    with pytest.raises(anthropic.NotFoundError):
        claude().messages.count_tokens(model="alpha/m", messages=HI)


def test_models(claude, server):
    models = list(claude(VK["aliases"]).models.list(limit=1))
    assert len(models) > 1 and all(model.type == "model" for model in models)
    assert claude(VK["aliases"]).models.retrieve(models[0].id).id == models[0].id
    # The gateway asks each provider for its list, unless a test before has made it do so.
    server.requests[:] = [got for got in server.requests if not got.path.endswith("/models")]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "error", "kind"),
    [
        ("fail 400", anthropic.BadRequestError, "invalid_request_error"),
        ("fail 401", anthropic.AuthenticationError, "authentication_error"),
        ("fail 403", anthropic.PermissionDeniedError, "permission_error"),
        ("fail 404", anthropic.NotFoundError, "not_found_error"),
        ("fail 413", anthropic.APIStatusError, "request_too_large"),
        ("fail 422", anthropic.UnprocessableEntityError, "invalid_request_error"),
        ("fail 429", anthropic.RateLimitError, "rate_limit_error"),
        ("fail 500", anthropic.InternalServerError, "api_error"),
        ("fail 529", anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_typed_errors(claude, said, error, kind, stream):
    with pytest.raises(error) as raised:
        claude().messages.create(**{**ASK, "messages": [{"role": "user", "content": said}]}, stream=stream)
    assert raised.value.body["error"]["type"] == kind
    assert raised.value.status_code == int(said.split()[1])


def test_an_error_in_the_middle_of_a_stream(claude, server):
    late = {"error": {"message": "slow", "type": "rate_limit_error"}}
    server.handler = lambda _: sse(chunk({"content": "a"}), late, "[DONE]")
    with pytest.raises(anthropic.APIStatusError) as raised, claude().messages.stream(**ASK) as stream:
        stream.until_done()
    assert "slow" in str(raised.value)


def test_node(gateway, server):
    run_node_tests(gateway, "messages.test.mjs")
    asked = [json.loads(request.body) for request in server.requests]
    assert {body["model"] for body in asked} == {"m"}
