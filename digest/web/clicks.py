"""Links of editions that lead through us: `/r/<token>` sends on to the article, and counts the link, not the reader.

Where it leads comes from our database, never from the request. No cookie is set, nothing of the reader is kept, and
every reader has the same link. What fetches links by itself is left out where it says so; some mail scanners do not.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from digest import __version__
from digest.app import App
from digest.errors import InvalidToken
from digest.mail.clean import clean_url
from digest.sources.beacon import is_robot
from digest.store import Store, clicks, editions
from digest.store.clicks import Link
from digest.web.flushing import Flushed

_MOST_KNOWN = 10_000  # links whose address is kept in memory
_LONGEST_AGENT = 1000  # characters of it looked at

log = logging.getLogger("digest.clicks")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a link leads. A draft's articles may still change places, so its clicks are not counted."""

    url: str
    is_frozen: bool


class Clicks(Flushed[Link]):
    """Clicks not yet stored, by edition and position. Only the loop's thread touches it.

    A batch whose answer was lost on the way from the database is stored again: it is a count, not a bill.
    """

    def __init__(self, store: Store) -> None:
        super().__init__("clicks", self._add, log)
        self._store = store

    def _add(self, counts: Counter[Link], _: int) -> None:
        with self._store.begin() as tx:
            clicks.add(tx, counts)


def tally_of(app: App) -> Clicks | None:
    """What counts clicks, or None when none are to be counted."""
    return Clicks(app.store) if app.config.mail.count_clicks else None


def router(app: App, tally: Clicks | None) -> APIRouter:
    """`/r/<token>`. It is there without the counter too: links of mails that were sent must lead on."""
    routes = APIRouter(include_in_schema=False)
    known: dict[Link, _Target] = {}

    def look_up(link: Link) -> _Target | None:
        with app.store.read() as tx:
            edition = editions.by_id(tx, link[0])
            url = clean_url(clicks.address(tx, *link) or "")
        if edition is None or not url:
            return None
        return _Target(app.targets.links.tagged(edition, url), edition.frozen_at is not None)

    async def target_of(link: Link) -> _Target:
        if found := known.get(link):
            return found
        if (found := await run_in_threadpool(look_up, link)) is None:
            raise HTTPException(404)
        if found.is_frozen:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[link] = found
        return found

    @routes.api_route("/r/{token}", methods=["GET", "HEAD"])
    async def follow(token: str, request: Request) -> Response:
        try:
            link = app.links.read_click(token)
        except InvalidToken:
            raise HTTPException(404) from None
        target = await target_of(link)
        if tally and target.is_frozen and request.method == "GET" and _is_reader(request.headers):
            tally.counts[link] += 1
        return Response(status_code=302, headers={"Location": target.url, "Cache-Control": "no-store"})

    return routes


def _is_reader(headers: Mapping[str, str]) -> bool:
    """Whether a person followed the link, as far as its program tells."""
    is_ahead = "prefetch" in headers.get("sec-purpose", headers.get("purpose", ""))
    return not is_ahead and not _is_program(headers.get("user-agent", "")[:_LONGEST_AGENT])


@lru_cache(1024)
def _is_program(user_agent: str) -> bool:
    return is_robot(user_agent) or user_agent.startswith(f"Digest/{__version__}")  # we look at our own links too
