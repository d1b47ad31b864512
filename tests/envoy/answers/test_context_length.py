"""A full context: whatever the words and the status, clients find OpenAI's code, and status 400."""

from __future__ import annotations

import json

import pytest
from harness import answer, expect, openai_shapes, responses, sse
from harness.responses import ask, streamed
from harness.responses_scenes import chunk

PLAIN = {"model": "alpha/m", "messages": []}
STREAM = {**PLAIN, "stream": True}
CODE = "context_length_exceeded"
WORDINGS = {
    "vLLM": (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion)."),
    "llama.cpp": (400, {"error": {"code": 400, "message": "request (9 tokens) exceeds the available context size (8 tokens), try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8}}),
    "llama.cpp, while it answers": (500, {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}),
    "Ollama": (500, {"error": "the input length exceeds the context length"}),
    "TGI": (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000", "error_type": "validation"}),
    "TEI": (413, {"message": "Input validation error: `inputs` must have less than 512 tokens. Given: 600", "code": 413, "type": "Validation"}),
    "Mistral": (400, {"object": "error", "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", "type": "invalid_request_prompt", "code": 3051}),
    "text": (500, "prompt is too long: 210000 tokens > 200000 maximum"),
}  # fmt: skip
EVENT = {"error": {"message": "Context size has been exceeded.", "type": "server_error", "code": 500}}


@pytest.mark.parametrize("asked", [PLAIN, STREAM], ids=["JSON", "stream"])
@pytest.mark.parametrize(("status", "body"), WORDINGS.values(), ids=WORDINGS)
def test_a_full_context_has_openais_code(gateway, upstreams, status, body, asked):
    upstreams["alpha"].next(answer(body, status))
    reply = gateway.post(body=asked)
    error = expect.envelope(reply)
    assert (reply.status, error["code"]) == (400, CODE)
    assert error["type"] not in ("server_error", "api_error")
    words = body if isinstance(body, str) else json.dumps(body)
    assert json.dumps(error["message"])[1:-1] in words or error["message"] in words


@pytest.mark.parametrize("inside", [answer(EVENT), sse(EVENT, "[DONE]")], ids=["JSON", "first event"])
def test_inside_200(gateway, upstreams, inside):
    upstreams["alpha"].next(inside)
    reply = gateway.post(body=STREAM)
    assert (reply.status, expect.envelope(reply)["code"]) == (400, CODE)


def test_later_in_a_stream(gateway, upstreams):
    upstreams["alpha"].next(sse(openai_shapes.chunk({"content": "Hel"}), EVENT, "[DONE]"))
    reply = expect.good(gateway.post(body=STREAM))
    *_, error, done = reply.body.split(b"\n\n")[:-1]
    assert done == b"data: [DONE]"
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == CODE


@pytest.mark.parametrize("stream", [False, True])
def test_of_a_response(gateway, chat_server, stream):
    status, body = WORDINGS["llama.cpp"]
    chat_server.next(answer(body, status))
    reply = responses.post(gateway, ask(stream=stream))
    assert (reply.status, expect.envelope(reply)["code"]) == (400, CODE)


def test_later_in_a_response(gateway, chat_server):
    checked = streamed(gateway, chat_server, sse(chunk({"content": "Hel"}), EVENT, "[DONE]"))
    assert checked.final["error"]["code"] == CODE


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (429, "Rate limit reached on tokens per minute (TPM): Limit 6000, Requested 9000"),
        (413, "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000"),
        (400, "batch size 64 > maximum allowed batch size 32"),
    ],
)
def test_other_limits_stay(gateway, upstreams, status, message):
    upstreams["alpha"].next(answer({"error": {"message": message, "code": "x"}}, status))
    reply = gateway.post(body=PLAIN)
    assert (reply.status, expect.envelope(reply)["code"]) == (status, "x")
