"""`usage.mode: require` on odd streams, byte for byte; ways of asking for a stream that hide it; and counts that are none."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from harness import Setting, answer, expect, metering, openai_shapes, plugin, sse

Json = dict[str, Any]
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
TOLD = ("upstream", [7, 2, 0, 9])
STREAM = {"model": "alpha/m", "messages": [{"role": "user", "content": "x" * 40}], "stream": True}
DONE = b"data: [DONE]\n\n"


def chunk(delta: Json, finish_reason: str | None = None, index: int = 0) -> Json:
    made = openai_shapes.chunk(delta, finish_reason)
    made["choices"][0]["index"] = index
    return made


PIECES = [chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop")]
COUNTS = {**openai_shapes.chunk({}), "choices": [], "usage": USAGE}
FILTERED = {**openai_shapes.chunk({}), "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}


def text(event: Json, **how: Any) -> str:
    return json.dumps(event, **({"separators": (",", ":")} | how))


def data(event: Json, end: bytes = b"\n", lead: bytes = b"data: ") -> bytes:
    return lead + text(event).encode() + 2 * end


def lines(event: Json) -> bytes:
    return b"".join(b"data: " + line.encode() + b"\n" for line in text(event, indent=1).split("\n")) + b"\n"


def marked(events: list[Json]) -> list[bytes]:
    return [b"event: message\nid: %d\n" % number + data(event) for number, event in enumerate(events)]


def cut(size: int) -> Callable[[bool], list[Any]]:
    def written(asked: bool) -> list[Any]:
        whole = b"".join(map(data, [*PIECES, *([COUNTS] if asked else [])])) + DONE
        return [whole[at : at + size] for at in range(0, len(whole), size)]

    return written


# What a server sends, and more of it when it is asked for counts.
ODD: dict[str, Callable[[bool], list[Any]]] = {
    "in each chunk": lambda asked: [*({**one, **({"usage": USAGE} if asked else {})} for one in PIECES), "[DONE]"],
    "growing": lambda asked: [
        *({**one, **({"usage": {**USAGE, "completion_tokens": at}} if asked else {})} for at, one in enumerate(PIECES)),
        *([COUNTS] if asked else []),
        "[DONE]",
    ],
    "null, then last": lambda asked: [
        *({**one, **({"usage": None} if asked else {})} for one in PIECES), *([COUNTS] if asked else []), "[DONE]",
    ],
    "Groq's own, and asked": lambda asked: [
        *PIECES[:2], {**PIECES[2], "x_groq": {"id": "r", "usage": USAGE}}, *([COUNTS] if asked else []), "[DONE]",
    ],
    "Groq's id": lambda asked: [
        {**PIECES[0], "x_groq": {"id": "r"}}, *PIECES[1:], *([{**COUNTS, "x_groq": {"id": "r"}}] if asked else []), "[DONE]",
    ],
    # In one piece: the end waits for no other.
    "behind the end": lambda asked: [*PIECES, DONE + (data(COUNTS) if asked else b"")],
    "with text": lambda asked: [
        PIECES[0], {**PIECES[1], **({"usage": USAGE} if asked else {})}, PIECES[2], "[DONE]",
    ],
    "with the reason": lambda asked: [*PIECES[:2], {**PIECES[2], **({"usage": USAGE} if asked else {})}, "[DONE]"],
    "before the reason": lambda asked: [*PIECES[:2], *([COUNTS] if asked else []), PIECES[2], "[DONE]"],
    "first, and last": lambda asked: [
        *([{**COUNTS, "usage": {**USAGE, "completion_tokens": 0, "total_tokens": 7}}] if asked else []),
        *PIECES, *([COUNTS] if asked else []), "[DONE]",
    ],
    "twice": lambda asked: [*PIECES, *([COUNTS, COUNTS] if asked else []), "[DONE]"],
    "beside a filter's results": lambda asked: [FILTERED, *PIECES, *([COUNTS] if asked else []), "[DONE]"],
    "two choices": lambda asked: [
        chunk({"content": "A"}), chunk({"content": "B"}, index=1), chunk({}, "stop"), chunk({}, "stop", 1),
        *([COUNTS] if asked else []), "[DONE]",
    ],
    "CRLF": lambda asked: [
        *(data(one, b"\r\n") for one in [*PIECES, *([COUNTS] if asked else [])]), b"data: [DONE]\r\n\r\n",
    ],
    "CR": lambda asked: [*(data(one, b"\r") for one in [*PIECES, *([COUNTS] if asked else [])]), b"data: [DONE]\r\r"],
    "comments": lambda asked: [
        b": a\n\n", PIECES[0], b": b\n\n", *PIECES[1:], b": c\n\n", *([COUNTS] if asked else []), b": d\n\n", "[DONE]",
    ],
    "names and ids": lambda asked: [*marked([*PIECES, *([COUNTS] if asked else [])]), "[DONE]"],
    "over lines": lambda asked: [*map(lines, [*PIECES, *([COUNTS] if asked else [])]), "[DONE]"],
    "without a space": lambda asked: [
        *(data(one, lead=b"data:") for one in [*PIECES, *([COUNTS] if asked else [])]), b"data:[done]\n\n",
    ],
    "data twice": lambda asked: [
        *(data(one, lead=b"data: data: ") for one in [*PIECES, *([COUNTS] if asked else [])]), "[DONE]",
    ],
    "no end": lambda asked: [*PIECES, *([COUNTS] if asked else [])],
    "byte by byte": cut(1),
    "in one piece": cut(10_000),
    "without choices": lambda asked: [
        *PIECES, *([{name: value for name, value in COUNTS.items() if name != "choices"}] if asked else []), "[DONE]",
    ],
    "choices null": lambda asked: [*PIECES, *([{**COUNTS, "choices": None}] if asked else []), "[DONE]"],
    "nothing else": lambda asked: [*PIECES, *([{"usage": USAGE}] if asked else []), "[DONE]"],
    "all that frames a chunk": lambda asked: [
        *PIECES,
        *([{**COUNTS, "system_fingerprint": "f", "service_tier": "default", "obfuscation": "x", "provider": "P"}] if asked else []),
        "[DONE]",
    ],
    "as text": lambda asked: [
        *PIECES, *([{**COUNTS, "usage": {name: str(count) for name, count in USAGE.items()}}] if asked else []), "[DONE]",
    ],
}


def gateway(start_envoy: Any, mode: str, positions: int) -> Any:
    config = plugin.configuration(usage={"mode": mode})
    return start_envoy(**vars(Setting(config=config, facts=True, positions=positions)))


def ask(envoy: Any, body: Json | bytes, path: str = "/v1/chat/completions") -> tuple[Any, str]:
    mark = uuid.uuid4().hex
    fields = [("x-test-id", mark), ("anthropic-version", "2023-06-01")]
    return envoy.post(path, body=body, fields=fields), mark


def serve(form: str) -> Callable[[Any], Any]:
    """A server that sends counts where it is asked for them."""

    def handle(request: Any) -> Any:
        asked = (request.json().get("stream_options") or {}).get("include_usage") is True
        return sse(*ODD[form](asked))

    return handle


@pytest.mark.parametrize("positions", [1, 2])
@pytest.mark.parametrize("form", ODD)
def test_a_client_that_did_not_ask_sees_no_difference(
    start_envoy: Any, upstreams: Any, form: str, positions: int
) -> None:
    upstreams["alpha"].handler = serve(form)
    body = {**STREAM, **({"n": 2} if form == "two choices" else {})}
    before, _ = ask(gateway(start_envoy, "off", positions), body)
    after, mark = ask(require := gateway(start_envoy, "require", positions), body)
    assert after.body == before.body
    assert after.body.endswith(DONE)
    assert metering.counts(require, mark) == TOLD


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(
    "asks",
    [
        '"stream":"true"', '"stream":"TRUE"', '"stream":1', '"stream":"1"', '"stream":"yes"', '"stream":"on"', '"stream":"t"',
        '"stream":1.0', '"stream":true,"stream":false', '"stream":false,"stream":true',
        '"Stream":true', '"STREAM":"y"', '"stre\\u0061m":true', '"stream":false,"Stream":1',
    ],
)  # fmt: skip
def test_no_way_of_asking_for_a_stream_escapes(start_envoy: Any, upstreams: Any, asks: str, path: str) -> None:
    """pydantic reads `"yes"`, Go's encoding/json ignores case, and of two members some read the first."""
    upstreams["alpha"].handler = serve("comments")
    said = '"prompt":"x"' if path.endswith("/completions") and "chat" not in path else '"messages":[]'
    envoy = gateway(start_envoy, "require", 1)
    reply, mark = ask(envoy, f'{{"model":"alpha/m",{said},{asks}}}'.encode(), path)
    assert reply.status == 200
    assert upstreams["alpha"].only.json()["stream_options"] == {"include_usage": True}
    assert metering.counts(envoy, mark) == TOLD


