"""The Responses API through the gateway, in front of servers that speak only chat completions."""

from __future__ import annotations

import json
from typing import Any

from . import expect, responses_grammar, responses_types
from .client import Response
from .envoy import Envoy
from .responses_grammar import Checked
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


def comparable(response: Json) -> Json:
    """A Response without the one member that says when it was made."""
    return {name: value for name, value in response.items() if name != "completed_at"}


def chat_only(upstream: Upstream) -> list[Recorded]:
    """The requests of an upstream, none of which may be to an API that it doesn't have."""
    for request in upstream.requests:
        assert request.path.endswith("/chat/completions"), request.path
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
