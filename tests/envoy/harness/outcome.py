"""What an answer says to a client, and whether that is what a recorded quirk expects.

The same `Outcome` is made from raw bytes, by openai-python and by openai-node; one comparison serves
all three.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NoReturn

from . import expect
from .client import Response

Json = dict[str, Any]

FINISH_REASONS = {None, "stop", "length", "tool_calls", "content_filter", "function_call"}
EVENT = re.compile(rb"data: ([^\r\n]+)\n\n|:[^\r\n]*\n\n")
"""Canonical framing: one `data` line an event, comments between events, nothing else."""


@dataclass
class Outcome:
    """What a client made of one answer. `status` and `done` are None where an SDK does not tell."""

    kind: Literal["sse", "json", "json_error", "transcript_sse", "responses_sse", "other"]
    status: int | None = 200
    text: str = ""
    finish_reason: str | None = None
    usage: Json | None = None
    tool_calls: list[Json] = field(default_factory=list)
    done: bool | None = None
    error: Json | None = None
    body: Any = None
    content_type: str | None = None
    exception: str | None = None
    """The name of what an SDK raised."""

    def add_chunk(self, chunk: Json) -> None:
        """Takes one chunk of a chat or text completion, as SDKs do."""
        if chunk.get("usage"):
            self.usage = chunk["usage"]
        for choice in chunk["choices"]:
            delta = choice.get("delta") or {}
            assert choice.get("finish_reason") in FINISH_REASONS, chunk
            self.text += choice.get("text") or delta.get("content") or ""
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            for call in delta.get("tool_calls") or []:
                self._add_tool_call(call)

    def _add_tool_call(self, call: Json) -> None:
        index = call["index"]
        assert 0 <= index <= len(self.tool_calls), f"tool call {index} without those before it"
        if index == len(self.tool_calls):
            self.tool_calls.append({"id": None, "name": "", "arguments": ""})
        known, function = self.tool_calls[index], call.get("function") or {}
        known["id"] = call.get("id") or known["id"]
        known["name"] = function.get("name") or known["name"]
        known["arguments"] += function.get("arguments") or ""


def events(body: bytes) -> list[bytes]:
    """The payloads of a stream in canonical framing; anything else is a failure."""
    payloads, at = [], 0
    while at < len(body):
        event = EVENT.match(body, at)
        assert event, f"not canonical at {at}: {body[at : at + 120]!r}"
        at = event.end()
        if event[1] is not None:
            payloads.append(event[1])
    return payloads


def strict_json(text: bytes) -> Any:
    """JSON as the standard has it: UTF-8, no NaN, no infinity."""
    return json.loads(text.decode(), parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def read(response: Response, accept_other: bool = False) -> Outcome:
    """The outcome of a whole answer, whose framing must be canonical. `accept_other`: it may be neither
    JSON nor an event stream."""
    assert response.complete, f"the answer was cut after {response.body[-200:]!r}"
    if response.header("content-encoding") == "gzip":
        response = replace(response, body=gzip.decompress(response.body))
    kind = response.header("content-type")
    if response.status >= 400:
        error = expect.envelope(response)
        return Outcome("json_error", response.status, error=error, body=strict_json(response.body))
    if kind == "text/event-stream":
        if b'"type":"transcript.' in response.body:
            return read_transcript(response)
        return read_stream(response)
    if kind != "application/json" and accept_other:
        return Outcome("other", response.status, body=response.body, content_type=kind)
    assert kind == "application/json", kind
    length = response.header("content-length")
    assert length in (None, str(len(response.body))), length
    return Outcome("json", response.status, body=strict_json(response.body))


def read_stream(response: Response) -> Outcome:
    """The outcome of a stream: chunks of one kind, at most one error, which is not the first event,
    and `[DONE]` as its last event."""
    assert response.header("content-length") is None
    outcome = Outcome("sse", response.status)
    *chunks, last = events(response.body)
    assert last == b"[DONE]", f"the stream ends with {last[-300:]!r}"
    assert response.body.endswith(b"data: [DONE]\n\n"), response.body[-100:]
    outcome.done = True
    objects: set[str] = set()
    for payload in chunks:
        chunk = strict_json(payload)
        assert outcome.error is None, f"after the error came {payload!r}"
        if error := chunk.get("error"):
            assert objects, "an error that is the first event has an HTTP status"
            assert list(chunk) == ["error"], payload
            assert {"message", "type", "param", "code"} <= set(error), payload
            outcome.error = error
        else:
            objects.add(chunk["object"])
            assert len(objects) == 1, f"chunks of {objects}"
            assert objects <= {"chat.completion.chunk", "text_completion"}, payload
            assert isinstance(chunk["choices"], list), payload
            outcome.add_chunk(chunk)
    return outcome


def read_transcript(response: Response) -> Outcome:
    """The outcome of a transcription's stream: deltas, and exactly one last event with all the text."""
    assert response.header("content-length") is None
    payloads = events(response.body)
    if payloads[-1:] == [b"[DONE]"]:
        payloads.pop()
    *deltas, last = map(strict_json, payloads)
    assert last["type"] == "transcript.text.done", last
    assert {delta["type"] for delta in deltas} <= {"transcript.text.delta"}, deltas
    text = "".join(delta["delta"] for delta in deltas)
    assert last["text"] == text, f"{last} does not hold the deltas {text!r}"
    return Outcome("transcript_sse", response.status, text=text)


