"""What services that count for a site have in common, too: how they refuse, and paths that name no page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx

from digest.sources.fetch import Fetcher
from digest.sources.plain import MAX_URL, folded, storable

_LONGEST_WORDS = 300  # characters of what a service says
_REFUSAL_BYTES = 20_000
_LONGEST_WAIT = 3600  # seconds; a larger number is no wait but a moment of the clock
_LEFT_OUT_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none: its status from 400 up, and its body as far as it is JSON."""

    status: int
    content: Any = None

    def words(self, *names: str) -> str:
        """What the service says under the first of `names` that holds text, on one line; may be empty."""
        content = self.content if isinstance(self.content, Mapping) else {}
        inner = content.get("error")
        for place in (inner if isinstance(inner, Mapping) else {}, content):
            for name in names:
                if isinstance(text := place.get(name), str) and text.strip():
                    return folded(text, _LONGEST_WORDS).rstrip(".")
        return ""


class AttentiveFetcher(Fetcher):
    """A Fetcher that hears out a service that refuses: `refusal` is its last answer, None when that was none.

    A service that only says in X-Rate-Limit-Reset how many seconds it wants to be left alone is understood, too.
    """

    refusal: Refusal | None = None

    @asynccontextmanager
    async def _stream(self, url: str, asked: Mapping[str, Any]) -> AsyncIterator[httpx.Response]:
        self.refusal = None
        async with super()._stream(url, asked) as response:
            if response.status_code >= 400:
                self.refusal = Refusal(response.status_code, await _json_of(response))
                _say_wait(response.headers)
            yield response


async def _json_of(response: httpx.Response) -> Any:
    content = bytearray()
    async for chunk in response.aiter_bytes(4096):
        content += chunk
        if len(content) > _REFUSAL_BYTES:
            break
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _say_wait(headers: httpx.Headers) -> None:
    wait = headers.get("x-rate-limit-reset", "").strip()
    if "retry-after" not in headers and wait.isascii() and wait.isdecimal() and int(wait[:9]) <= _LONGEST_WAIT:
        headers["retry-after"] = wait


def origin_of(site_url: str, host: str = "") -> str:
    """Scheme and host of the pages that are counted: paths begin at the root of a host, whatever folder a site has."""
    parts = urlsplit(site_url)
    return f"{parts.scheme}://{host or parts.netloc.rpartition('@')[2]}"


@dataclass(slots=True)
class Pages:
    """Makes addresses of the paths a service lists, and keeps account of what is none."""

    origin: str
    left_out: dict[str, None] = field(default_factory=dict)  # in the order they came

    def url(self, path: object) -> str | None:
        """The address of the page at `path`; None when it names no page, which is then in `notes`."""
        if isinstance(path, str) and path.startswith("/") and storable(path) == path:
            url = f"{self.origin}{path}"  # not joined: a path that begins with // would lead to another host
            if len(url) <= MAX_URL:
                return url
        self.left_out.setdefault(folded(str(path), 60))
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """One line on what was left out, if anything was."""
        if not self.left_out:
            return ()
        shown = ", ".join(repr(each) for each in list(self.left_out)[:_LEFT_OUT_SHOWN])
        more = ", ..." if len(self.left_out) > _LEFT_OUT_SHOWN else ""
        return (f"no pages, so not counted: {shown}{more}",)


def counted_nothing(start: datetime, end: datetime, zone: ZoneInfo, remedy: str) -> str:
    """The note on a service that answers well, and has nothing to say."""
    first, last = (moment.astimezone(zone).strftime("%Y-%m-%d %H:%M") for moment in (start, end))
    return f"the service counted nothing from {first} to {last}. {remedy}"
