"""Polite reading over HTTP: time and size limits, conditional requests, patience with 429 and 5xx, clear errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from digest import __version__
from digest.errors import SourceError

USER_AGENT = f"Digest/{__version__}"
_TRIES = 4
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Fetched:
    """A reply. `content` is None when nothing changed since the conditional request (304)."""

    url: str
    content: bytes | None
    headers: Mapping[str, str]

    def validators(self) -> dict[str, str]:
        """What to remember so that the next request can be conditional."""
        kept = {"etag": self.headers.get("etag", ""), "last_modified": self.headers.get("last-modified", "")}
        return {name: value for name, value in kept.items() if value}


@dataclass(slots=True)
class Fetcher:
    """Reads URLs for one source. `timeout` bounds each request, `max_bytes` each reply after decompression."""

    source: str
    timeout: timedelta
    max_bytes: int
    first_wait: float = 1.0  # seconds before the second try; doubles
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _client: httpx.AsyncClient | None = field(default=None, init=False)

    async def __aenter__(self) -> Fetcher:
        self._client = httpx.AsyncClient(
            headers={"User-Agent": USER_AGENT},
            timeout=self.timeout.total_seconds(),
            follow_redirects=True,
            max_redirects=5,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._client is not None
        await self._client.aclose()

    async def get(
        self, url: str, *, params: Mapping[str, Any] | None = None, remembered: Mapping[str, str] | None = None
    ) -> Fetched:
        """Read a URL; a busy server is asked again, not before it wants to be. Raises SourceError."""
        headers = _conditions(remembered or {})
        wait = self.first_wait
        for tries_left in reversed(range(_TRIES)):
            status, reply, pause = await self._once(url, params, headers)
            if status not in _AGAIN:
                return self._accept(url, status, reply)
            if not tries_left or (pause or 0) > self.timeout.total_seconds():
                break
            await self.sleep(wait if pause is None else pause)
            wait *= 2
        raise self._refused(url, status)

    async def get_json(self, url: str, *, params: Mapping[str, Any] | None = None) -> tuple[Any, Mapping[str, str]]:
        """Read JSON: (value, reply headers). Raises SourceError."""
        reply = await self.get(url, params=params)
        try:
            return json.loads(reply.content or b""), reply.headers
        except ValueError as error:
            start = (reply.content or b"")[:80].decode("utf-8", "replace")
            raise SourceError(self.source, url, f"the reply is not JSON ({error}); it begins {start!r}") from None

    async def _once(
        self, url: str, params: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> tuple[int, Fetched, float | None]:
        assert self._client is not None, "use `async with`"
        try:
            async with (
                asyncio.timeout(self.timeout.total_seconds()),
                self._client.stream("GET", url, params=params, headers=headers) as response,
            ):
                keep = response.status_code < 300
                content = await self._read(url, response) if keep else b""
                reply = Fetched(str(response.url), content, response.headers)
                return response.status_code, reply, _retry_after(response.headers.get("retry-after", ""))
        except (TimeoutError, httpx.TimeoutException):
            raise SourceError(
                self.source,
                url,
                f"no answer within {self.timeout.total_seconds():g} seconds",
                "Raise its timeout, or see why",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            words = str(error) or type(error).__name__
            raise SourceError(self.source, url, f"it cannot be reached: {words}", "Check the address") from None

    async def _read(self, url: str, response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self.max_bytes:
                raise SourceError(
                    self.source, url, f"the reply is larger than {self.max_bytes:,} bytes", "Raise its max_bytes"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _accept(self, url: str, status: int, reply: Fetched) -> Fetched:
        if status == 304:
            return Fetched(reply.url, None, reply.headers)
        if status >= 300:
            raise self._refused(url, status)
        return reply

    def _refused(self, url: str, status: int) -> SourceError:
        remedy = {
            401: "Check its user and password or token",
            403: "The site refuses us; check its credentials, or a firewall that blocks unknown clients",
            404: "Check the address",
            410: "Check the address",
            429: "We ask too often; raise [collecting] every",
        }.get(status, "The site has a problem; it is tried again at the next reading" if status >= 500 else "")
        return SourceError(self.source, url, f"the server answered {status}", remedy)


def _conditions(remembered: Mapping[str, str]) -> dict[str, str]:
    names = {"etag": "If-None-Match", "last_modified": "If-Modified-Since"}
    return {header: remembered[name] for name, header in names.items() if remembered.get(name)}


def _retry_after(value: str) -> float | None:
    """Seconds to wait as the server asks (RFC 9110 section 10.2.3), or None."""
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds()) if moment.tzinfo else None