def differences(expected: Json, outcome: Outcome) -> str | None:
    """What differs from the expectation of a quirk, or None."""
    if "one_of" in expected:
        found = [differences(one, outcome) for one in expected["one_of"]]
        return None if None in found else " / ".join(map(str, found))
    statuses = {expected["status"], *expected.get("status_alternatives", [])}
    if outcome.status not in statuses | {None}:
        return f"status {outcome.status}, not {statuses}"
    # The alternative to an error event in a stream is an HTTP error.
    early = expected["kind"].endswith("sse") and (outcome.status or 200) >= 400
    kind = "json_error" if early else expected["kind"]
    if kind == "passthrough_type":
        same = outcome.kind == "other" and outcome.content_type == expected["content_type"]
        return None if same else f"{outcome}, not {expected['content_type']}"
    if outcome.kind != kind:
        return f"{outcome.kind}, not {kind}: {outcome}"
    wanted = expected.get("error")
    if wanted:
        wanted = {**wanted, **{key: expected[key] for key in ("code", "type") if key in expected}}
    if (wanted is None) != (outcome.error is None):
        return f"error {outcome.error}, not {wanted}"
    if wanted and (found := _error(wanted, outcome.error or {}, expected)):
        return found
    if kind == "json":
        body = expected["body_subset"]
        if "usage" in expected:
            body = {**body, "usage": expected["usage"]}
        return _subset(body, outcome.body)
    if early or not kind.endswith("sse"):
        return None
    return _stream(expected, outcome)


def _stream(expected: Json, outcome: Outcome) -> str | None:
    if "text_len" in expected:
        start = expected["text"].partition("...")[0]
        same = len(outcome.text) == expected["text_len"] and outcome.text.startswith(start)
    else:
        same = outcome.text == expected["text"]
    if not same:
        return f"text {outcome.text[:200]!r}, not {expected['text']!r}"
    if outcome.finish_reason != expected.get("finish_reason"):
        return f"finish_reason {outcome.finish_reason}, not {expected.get('finish_reason')}"
    if outcome.done is False:
        return "no [DONE]"
    if "usage" in expected and (found := _subset(expected["usage"], outcome.usage)):
        return f"usage: {found}"
    return _tool_calls(expected.get("tool_calls", []), outcome.tool_calls)


def _tool_calls(wanted: list[Json], given: list[Json]) -> str | None:
    if len(wanted) != len(given):
        return f"tool calls {given}, not {wanted}"
    for want, have in zip(wanted, given, strict=True):
        made_up = want["id"].startswith("<")
        if not have["id"] or not (made_up or want["id"] == have["id"]):
            return f"tool call id {have['id']!r}, not {want['id']!r}"
        if {**want, "id": ""} != {**have, "id": ""}:
            return f"tool call {have}, not {want}"
    return None


def _error(wanted: Json, given: Json, expected: Json) -> str | None:
    """Null members are not compared; codes loosely."""
    for name, want in wanted.items():
        have = given.get(name)
        if want is None or (name == "message" and want.startswith("<generic:")):
            continue
        same = str(have) == str(want) if name == "code" else have == want
        if name == "message" and "message_contains" in expected:
            same = want in (have or "")
        if not same:
            return f"error.{name} {have!r}, not {want!r}"
    return None if given.get("message") else f"no message: {given}"


def _subset(wanted: Any, given: Any) -> str | None:
    """Objects member by member, lists one to one; null is not compared."""
    if wanted is None:
        return None
    if isinstance(wanted, dict) and isinstance(given, dict):
        if missing := set(wanted) - set(given):
            return f"no {missing} in {given}"
        pairs = [(wanted[name], given[name]) for name in wanted]
    elif isinstance(wanted, list) and isinstance(given, list) and len(wanted) == len(given):
        pairs = list(zip(wanted, given, strict=True))
    else:
        return None if wanted == given else f"{given}, not {wanted}"
    return next((found for pair in pairs if (found := _subset(*pair))), None)