@pytest.mark.parametrize("asks", ['"stream":false', '"stream":null', '"stream":"false"', '"stream":0', '"stream":"off"', '"n":1'])
def test_a_plain_request_is_never_asked(start_envoy: Any, upstreams: Any, asks: str) -> None:
    """A server refuses `stream_options` where there is no stream."""
    upstreams["alpha"].next(answer({**openai_shapes.completion(), "usage": USAGE}))
    envoy = gateway(start_envoy, "require", 1)
    reply, mark = ask(envoy, f'{{"model":"alpha/m","messages":[],{asks}}}'.encode())
    expect.good(reply)
    assert upstreams["alpha"].only.body == f'{{"model":"m","messages":[],{asks}}}'.encode()
    assert metering.counts(envoy, mark) == TOLD


NO_COUNTS = [
    '"x"', '""', '"-1"', "-1", "1.5", '"1.5"', "true", "[]", "{}", "9007199254740993", '"9007199254740993"', "1e300", '"1e300"',
    '"inf"', '"NaN"', "-0.5", '"7 tokens"', '"0x7"', "99999999999999999999", '"٣"',
]  # fmt: skip


@pytest.mark.parametrize("bad", NO_COUNTS)
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_counts_that_are_none(start_envoy: Any, upstreams: Any, field: str, bad: str) -> None:
    """One of them spoils all: the answer is estimated. Plain and stream, and in the APIs over chat."""
    envoy = gateway(start_envoy, "observe", 1)
    usage = text({**USAGE, field: "@"}).replace('"@"', bad)
    whole = text({**openai_shapes.completion(text="y" * 12), "usage": "@"}).replace('"@"', usage)
    last = text({**COUNTS, "usage": "@"}).replace('"@"', usage)
    said = [chunk({"content": "y" * 12}), chunk({}, "stop"), last, "[DONE]"]
    asked: list[tuple[str, Json]] = [
        ("/v1/chat/completions", {"messages": STREAM["messages"]}),
        ("/v1/responses", {"input": "x" * 40}),
        ("/v1/messages", {"messages": STREAM["messages"], "max_tokens": 5}),
    ]
    for path, body in asked:
        for stream in (False, True):
            upstreams["alpha"].next(sse(*said) if stream else answer(whole))
            reply, mark = ask(envoy, {"model": "alpha/m", "stream": stream, **body}, path)
            assert reply.status == 200
            assert metering.counts(envoy, mark) == ("estimated", [10, 3, 0, 13]), (path, stream)


