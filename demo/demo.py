#!/usr/bin/env python3
"""`make demo`: each capability once, without the gateway and through it, each outcome checked.

Exits 0 only when every check holds. A new capability is a function and a line in SCENES.
"""

import http.client
import json
import subprocess
import sys
from dataclasses import dataclass, field

from mock_upstream import BUSY, UPSTREAM_KEY
from stack import HOST, Stack, StackError, exit_on_signals, free_ports, paint

TEAM = "vk-demo-team"
LIMITED = "vk-demo-limited"
MESSAGES = [{"role": "user", "content": "hello"}]
SECONDS = 30


class NotAsExpected(Exception):
    """A check that did not hold."""


@dataclass
class Reply:
    """An answer, read to its end."""

    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise NotAsExpected(f"not JSON: {self.text[:200]!r}") from None

    def __str__(self):
        return f"{self.status} {' '.join(self.text.split())}"


@dataclass
class Server:
    """Where requests go: the mock itself or the gateway."""

    port: int
    prefix: str = "/v1"

    def request(self, method, path, key=None, body=None, content_type="application/json"):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        if body is not None:
            headers["content-type"] = content_type
        if isinstance(body, dict):
            body = json.dumps(body)
        connection = http.client.HTTPConnection(HOST, self.port, timeout=SECONDS)
        try:
            connection.request(method, self.prefix + path, body, headers)
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, fields, answer.read())
        except (http.client.HTTPException, OSError) as error:
            raise NotAsExpected(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def chat(self, model, key=None, messages=MESSAGES, **more):
        body = {"model": model, "messages": messages, **more}
        return self.request("POST", "/chat/completions", key, body)


@dataclass
class Scene:
    """One capability on the stage: what was seen, to be shown."""

    mock: Server
    hosted: Server
    gateway: Server
    stack: Stack
    lines: list = field(default_factory=list)

    def show(self, when, what, seen):
        self.lines.append((when, what, str(seen)))

    def check(self, holds, expected, seen):
        if not holds:
            raise NotAsExpected(f"expected {expected}, got {seen}")


def error_code(reply):
    """`code` of the OpenAI error object, or None."""
    error = reply.json.get("error") if isinstance(reply.json, dict) else None
    return error.get("code") if isinstance(error, dict) else None


def answer_text(reply):
    """The assistant's text of a chat completion."""
    try:
        return reply.json["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise NotAsExpected(f"no chat completion: {reply}") from None


def framing(reply):
    """How a stream is framed: the beginning of its first lines, and its last."""
    lines = [line[:14] + "…" if len(line) > 15 else line for line in reply.text.splitlines()]
    return " ⏎ ".join([*lines[:8], "…", *[line for line in lines if line][-1:]])


def allowed_call(scene):
    """Allowed call: a virtual key goes in, the provider's key goes out"""
    before = scene.hosted.chat("swift-70b", TEAM)
    scene.show("before", "hosted API, virtual key", before)
    scene.check(before.status == 401, "401 for a key that the provider does not know", before)

    after = scene.gateway.chat("hosted/swift-70b", TEAM)
    scene.show("after", "gateway, virtual key", f"{after.status} {answer_text(after)}")
    scene.check(after.status == 200, "200", after)
    scene.check("credential: accepted" in answer_text(after), "the provider's own credential", after)


def denied_call(scene):
    """Denied call: a model outside the key's allowlist, and a key that nobody has"""
    before = scene.hosted.chat("swift-70b", UPSTREAM_KEY)
    scene.show("before", "hosted API, its key", f"{before.status} {answer_text(before)}")
    scene.check(before.status == 200, "200", before)

    after = scene.gateway.chat("hosted/swift-70b", LIMITED)
    scene.show("after", "gateway, limited key", after)
    scene.check((after.status, error_code(after)) == (403, "model_not_allowed"), "403 model_not_allowed", after)

    unknown = scene.gateway.chat("hosted/swift-70b", "vk-nobody")
    scene.show("after", "gateway, unknown key", unknown)
    scene.check((unknown.status, error_code(unknown)) == (401, "invalid_api_key"), "401 invalid_api_key", unknown)


def alias(scene):
    """Alias: the client says gpt-4o, the operator decides what that is"""
    before = scene.hosted.chat("gpt-4o", UPSTREAM_KEY)
    scene.show("before", "hosted API", before)
    scene.check(before.status == 404, "404", before)

    after = scene.gateway.chat("gpt-4o", TEAM)
    model = after.headers.get("x-langwatch-model")
    scene.show("after", "gateway", f"{after.status} x-langwatch-model: {model}; {answer_text(after)}")
    scene.check((after.status, model) == (200, "swift-70b"), "an answer of swift-70b", after)


def by_whom(reply):
    """Who answered, and who was asked."""
    told = [f"{name}: {reply.headers.get(f'x-langwatch-{name}')}" for name in ("provider", "attempts")]
    return f"{reply.status} {', '.join(told)}; {reply.text if reply.status >= 400 else answer_text(reply)}"


def out_of_quota(scene):
    """Fallback: `fast` is the hosted API, which has no quota left, and then vLLM"""
    messages = [{"role": "user", "content": BUSY}]
    before = scene.hosted.chat("swift-70b", UPSTREAM_KEY, messages)
    scene.show("before", "hosted API", before)
    scene.check(before.status == 429, "429", before)

    after = scene.gateway.chat("fast", TEAM, messages)
    scene.show("after", "gateway", by_whom(after))
    scene.check(after.status == 200, "200", after)
    scene.check(after.headers.get("x-langwatch-attempts") == "hosted=429, vllm=200", "both were asked", after.headers)
    scene.check("mock-chat heard" in answer_text(after), "vLLM's model", after)
    scene.check("credential: none" in answer_text(after), "no key of the hosted API at vLLM", after)


def outage(scene):
    """Fallback: the hosted API is killed, and `fast` is answered all the same, plain and as a stream"""
    before = scene.gateway.chat("fast", TEAM)
    scene.show("before", "gateway", by_whom(before))
    scene.check(before.headers.get("x-langwatch-provider") == "hosted", "the hosted API's answer", before)

    scene.stack.kill_hosted_api()
    try:
        seen = scene.hosted.chat("swift-70b", UPSTREAM_KEY)
    except NotAsExpected as error:
        scene.show("killed", "hosted API", error)
    else:
        raise NotAsExpected(f"the hosted API is still there: {seen}")

    after = scene.gateway.chat("fast", TEAM)
    scene.show("after", "gateway", by_whom(after))
    scene.check((after.status, after.headers.get("x-langwatch-provider")) == (200, "vllm"), "vLLM's answer", after)
    stream = scene.gateway.chat("fast", TEAM, stream=True)
    scene.show("after", "gateway, stream", framing(stream))
    scene.check(stream.text.endswith("data: [DONE]\n\n"), "one [DONE] at the end", stream)
    scene.check(stream.headers.get("x-langwatch-provider") == "vllm", "vLLM's stream", stream.headers)


def upload(scene):
    """Upload: the model is found and replaced inside multipart, all other bytes stay"""
    boundary, audio = "demo-boundary", bytes(range(256)) * 1024
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="model"\r\n\r\nvllm/mock-whisper\r\n'
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="hello.wav"\r\n'
        "content-type: audio/wav\r\n\r\n"
    )
    body = head.encode() + audio + f"\r\n--{boundary}--\r\n".encode()
    content_type = f"multipart/form-data; boundary={boundary}"
    before = scene.mock.request("POST", "/audio/transcriptions", None, body, content_type)
    scene.show("before", "vLLM", before)
    scene.check(before.status == 404, "404", before)

    after = scene.gateway.request("POST", "/audio/transcriptions", TEAM, body, content_type)
    scene.show("after", "gateway", after)
    expected = f"mock-whisper heard {len(audio)} bytes of hello.wav."
    scene.check(after.status == 200 and after.json.get("text") == expected, repr(expected), after)


def error_in_200(scene):
    """Repair: an error that the server hides in a 200"""
    before = scene.mock.chat("error-in-200")
    scene.show("before", "vLLM", before)
    scene.check(before.status == 200, "200", before)

    after = scene.gateway.chat("vllm/error-in-200", TEAM)
    scene.show("after", "gateway", after)
    scene.check(after.status == 400 and "error" in after.json, "400 with an error object", after)
    message = after.json["error"].get("message", "")
    scene.check("context length" in message, "the server's own message", message)


def drifting_stream(scene):
    """Repair: a stream with drifting framing, no [DONE], and a wrong content type"""
    before = scene.mock.chat("drifting-stream", stream=True)
    scene.show("before", before.headers.get("content-type"), framing(before))
    scene.check("[DONE]" not in before.text, "no [DONE]", before)

    after = scene.gateway.chat("vllm/drifting-stream", TEAM, stream=True)
    kind = after.headers.get("content-type", "")
    scene.show("after", kind, framing(after))
    scene.check(kind.startswith("text/event-stream"), "text/event-stream", kind)
    frames = after.text.split("\n\n")
    scene.check(frames[-2:] == ["data: [DONE]", ""], "one [DONE] at the end", frames[-2:])
    scene.check(all(frame.startswith("data: {") for frame in frames[:-2]), "one `data: {…}` an event", frames)
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]
    words = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    expected = 'drifting-stream heard "hello"; credential: none.'
    scene.check("".join(words) == expected, repr(expected), "".join(words))


