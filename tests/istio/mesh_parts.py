"""What the tests of a mesh share: the server behind it, the manifests as they are shipped, a client."""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from mesh import HOST

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "vk-of-this-test"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
UPSTREAM_KEY = "key-of-the-provider"


class Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a date is a string."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Provider(ThreadingHTTPServer):
    """A chat server that notes each request it gets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.failure: tuple[int, dict] | None = None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        if self.server.failure:
            self.answer(*self.server.failure)
            return
        if json.loads(body).get("stream"):
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for word in ("Hel", "lo"):
                choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
                self.chunk({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
            choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
            self.chunk({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
            self.wfile.write(b"0\r\n\r\n")
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        self.answer(200, {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})

    def answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def chunk(self, event: dict) -> None:
        data = b"data:" + json.dumps(event).encode() + b"\r\n\r\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def manifests(name: str) -> list[dict]:
    return list(yaml.load_all((ROOT / "envoy" / name).read_text(), Loader))


def send(
    port: int,
    host: str,
    body: dict | bytes,
    key: str = KEY,
    path: str = "/v1/chat/completions",
    more: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"host": host, "authorization": f"Bearer {key}", "content-type": "application/json"} | (more or {})
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def chat(model: str, **members: object) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **members}


def error_code(body: bytes) -> str:
    return json.loads(body)["error"]["code"]


def contents(stream: bytes) -> str:
    assert stream.endswith(b"data: [DONE]\n\n"), stream
    events = [json.loads(line[6:]) for line in stream.split(b"\n\n")[:-2]]
    return "".join(event["choices"][0]["delta"].get("content", "") for event in events)


def within_budget(port: int, host: str, provider: Provider, body: dict) -> None:
    """What the shipped budgets of one machine come to: a million estimated tokens an hour for this key."""
    status, headers, answer = send(port, host, body)
    assert status == 200, answer
    status, _, answer = send(port, host, {**body, "max_tokens": 990_000}, key="vk-wrong")
    assert status == 401, "what the gateway refuses takes nothing"
    assert send(port, host, {**body, "max_tokens": 990_000})[0] == 200
    status, headers, answer = send(port, host, {**body, "max_tokens": 20_000})
    assert (status, error_code(answer)) == (429, "rate_limit_exceeded"), answer
    assert headers["retry-after"]
    assert len(provider.requests) == 2


def without_service(port: int, host: str, provider: Provider, body: dict) -> None:
    """A budget whose service can't be reached lets nothing pass, but a wrong key is still a wrong key."""
    status, _, answer = send(port, host, body)
    assert (status, error_code(answer)) == (500, "internal_error"), answer
    assert send(port, host, body, key="vk-wrong")[0] == 401
    assert not provider.requests
