#!/usr/bin/env python3
"""Runs the filter's two scanners beside real parsers on generated bodies: whatever the filter lets pass and reads as the
model, no parser may read otherwise. CASES (20000) of each kind; SEED repeats a run. Prints each disagreement, exits 1."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pydantic_core
from aiohttp import MultipartReader
from aiohttp.streams import StreamReader
from python_multipart.multipart import parse_options_header
from werkzeug.formparser import FormDataParser

HERE = Path(__file__).resolve().parent
CASES = int(os.environ.get("CASES", "20000"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1 << 30))))
FEW = 5

NAMES = [
    *(
        b"model",
        b"MODEL",
        b"Model",
        b"mod\\u0065l",
        b"model\\u0000",
        b"model\\u0000x",
        b"\\u0000model",
        b"mode\xc1\xac",
    ),
    *(
        b"mod\xffel",
        b"\xef\xbb\xbfmodel",
        b"\\ufeffmodel",
        b" model",
        b"model ",
        b"mo\\u0000del",
        b"mod\\ud800el",
    ),
    *(
        b"model[]",
        b"mo_del",
        b"mod%65l",
        b"m\\u006fdel\\t",
        b"models",
        b"\xed\xa0\x80model",
        b"x",
        b"stream",
        b"model\\",
    ),
    *(
        b"mode\\u006c",
        b"\xf0\x8f\xbf\xbf",
        b"mode\xe2\x80\x8bl",
        b"mod\xc5\xbf",
        b"m\xd0\xbedel",
        b"\xc3model",
        b"",
    ),
]
VALUES = [
    b'"ok"',
    b'"denied"',
    b'"\\u006fk"',
    b"null",
    b"1",
    b'["denied"]',
    b'{"model":"denied"}',
    b'"\xff"',
    b'"\\ud800"',
]
OTHER_NAMES = [
    *(b"x", b"y", b"models", b"stream", b"mode", b"model_id", b"m\xc3\xb6del", b"mod", b"odel"),
    *(b"m\xd0\xbedel", b"\xef\xbd\x8dodel", b"xmodel", b"model2", b"mod\\u00e9l", b"\\ud83d\\ude00"),
]
FORM_NAMES = [
    *(
        b"model",
        b"MODEL",
        b"=?UTF-8?Q?model?=",
        b"\xef\xbb\xbfmodel",
        b"mod\xffel",
        b"mode\xc1\xac",
        b"model[]",
        b"%6dodel",
    ),
    *(
        b"model\\",
        b"a;model",
        b" model ",
        b"file",
        b"x",
        b"mo%00del",
        b"model\x00",
        b"_charset_",
        b"m\xc5\x8ddel",
        b"",
    ),
]
FORM_HEADERS = [
    *(
        b"",
        b"Content-Type: text/plain\r\n",
        b"Content-Type: text/plain; charset=utf-16\r\n",
        b"X: y\r\n",
    ),
    *(
        b'Content_Disposition: form-data; name="model"\r\n',
        b"Content-Transfer-Encoding: base64\r\n",
    ),
    *(
        b'content-disposition: form-data; name="model"\r\n',
        b' name="model"\r\n',
        b"Content-Length: 2\r\n",
    ),
]
# How the model's own part says that it is written.
MODEL_HEADERS = [
    *(
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Transfer-Encoding: binary\r\n",
        # Without a type, 8bit ends formidable's process.
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: binary\r\n",
        b"Content-Transfer-Encoding: BINARY\r\ncontent-type: text/plain\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Length: 2\r\n",
        b"content-length: 1\r\n",
    ),
    *(
        b"Content-Type: text/plain; charset=utf-7\r\n",
        b"Content-Type: text/plain; charset*=us-ascii''utf-7\r\n",
        b"Content-Type: text/plain; charset=utf-16\r\n",
        b"Content-Type: text/plain; charset=ISO-8859-1\r\n",
        b"Content-Type: text/plain; charset=windows-1252\r\n",
        b"Content-Type: text/plain; charset=us-ascii\r\n",
    ),
]
MODEL_VALUES = [b"ok", b"ok", b"b2s=", b"=6fk", b"+AG8-k", b"\xc3\xa9", b"\xe4\xb8\xad"]
LINES = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"]


def json_body(rng: random.Random) -> bytes:
    # Half of the bodies are meant to pass, so that there is something to disagree about.
    doubt = 0.4 if rng.random() < 0.5 else 0.02
    members = [
        b'"'
        + (rng.choice(NAMES) if rng.random() < doubt else rng.choice(OTHER_NAMES))
        + b'"'
        + rng.choice([b":", b" : "])
        + rng.choice(VALUES)
        for _ in range(rng.randrange(1, 4))
    ]
    if rng.random() < 0.7:
        members.insert(rng.randrange(len(members) + 1), b'"model":"ok"')
    body = b"{" + rng.choice([b",", b" ,\n"]).join(members) + b"}"
    return (
        rng.choice([b"", b"", b"\xef\xbb\xbf", b" "] if doubt > 0.1 else [b"", b"\n "])
        + mutated(rng, body, doubt / 2)
        + rng.choice([b"", b"", b"\n", b"\x00", b"{}"] if doubt > 0.1 else [b"", b"\r\n"])
    )


def form_body(rng: random.Random) -> bytes:
    parts = []
    doubt = 0.4 if rng.random() < 0.4 else 0.03
    for _ in range(rng.randrange(1, 4)):
        quote = rng.choice([b'"', b'"', b'"', b""])
        name = rng.choice(FORM_NAMES) if rng.random() < doubt else rng.choice(OTHER_NAMES)
        odd = [b'; filename="f"', b"; name*=utf-8''model", b'; name="model"', b'; filename="name=model"']
        more = rng.choice(odd) if rng.random() < doubt else rng.choice([b"", b'; filename="f"'])
        head = b"Content-Disposition: form-data; name=" + quote + name + quote + more
        value = rng.choice([b"ok", b"denied", b"a", b"b", b"ok\r\n--XB \r\n", b"a\n--XB\r\n", b""])
        line = rng.choice(LINES) if rng.random() < doubt / 2 else b"\r\n"
        parts.append(
            b"--XB\r\n"
            + head
            + line
            + (rng.choice(FORM_HEADERS) if rng.random() < doubt else b"")
            + line
            + value
            + b"\r\n"
        )
    if rng.random() < 0.7:
        header = rng.choice(MODEL_HEADERS) if rng.random() < 0.3 else b""
        value = rng.choice(MODEL_VALUES) if header else b"ok"
        good = b'--XB\r\nContent-Disposition: form-data; name="model"\r\n' + header
        good += b"\r\n" + value + b"\r\n"
        parts.insert(rng.randrange(len(parts) + 1), good)
    return mutated(rng, b"".join(parts) + b"--XB--\r\n", doubt / 2)


def mutated(rng: random.Random, body: bytes, how_often: float) -> bytes:
    if rng.random() >= how_often:
        return body
    at = rng.randrange(len(body) + 1)
    piece = (
        bytes([rng.randrange(256)])
        if rng.random() < 0.5
        else rng.choice([b"\\", b'"', b"\r\n", b"\x00", b"%00"])
    )
    return body[:at] + piece + body[at + rng.randrange(2) :]


def member(value: object) -> str | None:
    found = value.get("model") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def werkzeug(body: bytes) -> str | None:
    parsed = FormDataParser().parse(
        io.BytesIO(body), "multipart/form-data", len(body), {"boundary": "XB"}
    )
    values = parsed[1].getlist("model")
    return values[-1] if values else None


def starlette(body: bytes) -> str | None:
    """As Starlette drives python-multipart."""
    import python_multipart

    fields: list[tuple[bytes, bytes]] = []
    state = {"field": b"", "value": b"", "headers": {}, "data": b""}

    def part_begin() -> None:
        state.update(field=b"", value=b"", headers={}, data=b"")

    def header_end() -> None:
        state["headers"][state["field"].lower()] = state["value"]
        state.update(field=b"", value=b"")

    def part_end() -> None:
        _, options = parse_options_header(state["headers"].get(b"content-disposition", b""))
        if b"filename" not in options:
            fields.append((options[b"name"], state["data"]))

    def adds(key: str) -> Callable[[bytes, int, int], None]:
        def add(data: bytes, start: int, end: int) -> None:
            state[key] += data[start:end]

        return add

    parser = python_multipart.MultipartParser(
        "XB",
        {
            "on_part_begin": part_begin,
            "on_part_end": part_end,
            "on_part_data": adds("data"),
            "on_header_field": adds("field"),
            "on_header_value": adds("value"),
            "on_header_end": header_end,
        },
    )
    parser.write(body)
    parser.finalize()
    values = [value for name, value in fields if name == b"model"]
    return values[-1].decode() if values else None


def by_aiohttp(body: bytes) -> str | None:
    """As aiohttp's `request.post()` reads parts; the last of several."""

    async def read() -> list[str]:
        stream = StreamReader(_Transport(), 1 << 20, loop=asyncio.get_running_loop())
        stream.feed_data(body)
        stream.feed_eof()
        parts = MultipartReader({"Content-Type": "multipart/form-data; boundary=XB"}, stream)
        found = []
        while (part := await parts.next()) is not None:
            if isinstance(part, MultipartReader):
                raise ValueError("a nested form")
            data = part.decode(await part.read())
            if part.name == "model" and not part.filename:
                found.append(data.decode(part.get_charset(default="utf-8")))
        return found

    values = LOOP.run_until_complete(read())
    return values[-1] if values else None


