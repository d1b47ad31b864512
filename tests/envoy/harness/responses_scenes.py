"""What a server that speaks only chat completions answers, in one piece and as a stream, and what the
Responses API has to make of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .script import Answer, answer, sse

Json = dict[str, Any]

SERVED = "served-model"
"""What the server calls its model."""
CREATED = 1_700_000_000
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
USAGE_DETAILS = {
    **USAGE,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


@dataclass(frozen=True)
class Scene:
    """One answer, both ways."""

    name: str
    message: Json
    deltas: tuple[Json, ...]
    output: tuple[tuple[str, ...], ...]
    """What `said` has to make of the Response."""
    finish: str = "stop"
    usage: Json | None = None
    usage_in: Literal["own chunk", "finish chunk"] = "own chunk"
    status: str = "completed"
    reason: str | None = None
    done: bool = True
    """Whether the stream ends with `[DONE]`."""

    def completion(self) -> Json:
        """The answer in one piece."""
        choice = {"index": 0, "message": self.message, "finish_reason": self.finish}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": SERVED}
        used = {"usage": self.usage} if self.usage else {}
        return {**head, "choices": [choice], **used}

    def chunks(self) -> list[Json | str]:
        """The events of its stream."""
        events: list[Json | str] = [chunk(delta) for delta in self.deltas]
        last = chunk({}, self.finish)
        if self.usage and self.usage_in == "finish chunk":
            last["usage"] = self.usage
        events.append(last)
        if self.usage and self.usage_in == "own chunk":
            events.append({**chunk({}), "choices": [], "usage": self.usage})
        return [*events, "[DONE]"] if self.done else events

    def plain(self, **how: Any) -> Answer:
        """Scripts the answer in one piece."""
        return answer(self.completion(), **how)

    def stream(self, **how: Any) -> Answer:
        """Scripts the answer as a canonical stream."""
        return sse(*self.chunks(), **how)


def chunk(delta: Json, finish: str | None = None) -> Json:
    """One chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": SERVED}
    return {**head, "choices": [choice]}


def call(id: str, name: str, arguments: str) -> Json:
    """A tool call of a whole message."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def begins(index: int, id: str, name: str, arguments: str = "") -> Json:
    """The delta in which a tool call begins."""
    return {"tool_calls": [{"index": index, **call(id, name, arguments)}]}


def goes_on(index: int, arguments: str) -> Json:
    """A delta with more of a tool call's arguments."""
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def _message(content: str | None = None, **fields: Any) -> Json:
    return {"role": "assistant", "content": content, **fields}


ROLE = {"role": "assistant", "content": ""}

TEXT = Scene(
    "text",
    _message("Hello there."),
    (ROLE, {"content": "Hello"}, {"content": " there."}),
    (("message", "Hello there."),),
    usage=USAGE,
)
REASONING = Scene(
    "reasoning, then text",
    _message("42.", reasoning_content="Six by seven."),
    (ROLE, {"reasoning_content": "Six by "}, {"reasoning_content": "seven."}, {"content": "42."}),
    (("reasoning", "Six by seven."), ("message", "42.")),
    usage=USAGE_DETAILS,
)
ONE_CALL = Scene(
    "one call",
    _message(tool_calls=[call("call_a", "get_weather", '{"city":"Bern"}')]),
    ({"role": "assistant", "content": None}, begins(0, "call_a", "get_weather"),
     goes_on(0, '{"city"'), goes_on(0, ':"Bern"}')),
    (("function_call", "call_a", "get_weather", '{"city":"Bern"}'),),
    finish="tool_calls",
    usage=USAGE,
)  # fmt: skip
CUT_BY_LENGTH = Scene(
    "length",
    _message("Once upon"),
    (ROLE, {"content": "Once "}, {"content": "upon"}),
    (("message", "Once upon"),),
    finish="length",
    usage=USAGE,
    status="incomplete",
    reason="max_output_tokens",
)

