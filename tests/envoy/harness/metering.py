"""What the access log shows of token counts, and what an answer should have counted to."""

from __future__ import annotations

import json
from typing import Any

from . import plugin
from .bootstrap import Setting
from .client import Response
from .envoy import Envoy

Json = dict[str, Any]

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "total_tokens")


def setting(mode: str = "observe", **fields: Any) -> Setting:
    """An Envoy that counts tokens."""
    return Setting(
        config=plugin.configuration(usage={"mode": mode}, **fields), facts=True
    )


def facts(gateway: Envoy, mark: str) -> dict[str, str]:
    """What the access log shows of the request with this `x-test-id`; what is not there is left out."""
    parts = [
        part.split("=", 1) for part in gateway.access(mark).split(" ") if "=" in part
    ]
    return {name: value for name, value in parts if value != "-"}


def counts(gateway: Envoy, mark: str) -> tuple[str | None, list[int]]:
    """Who counted, and input, output, cached and all tokens."""
    seen = facts(gateway, mark)
    return seen.get("usage_source"), [int(seen[name]) for name in COUNTS]


def estimated(text: int) -> int:
    """The tokens that so many bytes of text are taken for."""
    return max(1, text // 4) if text else 0


def said(answer: Json) -> int:
    """Bytes of text in a completion, a chunk of one, or a transcription."""
    total = 0
    for choice in answer.get("choices") or []:
        body = choice.get("message") or choice.get("delta") or {}
        # The same thoughts may stand under two names.
        total += max(size(body.get("reasoning_content")), size(body.get("reasoning")))
        total += (
            size(body.get("content"))
            + size(body.get("refusal"))
            + size(choice.get("text"))
        )
        calls = [call.get("function") or {} for call in body.get("tool_calls") or []]
        for call in [*calls, body.get("function_call") or {}]:
            total += size(call.get("name")) + size(call.get("arguments"))
    # A transcription may say the same in both forms.
    return max(total, size(answer.get("text")))


def size(text: Any) -> int:
    return len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else 0


def told(reply: Response) -> tuple[Json | None, int, bool]:
    """What a client can see of an answer's tokens: the last usage, bytes of text, and whether it ends in an error."""
    usage, text, failed = None, 0, reply.status >= 400
    if reply.header("content-encoding"):
        return None, len(reply.body), failed
    if reply.header("content-type") == "text/event-stream":
        lines = reply.body.split(b"\n")
        payloads = [line[6:] for line in lines if line.startswith(b"data: {")]
        for payload in map(json.loads, payloads):
            usage = payload.get("usage") or usage
            failed = failed or bool(payload.get("error"))
            delta = payload.get("delta")
            text += (
                size(delta)
                if isinstance(delta, str)
                else said({**payload, "text": None})
            )
        return usage, text, failed
    try:
        body = json.loads(reply.body)
    except ValueError:
        return None, len(reply.body), failed
    return body.get("usage"), said(body), failed