class _Transport:
    """What aiohttp's stream asks of a connection."""

    _reading_paused = False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


LOOP = asyncio.new_event_loop()
IN_PYTHON: dict[str, dict[str, Callable[[bytes], str | None]]] = {
    "J": {
        "json": lambda body: member(json.loads(body)),
        "json, bad bytes dropped": lambda body: member(json.loads(body.decode("utf-8", "ignore"))),
        "json, bad bytes replaced": lambda body: member(
            json.loads(body.decode("utf-8", "replace"))
        ),
        "orjson": lambda body: member(orjson.loads(body)),
        "pydantic": lambda body: member(pydantic_core.from_json(body)),
    },
    "F": {"werkzeug": werkzeug, "starlette": starlette, "aiohttp": by_aiohttp},
}
TARGET = HERE.parents[1] / "target"
JAVA = ["java", "-cp", os.environ.get("DIFFERENTIAL_JARS", ""), str(HERE / "Parsers.java")]


def commands(kind: str, ours: str) -> dict[str, list[str]]:
    """The parsers that are programs."""
    go, node = [str(TARGET / "differential-go")], ["node", str(HERE / "parsers.mjs")]
    if kind == "J":
        return {
            "Go": go,
            "JSON.parse": [*node, "undici"],
            "Jackson": JAVA,
            "serde_json": [ours, "serde_json"],
        }
    return {
        "Go": go,
        "Tomcat": JAVA,
        **{name: [*node, name] for name in ("undici", "busboy", "formidable")},
    }


