"""What clients bring back sealed: reasoning and compactions; and counted tokens."""

from __future__ import annotations

import hashlib
import json

import pytest
from harness import answer, expect, headers, openai_shapes, plugin, responses

DROPPED = "x-langwatch-params-dropped"
INCLUDE = ["reasoning.encrypted_content"]
SECRET = "a-secret-for-seals-0123456789abcdef"
ROTATED = "vk-main-secret-rotated"


@pytest.fixture(params=["virtual key", "secret"])
def kind(request):
    """Whether what is sealed hangs on the virtual key or on a secret of the operator's."""
    return request.param


@pytest.fixture
def start_sealing(start_envoy, kind):
    """Starts an Envoy whose providers want reasoning back; `digest` is that of the virtual key `id-main`."""

    def start(digest=None):
        providers = [{**one, "reasoning_field": "reasoning_content"} for one in plugin.providers()]
        keys = [key for key in plugin.virtual_keys() if key["id"] != "id-main"]
        keys.append({"id": "id-main", "key_sha256": digest or plugin.key_sha256("main")})
        config = plugin.configuration(providers=providers, virtual_keys=keys)
        if kind == "virtual key":
            return start_envoy(config=config)
        return start_envoy(config={**config, "seal_key_env": "SEAL"}, env={**plugin.ENV, "SEAL": SECRET})

    return start


@pytest.fixture
def sealing(start_sealing):
    return start_sealing()


def post(envoy, upstream, scripted, vk="main", path="/v1/responses", **fields):
    upstream.next(scripted)
    body = json.dumps(responses.ask(**fields)).encode()
    key = plugin.VK.get(vk, vk)
    head = [("authorization", f"Bearer {key}"), ("content-type", "application/json")]
    reply = envoy.request("POST", path, head, body=body)
    assert reply.status == 200, reply.body
    return reply


def completion(**message):
    whole = openai_shapes.completion()
    whole["choices"][0]["message"] = {"role": "assistant", **message}
    return answer(whole)


def reasoning(envoy, upstream):
    """The reasoning item that the gateway gives out."""
    scripted = completion(content="ok", reasoning_content='be"cause')
    reply = post(envoy, upstream, scripted, include=INCLUDE, store=False)
    return json.loads(reply.body)["output"][0]


def turn(item):
    return [responses.user("x"), item, responses.called("c1"), responses.output("c1", "1")]


def test_reasoning_comes_back(sealing, upstreams):
    item = reasoning(sealing, upstreams["alpha"])
    assert 'be"cause' not in item["encrypted_content"]
    item = {"type": "reasoning", "id": item["id"], "summary": [], "encrypted_content": item["encrypted_content"]}
    reply = post(sealing, upstreams["beta"], completion(content="ok"), model="beta/m", input=turn(item))
    assert reply.header(DROPPED) is None
    assert upstreams["beta"].only.json()["messages"][1]["reasoning_content"] == 'be"cause'


def test_a_rotation(sealing, start_sealing, upstreams, kind):
    """Under a secret what was sealed outlives the virtual key; without one it is lost with it, and named."""
    item = reasoning(sealing, upstreams["alpha"])
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": item["encrypted_content"]}
    rotated = start_sealing(hashlib.sha256(ROTATED.encode()).hexdigest())
    reply = post(rotated, upstreams["beta"], completion(content="ok"), ROTATED, model="beta/m", input=turn(item))
    kept = upstreams["beta"].only.json()["messages"][1].get("reasoning_content")
    if kind == "secret":
        assert (kept, reply.header(DROPPED)) == ('be"cause', None)
    else:
        assert (kept, reply.header(DROPPED)) == (None, "reasoning.encrypted_content")


@pytest.mark.parametrize("foreign", ["gAAAAABoSealedByAnother", "gw1.AAAA", "gw9.x", ""])
def test_what_another_server_sealed_is_left_out_and_named(sealing, upstreams, foreign):
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": foreign}
    reply = post(sealing, upstreams["beta"], completion(content="ok"), model="beta/m", input=turn(item))
    assert reply.header(DROPPED) == "reasoning.encrypted_content"
    assert "reasoning_content" not in upstreams["beta"].only.json()["messages"][1]


def test_what_was_sealed_for_another_key(sealing, upstreams):
    item = reasoning(sealing, upstreams["alpha"])
    reply = post(sealing, upstreams["beta"], completion(content="ok"), "literal", model="beta/m",
                 input=turn({**item, "content": []}))  # fmt: skip
    assert reply.header(DROPPED) == "reasoning.encrypted_content"


def streamed(envoy, upstream, scripted, **fields):
    reply = post(envoy, upstream, scripted, stream=True, **fields)
    assert reply.header("content-type") == "text/event-stream"
    blocks = [block.split("\ndata: ") for block in reply.body.decode().strip().split("\n\n")]
    events = [(name.removeprefix("event: "), json.loads(data)) for name, data in blocks]
    assert [event["sequence_number"] for _, event in events] == list(range(len(events)))
    return events


