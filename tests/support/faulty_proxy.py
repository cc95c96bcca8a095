"""A reverse proxy before a real S3 server, which spoils the requests that it is told to spoil."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread

from services.platform.artifacts import ArtifactStore

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: HTTPMessage


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Exchange(BaseHTTPRequestHandler):
    """One connection of a client, and a connection of its own to the server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Link
    body: bytes

    def setup(self) -> None:
        super().setup()
        self.server.accepted += 1
        self._onward: HTTPConnection = self.server.onward()

    def finish(self) -> None:
        self._onward.close()
        super().finish()

    def exchange(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(Seen(self.command, self.path, self.headers))
        fault = self.server.next_fault(self.command)
        if fault is None:
            self.relay(self.forward(self.body))
        else:
            fault(self)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = exchange  # noqa: N815

    def forward(self, body: bytes) -> Answer:
        """What the server answers to this request with `body`."""
        self._onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self._onward.putheader(name, value)
        self._onward.endheaders(body)
        answer = self._onward.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())

    def relay(self, answer: Answer, length: int | None = None) -> None:
        """Sends the answer, or only `length` bytes of its body and then nothing more."""
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() != "transfer-encoding":
                self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in answer.headers):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[:length])
        if length is not None:
            self.hang_up()

    def hang_up(self) -> None:
        """Resets the connection."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


Fault = Callable[[Exchange], None]
Opening = Callable[..., ArtifactStore]


class Link(ThreadingHTTPServer):
    """Listens on loopback before `endpoint`, under TLS where `certificate` names a PEM file with its key.

    `faults` holds for a method what befalls its next requests in turn, None for nothing.
    """

    daemon_threads = True

    def __init__(self, endpoint: str, certificate: Path | None = None) -> None:
        super().__init__((HOST, 0), Exchange)
        self._scheme, _, self._address = endpoint.partition("://")
        self.endpoint = f"{'https' if certificate else 'http'}://{HOST}:{self.server_address[1]}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.accepted = 0
        self.seen: list[Seen] = []
        self.released = Event()
        self._faults: dict[str, Iterator[Fault | None]] = {}
        self._lock = Lock()

    def __enter__(self) -> Link:
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Clients come and go."""

    def spoil(self, method: str, faults: Iterable[Fault | None]) -> None:
        self._faults[method] = iter(faults)

    def next_fault(self, method: str) -> Fault | None:
        with self._lock:
            return next(self._faults.get(method, iter(())), None)

    def onward(self) -> HTTPConnection:
        kind = HTTPSConnection if self._scheme == "https" else HTTPConnection
        return kind(self._address, timeout=60)

    def count(self, method: str) -> int:
        return sum(each.method == method for each in self.seen)


def reset(exchange: Exchange) -> None:
    """The request is lost."""
    exchange.hang_up()


def lose_answer(exchange: Exchange) -> None:
    """The server does what it is asked, and nobody hears of it."""
    exchange.forward(exchange.body)
    exchange.hang_up()


def cut_answer(exchange: Exchange) -> None:
    """Half of the answer's body arrives."""
    answer = exchange.forward(exchange.body)
    exchange.relay(answer, len(answer.body) // 2)


def stall(exchange: Exchange) -> None:
    """Nothing arrives, and the connection stays."""
    exchange.server.released.wait(60)
    exchange.hang_up()


def flip_request(exchange: Exchange) -> None:
    """A bit of the request's body arrives wrong."""
    body = exchange.body
    exchange.relay(exchange.forward(body[:-1] + bytes([body[-1] ^ 1])))


def answering(status: int, code: str, **headers: str) -> Fault:
    """Something before the store answers, or a store that is full, elsewhere, or tired: as S3 writes it."""
    body = f"<Error><Code>{code}</Code><Message>told to</Message></Error>".encode() if code else b""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return lambda exchange: exchange.relay(Answer(status, [("Content-Type", "application/xml"), *named], body))
