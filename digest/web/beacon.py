"""Counting views for sites that have no counter: a script, and a place it reports to."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from digest import collecting
from digest.app import App, Clock
from digest.collecting import Batch
from digest.config.sources import BeaconSource
from digest.domain.articles import Pages
from digest.sources.beacon import MAX_BODY, SCRIPT, is_robot, read_beacon
from digest.store import Store
from digest.web.flushing import Flushed
from digest.web.guards import HEADERS

_MOST_PAGES = 50_000  # in one hour: a site does not have more that are read, and anybody may report any address
_MOST_KEPT = 4 * _MOST_PAGES  # pages and hours in memory while the database is away
_HEADERS = [*HEADERS, (b"cache-control", b"no-store"), (b"access-control-allow-origin", b"*")]

log = logging.getLogger("digest.beacon")

Key = tuple[tuple[str, str], datetime]  # (source, page), hour


class Tally(Flushed[Key]):
    """Views not yet stored, by source, page and hour. Only the loop's thread touches it."""

    def __init__(self, store: Store, sections: Sequence[BeaconSource], site: Pages, clock: Clock) -> None:
        super().__init__("views", self._store_batch, log)
        self._store, self._sections, self._site, self._clock = store, sections, site, clock
        self._writer = f"beacon {uuid.uuid4()}"
        self._hour: datetime | None = None
        self._pages: set[tuple[str, str]] = set()  # read in that hour
        self._is_full = False
        # The same few pages and browsers come again and again; what is kept is bounded by MAX_BODY.
        self._page_in = lru_cache(4096)(self._read)
        self._is_robot = lru_cache(4096)(is_robot)

    def count(self, body: bytes, user_agent: str) -> None:
        """Take in one report: a view, if it comes from a reader and of a page of ours."""
        if self._is_robot(user_agent[:MAX_BODY]) or (page := self._page_in(body)) is None:
            return
        key = page, self._clock().replace(minute=0, second=0, microsecond=0)
        if key in self.counts or self._may_begin(*key):
            self.counts[key] += 1

    def _read(self, body: bytes) -> tuple[str, str] | None:
        for section in self._sections:
            if url := read_beacon(body, section.hosts, self._site.site_url):
                with contextlib.suppress(ValueError):  # too long to be stored
                    return section.name, self._site.key(url)
        return None

    def _may_begin(self, page: tuple[str, str], hour: datetime) -> bool:
        """Whether there is room for this page in this hour; a page that was read in it once stays welcome."""
        if hour != self._hour:
            self._hour, self._pages, self._is_full = hour, set(), False
        may = len(self.counts) < _MOST_KEPT and (page in self._pages or len(self._pages) < _MOST_PAGES)
        if may:
            self._pages.add(page)
        elif not self._is_full:
            self._is_full = True
            log.warning("%d pages were read in one hour: no others are counted before the next", len(self._pages))
        return may

    def _store_batch(self, counts: Counter[Key], number: int) -> None:
        batch = Batch(self._writer, number, self._clock())
        by_source: dict[str, dict[tuple[str, datetime], int]] = defaultdict(dict)
        for ((source, page), hour), views in counts.items():
            by_source[source][page, hour] = views
        for source, by_page in by_source.items():
            collecting.count_views(self._store, source, by_page, batch)


class Reports:
    """ASGI middleware that takes views before anybody else looks at them: they are most of all requests.

    They have no line in the log; their replies have the headers of all others.
    """

    def __init__(self, app: ASGIApp, tally: Tally) -> None:
        self._app = app
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A report is answered here; all else is passed on."""
        if scope["type"] != "http" or scope["method"] != "POST" or _path(scope) != "/beacon":
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more and len(body) <= MAX_BODY:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status = 204 if len(body) <= MAX_BODY else 413
        if status == 204:
            self._tally.count(body, _user_agent(scope))
        headers = _HEADERS if status == 204 else [*_HEADERS, (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _user_agent(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return str(value, "latin-1")
    return ""


def tally_of(app: App, clock: Clock) -> Tally | None:
    """The tally of the sources of this kind, or None when there are none."""
    sections = [each for each in app.config.sources if isinstance(each, BeaconSource)]
    return Tally(app.store, sections, app.config.pages, clock) if sections else None


def router() -> APIRouter:
    """`/beacon.js`."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/beacon.js", methods=["GET", "HEAD"])
    async def script() -> Response:
        headers = {"Cache-Control": "public, max-age=86400", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(SCRIPT, media_type="text/javascript", headers=headers)

    return routes
