"""A real web server on loopback that answers as a test tells it, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers.certificates import Certificate


@dataclass(frozen=True)
class Asked:
    """A request."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    method: str = "GET"
    body: bytes = b""

    @property
    def form(self) -> dict[str, str]:
        """What was posted as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        """What was posted as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """A reply. A body that is neither bytes nor text goes out as JSON.

    `hangs`: nothing comes until the test is over. `breaks`: the connection ends before the last byte.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    breaks: bool = False

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


Reply = Callable[[Asked], Answer]


def in_turn(answers: Sequence[Answer]) -> Reply:
    """One answer after the other, the last for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class Web:
    """A running server: `routes` by path, `asked` in order."""

    url: str = ""
    routes: dict[str, Reply] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def says(self, path: str, *answers: Any, **details: Any) -> str:
        """Answer `path` with bodies or Answers in turn; returns the whole address."""
        made = [each if isinstance(each, Answer) else Answer(each, **details) for each in answers]
        self.routes[path] = in_turn(made)
        return self.url + path


class _Handler(BaseHTTPRequestHandler):
    web: Web
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet; apart they would wait 40 ms for each other

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Asked(parts.path, query, headers, self.command, body)
        self.web.asked.append(asked)
        answer = self.web.routes.get(parts.path, lambda _: Answer("nothing here", 404))(asked)
        if answer.hangs:
            self.web.over.wait(10)
            self.close_connection = True
            return
        content = b"" if answer.status == 304 else answer.content
        self.send_response_only(answer.status)
        for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if answer.breaks else content)
        self.close_connection = self.close_connection or answer.breaks

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is what some tests want."""


@contextmanager
def serving(certificate: Certificate | None = None) -> Iterator[Web]:
    """A server for one test; with TLS when it gets a certificate."""
    web = Web()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web}))
    scheme = "http"
    if certificate:
        server.socket = certificate.server_context().wrap_socket(server.socket, server_side=True)
        scheme = "https"
    web.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
