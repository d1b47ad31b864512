"""Well-formed answers of an OpenAI-compatible server, for tests that are about something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .script import Answer, answer, sse

if TYPE_CHECKING:
    from .upstream import Recorded

TEXT = "Hello"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def completion(model: str = "m", text: str = TEXT) -> dict[str, Any]:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": USAGE,
    }


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """One chunk of a streamed chat completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }


def stream() -> Answer:
    """A canonical stream that says TEXT."""
    half = len(TEXT) // 2
    first, second = TEXT[:half], TEXT[half:]
    pieces = [chunk({"role": "assistant", "content": first}), chunk({"content": second})]
    return sse(*pieces, chunk({}, "stop"), "[DONE]")


def embeddings(vectors: int = 1) -> dict[str, Any]:
    """An embeddings answer."""
    data = [
        {"object": "embedding", "index": index, "embedding": [0.5, -0.25]}
        for index in range(vectors)
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data, "model": "m", "usage": usage}


def error(status: int, message: str, **fields: Any) -> Answer:
    """An error in OpenAI's own envelope."""
    body = {"message": message, "type": "some_error", "param": None, "code": None, **fields}
    return answer({"error": body}, status)


def good_answer(request: Recorded) -> Answer:
    """A success that fits the request's path and, for JSON, its `stream` field."""
    path = request.path.split("?")[0]
    if path.endswith("/embeddings"):
        return answer(embeddings())
    if path.endswith("/rerank"):
        return answer({"results": [{"index": 0, "relevance_score": 0.5}]})
    if "/audio/speech" in path:
        return answer(b"\xff\xfb\x90\x00" * 64, content_type="audio/mpeg")
    if "/images/" in path:
        return answer({"created": 1, "data": [{"url": "https://x.test/a.png"}]})
    if "/audio/" in path:
        return answer({"text": TEXT})
    if path.endswith("/models"):
        return answer({"object": "list", "data": [{"id": "m", "object": "model"}]})
    if path.endswith("/chat/completions") and _streams(request.body):
        return stream()
    return answer(completion())


def _streams(body: bytes) -> bool:
    try:
        return json.loads(body).get("stream") is True
    except (ValueError, AttributeError):
        return False
