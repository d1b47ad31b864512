"""The recorded quirks (tests/quirks), as requests and scripted answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from .envoy import ROOT
from .script import Answer, Gate, answer
from .wire import Fields

CASES = ROOT / "tests" / "quirks" / "cases"
PENDING = set((CASES.parent / "pending.txt").read_text().split())
"""Cases that the gateway does not handle yet. One that passes may not stay on this list."""


@dataclass(frozen=True)
class Quirk:
    """One folder of tests/quirks/cases."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @cached_property
    def meta(self) -> dict[str, Any]:
        return json.loads((self.folder / "meta.json").read_text())

    @property
    def category(self) -> str:
        return self.meta["category"]

    @property
    def expected(self) -> dict[str, Any]:
        """Of the second day's cases a message tells what must stand in it, not all of it."""
        expected = self.meta["expected"]
        if "tier" not in self.meta:
            return expected
        several = [{**one, "message_contains": True} for one in expected.get("one_of", [expected])]
        return several[0] if len(several) == 1 else {"one_of": several}

    @property
    def method(self) -> str:
        return self.meta["request"]["method"]

    @property
    def path(self) -> str:
        return self.meta["request"]["path"]

    @property
    def fields(self) -> Fields:
        """The request's headers without credentials and framing, which are the test's matter."""
        ours = {"authorization", "x-api-key", "api-key", "transfer-encoding", "content-length"}
        given = self.meta["request"]["headers"].items()
        return [(name, value) for name, value in given if name.lower() not in ours]

    @property
    def request_body(self) -> bytes:
        file = self.folder / "request.body"
        if file.exists():
            return file.read_bytes()
        body = self.meta["request"].get("body")
        if isinstance(body, str):
            return body.encode()
        return b"" if body is None else json.dumps(body, separators=(",", ":")).encode()

    @property
    def upstream_body(self) -> bytes:
        return (self.folder / "upstream.body").read_bytes()

    def answer(self, chunks: list[int] | int | str | None = None) -> Answer:
        """What the server answers, cut as recorded, or as `chunks` says. How it is framed follows
        from that, not from recorded headers."""
        upstream = self.meta["upstream"]
        framing_fields = {"content-length", "transfer-encoding"}
        given = upstream["headers"].items()
        fields = [(name, value) for name, value in given if name.lower() not in framing_fields]
        cut = chunks if chunks is not None else upstream.get("chunks")
        status = upstream["status"]
        end = upstream.get("close", "clean")
        framing = "length" if cut is None and end == "clean" else "chunked"
        scripted = answer(self.upstream_body, status, content_type=None, headers=fields, chunks=cut)
        scripted.framing, scripted.end = framing, end
        return scripted


def load(choose: Callable[[Quirk], bool] = lambda _: True) -> list[Quirk]:
    """The quirks that `choose` wants, by id."""
    quirks = [Quirk(folder) for folder in sorted(CASES.iterdir()) if folder.is_dir()]
    return [quirk for quirk in quirks if choose(quirk)]


ANSWERS = load(lambda quirk: quirk.category in "ABC")
"""The quirks of answers: streams (A), errors (B), embeddings (C)."""

OUTSIDE = {"/api/chat": "/v1/chat/completions", "/embed_sparse": "/v1/embeddings"}
"""Servers' own paths, which are outside the gateway's prefix, and the operation they stand for."""

FIRST_EVENT = {"a-err-tgi-string": 424}
"""Recorded as an error event, but it is the first event, so it has a status of its own."""


class Breath(Gate):
    """Gives Envoy time to read what was sent before the next piece. The result may not depend on
    whether it does."""

    def pass_through(self) -> None:
        time.sleep(0.0002)


def recorded(quirk: Quirk, chunks: list[int] | int | str | None = None) -> Answer:
    """What the server answers, with a breath after every piece if it comes in pieces."""
    scripted = quirk.answer(chunks)
    if len(scripted.steps) > 1:
        scripted.steps = [part for step in scripted.steps for part in (step, Breath())]
    return scripted


def path_of(quirk: Quirk) -> str:
    """Where a client of the gateway asks for what the quirk recorded."""
    return OUTSIDE.get(quirk.path, quirk.path)


def expected(quirk: Quirk) -> dict[str, Any]:
    """What a client of the gateway must get."""
    if status := FIRST_EVENT.get(quirk.id):
        return {**quirk.expected, "status_alternatives": [status]}
    return quirk.expected


OTHER_TYPES = {"/v1/audio/transcriptions", "/v1/audio/speech"}
"""Operations whose answers may be text or audio."""


def params(quirks: list[Quirk], strict: bool = False) -> list[Any]:
    """The quirks as parameters of a test. `strict`: a pending case that passes is a failure."""
    pending = pytest.mark.xfail(strict=strict, reason="not handled yet")
    return [
        pytest.param(quirk, id=quirk.id, marks=[pending] if quirk.id in PENDING else [])
        for quirk in quirks
    ]
