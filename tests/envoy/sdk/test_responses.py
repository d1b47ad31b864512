"""The Responses API over chat completions through the official SDKs, unmodified."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
from harness import answer, openai_shapes, responses, responses_types, sse
from harness.plugin import PROVIDER_KEYS, VK
from harness.responses_scenes import CUT_BY_LENGTH, ONE_CALL, REASONING, TEXT, Scene, call, chunk
from harness.sdk import run_node_tests
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Capital(BaseModel):
    """What a structured answer is parsed into."""

    city: str
    inhabitants: int


CAPITAL = '{"city":"Bern","inhabitants":137000}'
STRUCTURED = Scene(
    "structured",
    {"role": "assistant", "content": CAPITAL},
    ({"content": CAPITAL[:10]}, {"content": CAPITAL[10:]}),
    (("message", CAPITAL),),
)


def scripted(request):
    """A chat-only server: the answer depends on what it is asked, as a server's would."""
    if not request.path.endswith("/chat/completions"):
        return responses.not_found(request)
    body = request.json()
    scene = TEXT
    if any(message["role"] == "tool" for message in body["messages"]):
        output = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        text = f"It is {' and '.join(output)}."
        scene = Scene("told", {"role": "assistant", "content": text}, ({"content": text},), ())
    elif body.get("tools"):
        scene = ONE_CALL
    elif body.get("response_format"):
        scene = STRUCTURED
    elif body.get("max_completion_tokens") or body.get("max_tokens"):
        scene = CUT_BY_LENGTH
    elif body.get("reasoning_effort"):
        scene = REASONING
    return scene.stream() if body.get("stream") else scene.plain()


@pytest.fixture(autouse=True)
def server(chat_server):
    chat_server.handler = scripted
    return chat_server


def test_create(client, server):
    reply = client().responses.create(model="alpha/org/m", input="hi")
    assert (reply.output_text, reply.status, reply.error) == ("Hello there.", "completed", None)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (11, 7)
    assert server.only.json()["model"] == "org/m"
    assert server.only.header("authorization") == f"Bearer {PROVIDER_KEYS['alpha']}"


def test_create_streamed(client):
    events = list(client().responses.create(model="alpha/m", input="hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["Hello", " there."]
    assert events[-1].response.output_text == "Hello there."
    for event in events:
        responses_types.event(event.to_dict())


def test_the_stream_helper(client):
    with client().responses.stream(model="alpha/m", input="hi") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots == ["Hello", "Hello there."]
    assert (final.output_text, final.usage.total_tokens) == ("Hello there.", 18)


def test_parse(client, server):
    reply = client().responses.parse(model="alpha/m", input="capital?", text_format=Capital)
    assert reply.output_parsed == Capital(city="Bern", inhabitants=137000)
    schema = server.only.json()["response_format"]
    assert (schema["type"], schema["json_schema"]["name"]) == ("json_schema", "Capital")
    assert schema["json_schema"]["strict"] is True
    assert set(schema["json_schema"]["schema"]["properties"]) == {"city", "inhabitants"}


def test_parse_streamed(client):
    with client().responses.stream(model="alpha/m", input="capital?", text_format=Capital) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_parsed == Capital(city="Bern", inhabitants=137000)


def test_reasoning(client):
    reply = client().responses.create(model="alpha/m", input="6*7?", reasoning={"effort": "low"})
    thought, message = reply.output
    assert thought.content[0].text == "Six by seven." and message.content[0].text == "42."
    assert reply.usage.output_tokens_details.reasoning_tokens == 3
    assert reply.usage.input_tokens_details.cached_tokens == 8


def test_a_limit(client):
    reply = client().responses.create(model="alpha/m", input="hi", max_output_tokens=16)
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_call_in_two_turns(client, server, stream):
    """The output items go back as they came, with the function's output behind them."""

    def turn(items):
        if not stream:
            return client().responses.create(model="alpha/m", input=items, tools=[WEATHER])
        with client().responses.stream(model="alpha/m", input=items, tools=[WEATHER]) as events:
            for _ in events:
                pass
            return events.get_final_response()

    items = [{"role": "user", "content": "How is Bern?"}]
    (asked,) = turn(items).output
    assert (asked.name, json.loads(asked.arguments)) == ("get_weather", {"city": "Bern"})
    items += [asked, {"type": "function_call_output", "call_id": asked.call_id, "output": "sunny"}]
    assert turn(items).output_text == "It is sunny."
    user, assistant, tool = server.requests[1].json()["messages"]
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    assert assistant["tool_calls"] == [call("call_a", "get_weather", '{"city":"Bern"}')]
    assert tool == {"role": "tool", "tool_call_id": "call_a", "content": "sunny"}


def test_reasoning_goes_back_as_it_came(client, server):
    first = client().responses.create(model="alpha/m", input="6*7?", reasoning={"effort": "low"})
    again = [*first.output, {"role": "user", "content": "sure?"}]
    client().responses.create(model="alpha/m", input=again)
    assert [message["role"] for message in server.requests[1].json()["messages"]] == ["assistant", "user"]


ERRORS = [
    (openai.AuthenticationError, "wrong-key", {}, "invalid_api_key"),
    (openai.PermissionDeniedError, VK["none"], {}, "model_not_allowed"),
    (openai.NotFoundError, VK["main"], {"model": "other/none"}, "model_not_found"),
    (openai.BadRequestError, VK["main"], {"previous_response_id": "resp_1"}, "unsupported_parameter"),
    (openai.BadRequestError, VK["main"], {"background": True}, "unsupported_parameter"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("kind", "key", "fields", "code"), ERRORS, ids=lambda x: str(x)[-24:])
def test_errors_are_typed(client, kind, key, fields, code, stream):
    with pytest.raises(kind) as raised:
        client(key).responses.create(**{"model": "alpha/m", "input": "hi", "stream": stream, **fields})
    assert raised.value.code == code


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_error_keeps_its_kind(client, server, stream):
    server.next(openai_shapes.error(429, "slow down", code="rate_limit_exceeded"))
    with pytest.raises(openai.RateLimitError) as raised:
        client().responses.create(model="alpha/m", input="hi", stream=stream)
    assert raised.value.code == "rate_limit_exceeded"


def test_an_error_inside_200_is_typed_too(client, server):
    server.next(answer({"error": {"message": "no such key", "code": 401}}))
    with pytest.raises(openai.AuthenticationError, match="no such key"):
        client().responses.create(model="alpha/m", input="hi")


def test_a_stream_that_is_cut_has_failed(client, server):
    server.next(sse(chunk({"content": "Hel"})))
    *_, last = client().responses.create(model="alpha/m", input="hi", stream=True)
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert last.response.error.message and last.response.output_text == "Hel"


def test_the_async_client(gateway):
    async def run() -> list[str]:
        base_url = f"http://127.0.0.1:{gateway.port}/v1"
        async with openai.AsyncOpenAI(base_url=base_url, api_key=VK["main"]) as client:

            async def streamed() -> str:
                async with client.responses.stream(model="alpha/m", input="hi") as stream:
                    return (await stream.get_final_response()).output_text

            async def plain() -> str:
                return (await client.responses.create(model="alpha/m", input="hi")).output_text

            return await asyncio.gather(streamed(), plain(), streamed())

    assert asyncio.run(run()) == ["Hello there."] * 3


def test_node(gateway, server):
    run_node_tests(gateway, "responses.test.mjs")
    assert len(responses.chat_only(server)) == 10
