"""The grammar of a Responses event stream: what every stream that the gateway writes has to obey.

`check(body)` reads a whole stream and fails at the first rule that it breaks:

1. framing: blocks of one `event:` and one `data:` line that agree, comments between them, no `[DONE]`;
2. `sequence_number` counts from 0 without a gap;
3. `response.created`, `response.in_progress`, …, and exactly one `response.completed`, `.incomplete`
   or `.failed`, which is the last, all of the same Response;
4. items begin at contiguous `output_index`es and end in their order; parts of one item likewise, one
   after the other; nothing is said of an item before it began or after it ended;
5. within a part, or a call, the deltas joined are what its `done` event says, what the part says and
   what the finished item says; each `done` comes exactly once, also after no delta;
6. a finished item is the item in the last event's `output`; the beginnings differ from it only in what
   was still to come;
7. every event, and the final Response, is of the SDK's own type (`responses_types`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from . import responses_types

Json = dict[str, Any]

LAST = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
PARTS = {  # kind of part: (prefix of its events, member with its text)
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_text", "text"),
}
CALLS = {  # kind of item: (prefix of its events, member with its text)
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}
GROWING = {"status", "content", "summary", "arguments", "input", "encrypted_content"}
"""Members of an item that need not be at its beginning what they are at its end."""


class Broken(AssertionError):
    """A stream that breaks a rule of the grammar."""


def _hold(right: bool, rule: str, *seen: object) -> None:
    if not right:
        raise Broken(": ".join([rule, *(str(each)[:600] for each in seen)]))


@dataclass
class Checked:
    """A stream that obeys the grammar."""

    events: list[Json]
    comments: int
    deltas: list[str] = field(default_factory=list)
    """Every delta in order, of whatever kind."""

    @property
    def kinds(self) -> list[str]:
        return [event["type"].removeprefix("response.") for event in self.events]

    @property
    def final(self) -> Json:
        """The Response of the last event."""
        return self.events[-1]["response"]


def read(body: bytes) -> tuple[list[Json], int]:
    """The events of a whole body, by rule 1, and how many comments were between them."""
    _hold(b"[DONE]" not in body, "no [DONE]")
    _hold(body.endswith(b"\n\n"), "the last event is whole", body[-100:])
    events, comments = [], 0
    for block in body[:-2].decode().split("\n\n"):
        lines = block.split("\n")
        if all(line.startswith(":") for line in lines):
            comments += 1
            continue
        named = len(lines) == 2 and lines[0].startswith("event: ") and lines[1].startswith("data: ")
        _hold(named, "an event is an event: and a data: line", block)
        event = json.loads(lines[1][6:])
        _hold(event["type"] == lines[0][7:], "event: and type agree", block)
        events.append(event)
    return events, comments


def check(body: bytes) -> Checked:
    """The events of a stream, when it obeys every rule."""
    events, comments = read(body)
    checked = Checked(events, comments)
    _hold(len(events) >= 3, "a stream has a beginning and an end", events)
    numbers = [event.get("sequence_number") for event in events]
    _hold(numbers == list(range(len(events))), "sequence_number counts from 0", numbers)
    for event in events:
        responses_types.event(event)
    _frame(events)
    items = _Items()
    for event in events[2:-1]:
        items.take(event)
        if "delta" in event:
            checked.deltas.append(event["delta"])
    items.compare(events[-1])
    return checked


def _frame(events: list[Json]) -> None:
    """Rule 3."""
    kinds = [event["type"] for event in events]
    _hold(kinds[:2] == ["response.created", "response.in_progress"], "how it begins", kinds[:3])
    _hold(kinds[-1] in LAST, "how it ends", kinds[-1])
    for kind in kinds[2:-1]:
        outer = kind in LAST or kind in ("response.created", "response.in_progress", "error")
        _hold(not outer, "one beginning and one end", kind)
    final = events[-1]["response"]
    _hold(final["status"] == LAST[kinds[-1]], "status agrees with the event", final["status"], kinds[-1])
    _ending(final)
    for event in events[:2]:
        begun = event["response"]
        _hold(begun["status"] == "in_progress", "it begins in progress", begun["status"])
        _hold(begun["output"] == [], "it begins without output", begun["output"])
        for name in ("usage", "error", "incomplete_details"):
            _hold(begun[name] is None, f"it begins without {name}", begun[name])
        later = {"status", "output", "usage", "error", "incomplete_details", "completed_at"}
        kept = {name: value for name, value in final.items() if name not in later}
        same = {name: value for name, value in begun.items() if name not in later}
        # A server may name itself, or the tier that served, only in what it says later.
        for name in ("service_tier",):
            kept.pop(name, None), same.pop(name, None)
        _hold(same == kept, "one Response from beginning to end", same, kept)


def _ending(final: Json) -> None:
    """What the members of a finished Response have to do with its status."""
    status = final["status"]
    _hold((final["error"] is not None) == (status == "failed"), "error goes with failed", final)
    incomplete = final["incomplete_details"] is not None
    _hold(incomplete == (status == "incomplete"), "details go with incomplete", final)
    statuses = [item.get("status", "completed") for item in final["output"]]
    _hold("in_progress" not in statuses, "nothing is in progress at the end", statuses)
    if status == "completed":
        _hold(set(statuses) <= {"completed"}, "a completed Response has completed items", statuses)
    if usage := final["usage"]:
        total = usage["input_tokens"] + usage["output_tokens"]
        _hold(usage["total_tokens"] == total, "the tokens add up", usage)


@dataclass
class _Text:
    """The text of a part or a call as its events tell it."""

    prefix: str
    member: str
    told: str = ""
    said: str | None = None
    """What the `done` event said."""

    def take(self, kind: str, event: Json) -> None:
        _hold(self.said is None, "nothing follows its done", event)
        if kind == f"{self.prefix}.delta":
            _hold(event["delta"] != "", "a delta says something", event)
            self.told += event["delta"]
        else:
            _hold(kind == f"{self.prefix}.done", f"an event of {self.prefix}", event)
            self.said = event[self.member]
            _hold(self.said == self.told, "deltas joined are the done text", self.told, self.said)


class _Item:
    """One output item between its `added` and its `done`."""

    def __init__(self, begun: Json) -> None:
        self.begun = begun
        self.done: Json | None = None
        self.part: _Text | None = None
        self.annotations: list[Json] = []
        """Those of the open part."""
        self.parts: dict[str, list[Json]] = {"content": [], "summary": []}
        kind = begun["type"]
        known = kind in CALLS or kind in ("message", "reasoning")
        _hold(known, "an item that a chat answer can hold", kind)
        self.call = _Text(*CALLS[kind]) if kind in CALLS else None
        _hold(begun.get("status", "in_progress") == "in_progress", "an item begins in progress", begun)
        _hold(not any(begun.get(name) for name in GROWING - {"status"}), "an item begins empty", begun)

    def take(self, kind: str, event: Json) -> None:
        """Any event about the item but its first."""
        _hold(self.done is None, "nothing follows the end of an item", event)
        if kind == "response.output_item.done":
            self._end(event["item"])
            return
        _hold(event["item_id"] == self.begun["id"], "item_id is the item's", event, self.begun)
        if self.call:
            self.call.take(kind, event)
            if kind == "response.function_call_arguments.done":
                _hold(event["name"] == self.begun["name"], "arguments name their function", event)
            return
        place = "summary" if "reasoning_summary" in kind else "content"
        index = event[f"{place}_index"]
        if kind in ("response.content_part.added", "response.reasoning_summary_part.added"):
            _hold(self.part is None, "a part begins after the one before ended", event)
            _hold(index == len(self.parts[place]), f"{place}_index is contiguous", event)
            self.part = _Text(*PARTS[event["part"]["type"]])
            empty = not event["part"][self.part.member] and not event["part"].get("annotations")
            _hold(empty, "a part begins empty", event)
            self.annotations = []
            self.parts[place].append(event["part"])
            return
        _hold(self.part is not None, "a part begins before anything of it", event)
        assert self.part
        if kind == "response.output_text.annotation.added":
            known = len(self.annotations)
            _hold(event["annotation_index"] == known, "annotation_index is contiguous", event)
            self.annotations.append(event["annotation"])
            return
        _hold(index == len(self.parts[place]) - 1, f"{place}_index is the open part's", event)
        if kind in ("response.content_part.done", "response.reasoning_summary_part.done"):
            _hold(self.part.said is not None, "a part's text ends before the part", event)
            part, begun = event["part"], self.parts[place][-1]
            _hold(part["type"] == begun["type"], "a part keeps its type", begun, part)
            _hold(part[self.part.member] == self.part.said, "the part says its text", part, self.part.said)
            told = self.annotations
            _hold(part.get("annotations", []) == told, "the part has its annotations", part, told)
            self.parts[place][-1] = part
            self.part = None
            return
        self.part.take(kind, event)

    def _end(self, item: Json) -> None:
        _hold(self.part is None, "an item's parts end before it", item)
        constant = {name: value for name, value in item.items() if name not in GROWING}
        begun = {name: value for name, value in self.begun.items() if name not in GROWING}
        _hold(constant == begun, "an item keeps what it began with", begun, constant)
        if self.call:
            _hold(self.call.said is not None, "a call's text ends before the call", item)
            _hold(item[self.call.member] == self.call.said, "the call says its text", item, self.call.said)
        for place in ("content", "summary"):
            if not self.call:
                _hold((item.get(place) or []) == self.parts[place], f"the parts are its {place}", item)
        _hold(item.get("status") != "in_progress", "a finished item isn't in progress", item)
        self.done = item


class _Items:
    """Rules 4 and 6 over the items of a stream."""

    def __init__(self) -> None:
        self.items: list[_Item] = []

    def take(self, event: Json) -> None:
        kind, index = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            _hold(index == len(self.items), "output_index is contiguous", event)
            ids = {item.begun["id"] for item in self.items}
            _hold(event["item"]["id"] not in ids, "each item has its own id", event)
            self.items.append(_Item(event["item"]))
            return
        _hold(0 <= index < len(self.items), "an item begins before anything of it", event)
        if kind == "response.output_item.done":
            open_before = [at for at in range(index) if self.items[at].done is None]
            _hold(not open_before, "items end in their order", event, open_before)
        self.items[index].take(kind, event)

    def compare(self, last: Json) -> None:
        output = last["response"]["output"]
        ended = [item.done for item in self.items if item.done is not None]
        if last["type"] != "response.failed":
            _hold(len(ended) == len(self.items), "every item ends", [it.begun for it in self.items])
        _hold(len(output) == len(self.items), "every item is in the output", output)
        for item, final in zip(self.items, output, strict=True):
            if item.done is not None:
                _hold(item.done == final, "the finished item is the final one", item.done, final)
            else:
                told = item.begun["id"] == final["id"] and item.begun["type"] == final["type"]
                _hold(told, "an item that was cut is the final one", item.begun, final)
        calls = [item["call_id"] for item in output if item["type"] in CALLS]
        _hold(len(set(calls)) == len(calls), "each call has its own call_id", calls)