@pytest.mark.parametrize(
    ("usage", "want"),
    [
        ('{"prompt_tokens":"7","completion_tokens":"2","total_tokens":"9"}', [7, 2, 0, 9]),
        ('{"prompt_tokens":7.0,"completion_tokens":2e0,"total_tokens":"9.0"}', [7, 2, 0, 9]),
        ('{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens":7,"completion_tokens":2}', [7, 2, 0, 9]),
        ('{"prompt_tokens":9007199254740990,"completion_tokens":2}', [(1 << 53) - 2, 2, 0, 1 << 53]),
    ],
)
def test_counts_in_odd_forms(start_envoy: Any, upstreams: Any, usage: str, want: list[int]) -> None:
    envoy = gateway(start_envoy, "observe", 1)
    whole = text({**openai_shapes.completion(text="y" * 12), "usage": "@"}).replace('"@"', usage)
    upstreams["alpha"].next(answer(whole))
    _, mark = ask(envoy, {**STREAM, "stream": False})
    assert metering.counts(envoy, mark) == ("upstream", want)


def test_the_last_of_two_usages_counts(start_envoy: Any, upstreams: Any) -> None:
    """As a client's parser reads them."""
    envoy = gateway(start_envoy, "observe", 1)
    first = '"usage":{"prompt_tokens":1,"completion_tokens":1}'
    whole = text({**openai_shapes.completion(), "usage": USAGE}).replace('"usage":', f'{first},"usage":')
    upstreams["alpha"].next(answer(whole))
    _, mark = ask(envoy, {**STREAM, "stream": False})
    assert metering.counts(envoy, mark) == TOLD