def answers(command: list[str], cases: bytes) -> list[str | None]:
    done = subprocess.run(command, input=cases, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def tried(parser: Callable[[bytes], str | None], body: bytes) -> str | None:
    try:
        return parser(body)
    except Exception:  # whatever a parser says when it refuses
        return None


def disagreements(
    kind: str, bodies: list[bytes], ours: str
) -> Iterator[tuple[str, bytes, str, str]]:
    def cases(bodies: list[bytes]) -> bytes:
        return b"".join(b"%s %d\n%s" % (kind.encode(), len(body), body) for body in bodies)

    every = answers([ours], cases(bodies))
    passed = [(body, id) for body, id in zip(bodies, every, strict=True) if id is not None]
    print(f"{kind}: {len(passed)} of {len(bodies)} pass", flush=True)
    good = [body for body, _ in passed]
    read = {name: answers(command, cases(good)) for name, command in commands(kind, ours).items()}
    for name, parser in IN_PYTHON[kind].items():
        read[name] = [tried(parser, body) for body in good]
    for name, ids in sorted(read.items()):
        found = sum(id is not None for id in ids)
        print(f"   {name} reads a model in {found}", flush=True)
        # A parser that reads nothing at all would agree with everything.
        assert found > len(good) // 4, f"{name} does not read what it is given"
        for (body, id), other in zip(passed, ids, strict=True):
            if other is not None and other != id:
                yield name, body, id, other


def main() -> int:
    rng = random.Random(SEED)
    print(f"SEED={SEED} CASES={CASES}", flush=True)
    corpus = {"J": sorted(HERE.glob("corpus/*.json")), "F": sorted(HERE.glob("corpus/*.form"))}
    found = 0
    for kind, make in (("J", json_body), ("F", form_body)):
        bodies = [path.read_bytes() for path in corpus[kind]] + [make(rng) for _ in range(CASES)]
        for name, body, id, other in disagreements(kind, bodies, sys.argv[1]):
            found += 1
            if found <= FEW:
                print(f"{name} reads {other!r} where {id!r} passed: {body!r}")
    print(f"{found} disagreements")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
