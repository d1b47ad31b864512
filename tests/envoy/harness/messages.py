"""Anthropic's Messages API through the gateway, in front of servers that speak only chat completions."""

from __future__ import annotations

import json
from typing import Any

from .client import Response
from .envoy import Envoy
from .script import Answer
from .upstream import Upstream

Json = dict[str, Any]

PATH = "/v1/messages"
REQUEST_ID = "11111111-2222-4333-8444-555555555555"
FIELDS = [("x-request-id", REQUEST_ID), ("anthropic-version", "2023-06-01")]

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def ask(**fields: Any) -> Json:
    """A small request with other members."""
    hi = [{"role": "user", "content": "hi"}]
    return {"model": "alpha/m", "max_tokens": 100, "messages": hi, **fields}


def post(gateway: Envoy, body: bytes | Json, path: str = PATH, **how: Any) -> Response:
    """POST /v1/messages."""
    fields = [*FIELDS, *how.pop("fields", ())]
    return gateway.post(path, body, fields=fields, **how)


def type_of(status: int) -> str:
    """Anthropic's error type for a status."""
    return TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_of(body: bytes, status: int) -> str:
    """The message of an error body, which is Anthropic's envelope and nothing else."""
    told = json.loads(body)
    assert list(told) == ["type", "error", "request_id"], told
    assert told["type"] == "error", told
    assert list(told["error"]) == ["type", "message"], told
    assert told["error"]["type"] == type_of(status), (status, told)
    assert told["error"]["message"].strip(), told
    assert told["request_id"] in (None, REQUEST_ID), told
    return told["error"]["message"]


def error(reply: Response, status: int, code: str | None = None) -> str:
    """The answer is an error with this status; with `code` it is the gateway's own."""
    assert reply.status == status, (reply.status, reply.body)
    assert reply.complete
    assert reply.header("content-type") == "application/json", reply
    assert reply.header("content-length") == str(len(reply.body)), reply
    message = error_of(reply.body, status)
    assert reply.header("x-langwatch-error") == code, (reply.fields, message)
    if code:
        assert message.endswith(f" ({code})"), message
    return message


def events(body: bytes) -> list[tuple[str, Json]]:
    """The events of a stream, each framed as the API frames it."""
    assert body.endswith(b"\n\n"), body[-200:]
    told = []
    for event in body[:-2].split(b"\n\n"):
        name, data = event.split(b"\n")
        assert name.startswith(b"event: ") and data.startswith(b"data: "), event
        payload = json.loads(data[6:])
        assert payload["type"] == name[7:].decode(), event
        told.append((payload["type"], payload))
    return told


def assembled(body: bytes) -> tuple[Json, Json | None]:
    """The message that a stream's events make, put together as the official SDKs do and held against the API's grammar;
    and the error that it ended in, if it did."""
    message: Json = {}
    open_json: str | None = None
    is_open, is_over = False, False
    for name, data in events(body):
        assert not is_over, f"behind the end: {data}"
        if name == "ping":
            assert data == {"type": "ping"}
            continue
        if name == "error":
            assert list(data) == ["type", "error", "request_id"], data
            return message, data
        assert bool(message) != (name == "message_start"), data
        content = message.get("content", [])
        if name == "message_start":
            message = dict(data["message"])
            assert message["content"] == [] and message["stop_reason"] is None
        elif name == "content_block_start":
            assert not is_open and data["index"] == len(content), data
            content.append(dict(data["content_block"]))
            is_open, open_json = True, ""
        elif name == "content_block_delta":
            assert is_open and data["index"] == len(content) - 1, data
            kind, member = {
                "text": ("text_delta", "text"),
                "thinking": ("thinking_delta", "thinking"),
                "tool_use": ("input_json_delta", "partial_json"),
            }[content[-1]["type"]]
            assert data["delta"]["type"] == kind and data["delta"][member], data
            if member == "partial_json":
                open_json += data["delta"][member]
            else:
                content[-1][member] += data["delta"][member]
        elif name == "content_block_stop":
            assert is_open and data["index"] == len(content) - 1, data
            if open_json:
                content[-1]["input"] = _partial(open_json)
            is_open = False
        elif name == "message_delta":
            assert not is_open
            message.update(data["delta"], usage=data["usage"])
        else:
            assert name == "message_stop", data
            is_over = True
    assert is_over, "no end"
    well_formed(message)
    return message, None


def _partial(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None  # cut by max_tokens


def well_formed(message: Json) -> None:
    """Why a message ended agrees with what is in it."""
    assert message["type"] == "message" and message["role"] == "assistant", message
    assert message["id"].startswith("msg_"), message
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    ids = [call["id"] for call in calls]
    assert len(set(ids)) == len(ids), ids
    assert message["stop_reason"] in {
        "end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"}  # fmt: skip
    assert calls or message["stop_reason"] != "tool_use", message
    assert not calls or message["stop_reason"] not in ("end_turn", "stop_sequence"), message
    assert all(block.get("text") != "" for block in message["content"]), message


def plain(gateway: Envoy, server: Upstream, scripted: Answer, **fields: Any) -> Json:
    """What a client gets that asks in one piece, when its server answers as scripted."""
    server.next(scripted)
    reply = post(gateway, ask(**fields))
    assert reply.status == 200, (reply.status, reply.body)
    assert reply.header("content-type") == "application/json"
    message = reply.json()
    well_formed(message)
    return message


def streamed(gateway: Envoy, server: Upstream, scripted: Answer, **fields: Any) -> Json:
    """What a client makes of a stream."""
    server.next(scripted)
    reply = post(gateway, ask(stream=True, **fields))
    assert reply.status == 200, (reply.status, reply.body)
    assert reply.header("content-type") == "text/event-stream"
    assert reply.header("content-length") is None
    message, failed = assembled(reply.body)
    assert failed is None, failed
    return message


def comparable(message: Json) -> Json:
    """A message without what is random in it."""
    return {name: value for name, value in message.items() if name != "id"}