def thinking_stream():
    chunks = [
        openai_shapes.chunk({"role": "assistant", "reasoning_content": "be"}),
        openai_shapes.chunk({"reasoning_content": "cause"}),
        openai_shapes.chunk({"content": "ok"}),
        openai_shapes.chunk({}, "stop"),
    ]
    return openai_shapes.sse(*chunks, "[DONE]")


def test_a_stream_shows_a_summary_and_seals(sealing, upstreams):
    events = streamed(sealing, upstreams["alpha"], thinking_stream(), include=INCLUDE, reasoning={"summary": "auto"})
    told = [event["delta"] for name, event in events if name == "response.reasoning_summary_text.delta"]
    assert told == ["be", "cause"]
    done = next(event["item"] for name, event in events if name == "response.output_item.done")
    assert done["summary"] == [{"type": "summary_text", "text": "because"}]
    name, last = events[-1]
    assert (name, last["response"]["output"][0]) == ("response.completed", done)
    reply = post(sealing, upstreams["beta"], completion(content="ok"), model="beta/m",
                 input=turn({**done, "content": [], "summary": []}))  # fmt: skip
    assert reply.header(DROPPED) is None
    assert upstreams["beta"].only.json()["messages"][1]["reasoning_content"] == "because"


CONVERSATION = [responses.user("one"), responses.assistant("two")]
TRIGGER = {"type": "compaction_trigger"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_compaction_goes_out_and_comes_back(sealing, upstreams, stream):
    fields = {"input": [*CONVERSATION, TRIGGER], "tools": [{"type": "function", "name": "f"}]}
    if stream:
        chunks = [openai_shapes.chunk({"content": "the "}), openai_shapes.chunk({"content": "sum"}, "stop"), "[DONE]"]
        events = streamed(sealing, upstreams["alpha"], openai_shapes.sse(*chunks), **fields)
        names = [name.removeprefix("response.") for name, _ in events]
        assert names == ["created", "in_progress", "output_item.added", "output_item.done", "completed"]
        (item,) = events[-1][1]["response"]["output"]
    else:
        reply = post(sealing, upstreams["alpha"], completion(content="the sum"), **fields)
        (item,) = json.loads(reply.body)["output"]
    asked = upstreams["alpha"].only.json()
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "user"]
    assert "tools" not in asked
    assert item["type"] == "compaction" and "the sum" not in json.dumps(item)
    post(sealing, upstreams["beta"], completion(content="ok"), model="beta/m", input=[item, responses.user("go")])
    assert upstreams["beta"].only.json()["messages"] == [
        responses.user("Summary of the conversation so far:\n\nthe sum"),
        responses.user("go"),
    ]


def test_the_compact_endpoint(sealing, upstreams):
    path = "/v1/responses/compact"
    reply = post(sealing, upstreams["alpha"], completion(content="the sum"), path=path, input=CONVERSATION)
    assert upstreams["alpha"].only.path == "/openai/v1/chat/completions"
    body = json.loads(reply.body)
    assert body["object"] == "response.compaction"
    assert [item["type"] for item in body["output"]] == ["compaction"]
    assert body["usage"]["input_tokens_details"]["cached_tokens"] >= 0
    post(sealing, upstreams["beta"], completion(content="ok"), model="beta/m", input=[*body["output"], responses.user("go")])
    assert upstreams["beta"].only.json()["messages"][0]["content"].endswith("the sum")


def test_a_compaction_of_another_server_is_left_out_and_named(sealing, upstreams):
    items = [{"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"}, responses.user("go")]
    reply = post(sealing, upstreams["beta"], completion(content="ok"), model="beta/m", input=items)
    assert reply.header(DROPPED) == "compaction"
    assert upstreams["beta"].only.json()["messages"] == [responses.user("go")]


def test_an_error_of_a_compaction_is_an_error(sealing, upstreams):
    upstreams["alpha"].next(openai_shapes.error(503, "busy"))
    body = json.dumps(responses.ask(input=[*CONVERSATION, TRIGGER])).encode()
    reply = sealing.request("POST", "/v1/responses", headers("main", "application/json"), body=body)
    assert (reply.status, expect.envelope(reply)["message"]) == (503, "busy")


def test_input_tokens_by_vllms_tokenizer(gateway, upstreams):
    upstreams["vllm"].next(answer({"count": 12, "max_model_len": 4096, "tokens": [1, 2]}))
    body = b'{"model":"vllm/m","input":"x","instructions":"i","temperature":1}'
    reply = gateway.request("POST", "/v1/responses/input_tokens", headers("main", "application/json"), body=body)
    assert (reply.status, json.loads(reply.body)) == (200, {"object": "response.input_tokens", "input_tokens": 12})
    assert upstreams["vllm"].only.path == "/tokenize"
    messages = [{"role": "system", "content": "i"}, {"role": "user", "content": "x"}]
    assert upstreams["vllm"].only.json() == {"model": "m", "messages": messages}


def test_input_tokens_that_nobody_can_count(gateway):
    with gateway.sends_nothing():
        body = b'{"model":"beta/m","input":"x"}'
        reply = gateway.request("POST", "/v1/responses/input_tokens", headers("main", "application/json"), body=body)
    expect.gateway_error(reply, 404, "unknown_url")
