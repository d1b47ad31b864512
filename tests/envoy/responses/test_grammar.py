"""The checker of Responses streams can fail: each of its rules, on a stream that breaks that rule alone."""

from __future__ import annotations

import copy
import json

import pytest
from harness import responses_grammar, responses_types

REPEATED = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "model": "m",
    "output": [],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": None,
}
USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 5,
}


def text_item() -> list[dict]:
    """The events of a message, before they are numbered."""
    at = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    full = {**part, "text": "Hello"}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    done = {**item, "status": "completed", "content": [full]}
    return [
        {"type": "response.output_item.added", "output_index": 1, "item": item},
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.output_text.delta", **at, "delta": "Hel", "logprobs": []},
        {"type": "response.output_text.delta", **at, "delta": "lo", "logprobs": []},
        {"type": "response.output_text.done", **at, "text": "Hello", "logprobs": []},
        {"type": "response.content_part.done", **at, "part": full},
        {"type": "response.output_item.done", "output_index": 1, "item": done},
    ]


def reasoning_item() -> list[dict]:
    at = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    part = {"type": "reasoning_text", "text": "Hm"}
    item = {"id": "rs_1", "type": "reasoning", "status": "in_progress", "summary": [], "content": []}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        {"type": "response.reasoning_text.delta", **at, "delta": "Hm"},
        {"type": "response.reasoning_text.done", **at, "text": "Hm"},
        {"type": "response.content_part.done", **at, "part": part},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "status": "completed", "content": [part]},
        },
    ]


def calls() -> list[dict]:
    """Two parallel calls, interleaved; the second without arguments."""
    events: list[dict] = []
    done = []
    for number, arguments in ((2, "{}"), (3, "")):
        at = {"item_id": f"fc_{number}", "output_index": number}
        names = {"id": f"fc_{number}", "type": "function_call", "call_id": f"call_{number}", "name": "f"}
        item = {**names, "arguments": "", "status": "in_progress"}
        events.append({"type": "response.output_item.added", "output_index": number, "item": item})
        text = {"type": "response.function_call_arguments.done", **at, "name": "f", "arguments": arguments}
        full = {**item, "arguments": arguments, "status": "completed"}
        end = {"type": "response.output_item.done", "output_index": number, "item": full}
        done += [text, end]
    at = {"item_id": "fc_2", "output_index": 2}
    delta = {"type": "response.function_call_arguments.delta", **at, "delta": "{}"}
    return [*events, delta, *done]


def right() -> list[dict]:
    """A stream that obeys every rule."""
    events = [*reasoning_item(), *text_item(), *calls()]
    output = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    begun = REPEATED
    final = {**begun, "status": "completed", "output": output, "usage": USAGE}
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *events,
        {"type": "response.completed", "response": final},
    ]
    return [{**copy.deepcopy(event), "sequence_number": at} for at, event in enumerate(events)]


def written(events: list[dict]) -> bytes:
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    )


def renumbered(events: list[dict]) -> list[dict]:
    return [{**event, "sequence_number": at} for at, event in enumerate(events)]


def find(events: list[dict], kind: str, index: int = 1) -> int:
    """Where the event of a kind about an output item is."""
    for at, event in enumerate(events):
        if event["type"] == f"response.{kind}" and event.get("output_index", index) == index:
            return at
    raise AssertionError(kind)


def test_a_right_stream():
    checked = responses_grammar.check(b": waiting\n\n" + written(right()))
    assert checked.comments == 1
    assert "".join(checked.deltas) == "HmHello{}"
    assert checked.final["status"] == "completed"


@pytest.mark.parametrize(
    "body",
    [
        written(right()) + b"data: [DONE]\n\n",
        written(right())[:-1],
        written(right()).replace(b"event: response.created\n", b""),
        written(right()).replace(b"event: response.created\n", b"event: response.completed\n"),
        written(right()).replace(b"event: response.created\n", b"id: 1\nevent: response.created\n"),
        written(right()).replace(b"\n\nevent: response.in", b"\n\n\nevent: response.in"),
        written(right()[:2]),
        b"",
    ],
)
def test_framing(body):
    with pytest.raises(responses_grammar.Broken):
        responses_grammar.check(body)