def text_of_stream(reply):
    """What an SDK would put together: every delta's text, and a message where a delta was due."""
    text = ""
    for line in reply.text.splitlines():
        payload = line.removeprefix("data:").strip()
        for choice in json.loads(payload)["choices"] if payload.startswith("{") else []:
            text += (choice.get("delta") or choice.get("message") or {}).get("content") or ""
    return text


def whole_message_last(scene):
    """Repair: a stream that ends with the whole message once more"""
    before = scene.mock.chat("whole-message-last", stream=True)
    scene.show("before", "vLLM", text_of_stream(before))
    expected = 'whole-message-last heard "hello"; credential: none.'
    scene.check(text_of_stream(before) == 2 * expected, "the answer twice", text_of_stream(before))

    after = scene.gateway.chat("vllm/whole-message-last", TEAM, stream=True)
    scene.show("after", "gateway", text_of_stream(after))
    scene.check(text_of_stream(after) == expected, repr(expected), text_of_stream(after))
    scene.check('"message"' not in after.text, "deltas alone", after)


def broken_off(scene):
    """Repair: a failure that looks like an answer"""
    before = scene.mock.chat("broken-off")
    scene.show("before", "vLLM", before)
    scene.check(before.status == 200, "200", before)

    after = scene.gateway.chat("vllm/broken-off", TEAM)
    scene.show("after", "gateway", after)
    scene.check(after.status == 502 and "abort" in after.json["error"]["message"], "502 that names it", after)


