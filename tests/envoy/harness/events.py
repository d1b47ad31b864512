"""What a strict client sees in an event stream that leaves the gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DONE = "[DONE]"


@dataclass
class Stream:
    """A stream in canonical framing, and what its events add up to."""

    payloads: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.payloads if payload != DONE]

    @property
    def done(self) -> bool:
        """`[DONE]` is there once, and last."""
        return self.payloads.count(DONE) == 1 and self.payloads[-1] == DONE

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [event["error"] for event in self.events if event.get("error")]

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [choice for event in self.events for choice in event.get("choices") or []]

    @property
    def text(self) -> str:
        """Deltas of chat, texts of text completions."""
        parts = (
            choice["delta"].get("content") if "delta" in choice else choice.get("text")
            for choice in self.choices
        )
        return "".join(part or "" for part in parts)

    @property
    def finish_reason(self) -> str | None:
        reasons = [choice.get("finish_reason") for choice in self.choices]
        return next((reason for reason in reversed(reasons) if reason is not None), None)

    @property
    def usage(self) -> dict[str, Any] | None:
        found = [event["usage"] for event in self.events if event.get("usage")]
        return found[-1] if found else None

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """Calls by `index`, as the SDKs assemble them."""
        calls: dict[int, dict[str, Any]] = {}
        for choice in self.choices:
            for delta in (choice.get("delta") or {}).get("tool_calls") or []:
                call = calls.setdefault(delta["index"], {"id": None, "name": "", "arguments": ""})
                call["id"] = call["id"] or delta.get("id")
                function = delta.get("function") or {}
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""
        return [calls[index] for index in sorted(calls)]


def parse(body: bytes) -> Stream:
    """Reads a stream that must be canonical: each event is one `data: ` line, each comment one line
    that begins with a colon, and an empty line follows; nothing else."""
    stream = Stream()
    assert body.endswith(b"\n\n"), body[-200:]
    for block in body.decode("utf-8").removesuffix("\n\n").split("\n\n"):
        if block.startswith("data: "):
            payload = block.removeprefix("data: ")
            assert "\n" not in payload and "\r" not in payload, block
            stream.payloads.append(payload)
        else:
            assert block.startswith(":"), f"neither an event nor a comment: {block!r}"
            assert all(line.startswith(":") for line in block.split("\n")), block
            stream.comments.append(block)
    return stream
