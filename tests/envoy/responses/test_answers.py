"""The Responses API over chat completions: what the client gets, in one piece and as a stream."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest
from harness import Gate, answer, headers, openai_shapes, responses, sse
from harness.responses import ask, comparable, open_stream, plain, streamed
from harness.responses_scenes import (
    ONE_CALL,
    REASONING,
    SCENES,
    TEXT,
    begins,
    chunk,
    goes_on,
    holds,
    said,
)

scenes = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)


# Every scene, both ways


@scenes
def test_plain(gateway, chat_server, scene):
    holds(plain(gateway, chat_server, scene.plain()), scene)


@scenes
def test_stream(gateway, chat_server, scene):
    """The last event is the plain answer."""
    checked = streamed(gateway, chat_server, scene.stream())
    holds(checked.final, scene)
    whole = plain(gateway, chat_server, scene.plain())
    assert comparable(checked.final) == comparable(whole)


@scenes
def test_stream_byte_by_byte(gateway, chat_server, scene):
    body = scene.stream().body
    once = streamed(gateway, chat_server, scene.stream())
    bytewise = answer(body, content_type="text/event-stream", chunks=1, framing="chunked")
    assert without_time(streamed(gateway, chat_server, bytewise).events) == without_time(once.events)


def without_time(events):
    return [{**event, "response": comparable(event.get("response", {}))} for event in events]


@pytest.mark.parametrize("cut", [1, 7])
def test_plain_in_small_pieces(gateway, chat_server, cut):
    scripted = REASONING.plain(chunks=cut, framing="chunked")
    holds(plain(gateway, chat_server, scripted), REASONING)


def test_a_streams_deltas_are_the_servers(gateway, chat_server):
    assert streamed(gateway, chat_server, TEXT.stream()).deltas == ["Hello", " there."]
    assert streamed(gateway, chat_server, ONE_CALL.stream()).deltas == ['{"city"', ':"Bern"}']


def test_the_events_of_a_text(gateway, chat_server):
    assert streamed(gateway, chat_server, TEXT.stream()).kinds == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done", "content_part.done"),
        *("output_item.done", "completed"),
    ]


def test_the_events_of_a_call(gateway, chat_server):
    assert streamed(gateway, chat_server, ONE_CALL.stream()).kinds == [
        *("created", "in_progress", "output_item.added", "function_call_arguments.delta"),
        *("function_call_arguments.delta", "function_call_arguments.done"),
        *("output_item.done", "completed"),
    ]


def test_a_long_answer(gateway, chat_server):
    """Longer than Envoy's buffers."""
    text = "0123456789" * 150_000
    pieces = [chunk({"content": text[at : at + 10_000]}) for at in range(0, len(text), 10_000)]
    checked = streamed(gateway, chat_server, sse(*pieces, chunk({}, "stop"), "[DONE]"))
    assert said(checked.final) == (("message", text),)
    scripted = answer(openai_shapes.completion(text=text))
    assert said(plain(gateway, chat_server, scripted)) == (("message", text),)