def loose_tool_call(scene):
    """Repair: a tool call as one object, without an id, with arguments that are no text"""
    before = scene.mock.chat("loose-tool-call")
    scene.show("before", "vLLM", json.dumps(before.json["choices"][0]))

    after = scene.gateway.chat("vllm/loose-tool-call", TEAM)
    choice = after.json["choices"][0]
    scene.show("after", "gateway", json.dumps(choice))
    call = choice["message"]["tool_calls"][0]
    function = {"name": "weather", "arguments": '{"city": "Berlin"}'}
    scene.check(call["function"] == function and call["type"] == "function" and call["id"], function, call)
    scene.check(choice["finish_reason"] == "tool_calls", "tool_calls", choice["finish_reason"])


def flat_embedding(scene):
    """Repair: an embedding as bare numbers"""
    body = {"model": "flat-embedding", "input": "hello", "encoding_format": "float"}
    before = scene.mock.request("POST", "/embeddings", None, body)
    scene.show("before", "vLLM", before)
    numbers = before.json["data"]

    after = scene.gateway.request("POST", "/embeddings", TEAM, {**body, "model": "vllm/flat-embedding"})
    scene.show("after", "gateway", after)
    scene.check(after.status == 200, "200", after)
    expected = [{"object": "embedding", "index": 0, "embedding": numbers}]
    scene.check(after.json.get("data") == expected, expected, after)


