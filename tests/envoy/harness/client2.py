"""An HTTP/2 client with prior knowledge: several streams, bodies in pieces, trailers both ways."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection as Protocol
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from .client import Response, Witness
from .script import PATIENCE
from .wire import Fields


@dataclass
class Stream:
    """What has come for one request."""

    fields: Fields = field(default_factory=list)
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    ended: bool = False
    reset: bool = False

    @property
    def status(self) -> int:
        return int(dict(self.fields)[":status"])


class H2Connection:
    """One HTTP/2 connection in clear text."""

    def __init__(self, port: int, witness: Witness = lambda _: None) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._witness = witness
        self._protocol = Protocol(H2Configuration(header_encoding="latin-1"))
        self._protocol.initiate_connection()
        self._flush()
        self.streams: dict[int, Stream] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()

    def start(self, method: str, path: str, fields: Fields, *, end: bool = False) -> int:
        """Sends a request head; gives the stream's number."""
        number = self._protocol.get_next_available_stream_id()
        self.streams[number] = Stream()
        pseudo = [
            (":method", method),
            (":scheme", "http"),
            (":authority", "gateway"),
            (":path", path),
        ]
        self._protocol.send_headers(number, [*pseudo, *fields], end_stream=end)
        self._flush()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Sends body bytes, as the peer's flow control allows."""
        while data:
            window = self._protocol.local_flow_control_window(number)
            size = min(window, self._protocol.max_outbound_frame_size, len(data))
            if size == 0:
                self._receive()
                continue
            piece, data = data[:size], data[size:]
            self._protocol.send_data(number, piece, end_stream=end and not data)
            self._flush()

    def end(self, number: int, trailers: Fields = ()) -> None:
        """Ends a request, with trailers if there are any."""
        if trailers:
            self._protocol.send_headers(number, list(trailers), end_stream=True)
        else:
            self._protocol.end_stream(number)
        self._flush()

    def cancel(self, number: int) -> None:
        """Resets a stream."""
        self._protocol.reset_stream(number)
        self._flush()

    def wait_head(self, number: int) -> Stream:
        """Waits for a stream's answer head."""
        stream = self.streams[number]
        while not (stream.fields or stream.reset):
            self._receive()
        return stream

    def wait(self, number: int) -> Response:
        """Waits for the end of a stream's answer."""
        stream = self.streams[number]
        while not (stream.ended or stream.reset):
            self._receive()
        fields = [pair for pair in stream.fields if not pair[0].startswith(":")]
        return Response(stream.status, fields, stream.body, stream.trailers, stream.ended)

    def request(
        self,
        method: str,
        path: str,
        fields: Fields = (),
        pieces: Iterable[bytes] = (),
        trailers: Fields = (),
    ) -> Response:
        """A request and its whole answer."""
        number = self.start(method, path, list(fields))
        for piece in pieces:
            self.send(number, piece)
        self.end(number, trailers)
        return self.wait(number)

    def _receive(self) -> None:
        data = self._sock.recv(65536)
        assert data, "the server closed the connection"
        for event in self._protocol.receive_data(data):
            assert not isinstance(event, ConnectionTerminated), f"GOAWAY {event.error_code}"
            stream = self.streams.get(getattr(event, "stream_id", None) or 0)
            if stream is None:
                continue
            if isinstance(event, ResponseReceived):
                stream.fields = list(event.headers)
                self._witness(repr(stream.fields).encode())
            elif isinstance(event, DataReceived):
                stream.body += event.data
                self._witness(event.data)
                size = event.flow_controlled_length
                self._protocol.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, TrailersReceived):
                stream.trailers = list(event.headers)
            elif isinstance(event, StreamEnded):
                stream.ended = True
            elif isinstance(event, StreamReset):
                stream.reset = True
        self._flush()

    def _flush(self) -> None:
        if data := self._protocol.data_to_send():
            self._sock.sendall(data)