def remove(kind, index=1):
    return lambda events: events.pop(find(events, kind, index))


def repeat(kind, index=1):
    return lambda events: events.insert(at := find(events, kind, index), copy.deepcopy(events[at]))


def swap(kind, other, index=1, other_index=1):
    def change(events):
        at, to = find(events, kind, index), find(events, other, other_index)
        events[at], events[to] = events[to], events[at]

    return change


def put(kind, value, *path, index=1):
    """Another value at a path of an event."""

    def change(events):
        place = events[find(events, kind, index)]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def end_last(events):
    """The end of the first call after that of the second."""
    events.insert(-1, events.pop(find(events, "output_item.done", 2)))


def second_end(events):
    events.append(copy.deepcopy(events[-1]))


def unfinished(events):
    del events[find(events, "output_item.done", 3)]


def cut_off(events):
    del events[-1]


def delta_of(index, kind="output_text.delta", **fields):
    def change(events):
        events[find(events, kind)].update(**fields, output_index=index)

    return change


BROKEN = {
    "no created": remove("created"),
    "two created": repeat("created"),
    "in_progress first": swap("created", "in_progress"),
    "no end": cut_off,
    "two ends": second_end,
    "something after the end": lambda events: events.append(events.pop(find(events, "output_item.done", 3))),
    "an item never begins": remove("output_item.added"),
    "an item never ends": unfinished,
    "an item ends twice": repeat("output_item.done"),
    "items end out of order": end_last,
    "an output_index is left out": delta_of(2, "output_item.added"),
    "a part never begins": remove("content_part.added"),
    "a part begins twice": repeat("content_part.added"),
    "a part never ends": remove("content_part.done"),
    "a part ends before its text": swap("output_text.done", "content_part.done"),
    "no text done": remove("output_text.done"),
    "text done twice": repeat("output_text.done"),
    "a delta after its done": swap("output_text.delta", "output_text.done"),
    "a delta too many": repeat("output_text.delta"),
    "an empty delta": put("output_text.delta", "", "delta"),
    "a delta of a part that isn't": put("output_text.delta", 1, "content_index"),
    "a part with a gap": put("content_part.added", 1, "content_index"),
    "a delta of another item": delta_of(0),
    "a delta of an item that isn't": delta_of(9),
    "a wrong item_id": put("output_text.delta", "msg_2", "item_id"),
    "the text done is not the deltas": put("output_text.done", "Hallo", "text"),
    "the part is not its text": put("content_part.done", "Hallo", "part", "text"),
    "the item is not its part": put("output_item.done", "Hallo", "item", "content", 0, "text"),
    "the item is not the final one": put("completed", "Hallo", "response", "output", 1, "content", 0, "text"),
    "the item changes": put("output_item.done", "msg_9", "item", "id"),
    "an item begins with text": put("output_item.added", [{"type": "output_text", "text": "H", "annotations": []}],
                                    "item", "content"),
    "an item begins completed": put("output_item.added", "completed", "item", "status"),
    "an item ends in progress": put("output_item.done", "in_progress", "item", "status"),
    "a part begins with text": put("content_part.added", "H", "part", "text"),
    "no arguments done": remove("function_call_arguments.done", 3),
    "arguments done twice": repeat("function_call_arguments.done", 3),
    "arguments that are not the deltas": put("function_call_arguments.done", "[]", "arguments", index=2),
    "arguments of another function": put("function_call_arguments.done", "g", "name", index=2),
    "a call that is not its arguments": put("output_item.done", "[]", "item", "arguments", index=2),
    "an output of fewer items": lambda events: events[-1]["response"]["output"].pop(),
    "status against the event": put("completed", "failed", "response", "status"),
    "an error in success": put("completed", {"code": "server_error", "message": "x"}, "response", "error"),
    "details in success": put("completed", {"reason": "max_output_tokens"}, "response", "incomplete_details"),
    "an unfinished item in success": put("completed", "incomplete", "response", "output", 1, "status"),
    "output at the beginning": put("created", [text_item()[-1]["item"]], "response", "output"),
    "usage at the beginning": put("in_progress", USAGE, "response", "usage"),
    "completed at the beginning": put("created", "completed", "response", "status"),
    "another id at the end": put("completed", "resp_2", "response", "id"),
    "another model at the beginning": put("created", "n", "response", "model"),
    "tokens that don't add up": put("completed", 6, "response", "usage", "total_tokens"),
}  # fmt: skip


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_broken_rule(change):
    events = right()
    change(events)
    with pytest.raises(responses_grammar.Broken):
        responses_grammar.check(written(renumbered(events)))


