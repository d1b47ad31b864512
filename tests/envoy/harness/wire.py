"""HTTP/1.1 as bytes: heads and bodies are read exactly as sent, nothing is normalised.

Both ends of the suite use it, the scripted upstream for requests and the raw client for answers, so
what a test compares is what went over the socket.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

Fields = list[tuple[str, str]]


class Truncated(Exception):
    """The peer closed or reset the connection in the middle of a message."""


@dataclass
class Head:
    """A start line and header fields. Values are latin-1, so that every byte survives."""

    start: str
    fields: Fields
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Head:
        start, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(start, [(name, value.strip(" \t")) for name, _, value in pairs], raw)

    def values(self, name: str) -> list[str]:
        """Every value of a field, in order; the name in any case."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The only value of a field, or None. Several are an assertion failure."""
        values = self.values(name)
        assert len(values) < 2, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else None


@dataclass
class Reader:
    """Reads messages from a socket. A timeout of the socket raises TimeoutError."""

    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    trailers: Fields = field(default_factory=list)

    def head(self) -> Head | None:
        """The next head; None when the peer closed before its first byte."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not self._fill():
                if self.buffer:
                    raise Truncated("in a head")
                return None
        return Head.parse(self._take(end + 4))

    def body_of(self, head: Head, *, until_close: bool) -> Iterator[bytes]:
        """The pieces of a body as they arrive, by the head's framing; trailers are kept."""
        self.trailers = []
        if "chunked" in (head.get("transfer-encoding") or ""):
            yield from self._chunked()
        elif (length := head.get("content-length")) is not None:
            yield from self._exactly(int(length))
        elif until_close:
            while self.buffer or self._fill():
                yield self._take(len(self.buffer))

    def _chunked(self) -> Iterator[bytes]:
        while size := int(self._line().split(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers.append((name, value.strip(" \t")))

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count:
            if not self.buffer and not self._fill():
                raise Truncated(f"{count} body bytes are missing")
            piece = self._take(min(count, len(self.buffer)))
            count -= len(piece)
            yield piece

    def _line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            if not self._fill():
                raise Truncated("in chunked framing")
        return self._take(end + 2)[:-2]

    def _take(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def _fill(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except ConnectionError as error:
            raise Truncated(str(error)) from error
        self.buffer += data
        return bool(data)


def head_bytes(start: str, fields: Fields) -> bytes:
    """A head in wire form. Characters are written as latin-1, so "\\xff" is one byte."""
    lines = [start, *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of chunked framing."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def last_chunk(trailers: Fields = ()) -> bytes:
    """The end of chunked framing, with trailers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return f"0\r\n{lines}\r\n".encode("latin-1")


def reset(sock: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    linger_at_once = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_at_once)
    sock.close()


def split(body: bytes, sizes: list[int] | int | str | None) -> list[bytes]:
    """Cuts a body into pieces: a list of lengths (a negative one is the remainder, and so is what no
    length covers), one length for all, `"1-byte"` style names, or None for one piece."""
    if isinstance(sizes, str):
        sizes = int(sizes.removesuffix("-byte"))
    if sizes is None:
        return [body] if body else []
    if isinstance(sizes, int):
        return [body[at : at + sizes] for at in range(0, len(body), sizes)]
    pieces, at = [], 0
    for size in [*sizes, -1]:
        end = at + size if size >= 0 else len(body)
        pieces.append(body[at:end])
        at = end
    return [piece for piece in pieces if piece]
