"""What is sent and answered: each row of the benchmark, with the bytes that must arrive at either end."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

ALIAS = "gpt-4o"
MODEL = "llama-3.3-70b-versatile"
MODEL_ID = f"groq/{MODEL}"
CHAT = "/chat/completions"
EMBEDDINGS = "/embeddings"
RESPONSES = "/responses"
MESSAGES = "/messages"

# What OpenAI's SDK sends beside the body, but that no answer is to be compressed.
SDK_HEADERS = """\
accept: application/json
accept-encoding: identity
user-agent: OpenAI/Python 2.8.1
x-stainless-lang: python
x-stainless-package-version: 2.8.1
x-stainless-os: Linux
x-stainless-arch: x64
x-stainless-runtime: CPython
x-stainless-runtime-version: 3.13.5
x-stainless-async: async:asyncio
x-stainless-retry-count: 0
x-stainless-read-timeout: 600
"""


@dataclass(frozen=True)
class Work:
    """One row. `clean` is what a normalising proxy makes of the answer, where it is not the same."""

    name: str
    title: str
    body: bytes
    """As the client sends it; holds the alias once."""
    answer: bytes
    path: str = CHAT
    pieces: tuple[int, ...] | None = None
    """Lengths of the answer's events; None: one body with a length."""
    interval_us: int = 0
    clean: bytes | None = None
    connections: int = 64
    translated: bool = False
    """Asked in the API of its path, answered as chat."""
    target: tuple[float, float] | None = None
    """The most CPU that this filter may take: times bare Envoy's, times the naive filter's. Ceilings against
    regressions: the calls of the VM's ABI alone cost most of it."""
    native_target: float | None = None
    """The most CPU that the native module may take, times bare Envoy's."""

    @property
    def unit(self) -> str:
        return "1,000 events" if self.pieces else "request"

    def rewritten(self) -> bytes:
        """The body as the upstream gets it when the model is replaced."""
        before = f'"model":"{ALIAS}"'.encode()
        assert self.body.count(before) == 1
        return self.body.replace(before, f'"model":"{MODEL}"'.encode())


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


_WORDS = (
    "the model answers a question about its context and user asks for more detail while tokens flow "
    "through gateway that checks every key before it lets one pass größer naïve 你好"
).split()


def _text(rng: random.Random, size: int) -> str:
    """Prose with the line ends and quotes of a chat, at least `size` bytes of it."""
    parts, length = [], 0
    while length < size:
        word = rng.choice(_WORDS)
        kind = rng.random()
        if kind < 0.04:
            word += ".\n\n"
        elif kind < 0.06:
            word = f'"{word}" '
        else:
            word += " "
        parts.append(word)
        length += len(word.encode())
    return "".join(parts)


def _chat(messages: list[object], model_first: bool = True, **parameters: object) -> bytes:
    fields = {"model": ALIAS, "messages": messages} if model_first else {}
    return compact({**fields, "messages": messages, "model": ALIAS, **parameters})


def _history(rng: random.Random, size: int) -> list[object]:
    """A conversation of messages of about a kilobyte."""
    messages: list[object] = [{"role": "system", "content": _text(rng, 400)}]
    while len(compact(messages)) < size:
        role = "user" if len(messages) % 2 else "assistant"
        messages.append({"role": role, "content": _text(rng, 1000)})
    return messages


