"""RFC 8058's one click, answered before the framework is asked: a provider may press it for thousands at once.

Only what is exactly that request is taken here; everything else, and any token that is not ours, goes on to the pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digest.app import App, Clock
from digest.errors import InvalidToken, StoreUnavailable
from digest.subscribing import departing
from digest.subscribing.departing import Departure
from digest.web.batching import Batches
from digest.web.guards import HEADERS, log

MAX_BODY = 2_048  # bytes: the pair in either encoding, and room for a boundary
_PATH = "/unsubscribe/"
_PAIR = b"List-Unsubscribe=One-Click"
_FORM = b"application/x-www-form-urlencoded"
_MULTIPART = b"multipart/form-data"


class OneClick:
    """ASGI middleware around all the rest."""

    def __init__(self, app: ASGIApp, service: App, clock: Clock, answer: str) -> None:
        self._app = app
        self._links = service.links
        body = answer.encode()
        self._body: Message = {"type": "http.response.body", "body": body}
        own = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        headers = [*own, *HEADERS, (b"cache-control", b"no-store")]
        self._start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
        self._departures: Batches[Departure] = Batches("one-click", partial(_leave, service, clock))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The one click is answered here; all else is passed on."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _path(scope).startswith(_PATH):
            await self._app(scope, receive, send)
            return
        kind, agent = _headers(scope)
        messages: list[Message] = []
        body = await _read(receive, messages) if kind.startswith((_FORM, _MULTIPART)) else b""
        if not _is_the_pair(kind, body):
            await self._app(scope, _again(messages, receive), send)
            return
        try:
            number = self._links.read_unsubscribe(_path(scope).removeprefix(_PATH))
            await self._departures.do(Departure(number, agent[:200]))
        except (InvalidToken, StoreUnavailable):
            await self._app(scope, _again(messages, receive), send)  # the pages know what to say
            return
        log.info("POST /unsubscribe/... 200")
        await send({**self._start, "headers": list(self._start["headers"])})
        await send(self._body)


def _leave(service: App, clock: Clock, batch: Sequence[Departure]) -> None:
    departing.leave(service.store, batch, clock())


async def _read(receive: Receive, messages: list[Message]) -> bytes:
    """The body, if it is small; what was received is kept, as somebody else may have to read it."""
    body = b""
    while len(body) <= MAX_BODY:
        message = await receive()
        messages.append(message)
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body", False):
            return body if message["type"] == "http.request" else b""
    return b""


def _again(messages: list[Message], receive: Receive) -> Receive:
    """What was received once more, then what is still to come."""
    kept = iter(messages)

    async def again() -> Message:
        return next(kept, None) or await receive()

    return again


def _is_the_pair(kind: bytes, body: bytes) -> bool:
    if kind.startswith(_FORM):
        return body.strip() == _PAIR
    boundary = kind.partition(b"boundary=")[2].partition(b";")[0].strip(b' "')
    parts = body.split(b"--" + boundary) if boundary else []
    if len(parts) != 3 or parts[0].strip() or parts[2].strip() != b"--":
        return False
    head, _, value = parts[1].partition(b"\r\n\r\n")
    return b'name="List-Unsubscribe"' in head and b"filename" not in head and value.strip() == b"One-Click"


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _headers(scope: Scope) -> tuple[bytes, str]:
    """(content type, user agent)."""
    kind, agent = b"", ""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"user-agent":
            agent = str(value, "latin-1").replace("\0", "")
    return kind, agent
