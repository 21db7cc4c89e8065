"""What holds for every request and reply: size limits, headers, one masked line in the log."""

from __future__ import annotations

import logging
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 65_536  # bytes
_TOKEN = re.compile(r"^(/(?:confirm|unsubscribe|preferences)/).+")
_HEADERS = (
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
    """ASGI middleware; sees every request before the framework does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, within limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = _TOKEN.sub(r"\1...", scope["path"])  # a token in a log would be a key under the mat
        taken = 0
        began = False

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise _TooLarge
            return message

        async def finished(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                _add_headers(message, is_api=path.startswith("/api/"))
                log.info("%s %s %d", scope["method"], path, message["status"])
            await send(message)

        try:
            await self._app(scope, limited, finished)
        except _TooLarge:
            if not began:
                await _plain(finished, 413, b"The request is too large.\n")


def _add_headers(message: Message, *, is_api: bool) -> None:
    headers = message.setdefault("headers", [])
    present = {name.lower() for name, _ in headers}
    headers += [pair for pair in _HEADERS if pair[0] not in present]
    if b"content-security-policy" not in present and not is_api:
        headers.append((b"content-security-policy", _POLICY))
    if b"cache-control" not in present:
        headers.append((b"cache-control", b"no-store"))


async def _plain(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