SCENES = [
    TEXT,
    REASONING,
    ONE_CALL,
    CUT_BY_LENGTH,
    Scene(
        "reasoning under its other name",
        _message("42.", reasoning="Six by seven."),
        (ROLE, {"reasoning": "Six by seven."}, {"content": "42."}),
        (("reasoning", "Six by seven."), ("message", "42.")),
    ),
    Scene(
        "reasoning, text and a call",
        _message(
            "I look.", reasoning_content="Look.", tool_calls=[call("call_a", "get_weather", "{}")]
        ),
        (ROLE, {"reasoning_content": "Look."}, {"content": "I "}, {"content": "look."},
         begins(0, "call_a", "get_weather"), goes_on(0, "{}")),
        (("reasoning", "Look."), ("message", "I look."),
         ("function_call", "call_a", "get_weather", "{}")),
        finish="tool_calls",
    ),  # fmt: skip
    Scene(
        "refusal",
        _message(refusal="I can't help with that."),
        ({"role": "assistant", "content": None}, {"refusal": "I can't "}, {"refusal": "help with that."}),
        (("refusal", "I can't help with that."),),
        usage=USAGE,
    ),
    Scene(
        "interleaved parallel calls",
        _message(
            tool_calls=[
                call("call_a", "get_weather", '{"city":"Bern"}'),
                call("call_b", "get_time", '{"zone":"CET"}'),
            ]
        ),
        (begins(0, "call_a", "get_weather"), begins(1, "call_b", "get_time"), goes_on(0, '{"city"'),
         goes_on(1, '{"zone":'), goes_on(0, ':"Bern"}'), goes_on(1, '"CET"}')),
        (("function_call", "call_a", "get_weather", '{"city":"Bern"}'),
         ("function_call", "call_b", "get_time", '{"zone":"CET"}')),
        finish="tool_calls",
    ),  # fmt: skip
    Scene(
        "calls in one delta each",
        _message(
            tool_calls=[call("call_a", "get_weather", '{"a":1}'), call("call_b", "get_time", "{}")]
        ),
        (begins(0, "call_a", "get_weather", '{"a":1}'), begins(1, "call_b", "get_time", "{}")),
        (("function_call", "call_a", "get_weather", '{"a":1}'),
         ("function_call", "call_b", "get_time", "{}")),
        finish="stop",
    ),  # fmt: skip
    Scene(
        "no arguments",
        _message(tool_calls=[call("call_a", "get_time", "")]),
        (begins(0, "call_a", "get_time"),),
        (("function_call", "call_a", "get_time", "{}"),),
        finish="tool_calls",
    ),
    Scene(
        "length within a call",
        _message(tool_calls=[call("call_a", "get_weather", '{"city":"Be')]),
        (begins(0, "call_a", "get_weather", '{"city"'), goes_on(0, ':"Be')),
        (("function_call", "call_a", "get_weather", '{"city":"Be'),),
        finish="length",
        status="incomplete",
        reason="max_output_tokens",
    ),
    Scene("nothing", _message(""), (ROLE,), ()),
    Scene(
        "content filter",
        _message("Well"),
        (ROLE, {"content": "Well"}),
        (("message", "Well"),),
        finish="content_filter",
        usage=USAGE,
        status="incomplete",
        reason="content_filter",
    ),
    Scene(
        "usage in the finish chunk",
        _message("Hi"),
        (ROLE, {"content": "Hi"}),
        (("message", "Hi"),),
        usage=USAGE,
        usage_in="finish chunk",
    ),
    Scene("no usage", _message("Hi"), (ROLE, {"content": "Hi"}), (("message", "Hi"),)),
    Scene("usage, no [DONE]", _message("Hi"), ({"content": "Hi"},), (("message", "Hi"),), usage=USAGE, done=False),
    Scene("no [DONE]", _message("Hi"), (ROLE, {"content": "Hi"}), (("message", "Hi"),), done=False),
    Scene(
        "characters of every kind",
        _message("a\u0000\u2028\"\\\n\u00e9\u4e2d\U0001f600</s>data: x\n\nevent: y"),
        (ROLE, {"content": "a\u0000\u2028\"\\\n\u00e9"}, {"content": "\u4e2d\U0001f600</s>data: x\n\nev"},
         {"content": "ent: y"}),
        (("message", "a\u0000\u2028\"\\\n\u00e9\u4e2d\U0001f600</s>data: x\n\nevent: y"),),
    ),  # fmt: skip
]


def said(response: Json) -> tuple[tuple[str, ...], ...]:
    """The output of a Response in short: the text of each part of messages and reasoning, each call."""
    short: list[tuple[str, ...]] = []
    for item in response["output"]:
        kind = item["type"]
        if kind == "function_call":
            short.append((kind, item["call_id"], item["name"], item["arguments"]))
        elif kind == "custom_tool_call":
            short.append((kind, item["call_id"], item["name"], item["input"]))
        for part in [*(item.get("summary") or []), *(item.get("content") or [])]:
            text = part["refusal"] if part["type"] == "refusal" else part["text"]
            short.append(("refusal" if part["type"] == "refusal" else kind, text))
    return tuple(short)


def holds(response: Json, scene: Scene) -> None:
    """The Response is what the scene has to become."""
    assert said(response) == scene.output
    assert response["status"] == scene.status
    assert response["incomplete_details"] == (scene.reason and {"reason": scene.reason})
    assert (response["model"], response["created_at"]) == (SERVED, CREATED)
    usage = response["usage"]
    if scene.usage is None:
        assert usage is None
        return
    assert usage["input_tokens"] == scene.usage["prompt_tokens"]
    assert usage["output_tokens"] == scene.usage["completion_tokens"]
    cached = scene.usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    assert usage["input_tokens_details"]["cached_tokens"] == cached
    thought = scene.usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    assert usage["output_tokens_details"]["reasoning_tokens"] == thought
