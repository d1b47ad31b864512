"""What must arrive at either end of a proxy, and the proof that it does.

What an Envoy of the benchmark must make of a message is known byte by byte. Of other gateways, and of
this filter's Responses and Messages APIs over chat, it is found out: two requests are recorded at both ends and
compared with what was meant. What was recorded is then what every answer of the run is held against.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from contenders import PROVIDER_KEY, VIRTUAL_KEY, Contender
from work import CHAT, EMBEDDINGS, MESSAGES, MODEL, Work

Json = dict[str, Any]
OK = "http/1.1 200 ok\r\n"
LONG_ENOUGH = 12
"""Bytes of a text that can't be there by chance."""


@dataclass(frozen=True)
class Side:
    """One end's message. `head` is in lower case. With `exact` nothing else of the body is asked."""

    head: tuple[str, ...] = ()
    exact: bytes | None = None
    contains: tuple[str, ...] = ()
    length: int | None = None
    capture: Path | None = None


@dataclass(frozen=True)
class Expected:
    """Both ends. `told` says for people how a message that was recorded differs from what was meant."""

    upstream: Side
    client: Side
    told: str = "same bytes"


class Unverified(Exception):
    """A proxy does not do what the row asks."""


def of_envoy(contender: Contender, work: Work) -> Expected:
    """What a contender must do that does not translate."""
    body = work.rewritten() if contender.rewrites else work.body
    answer = work.clean if contender.normalises and work.clean else work.answer
    key = PROVIDER_KEY if contender.rewrites else VIRTUAL_KEY
    head = (
        f"post {contender.base_path}{work.path} http/1.1\r\n",
        f"\r\nauthorization: bearer {key}\r\n",
    )
    return Expected(Side(head, exact=body), Side((OK,), exact=answer))


class Load(Protocol):
    """What runs requests through a proxy."""

    def run(self, proxy: Any, work: Work, expected: Expected, seconds: float, *,
            connections: int, requests: int) -> Any: ...  # fmt: skip


def recorded(load: Load, proxy: Any, work: Work, rewrites: bool = True) -> Expected:
    """Sends two requests and says what to expect of all others. Raises Unverified."""
    with tempfile.TemporaryDirectory(prefix="bench-record-") as folder:
        files = Path(folder, "request"), Path(folder, "answer")
        record = Expected(Side(capture=files[0]), Side(capture=files[1]))

        def once() -> list[tuple[str, bytes]]:
            for file in files:
                file.unlink(missing_ok=True)
            load.run(proxy, work, record, 5.0, connections=1, requests=1)
            return [_parts(file) for file in files]

        try:
            once()  # what a gateway does at its first request only
            (head, request), (_, answer) = first = once()
            if answer != work.answer:
                time.sleep(1.1)  # a time in it shows
            second = once()
        except RuntimeError as error:
            raise Unverified(str(error).splitlines()[0][:200]) from error
    told = [_request(work, head, request, rewrites), _answer(work, answer)]
    key = PROVIDER_KEY if rewrites else VIRTUAL_KEY
    line = head.partition("\r\n")[0].lower()
    heads = (f"{line}\r\n", f"\r\nauthorization: bearer {key}\r\n"), (OK,)
    sides = [_side(*pair) for pair in zip(heads, first, second, strict=True)]
    return Expected(*sides, told="; ".join(told))


def _side(head: tuple[str, ...], first: tuple[str, bytes], second: tuple[str, bytes]) -> Side:
    (_, one), (_, other) = first, second
    if one == other:
        return Side(head, exact=one)
    # An id or a time differs from call to call: what both have in common, and its length.
    marks = [f'"{MODEL}"', "chatcmpl-BsZ7sXkq2mWvTnYpLr4u", '"finish_reason"', "[DONE]", '"usage"',
             "response.completed", "message_stop", '"messages"', '"total_tokens"']  # fmt: skip
    common = tuple(mark for mark in marks if mark.encode() in one and mark.encode() in other)
    return Side(head, contains=common, length=len(one) if len(one) == len(other) else None)


def _parts(file: Path) -> tuple[str, bytes]:
    if not file.exists():
        raise Unverified("nothing was forwarded")
    head, _, body = file.read_bytes().partition(b"\r\n\r\n")
    return head.decode("latin-1") + "\r\n", body


