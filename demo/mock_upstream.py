#!/usr/bin/env python3
"""A small vLLM-like server for the demo: no model, no dependency, answers that say what arrived.

    python3 demo/mock_upstream.py [--port 18000]

It serves the OpenAI API twice:

- `/v1/...` as a vLLM server without a key;
- `/hosted/v1/...` as a hosted API: 401 without `Authorization: Bearer demo-upstream-key`, and 429 for the
  question "are you busy?".

Six model ids answer the way some real servers do, so that the gateway has something to repair: `error-in-200`,
`drifting-stream`, `flat-embedding`, `whole-message-last`, `broken-off` and `loose-tool-call`.

Every answer carries what the server saw: `x-mock-path`, `x-mock-model` and `x-mock-authorization`
(`none`, `accepted`, or `unexpected`, never the value).
"""

import argparse
import base64
import email.parser
import email.policy
import hashlib
import json
import re
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

UPSTREAM_KEY = "demo-upstream-key"
BUSY = "are you busy?"
"""What the hosted API takes for a request too many."""
MODELS = {
    "": [
        "mock-chat",
        "mock-embed",
        "mock-whisper",
        "meta-llama/Llama-3.2-1B-Instruct",
        "error-in-200",
        "drifting-stream",
        "flat-embedding",
        "whole-message-last",
        "broken-off",
        "loose-tool-call",
    ],
    "/hosted": ["swift-8b", "swift-70b"],
}
CREATED = 1767225600
MAX_BODY = 64 * 1024 * 1024
# Between two events of a stream: slow enough to be seen, quick enough to be pleasant.
EVENT_PAUSE = 0.03


def usage(prompt, completion):
    """Token counts, a word being a token."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def text_of(content):
    """The text of a message's `content`: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict)).strip()
    return ""


def vector_of(text, dimensions=4):
    """A stable pseudo-embedding: the same text gives the same vector."""
    digest = hashlib.sha256(text.encode()).digest()
    return [round(byte / 127.5 - 1, 4) for byte in digest[:dimensions]]


class ApiError(Exception):
    """An error in vLLM's shape."""

    def __init__(self, status, message, kind):
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": status}}