def test_one_id_for_two_items():
    body = written(right()).replace(b"fc_3", b"fc_2")
    with pytest.raises(responses_grammar.Broken, match="own id"):
        responses_grammar.check(body)


def test_one_call_id_for_two_calls():
    body = written(right()).replace(b"call_3", b"call_2")
    with pytest.raises(responses_grammar.Broken, match="own call_id"):
        responses_grammar.check(body)


@pytest.mark.parametrize("numbers", [lambda at: at + 1, lambda at: 0, lambda at: at - (at > 4)])
def test_numbers(numbers):
    events = [{**event, "sequence_number": numbers(at)} for at, event in enumerate(right())]
    with pytest.raises(responses_grammar.Broken, match="sequence_number"):
        responses_grammar.check(written(events))


MISTYPED = {
    "an unknown event": put("output_text.delta", "response.output_text.deltas", "type"),
    "a member of another type": put("output_text.delta", "1", "content_index"),
    "a member too many": put("output_text.delta", 1, "index"),
    "logprobs left out": lambda events: events[find(events, "output_text.delta")].pop("logprobs"),
    "item_id left out": lambda events: events[find(events, "output_text.done")].pop("item_id"),
    "annotations left out": lambda events: events[find(events, "content_part.done")]["part"].pop("annotations"),
    "no token details": lambda events: events[-1]["response"]["usage"].pop("input_tokens_details"),
    "a status that isn't": put("completed", "done", "response", "status"),
    "an error without a code": put("completed", {"code": "", "message": "x"}, "response", "error"),
    "an error without a message": put("completed", {"code": "oops"}, "response", "error"),
    "an item without its role": lambda events: events[find(events, "output_item.done")]["item"].pop("role"),
    "a member of an item too many": put("output_item.done", 1, "item", "index"),
}  # fmt: skip


@pytest.mark.parametrize("change", MISTYPED.values(), ids=MISTYPED)
def test_a_wrong_type(change):
    events = right()
    change(events)
    with pytest.raises(responses_types.Mistyped):
        responses_grammar.check(written(renumbered(events)))


@pytest.mark.parametrize("name", sorted(REPEATED))
def test_a_response_without_a_member(name):
    whole = {**REPEATED, "status": "completed", "usage": USAGE}
    responses_types.response(whole)
    del whole[name]
    with pytest.raises(responses_types.Mistyped, match=name):
        responses_types.response(whole)


def test_a_failed_stream_may_leave_items_open():
    events = right()
    final = events.pop()["response"]
    at = find(events, "output_text.done")
    del events[at:]
    error = {"code": "server_error", "message": "cut"}
    cut = {**final["output"][1], "status": "incomplete"}
    final.update(status="failed", error=error, output=[final["output"][0], cut])
    failed = {"type": "response.failed", "response": final}
    responses_grammar.check(written(renumbered([*events, failed])))
    final["output"].pop(0)
    with pytest.raises(responses_grammar.Broken):
        responses_grammar.check(written(renumbered([*events, failed])))
