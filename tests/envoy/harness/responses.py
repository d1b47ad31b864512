"""The Responses API through the gateway, in front of servers that speak only chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import expect, responses_grammar, responses_types
from .client import Connection, Response
from .envoy import Envoy, headers
from .responses_grammar import Checked
from .responses_scenes import call
from .script import Answer, answer
from .upstream import Recorded, Upstream

Json = dict[str, Any]

PATH = "/v1/responses"
REQUEST_ID = "11111111-2222-4333-8444-555555555555"
"""Sent with every request: what the gateway makes of it, ids of the answer too, is the same each time."""
FIELDS = [("x-request-id", REQUEST_ID)]


def ask(**fields: Any) -> Json:
    """A small request with other members."""
    return {"model": "alpha/m", "input": "hi", **fields}


def post(gateway: Envoy, body: bytes | Json, **how: Any) -> Response:
    """POST /v1/responses."""
    fields = [*FIELDS, *how.pop("fields", ())]
    return gateway.post(PATH, body, fields=fields, **how)


def whole(reply: Response) -> Json:
    """The Response object of a good plain answer."""
    body = expect.good(reply).json()
    assert reply.header("content-type") == "application/json", reply
    responses_types.response(body)
    return body


def stream(reply: Response) -> Checked:
    """The events of a good stream, all of them within the grammar."""
    expect.good(reply)
    assert reply.header("content-type") == "text/event-stream", reply
    assert reply.header("content-length") is None
    return responses_grammar.check(reply.body)


def plain(gateway: Envoy, server: Upstream, scripted: Answer, **fields: Any) -> Json:
    """What a client gets that asks in one piece, when its server answers as scripted."""
    server.next(scripted)
    return whole(post(gateway, ask(**fields)))


def streamed(gateway: Envoy, server: Upstream, scripted: Answer, **fields: Any) -> Checked:
    """What a client gets that asks for a stream."""
    server.next(scripted)
    return stream(post(gateway, ask(stream=True, **fields)))


@contextmanager
def open_stream(gateway: Envoy, **fields: Any) -> Iterator[Connection]:
    """A connection on which a stream was asked for, and nothing is read yet."""
    body = json.dumps(ask(stream=True, **fields)).encode()
    length = ("content-length", str(len(body)))
    with gateway.connect() as client:
        client.send_head("POST", PATH, headers("main", "application/json", [*FIELDS, length]))
        client.send(body)
        yield client


def comparable(response: Json) -> Json:
    """A Response without the one member that says when it was made."""
    return {name: value for name, value in response.items() if name != "completed_at"}


def chat_only(upstream: Upstream) -> list[Recorded]:
    """The requests of an upstream, none of which may be to an API that it doesn't have."""
    for request in upstream.requests:
        assert request.path.partition("?")[0].endswith("/chat/completions"), request.path
    return upstream.requests


def chat_request(upstream: Upstream) -> Json:
    """The body of the only request, as what it has to be: a right request for a chat completion."""
    (request,) = chat_only(upstream)
    request.wait_complete()
    assert request.method == "POST"
    assert request.header("content-type") == "application/json"
    lengths = request.header("content-length"), request.header("transfer-encoding")
    assert lengths in ((str(len(request.body)), None), (None, "chunked")), lengths
    return json.loads(request.body)


def not_found(request: Recorded) -> Answer:
    """What a chat-only server says to /responses; to anything else, nothing good either."""
    return answer({"error": {"message": f"no {request.path} here"}}, 404)


# Items of a request, and the chat messages that they become


def item(role: str, *content: Json, **fields: Any) -> Json:
    """A message in parts."""
    return {"type": "message", "role": role, "content": list(content), **fields}


def text(value: Any, kind: str = "input_text") -> Json:
    """A part of a message."""
    return {"type": kind, "text": value}


def called(call_id: str, arguments: str = "{}", name: str = "f") -> Json:
    """A call that the model made."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id: str, value: Any) -> Json:
    """What became of a call."""
    return {"type": "function_call_output", "call_id": call_id, "output": value}


def user(content: Any) -> Json:
    """A user's message, which is the same in both APIs."""
    return {"role": "user", "content": content}


def assistant(content: Any, *calls: tuple[str, str, str]) -> Json:
    """The model's chat message, with its calls: id, name, arguments of each."""
    message = {"role": "assistant", "content": content}
    return {**message, "tool_calls": [call(*each) for each in calls]} if calls else message


def tool(call_id: str, content: str) -> Json:
    """The chat message with what became of a call."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}
