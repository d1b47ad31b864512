"""A scripted upstream: a real TCP server that does what the test says and records what it got."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from . import openai_shapes, wire
from .script import PATIENCE, Answer, Gate
from .wire import Fields, Head, Reader, Truncated


@dataclass
class Recorded:
    """One request as the upstream received it. It exists from the moment its head is complete."""

    head: Head
    connection: int
    """Which TCP connection of the upstream, counted from 0."""
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    """The body as it arrived: (monotonic seconds, bytes)."""
    trailers: Fields = field(default_factory=list)
    state: Literal["reading", "complete", "aborted"] = "reading"
    abandoned: bool = False
    """The peer closed the connection while the answer was being sent or held."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def method(self) -> str:
        return self.head.start.split(" ")[0]

    @property
    def path(self) -> str:
        """The request target, query included."""
        return self.head.start.split(" ")[1]

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The only value of a header, or None."""
        return self.head.get(name)

    def wait(self, until: Callable[[Recorded], bool], what: str) -> Recorded:
        """Waits until the record satisfies `until`."""
        with self.changed:
            assert self.changed.wait_for(lambda: until(self), PATIENCE), (
                f"{what}: {self.state} after {len(self.body)} body bytes of {self.head.start}"
            )
        return self

    def wait_complete(self) -> Recorded:
        """Waits for the end of the request; an aborted one is a failure."""
        self.wait(lambda it: it.state != "reading", "waiting for a complete request")
        assert self.state == "complete", f"the request was aborted: {self.head.start}"
        return self

    def wait_aborted(self) -> Recorded:
        """Waits until Envoy gave the request up; a complete one is a failure."""
        self.wait(lambda it: it.state != "reading", "waiting for an aborted request")
        assert self.state == "aborted", f"the request came in full: {self.head.start}"
        return self

    def wait_body(self, count: int) -> Recorded:
        """Waits for the first `count` bytes of the body."""
        return self.wait(lambda it: len(it.body) >= count, f"waiting for {count} body bytes")

    def wait_abandoned(self) -> Recorded:
        """Waits until the peer closed the connection during the answer."""
        return self.wait(lambda it: it.abandoned, "waiting for the peer to hang up")

    def update(self, **changes: Any) -> None:
        with self.changed:
            for name, value in changes.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def add(self, piece: bytes) -> None:
        with self.changed:
            self.pieces.append((time.monotonic(), piece))
            self.changed.notify_all()


Handler = Callable[[Recorded], Answer]


class Upstream:
    """Listens on a port of the OS's choice until `stop`.

    Which answer: the queue's next (`answers`), else what `handler` returns, else a good one for the
    operation. A handler is called when the request is complete.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[Recorded] = []
        self.read_gate: Gate | None = None
        self.handler: Handler | None = None
        self.answers: deque[Answer] = deque()
        self._lock = threading.Condition()
        self._connections: list[socket.socket] = []
        self._gates: list[Gate] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        # What the kernel takes in for an upstream that reads nothing is bounded by this.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_048_576)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        """Forgets requests and scripts. Connections that idle are kept, as in life."""
        with self._lock:
            self.requests = []
            self.answers.clear()
            self.handler = self.read_gate = None
            for gate in self._gates:
                gate.open()
            self._gates = []

    def stop(self) -> None:
        """Closes everything."""
        self.reset()
        self._listener.close()
        for sock in self._connections:
            with contextlib.suppress(OSError):
                sock.close()

    def next(self, *answers: Answer) -> None:
        """Scripts the answers to the next requests, in the order of their heads."""
        with self._lock:
            self.answers.extend(answers)

    def wait_request(self, number: int = 1) -> Recorded:
        """The `number`th request, waiting for its head."""
        with self._lock:
            came = self._lock.wait_for(lambda: len(self.requests) >= number, PATIENCE)
            assert came, f"{self.name} got {len(self.requests)} requests, not {number}"
            return self.requests[number - 1]

    @property
    def only(self) -> Recorded:
        """The one complete request of this test."""
        assert len(self.requests) == 1, f"{self.name} got {len(self.requests)} requests"
        return self.requests[0].wait_complete()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(sock)
            number = len(self._connections) - 1
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        reader = Reader(sock)
        with contextlib.suppress(Truncated, OSError), sock:
            while (head := reader.head()) is not None:
                if not self._exchange(sock, reader, Recorded(head, number)):
                    return

    def _exchange(self, sock: socket.socket, reader: Reader, request: Recorded) -> bool:
        """One request and its answer; False when the connection is spent."""
        with self._lock:
            scripted = self.answers.popleft() if self.answers else None
            self.requests.append(request)
            self._lock.notify_all()
        if scripted and scripted.early:
            sender = threading.Thread(target=self._send, args=(sock, request, scripted))
            sender.start()
            self._read(reader, request)
            sender.join()
            return False
        if not self._read(reader, request):
            return False
        decided = scripted or (self.handler or openai_shapes.good_answer)(request)
        return self._send(sock, request, decided)

    def _read(self, reader: Reader, request: Recorded) -> bool:
        if gate := self.read_gate:
            self._remember(gate)
            gate.pass_through()
        try:
            for piece in reader.body_of(request.head, until_close=False):
                request.add(piece)
        except (Truncated, OSError):
            request.update(state="aborted")
            return False
        request.update(state="complete", trailers=list(reader.trailers))
        return True

    def _send(self, sock: socket.socket, request: Recorded, answer: Answer) -> bool:
        try:
            self._write(sock, request, answer)
        except OSError:
            request.update(abandoned=True)
            return False
        if answer.end == "never":
            self._watch_for_close(sock, request)
        elif answer.end == "reset":
            wire.reset(sock)
        return answer.end == "clean" and answer.framing != "close"

    def _write(self, sock: socket.socket, request: Recorded, answer: Answer) -> None:
        if answer.hold:
            self._wait_at(answer.hold)
        framing = {
            "length": [("content-length", str(len(answer.body)))],
            "chunked": [("transfer-encoding", "chunked")],
            "close": [("connection", "close")],
            "raw": [],
        }[answer.framing]
        bodiless = request.method == "HEAD" or answer.status in (204, 304)
        if answer.status == 204:
            framing = []
        start = f"HTTP/1.1 {answer.status} {answer.reason}"
        if not answer.silent:
            sock.sendall(wire.head_bytes(start, [*answer.headers, *framing]))
        if bodiless:
            return
        chunked = answer.framing == "chunked"
        for step in answer.steps:
            if isinstance(step, Gate):
                self._wait_at(step)
            else:
                sock.sendall(wire.chunk(step) if chunked else step)
        if chunked and answer.end == "clean":
            sock.sendall(wire.last_chunk(answer.trailers))

    def _wait_at(self, gate: Gate) -> None:
        self._remember(gate)
        gate.pass_through()

    def _remember(self, gate: Gate) -> None:
        with self._lock:
            self._gates.append(gate)

    @staticmethod
    def _watch_for_close(sock: socket.socket, request: Recorded) -> None:
        sock.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            while sock.recv(65536):
                pass
        request.update(abandoned=True)
