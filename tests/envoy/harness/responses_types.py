"""What openai-python's own types say of a Response and of its events, more strictly than the SDK reads."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

from openai.types import responses as types
from pydantic import BaseModel, ValidationError

NULLABLE = {
    *("error", "incomplete_details", "instructions", "max_output_tokens", "metadata", "previous_response_id"),
    *("reasoning", "status", "temperature", "text", "top_p", "truncation", "usage"),
}
"""Members that Python's type lets be absent, and that the API always writes: null where there is
nothing to say. The SDK for Node declares the most of them as never absent."""

ECHOES = {"instructions", "metadata", "text", "tool_choice", "tools"}
"""Members that repeat what the client sent: what it may write there is not the answer's affair."""

UNTYPED = {
    ("Response", "store"),
    ("ResponseCustomToolCall", "status"),
    ("ResponseFunctionCallArgumentsDoneEvent", "name"),  # required by the type of the SDK for Node
    *(("Logprob", "bytes"), ("LogprobTopLogprob", "bytes")),  # of events; those of items name it
}
"""What the API writes and the types don't name."""


class Mistyped(AssertionError):
    """The value isn't what the SDK's type says."""


@cache
def _of_union(union: Any) -> dict[str, type[BaseModel]]:
    """The members of a union by what their `type` has to be."""
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["type"].annotation)[0]: member for member in members}


def _checked(model: type[BaseModel], value: Any) -> None:
    try:
        parsed = model.model_validate(value, strict=True)
    except ValidationError as error:
        raise Mistyped(f"{model.__name__}: {error}") from None
    _nothing_unknown(parsed, model.__name__)


def _nothing_unknown(value: Any, where: str) -> None:
    """No object has a member that its type doesn't know (the SDK's models let them pass)."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            _nothing_unknown(each, f"{where}[{index}]")
    if not isinstance(value, BaseModel):
        return
    name = type(value).__name__
    unknown = {key for key in value.model_extra or {} if (name, key) not in UNTYPED}
    if unknown:
        raise Mistyped(f"{where}: {name} has no {sorted(unknown)}")
    for field in type(value).model_fields:
        if not (name == "Response" and field in ECHOES):
            _nothing_unknown(getattr(value, field), f"{where}.{field}")


def _any_code(value: dict[str, Any]) -> dict[str, Any]:
    """The Response with a code of errors that the type lists. No SDK holds a server to the list, each
    has another one, and clients look for codes that none has (`context_length_exceeded`)."""
    error = value.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("code"), str) or not error["code"]:
        return value
    return {**value, "error": {**error, "code": "server_error"}}


def event(value: dict[str, Any]) -> None:
    """An event of a Responses stream, with all that its type requires and nothing that it doesn't know."""
    model = _of_union(types.ResponseStreamEvent).get(value.get("type"))
    if model is None:
        raise Mistyped(f"no event is of type {value.get('type')!r}")
    if "response" in value:
        value = {**value, "response": _any_code(value["response"])}
    _checked(model, value)
    if "response" in value:
        _all_members(value["response"])


def response(value: dict[str, Any]) -> None:
    """A whole Response object."""
    _checked(types.Response, _any_code(value))
    _all_members(value)


def _all_members(value: dict[str, Any]) -> None:
    if absent := NULLABLE - set(value):
        raise Mistyped(f"the Response lacks {sorted(absent)}")


__all__ = ["Mistyped", "event", "response"]