def test_many_parallel_calls(gateway, chat_server):
    order = range(40)
    deltas = [begins(at, f"call_{at}", f"f{at}") for at in order]
    deltas += [goes_on(at, piece) for piece in ("{", '"a":1', "}") for at in reversed(order)]
    checked = streamed(gateway, chat_server, sse(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]"))
    wanted = tuple(("function_call", f"call_{at}", f"f{at}", '{"a":1}') for at in order)
    assert said(checked.final) == wanted


def test_cached_tokens_show_in_the_header(gateway, chat_server):
    chat_server.next(REASONING.plain(), TEXT.plain())
    replies = [responses.post(gateway, ask()) for _ in range(2)]
    assert [reply.header("x-langwatch-cache") for reply in replies] == ["hit", "miss"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_gateways_headers(gateway, chat_server, stream):
    chat_server.next(TEXT.stream() if stream else TEXT.plain())
    reply = responses.post(gateway, ask(stream=stream))
    assert reply.header("x-langwatch-provider") == "alpha"
    assert reply.header("x-langwatch-model") == "m"
    assert reply.header("x-langwatch-request-id") == responses.REQUEST_ID
    assert reply.header("x-langwatch-params-dropped") is None


def test_the_servers_headers_stay(gateway, chat_server):
    limits = [("x-ratelimit-remaining-tokens", "9"), ("openai-processing-ms", "5")]
    chat_server.next(TEXT.plain(headers=limits))
    reply = responses.post(gateway, ask())
    assert [(name, reply.header(name)) for name, _ in limits] == limits


def test_two_answers_have_their_own_ids(gateway, chat_server):
    chat_server.next(TEXT.plain(), TEXT.plain())
    ids = [gateway.post(responses.PATH, ask(), fields=responses.FIELDS).json() for _ in range(2)]
    assert ids[0]["id"] != ids[1]["id"]
    assert ids[0]["output"][0]["id"] != ids[1]["output"][0]["id"]


def test_what_the_request_asked_for_is_in_the_answer(gateway, chat_server):
    """Members of a Response that repeat its request, in every event that has them."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    function = {"type": "function", "name": "f", "description": None, "parameters": schema, "strict": True}
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 99,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "temperature": 0.25,
        "top_p": 0.5,
        "tool_choice": "required",
        "tools": [function],
        "truncation": "auto",
        "text": {"format": {"type": "json_object"}},
    }
    checked = streamed(gateway, chat_server, TEXT.stream(), **asked)
    whole = plain(gateway, chat_server, TEXT.plain(), **asked)
    for response in (whole, checked.final, checked.events[0]["response"], checked.events[1]["response"]):
        assert {name: response[name] for name in asked} == asked


def test_what_the_request_left_out_has_its_default(gateway, chat_server):
    whole = plain(gateway, chat_server, TEXT.plain())
    defaults = {
        "instructions": None,
        "max_output_tokens": None,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "tool_choice": "auto",
        "tools": [],
        "text": {"format": {"type": "text"}},
        "truncation": "disabled",
        "metadata": {},
    }
    assert {name: whole[name] for name in defaults} == defaults


TOKENS = [
    {"token": "Hi", "logprob": -0.5, "bytes": [72, 105],
     "top_logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}, {"token": "Ho", "logprob": -1.5}]},
    {"token": "!", "logprob": -1},
]  # fmt: skip


def test_log_probabilities(gateway, chat_server):
    """Complete, as the SDKs' types have them, also where the server left out the least."""
    streaming, completion = chunk({"content": "Hi!"}), openai_shapes.completion(text="Hi!")
    for answered in (streaming, completion):
        answered["choices"][0]["logprobs"] = {"content": TOKENS, "refusal": None}
    asked = {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}
    scripted = sse(streaming, chunk({}, "stop"), "[DONE]")
    checked = streamed(gateway, chat_server, scripted, **asked)
    output = plain(gateway, chat_server, answer(completion), **asked)["output"]
    assert checked.final["output"] == output
    told = output[0]["content"][0]["logprobs"]
    assert [each["token"] for each in told] == ["Hi", "!"]
    assert [each["token"] for each in told[0]["top_logprobs"]] == ["Hi", "Ho"]
    (delta,) = [event for event in checked.events if event["type"] == "response.output_text.delta"]
    assert delta["logprobs"] == told


def test_annotations(gateway, chat_server):
    where = {"start_index": 0, "end_index": 2, "url": "https://a.test", "title": "A"}
    annotations = [{"type": "url_citation", "url_citation": where}]
    completion = openai_shapes.completion(text="Hi")
    completion["choices"][0]["message"]["annotations"] = annotations
    said = chunk({"content": "Hi"}), chunk({"annotations": annotations})
    checked = streamed(gateway, chat_server, sse(*said, chunk({}, "stop"), "[DONE]"))
    output = plain(gateway, chat_server, answer(completion))["output"]
    assert checked.final["output"] == output
    assert output[0]["content"][0]["annotations"] == [{"type": "url_citation", **where}]
    assert "output_text.annotation.added" in checked.kinds


@pytest.mark.parametrize("stream", [False, True])
def test_http2_and_trailers(gateway, chat_server, stream):
    how = {"trailers": [("x-checksum", "7")], "framing": "chunked"}
    chat_server.next(TEXT.stream(**how) if stream else TEXT.plain(**how))
    body = json.dumps(ask(stream=stream)).encode()
    with gateway.connect2() as client:
        fields = headers("main", "application/json", responses.FIELDS)
        reply = client.request("POST", responses.PATH, fields, [body[:20], body[20:]])
    holds(responses.stream(reply).final if stream else responses.whole(reply), TEXT)
    if stream:
        assert reply.trailers == [("x-checksum", "7")]


# Pace


@pytest.mark.parametrize(
    ("scene", "tokens"),
    [(TEXT, ["Hello", " there."]), (REASONING, ["Six by ", "seven.", "42."]),
     (ONE_CALL, ['{"city"', ':"Bern"}'])],
    ids=["text", "reasoning", "call"],
)  # fmt: skip
def test_no_token_waits_for_the_next(gateway, chat_server, scene, tokens):
    """The upstream sends each chunk when the client has everything of the one before."""
    events = scene.chunks()
    gates = [Gate() for _ in events]
    paced = [part for event, gate in zip(events, gates, strict=True) for part in (event, gate)]
    chat_server.next(sse(*paced))
    shown = [json.dumps(token) for token in tokens]
    with open_stream(gateway) as client:
        incoming = None
        for event, gate in zip(events, gates, strict=True):
            gate.wait_reached()
            if shown and shown[0] in json.dumps(event):
                token = f'"delta":{shown.pop(0)}'.encode()
                incoming = incoming or client.answer()
                incoming.read_until(lambda body, token=token: token in body)
            gate.open()
        checked = responses.stream(incoming.rest())
    assert not shown
    assert checked.deltas == tokens


def test_a_call_is_named_before_its_arguments_come(gateway, chat_server):
    gate = Gate()
    begun, rest = chunk(begins(0, "call_a", "f")), chunk(goes_on(0, "{}"))
    chat_server.next(sse(begun, gate, rest, chunk({}, "tool_calls"), "[DONE]"))
    with open_stream(gateway, tools=[{"type": "function", "name": "f"}]) as client:
        incoming = client.answer()
        incoming.read_until(lambda body: b"call_a" in body and body.endswith(b"\n\n"))
        gate.open()
        responses.stream(incoming.rest())


def test_comments_keep_a_connection_alive(gateway, chat_server):
    gate = Gate()
    chat_server.next(sse(chunk({"content": "a"}), b": waiting\n\n", gate, chunk({}, "stop"), "[DONE]"))
    with open_stream(gateway) as client:
        incoming = client.answer()
        incoming.read_until(lambda body: b"\n\n:\n\n" in body)
        gate.open()
        assert responses.stream(incoming.rest()).comments == 1


def test_streams_beside_each_other(gateway, chat_server):
    """Two streams on one worker keep their text apart."""
    gates = [Gate(), Gate()]
    with ExitStack() as stack:
        clients = []
        for number, gate in enumerate(gates, 1):
            begun = chunk({"content": f"{number}{number}"})
            chat_server.next(sse(begun, gate, chunk({"content": f"-{number}"}), chunk({}, "stop"), "[DONE]"))
            clients.append(stack.enter_context(open_stream(gateway)))
            chat_server.wait_request(number)
        incoming = [client.answer() for client in clients]
        for number, one in enumerate(incoming, 1):
            one.read_until(lambda body, number=number: f'"delta":"{number}{number}"'.encode() in body)
        for gate in reversed(gates):
            gate.open()
        for number, one in enumerate(incoming, 1):
            assert responses.stream(one.rest()).deltas == [f"{number}{number}", f"-{number}"]