def image_body(size: int, model_first: bool = True) -> bytes:
    """A chat with an image in it: nearly all of the body is one base64 string."""
    rng = random.Random(size)
    url = "data:image/png;base64," + "".join(rng.choices(_BASE64, k=1 << 16)) * (size // (1 << 16))
    parts = [
        {"type": "text", "text": "What is in this image?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return _chat([{"role": "user", "content": parts}], model_first, max_tokens=256)


_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_USAGE = {"prompt_tokens": 57, "completion_tokens": 31, "total_tokens": 88}


def _answer() -> bytes:
    rng = random.Random(1)
    message = {"role": "assistant", "content": _text(rng, 230), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return compact(
        {
            "id": "chatcmpl-BsZ7sXkq2mWvTnYpLr4u",
            "object": "chat.completion",
            "created": 1763731200,
            "model": MODEL,
            "choices": [choice],
            "usage": _USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_7c1d2a90",
        }
    )


def _events(count: int) -> list[bytes]:
    """The JSON of a chat stream's events."""
    rng = random.Random(2)

    def chunk(delta: object, finish: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {
            "id": "chatcmpl-BsZ7sXkq2mWvTnYpLr4u",
            "object": "chat.completion.chunk",
            "created": 1763731200,
            "model": MODEL,
            "choices": [choice],
        }

    first = chunk({"role": "assistant", "content": ""})
    words = [chunk({"content": " " + rng.choice(_WORDS)}) for _ in range(count - 4)]
    usage = {**chunk({}), "choices": [], "usage": _USAGE}
    return [compact(event) for event in (first, *words, chunk({}, "stop"), usage)]


def _stream(events: list[bytes], before: bytes, after: bytes, done: bool) -> list[bytes]:
    return [before + event + after for event in (*events, *([b"[DONE]"] if done else []))]


def _embeddings(count: int) -> tuple[bytes, bytes]:
    """A request for `count` vectors of 1,536 floats, and its answer."""
    rng = random.Random(3)
    vector = [round(rng.uniform(-0.06, 0.06), 9) for _ in range(1536)]
    inputs = [_text(rng, 60) for _ in range(count)]
    data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(count)]
    usage = {"prompt_tokens": 14 * count, "total_tokens": 14 * count}
    answer = {"object": "list", "data": data, "model": MODEL, "usage": usage}
    request = {"model": ALIAS, "input": inputs if count > 1 else inputs[0]}
    return compact({**request, "encoding_format": "float"}), compact(answer)


def _small() -> list[object]:
    system = "You are a helpful assistant. Answer in one sentence."
    user = _text(random.Random(5), 110)
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _stream_body() -> bytes:
    return _chat(_small(), stream=True, stream_options={"include_usage": True})


def _streamed(name: str, title: str, body: bytes, events: list[bytes], clean: bytes | None = None,
              **fields: object) -> Work:  # fmt: skip
    pieces = tuple(len(event) for event in events)
    return Work(name, title, body, b"".join(events), pieces=pieces, clean=clean, **fields)


def _canonical(count: int) -> list[bytes]:
    return _stream(_events(count), b"data: ", b"\n\n", done=True)


def _responses_body(stream: bool) -> bytes:
    system, user = (message["content"] for message in _small())
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": user}]}
    request = {"model": ALIAS, "instructions": system, "input": [message], "store": False}
    return compact({**request, "temperature": 0.7, "max_output_tokens": 256, "stream": stream})


def _messages_body(stream: bool) -> bytes:
    system, user = (message["content"] for message in _small())
    request = {"model": ALIAS, "system": system, "messages": [{"role": "user", "content": user}]}
    return compact({**request, "temperature": 0.7, "max_tokens": 256, "stream": stream})


def rows() -> list[Work]:
    """Every row, in the order of the report."""
    history = _history(random.Random(4), 32_000)
    answer = _answer()
    canonical = _canonical(200)
    clean = b"".join(canonical)
    # No space, CRLF, no [DONE]: three habits of real servers.
    drifting = _stream(_events(200), b"data:", b"\r\n\r\n", done=False)
    one, one_answer = _embeddings(1)
    many, many_answer = _embeddings(100)
    body = _stream_body()
    return [
        Work("chat", "small chat", _chat(_small(), temperature=0.7, max_tokens=256), answer,
             target=(1.90, 1.05), native_target=1.45),
        Work("chat-32k", "32 KB request", _chat(history), answer, target=(2.05, 0.9),
             native_target=1.50),
        Work("chat-32k-last", "32 KB, model last", _chat(history, False), answer),
        Work("chat-4m", "4 MB request", image_body(4 << 20), answer, connections=8,
             target=(1.40, 0.85), native_target=1.25),
        Work("chat-4m-last", "4 MB, model last", image_body(4 << 20, False), answer, connections=8),
        Work("embed-1", "1 embedding", one, one_answer, path=EMBEDDINGS),
        Work("embed-100", "100 embeddings", many, many_answer, path=EMBEDDINGS, connections=8,
             target=(1.25, 0.8), native_target=1.20),
        _streamed("stream", "stream, full speed", body, canonical, connections=16,
                  target=(1.95, 0.8), native_target=1.60),
        _streamed("stream-drift", "drifting stream, full speed", body, drifting, clean,
                  connections=16),
        _streamed("stream-paced", "stream, an event in 5 ms", body, canonical, interval_us=5000,
                  target=(1.35, 1.0), native_target=1.12),
        _streamed("stream-paced-drift", "drifting stream, an event in 5 ms", body, drifting, clean,
                  interval_us=5000),
        Work("responses", "Responses API over chat", _responses_body(False), answer, path=RESPONSES,
             translated=True, target=(2.80, 1.0), native_target=1.85),
        _streamed("responses-stream", "Responses stream over chat", _responses_body(True),
                  canonical, path=RESPONSES, connections=16, translated=True),
        Work("messages", "Messages API over chat", _messages_body(False), answer, path=MESSAGES,
             translated=True),
        _streamed("messages-stream", "Messages stream over chat", _messages_body(True),
                  canonical, path=MESSAGES, connections=16, translated=True),
    ]  # fmt: skip


def one_at_a_time() -> list[Work]:
    """What latency is measured on. The short stream is for the time to its first event."""
    first = _streamed("first-event", "first event of a stream", _stream_body(), _canonical(12),
                      interval_us=1000)  # fmt: skip
    return [row for row in rows() if row.name in ("chat", "chat-32k", "embed-1")] + [first]


SIZES = ((300, "300 B"), (4 << 10, "4 KB"), (32 << 10, "32 KB"), (256 << 10, "256 KB"),
         (1 << 20, "1 MB"), (4 << 20, "4 MB"), (16 << 20, "16 MB"))  # fmt: skip


def sizes() -> list[Work]:
    """Request bodies of growing size with the same answer: prose, and from 256 KB an image."""
    answer = _answer()

    def body(size: int) -> bytes:
        if size < 1 << 10:
            return _chat(_small(), temperature=0.7, max_tokens=256)
        return _chat(_history(random.Random(6), size)) if size < 1 << 18 else image_body(size)

    return [
        Work(f"size-{size}", title, body(size), answer, connections=min(64, max(4, (32 << 20) // size)))
        for size, title in SIZES
    ]


def for_memory() -> dict[str, Work]:
    """The states of Envoy whose memory is told."""
    answer = _answer()
    paced = next(row for row in rows() if row.name == "stream-paced")
    return {
        "streams": paced,
        "small": Work("small", "small", _chat(_small()), answer, connections=4),
        "20m": Work("20m", "20 MB", image_body(20 << 20), answer, connections=4),
        "20m-last": Work("20m-last", "20 MB, model last", image_body(20 << 20, False), answer,
                         connections=4),
    }  # fmt: skip
