"""A raw HTTP/1.1 client: sends the bytes it is told to, in the pieces it is told to."""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from . import wire
from .script import PATIENCE
from .wire import Fields, Head, Reader, Truncated

Witness = Callable[[bytes], None]
"""Is shown every byte that a client received."""


@dataclass
class Response:
    """A whole answer, or what came of one. Header values are latin-1."""

    status: int
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    complete: bool = True

    def header(self, name: str) -> str | None:
        """The only value of a header, or None."""
        return Head("", self.fields, b"").get(name)

    def json(self) -> Any:
        return json.loads(self.body)


class Incoming:
    """An answer whose head has come and whose body is read as the test asks."""

    def __init__(self, reader: Reader, head: Head, pieces: Iterator[bytes], witness: Witness):
        self.status = int(head.start.split(" ")[1])
        self.head = head
        self._read: list[bytes] = []
        self._reader = reader
        self._pieces = pieces
        self._witness = witness

    @property
    def body(self) -> bytes:
        """What has been read of the body."""
        self._read = [b"".join(self._read)]
        return self._read[0]

    @property
    def so_far(self) -> Response:
        """What has been read, as an answer that is not complete."""
        return Response(self.status, self.head.fields, self.body, complete=False)

    def read_until(self, done: Callable[[bytes], bool]) -> bytes:
        """Reads until the body so far satisfies `done`; returns the body so far."""
        while not done(self.body):
            self._read_piece()
        return self.body

    def rest(self) -> Response:
        """Reads to the end. A cut or reset answer has `complete` False."""
        complete = True
        try:
            while True:
                self._read_piece()
        except StopIteration:
            pass
        except Truncated:
            complete = False
        trailers = list(self._reader.trailers)
        return Response(self.status, self.head.fields, self.body, trailers, complete)

    def _read_piece(self) -> None:
        piece = next(self._pieces)
        self._witness(piece)
        self._read.append(piece)


class Connection:
    """One TCP connection. Every read gives up after PATIENCE seconds."""

    def __init__(self, port: int, witness: Witness = lambda _: None) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = Reader(self.sock)
        self._witness = witness

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """One write."""
        self.sock.sendall(data)

    def send_head(self, method: str, path: str, fields: Fields) -> None:
        """A request head; `host` is added when it is not given."""
        host = [] if any(name.lower() == "host" for name, _ in fields) else [("host", "gateway")]
        self.send(wire.head_bytes(f"{method} {path} HTTP/1.1", [*host, *fields]))

    def send_pieces(self, pieces: Iterable[bytes]) -> bool:
        """Writes piece by piece, and stops as soon as the server answers or hangs up. Whether all
        was written."""
        for piece in pieces:
            if select.select([self.sock], [], [], 0)[0]:
                return False
            try:
                self.send(piece)
            except ConnectionError:
                return False
        return True

    def answer(self, method: str = "POST") -> Incoming:
        """Waits for the next head; interim answers are skipped."""
        while True:
            head = self._reader.head()
            if head is None:
                raise Truncated("no answer")
            self._witness(head.raw)
            status = int(head.start.split(" ")[1])
            if status >= 200:
                break
        if method == "HEAD" or status in (204, 304):
            pieces: Iterator[bytes] = iter(())
        else:
            pieces = self._reader.body_of(head, until_close=True)
        return Incoming(self._reader, head, pieces, self._witness)

    def request(
        self,
        method: str,
        path: str,
        fields: Fields = (),
        body: bytes | None = None,
        *,
        pieces: Iterable[bytes] | None = None,
        trailers: Fields = (),
    ) -> Response:
        """A request and its whole answer. `body` goes with its content-length in one write;
        `pieces` go chunked, each a chunk and a write."""
        if pieces is not None:
            self.send_head(method, path, [*fields, ("transfer-encoding", "chunked")])
            if self.send_pieces(wire.chunk(piece) for piece in pieces):
                self.send_pieces([wire.last_chunk(trailers)])
        elif body is not None:
            self.send_head(method, path, [*fields, ("content-length", str(len(body)))])
            self.send_pieces(wire.split(body, 262_144))
        else:
            self.send_head(method, path, list(fields))
        return self.answer(method).rest()

    def half_close(self) -> None:
        """Sends FIN; answers can still be read."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Goes away with RST."""
        wire.reset(self.sock)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()
