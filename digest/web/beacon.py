"""Counting views for sites that have no counter: a script, and a place it reports to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest import collecting
from digest.app import App, Clock
from digest.config import BeaconSource
from digest.domain.articles import canonical_url
from digest.sources.beacon import MAX_BODY, SCRIPT, read_beacon

FLUSH_EVERY = 1.0  # seconds: what a kill may lose
_MOST_PAGES = 50_000  # kept in memory while the database is away; more than that is not readers
_LONGEST = 1000  # characters of a page's key; PostgreSQL's index takes 2704 bytes, and one page too long stops all

log = logging.getLogger("digest.beacon")


class Tally:
    """Views not yet stored, by page and hour."""

    def __init__(self, app: App) -> None:
        self._app = app
        sections = [each for each in app.config.sources if isinstance(each, BeaconSource)]
        self.section = sections[0] if sections else None
        self._counts: Counter[tuple[str, datetime]] = Counter()

    def count(self, url: str, now: datetime) -> None:
        """One view, unless the address could not be stored."""
        try:
            if len(canonical_url(url, self._app.config.site.url)) > _LONGEST:
                return
        except ValueError:
            return
        key = (url, now.replace(minute=0, second=0, microsecond=0))
        if key in self._counts or len(self._counts) < _MOST_PAGES:
            self._counts[key] += 1

    async def flush(self) -> None:
        """Store what was counted; what cannot be stored now is kept."""
        if self.section is None or not self._counts:
            return
        # Only the loop's thread touches the tally; the thread that stores has counts nobody adds to.
        counts, self._counts = self._counts, Counter()
        store, site = self._app.store, self._app.config.site.url
        try:
            await asyncio.to_thread(collecting.count_views, store, self.section.name, counts, site)
        except Exception as error:  # whatever it is: a flusher that died would lose every later view
            log.warning("views are kept in memory: %s", error)
            self._counts.update(counts)

    @contextlib.asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Flush every second, and once more at the end."""
        stopping = asyncio.Event()
        task = asyncio.create_task(self._keep_flushing(stopping))
        try:
            yield
        finally:
            stopping.set()
            await task
            await self.flush()  # what arrived while the last flush was being stored

    async def _keep_flushing(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), FLUSH_EVERY)
            await self.flush()


def router(app: App, tally: Tally, clock: Clock) -> APIRouter:
    """`/beacon.js` and `/beacon`, when a source of that kind is configured."""
    routes = APIRouter(include_in_schema=False)
    section = tally.section
    if section is None:
        return routes
    anywhere = {"Access-Control-Allow-Origin": "*"}

    @routes.api_route("/beacon.js", methods=["GET", "HEAD"])
    async def script() -> Response:
        headers = {"Cache-Control": "public, max-age=86400", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(SCRIPT, media_type="text/javascript", headers=headers)

    @routes.post("/beacon")
    async def count(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise HTTPException(413)
        url = read_beacon(body, request.headers.get("user-agent", ""), section.hosts, app.config.site.url)
        if url is not None:
            tally.count(url, clock())
        return Response(status_code=204, headers=anywhere)

    return routes