class Handler(BaseHTTPRequestHandler):
    """One connection; requests on it one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = "mock-upstream"
    # An answer's head and body are two writes: do not wait to merge them.
    disable_nagle_algorithm = True

    def setup(self):
        self.seen = {}
        super().setup()

    def do_GET(self):
        self.serve({"/v1/models": self.models, "/health": self.health})

    def do_POST(self):
        self.serve(
            {
                "/v1/chat/completions": self.chat,
                "/v1/completions": self.completions,
                "/v1/embeddings": self.embeddings,
                "/v1/audio/transcriptions": self.transcription,
                "/v1/audio/translations": self.transcription,
            }
        )

    # --- plumbing

    def serve(self, routes):
        """Finds the handler of the path and turns errors into answers."""
        url = urlsplit(self.path)
        # The mount: "" is the vLLM server, "/hosted" the API with a key.
        self.mount = "/hosted" if url.path.startswith("/hosted/") else ""
        self.seen = {"x-mock-path": url.path, "x-mock-authorization": self.authorization()}
        try:
            # Read first, so that an error leaves the connection usable.
            self.body = self.read_body()
            if self.mount and self.seen["x-mock-authorization"] != "accepted":
                raise ApiError(401, "Unauthorized", "Unauthorized")
            route = routes.get(unquote(url.path[len(self.mount) :]))
            if route is None:
                self.send_json({"detail": "Not Found"}, 404)
            else:
                route()
        except ApiError as error:
            self.send_json(error.body, error.status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def authorization(self):
        """What the credential is, for the reader of the answer: never the credential."""
        values = [self.headers.get(name) for name in ("authorization", "api-key", "x-api-key")]
        given = [value for value in values if value]
        if not given:
            return "none"
        return "accepted" if given == [f"Bearer {UPSTREAM_KEY}"] else "unexpected"

    def read_body(self):
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            body = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.check_size(len(body) + size)
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return bytes(body)
        length = int(self.headers.get("content-length") or 0)
        self.check_size(length)
        return self.rfile.read(length)

    def check_size(self, size):
        if size > MAX_BODY:
            self.close_connection = True
            raise ApiError(413, f"The body is larger than {MAX_BODY} bytes.", "BadRequestError")

    def json_request(self):
        """The body as an object, its model checked."""
        try:
            request = json.loads(self.body)
        except ValueError as error:
            raise ApiError(400, f"Invalid JSON: {error}", "BadRequestError") from error
        if not isinstance(request, dict):
            raise ApiError(400, "The body must be an object.", "BadRequestError")
        return request, self.checked_model(request.get("model"))

    def checked_model(self, model):
        self.seen["x-mock-model"] = re.sub(r"[^ -~]", "?", str(model))
        if model not in MODELS[self.mount]:
            raise ApiError(404, f"The model `{model}` does not exist.", "NotFoundError")
        return model

    def send_head(self, status, content_type, length=None):
        self.send_response(status)
        for name, value in self.seen.items():
            self.send_header(name, value)
        self.send_header("content-type", content_type)
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def send_json(self, value, status=200):
        body = json.dumps(value).encode() + b"\n"
        self.send_head(status, "application/json", len(body))
        self.wfile.write(body)

    def send_stream(self, pieces, content_type="text/event-stream; charset=utf-8"):
        """Each piece is one chunk on the wire."""
        self.send_head(200, content_type)
        for piece in pieces:
            data = piece.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            time.sleep(EVENT_PAUSE)
        self.wfile.write(b"0\r\n\r\n")

    # --- operations

    def health(self):
        self.send_head(200, "text/plain", 0)

    def models(self):
        data = [
            {"id": model, "object": "model", "created": CREATED, "owned_by": "mock"} for model in MODELS[self.mount]
        ]
        self.send_json({"object": "list", "data": data})

    def chat(self):
        request, model = self.json_request()
        messages = request.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise ApiError(400, "`messages` must be a list of objects.", "BadRequestError")
        question = text_of(messages[-1].get("content")) if messages else ""
        answer = f'{model} heard "{question}"; credential: {self.seen["x-mock-authorization"]}.'
        tokens = usage(sum(len(text_of(m.get("content")).split()) for m in messages), len(answer.split()))

        if self.mount and question == BUSY:
            raise ApiError(429, "The quota of this key is used up.", "insufficient_quota")
        if model == "error-in-200":
            # Some servers report a failure with a status that says all went well.
            self.send_json({"object": "error", "message": "the context length is exceeded", "code": 400})
        elif model == "drifting-stream" and request.get("stream"):
            self.send_stream(self.drifting_chunks(model, answer), "text/plain")
        elif model == "whole-message-last" and request.get("stream"):
            self.send_stream(self.repeating_chunks(model, answer))
        elif model == "broken-off":
            # The engine gave up, and says so in a finish reason that no client knows.
            choice = {"index": 0, "message": {"role": "assistant", "content": "mock"}, "finish_reason": "abort"}
            self.send_json(self.completion("chat.completion", model, [choice], usage=tokens))
        elif model == "loose-tool-call":
            # One object for a list, no id, arguments that are no text, and `stop`.
            call = {"function": {"name": "weather", "arguments": {"city": "Berlin"}}}
            message = {"role": "assistant", "content": None, "tool_calls": call}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.send_json(self.completion("chat.completion", model, [choice], usage=tokens))
        elif request.get("stream"):
            wants_usage = (request.get("stream_options") or {}).get("include_usage")
            self.send_stream(self.chat_chunks(model, answer, tokens if wants_usage else None))
        else:
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": answer},
                "logprobs": None,
                "finish_reason": "stop",
            }
            self.send_json(self.completion("chat.completion", model, [choice], usage=tokens))

    def completion(self, kind, model, choices, **more):
        return {
            "id": f"mock-{hashlib.sha256(self.body).hexdigest()[:12]}",
            "object": kind,
            "created": CREATED,
            "model": model,
            "choices": choices,
            **more,
        }

    def chat_chunks(self, model, answer, tokens):
        """A stream as vLLM sends it."""
        deltas = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word} for word in re.findall(r"\S+\s*", answer)]
        for delta in deltas:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
            yield f"data: {json.dumps(self.completion('chat.completion.chunk', model, [choice]))}\n\n"
        last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
        yield f"data: {json.dumps(self.completion('chat.completion.chunk', model, [last]))}\n\n"
        if tokens:
            yield f"data: {json.dumps(self.completion('chat.completion.chunk', model, [], usage=tokens))}\n\n"
        yield "data: [DONE]\n\n"

    def drifting_chunks(self, model, answer):
        """The same stream with framing that real servers were seen to send, and no [DONE] at all."""
        frames = list(self.chat_chunks(model, answer, None))[:-1]
        for number, frame in enumerate(frames):
            payload = frame.removeprefix("data: ").strip()
            yield (
                f"data:{payload}\r\n\r\n",
                f"data: data: {payload}\n\n",
                f"{payload}\n\n",
                f"event: message\nid: {number}\ndata: {payload}\n\n\n",
            )[number % 4]

    def repeating_chunks(self, model, answer):
        """The same stream, whose last chunk has the whole message once more (MiniMax)."""
        frames = list(self.chat_chunks(model, answer, None))[:-2]
        message = {"role": "assistant", "content": answer}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        last = json.dumps(self.completion("chat.completion", model, [choice]))
        return [*frames, f"data: {last}\n\n"]

    def completions(self):
        request, model = self.json_request()
        prompt = request.get("prompt")
        answer = f'{model} continues "{prompt if isinstance(prompt, str) else ""}".'
        choice = {"index": 0, "text": answer, "logprobs": None, "finish_reason": "stop"}
        if request.get("stream"):
            frame = json.dumps(self.completion("text_completion", model, [choice]))
            self.send_stream([f"data: {frame}\n\n", "data: [DONE]\n\n"])
        else:
            tokens = usage(len(str(prompt).split()), len(answer.split()))
            self.send_json(self.completion("text_completion", model, [choice], usage=tokens))

    def embeddings(self):
        request, model = self.json_request()
        given = request.get("input")
        inputs = given if isinstance(given, list) else [given]
        vectors = [vector_of(json.dumps(item)) for item in inputs]
        if model == "flat-embedding":
            # The numbers themselves where a list of objects belongs.
            self.send_json({"object": "list", "data": [number for vector in vectors for number in vector]})
            return
        if request.get("encoding_format") == "base64":
            vectors = [base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode() for v in vectors]
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        tokens = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
        self.send_json({"object": "list", "data": data, "model": model, "usage": tokens})

    def transcription(self):
        head = f"content-type: {self.headers.get('content-type', '')}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.body)
        if not form.is_multipart():
            raise ApiError(400, "The body must be multipart/form-data.", "BadRequestError")
        fields = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        if "model" not in fields or "file" not in fields:
            raise ApiError(400, "`model` and `file` are needed.", "BadRequestError")
        model = self.checked_model(fields["model"].get_payload(decode=True).decode("utf-8", "replace"))
        file = fields["file"]
        size = len(file.get_payload(decode=True))
        self.send_json({"text": f"{model} heard {size} bytes of {file.get_filename()}."})

    def log_message(self, *args):
        """Silent: Envoy's access log says what happened."""


class Server(ThreadingHTTPServer):
    """One thread a connection; open connections do not keep the process alive."""

    daemon_threads = True


def main():
    parser = argparse.ArgumentParser(description="A vLLM-like mock server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18000)
    options = parser.parse_args()
    try:
        server = Server((options.host, options.port), Handler)
    except OSError as error:
        sys.exit(f"mock upstream: {options.host}:{options.port}: {error.strerror}")
    print(f"mock upstream on http://{options.host}:{server.server_port}/v1", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
