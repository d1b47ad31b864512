"""What a scripted upstream answers: data only."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any, Literal

from .wire import Fields, split

PATIENCE = 20.0
"""Seconds that anything in the suite waits before it calls the wait a failure."""


class Gate:
    """A point at which an upstream stops until the test opens it."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._reached = threading.Event()

    def open(self) -> None:
        """Lets the upstream go on."""
        self._opened.set()

    def pass_through(self) -> None:
        """Waits at the gate (the upstream's side)."""
        self._reached.set()
        self._opened.wait(PATIENCE)

    def wait_reached(self) -> None:
        """Waits until the upstream has sent everything before the gate."""
        assert self._reached.wait(PATIENCE), "the upstream never came to the gate"


Step = bytes | Gate


@dataclass
class Answer:
    """One HTTP answer, byte by byte.

    `steps` are written in order, each piece of bytes with one send; a Gate waits for the test.
    `framing`: `length` and `chunked` (a piece is a chunk) add their header; `close` ends the body by
    closing; `raw` adds nothing, so that a test may write its own lengths.
    `end`: `clean`, `cut` (FIN where it stands), `reset` (RST), `never` (stays open and silent).
    `early` answers before the request's body is read; `silent` sends no head of HTTP, only `steps`.
    """

    status: int = 200
    headers: Fields = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    framing: Literal["length", "chunked", "close", "raw"] = "length"
    trailers: Fields = field(default_factory=list)
    end: Literal["clean", "cut", "reset", "never"] = "clean"
    hold: Gate | None = None
    early: bool = False
    silent: bool = False
    reason: str = "Scripted"

    @property
    def body(self) -> bytes:
        """The body without its gates."""
        return b"".join(step for step in self.steps if isinstance(step, bytes))


def answer(
    body: bytes | str | dict[str, Any] | list[Any] = b"",
    status: int = 200,
    *,
    content_type: str | None = "application/json",
    headers: Fields = (),
    chunks: list[int] | int | str | None = None,
    **rest: Any,
) -> Answer:
    """An answer from a body (dicts and lists become JSON) cut as `chunks` says."""
    if isinstance(body, dict | list):
        body = json.dumps(body, separators=(",", ":")).encode()
    if isinstance(body, str):
        body = body.encode()
    typed = [("content-type", content_type)] if content_type else []
    return Answer(status, [*typed, *headers], list(split(body, chunks)), **rest)


def sse(*steps: Step | dict[str, Any] | str, **rest: Any) -> Answer:
    """A chunked event stream: dicts are `data:` events, strings are the payload of one."""
    written: list[Step] = []
    for step in steps:
        if isinstance(step, dict):
            step = json.dumps(step, separators=(",", ":"))
        written.append(f"data: {step}\n\n".encode() if isinstance(step, str) else step)
    rest.setdefault("framing", "chunked")
    return Answer(headers=[("content-type", "text/event-stream")], steps=written, **rest)