def responses(scene):
    """Responses API: a client that speaks nothing else, a server that has never heard of it"""
    body = {"model": "mock-chat", "input": "hello", "stream": True}
    before = scene.mock.request("POST", "/responses", None, body)
    scene.show("before", "vLLM", before)
    scene.check(before.status == 404, "404", before)

    after = scene.gateway.request("POST", "/responses", TEAM, {**body, "model": "vllm/mock-chat"})
    events = [json.loads(line.removeprefix("data: ")) for line in after.text.splitlines() if line.startswith("data: ")]
    scene.show("after", "gateway", f"{after.status} {' '.join(event['type'] for event in events)}")
    last = events[-1] if events else {}
    scene.check(last.get("type") == "response.completed", "response.completed at the end", last)
    said = last["response"]["output"][0]["content"][0]["text"]
    expected = 'mock-chat heard "hello"; credential: none.'
    scene.check(said == expected, repr(expected), repr(said))


def messages(scene):
    """Messages API: Claude Code and Anthropic's SDKs on a server that has never heard of it"""
    body = {"model": "mock-chat", "max_tokens": 100, "messages": MESSAGES, "stream": True}
    before = scene.mock.request("POST", "/messages", None, body)
    scene.show("before", "vLLM", before)
    scene.check(before.status == 404, "404", before)

    after = scene.gateway.request("POST", "/messages", TEAM, {**body, "model": "vllm/mock-chat"})
    events = [json.loads(line.removeprefix("data: ")) for line in after.text.splitlines() if line.startswith("data: ")]
    scene.show("after", "gateway", f"{after.status} {' '.join(event['type'] for event in events)}")
    scene.check([event["type"] for event in events][-1:] == ["message_stop"], "message_stop at the end", after)
    said = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    expected = 'mock-chat heard "hello"; credential: none.'
    scene.check(said == expected, repr(expected), repr(said))


def scoped_models(scene):
    """Model list: what the key may use, of every provider, under the names that it may use"""
    before = scene.mock.request("GET", "/models")
    scene.show("before", "vLLM", ", ".join(model["id"] for model in before.json["data"]))

    after = scene.gateway.request("GET", "/models", LIMITED)
    scene.check(after.status == 200, "200", after)
    ids = {model["id"] for model in after.json["data"]}
    scene.show("after", "gateway, limited key", ", ".join(sorted(ids)))
    allowed = {"hosted/swift-8b", "vllm/mock-chat", "vllm/mock-embed", "vllm/mock-whisper"}
    scene.check(allowed <= ids, sorted(allowed), sorted(ids))
    hidden = {"hosted/swift-70b", "vllm/error-in-200", "vllm/meta-llama/Llama-3.2-1B-Instruct"}
    scene.check(not hidden & ids, f"none of {sorted(hidden)}", sorted(ids))


SCENES = [
    allowed_call,
    denied_call,
    alias,
    out_of_quota,
    outage,
    upload,
    error_in_200,
    drifting_stream,
    whole_message_last,
    broken_off,
    loose_tool_call,
    flat_embedding,
    responses,
    messages,
    scoped_models,
]

def shorten(text, width=110):
    return text if len(text) <= width else text[: width - 1] + "…"


def play(number, act, stage):
    """Runs a scene, prints it, and says whether it held (or need not)."""
    scene = Scene(*stage)
    problem = None
    try:
        act(scene)
    except NotAsExpected as error:
        problem = str(error)
    print(f"{paint('1', f'{number}. {act.__doc__}')}")
    for when, what, seen in scene.lines:
        colour = "2" if when == "before" else "36"
        label = f"{when:7}{what + ':':26}"
        print(f"   {paint(colour, label)} {shorten(seen)}")
    if problem:
        verdict = paint("31", f"   not as expected: {problem}")
    else:
        verdict = paint("32", "   ok")
    print(f"{verdict}\n", flush=True)
    return problem is None


def main():
    exit_on_signals()
    try:
        with Stack(free_ports(), access_log=subprocess.DEVNULL) as stack:
            hosted = Server(stack.ports["hosted API"], "/hosted/v1")
            stage = (Server(stack.ports["mock upstream"]), hosted, Server(stack.ports["gateway"]), stack)
            held = [play(number, act, stage) for number, act in enumerate(SCENES, 1)]
    except StackError as error:
        sys.exit(f"{paint('31', 'error:')} {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    failed = held.count(False)
    print(paint("31", f"{failed} of {len(held)} not as expected.") if failed else "Everything as expected.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