def _json(text: bytes | str, what: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unverified(f"{what} is no JSON") from error
    if not isinstance(value, dict):
        raise Unverified(f"{what} is no JSON object")
    return value


def _request(work: Work, head: str, body: bytes, rewrites: bool) -> str:
    lower = head.lower()
    key = PROVIDER_KEY if rewrites else VIRTUAL_KEY
    if f"authorization: bearer {key}\r\n" not in lower:
        raise Unverified("the credential was not replaced" if rewrites else "no credential")
    if rewrites and VIRTUAL_KEY in lower:
        raise Unverified("the client's key went upstream")
    got = _json(body, "the request at the upstream")
    sent = _json(work.body, "the row")
    if rewrites and got.get("model") != MODEL:
        raise Unverified(f"the model went upstream as {got.get('model')!r}")
    path = lower.split(" ")[1].partition("?")[0]
    if work.translated:
        texts = json.dumps(got.get("messages", []), ensure_ascii=False)
        asked = sent["messages"] if work.path == MESSAGES else sent["input"][0]["content"]
        text = asked[0]["content" if work.path == MESSAGES else "text"]
        wanted = json.dumps(text, ensure_ascii=False)[1:-1]
        if not path.endswith(CHAT) or wanted not in texts:
            raise Unverified(f"no chat completion went upstream, but {path}")
        return "request translated"
    if not path.endswith(work.path):
        raise Unverified(f"it went to {path}")
    if body == (work.rewritten() if rewrites else work.body):
        return "request byte for byte"
    content = "input" if work.path == EMBEDDINGS else "messages"
    if got.get(content) != sent[content]:
        raise Unverified(f"{content} went upstream changed")
    return _changes("request", {**sent, "model": MODEL} if rewrites else sent, got)


def _changes(what: str, meant: Json, got: Json) -> str:
    """How two objects differ, by the names of their members."""
    lost = sorted(meant.keys() - got.keys())
    new = sorted(got.keys() - meant.keys())
    other = sorted(k for k in meant.keys() & got.keys() if meant[k] != got[k])
    parts = [("without", lost), ("with", new), ("other", other)]
    said = [f"{word} {', '.join(names)}" for word, names in parts if names]
    return f"{what} written anew" + (f" ({'; '.join(said)})" if said else "")


def _answer(work: Work, body: bytes) -> str:
    plain = work.clean or work.answer
    if body in (plain, work.answer) and not work.translated:
        return "answer byte for byte"
    if work.pieces:
        return _stream(work, plain, body)
    got = _json(body, "the answer")
    meant = _json(plain, "the row")
    if work.translated:
        text = meant["choices"][0]["message"]["content"]
        return _message(got, text) if work.path == MESSAGES else _response(got, text)
    if work.path == EMBEDDINGS:
        numbers = [item["embedding"] for item in meant["data"]]
        if [item.get("embedding") for item in got.get("data", [])] != numbers:
            raise Unverified("the vectors came back changed")
    else:
        choice = (got.get("choices") or [{}])[0]
        if choice.get("message", {}).get("content") != meant["choices"][0]["message"]["content"]:
            raise Unverified("the answer came back with another text")
        if got.get("usage", {}).get("total_tokens") != meant["usage"]["total_tokens"]:
            raise Unverified("the usage came back changed")
    return _changes("answer", meant, got)


def _response(got: Json, text: str) -> str:
    """A Response object with this text."""
    if got.get("object") != "response" or got.get("status") != "completed":
        raise Unverified("the answer is no completed Response")
    contents = [part for item in got.get("output", []) for part in item.get("content") or []]
    if "".join(part.get("text", "") for part in contents) != text:
        raise Unverified("the Response has another text")
    return "answer translated"


def _message(got: Json, text: str) -> str:
    """A Message object with this text."""
    if got.get("type") != "message" or got.get("stop_reason") != "end_turn":
        raise Unverified("the answer is no complete Message")
    if "".join(block.get("text", "") for block in got.get("content", [])) != text:
        raise Unverified("the Message has another text")
    return "answer translated"


def _message_stream(events: list[Json], text: str) -> str:
    """The events of a Message with this text."""
    if not events or events[-1].get("type") != "message_stop":
        raise Unverified("the stream does not end with message_stop")
    deltas = [e["delta"].get("text", "") for e in events if e.get("type") == "content_block_delta"]
    if "".join(deltas) != text:
        raise Unverified("the deltas have another text")
    return "answer translated"


def _events(body: bytes) -> list[Json]:
    lines = body.decode(errors="replace").replace("\r\n", "\n").split("\n")
    data = [line[5:].strip() for line in lines if line.startswith("data:")]
    return [_json(text, "an event") for text in data if text and text != "[DONE]"]


def _text(chunks: list[Json]) -> str:
    choices = [chunk["choices"][0] for chunk in chunks if chunk.get("choices")]
    return "".join(choice.get("delta", {}).get("content") or "" for choice in choices)


def _stream(work: Work, plain: bytes, body: bytes) -> str:
    text = _text(_events(plain))
    assert len(text) > LONG_ENOUGH
    events = _events(body)
    if work.path == MESSAGES:
        return _message_stream(events, text)
    if work.translated:
        last = events[-1] if events else {}
        if last.get("type") != "response.completed":
            raise Unverified("the stream does not end with response.completed")
        deltas = [e["delta"] for e in events if e.get("type") == "response.output_text.delta"]
        if "".join(deltas) != text:
            raise Unverified("the deltas have another text")
        return _response(last["response"], text)
    if _text(events) != text:
        raise Unverified("the stream came back with another text")
    done = "" if b"[DONE]" in body else ", without [DONE]"
    return f"events written anew ({len(events)} of {len(_events(plain))}{done})"
