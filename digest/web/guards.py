"""What holds for every request and reply: size limits, headers, one masked line in the log, never a bare 500."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digest.domain import masking

MAX_BODY = 65_536  # bytes
_TOKEN = re.compile(r"(/(?:confirm|unsubscribe|return|preferences|own-data|forget|desk/preview|api/v1/progress)/).+")
HEADERS = (
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self' https: data:; form-action 'self'; "
    b"frame-ancestors 'none'; base-uri 'none'"
)
log = logging.getLogger("digest.web")


class _TooLarge(Exception):
    pass


class Guards:
    """ASGI middleware; sees every request before the framework does.

    `apology` answers a path with a status. Bodies sent to `own_limits` are measured there.
    """

    def __init__(self, app: ASGIApp, apology: Callable[[str, int], Response], own_limits: Collection[str] = ()) -> None:
        self._app = app
        self._apology = apology
        self._own_limits = own_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, within limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        line = f"{scope['method']} {masked(scope['path'])}"
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        reply = _Reply(send, line, path.startswith("/api/"))
        try:
            await self._app(scope, receive if path in self._own_limits else _limited(receive), reply.pass_on)
        except ClientDisconnect:
            log.info("%s: the client left", line)
        except Exception as error:
            if not isinstance(error, _TooLarge):
                log.exception("%s failed", line)
            if reply.began:
                raise
            status = 413 if isinstance(error, _TooLarge) else 500
            await self._apology(scope["path"], status)(scope, receive, reply.pass_on)


class _Reply:
    """A reply on its way out: gets its headers, and its line in the log."""

    def __init__(self, send: Send, line: str, is_api: bool) -> None:
        self._send = send
        self._line = line
        self._is_api = is_api
        self.began = False

    async def pass_on(self, message: Message) -> None:
        """To the client."""
        if message["type"] == "http.response.start":
            self.began = True
            _add_headers(message, is_api=self._is_api)
            log.info("%s %d", self._line, message["status"])
        await self._send(message)


def masked(path: str) -> str:
    """A path for the log: a token there would be a key under the mat, a line break a forged line; addresses go too."""
    return masking.masked(_TOKEN.sub(r"\1...", quote(path[:200], safe="/", errors="replace")))


def _limited(receive: Receive) -> Receive:
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY:
            raise _TooLarge
        return message

    return limited


def _add_headers(message: Message, *, is_api: bool) -> None:
    headers = message.setdefault("headers", [])
    present = {name.lower() for name, _ in headers}
    headers += [pair for pair in HEADERS if pair[0] not in present]
    if b"content-security-policy" not in present and not is_api:
        headers.append((b"content-security-policy", _POLICY))
    if b"cache-control" not in present:
        headers.append((b"cache-control", b"no-store"))