DENIALS = [
    "{}", "null", "false", "true", "[]", '"include_usage"', "5", '{"include_usage":false}', '{"include_usage":null}',
    '{"include_usage":"no"}', '{"include_usage":[true]}', '{"include_usage":true,"include_usage":false}',
]  # fmt: skip


@pytest.mark.parametrize("options", DENIALS)
def test_who_does_not_ask_rightly_gets_none(start_envoy: Any, upstreams: Any, options: str) -> None:
    """Options that do not ask: the server is asked all the same, and the client's stream is what it would have been."""
    body = text({**STREAM, "stream_options": "@"}).replace('"@"', options).encode()

    def handle(request: Any) -> Any:
        asked = request.json().get("stream_options")
        return sse(*ODD["null, then last"](isinstance(asked, dict) and asked.get("include_usage") is True))

    upstreams["alpha"].handler = handle
    before, _ = ask(gateway(start_envoy, "off", 1), body)
    after, mark = ask(require := gateway(start_envoy, "require", 1), body)
    assert after.body == before.body
    assert metering.counts(require, mark) == TOLD
    upstreams["alpha"].reset()
    upstreams["alpha"].handler = handle
    observed, _ = ask(gateway(start_envoy, "observe", 1), body)
    assert upstreams["alpha"].only.json().get("stream_options") == json.loads(body).get("stream_options")
    assert observed.body == before.body


@pytest.mark.parametrize("error", ["null", "false", "0", '""', '"ok"', '"success"', "{}", "[]", '{"code":0,"message":"ok"}'])
def test_an_error_that_says_success_costs_nobody_their_counts(start_envoy: Any, upstreams: Any, error: str) -> None:
    envoy = gateway(start_envoy, "observe", 1)
    whole = text({**openai_shapes.completion(), "usage": USAGE, "error": "@"}).replace('"@"', error)
    last = text({**COUNTS, "error": "@"}).replace('"@"', error)
    listed = '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m","error":@,"usage":{"prompt_tokens":7,"total_tokens":7}}'
    for reply, path, body, told in (
        (answer(whole), "/v1/chat/completions", {**STREAM, "stream": False}, TOLD),
        (sse(*PIECES, last, "[DONE]"), "/v1/chat/completions", STREAM, TOLD),
        (answer(listed.replace("@", error)), "/v1/embeddings", {"model": "alpha/m", "input": "x"}, ("upstream", [7, 0, 0, 7])),
    ):
        upstreams["alpha"].next(reply)
        seen, mark = ask(envoy, body, path)
        assert seen.status == 200, (path, seen.body)
        assert metering.counts(envoy, mark) == told, path
