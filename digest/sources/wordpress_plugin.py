"""The counts of a WordPress's view counter, told by our own plugin (integrations/wordpress, route digest/v1/views).

Days are asked for one by one: what belongs to a day that is over stands still while its pages are turned. Each request
is signed with the secret that the plugin's settings page shows, over the time, the route and the query.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import quote

from digest.domain.periods import hour_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.counters import Count, Plan, count_of, first_day, whole, zone_named
from digest.sources.fetch import Fetcher
from digest.sources.plain import web_url
from digest.sources.popular_posts import LAST_EDGE, Counted

NAMESPACE = "digest/v1"
ROUTE = f"/{NAMESPACE}/views"
_PAGE = 1000  # counts; the plugin gives up to 5000
_MOST_PAGES = 500  # of one day: a reply that never ends is a mistake
_NOTES = 10
_TAKEN_OVER = "plugin_from"  # the moment up to which WP Popular Posts was read by itself
_SPOKE = "plugin"
_REFUSALS = {
    "401": ("the plugin does not accept our secret", "Copy it from the plugin's settings page (Settings > Digest)"),
    "404": ("our plugin does not answer there", "Activate Digest Newsletter on the site"),
    "412": ("its clock and ours differ by more than five minutes", "Set both machines' clocks, by NTP for example"),
    "501": (
        "the site runs no view counter that the plugin knows",
        "Activate WP Popular Posts, JNews View Counter or Post Views Counter",
    ),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One page of a reply."""

    counter: str
    grain: str
    zone: tzinfo
    newest: date | None
    sampling: int
    pages: int
    total: int
    rows: list[Any]


@dataclass(frozen=True, slots=True)
class PluginCounts:
    """Reads the route at `address` of a site whose plugin shares `secret` with us."""

    fetcher: Fetcher
    address: str
    zone: tzinfo
    secret: str = field(repr=False)

    @staticmethod
    def counted_before(reading: Reading) -> bool:
        """Whether an earlier reading was told the counts."""
        return _SPOKE in reading.remembered

    async def since_last(self, reading: Reading) -> Counted:
        """The views of the first five weeks, later of the last days again. Raises SourceError."""
        loop = asyncio.get_running_loop()
        started = loop.time()

        def clock() -> datetime:
            return reading.now + timedelta(seconds=loop.time() - started)

        today = reading.now.astimezone(self.zone).date()
        plan: Plan | None = None
        counts: list[Count] = []
        links: dict[int, str] = {}
        notes: list[str] = []
        # A counter in UTC may be a day ahead or behind of the site's own zone.
        for days in range((today - first_day(reading, self.zone)).days, -2, -1):
            told, rows = await self._day(today - timedelta(days=days), clock)
            taken = _taken_over(reading)
            plan = plan or Plan.of(reading, told.counter, told.zone, told.grain, taken)
            if (told.counter, told.grain) != (plan.counter, plan.grain):
                raise self._bad("its counter changed while it was read", "It is read again the next time")
            for row in rows:
                self._take(row, plan, counts, links, notes)
        assert plan is not None  # today is always asked for
        return self._counted(reading, plan, told, counts, links, notes)

    def _counted(
        self, reading: Reading, plan: Plan, told: Told, counts: list[Count], links: dict[int, str], notes: list[str]
    ) -> Counted:
        views = tuple(each for each in plan.views(counts, links) if each.at <= reading.now)
        read: Tally[int] = Tally()
        for count in counts:
            read[count.post] += count.views
        if told.sampling > 1:
            notes.append(f"{plan.counter} looks at one view in {told.sampling} only: its numbers are estimates")
        # Should WP Popular Posts be read by itself one day, it begins where we stop.
        remembered = {**plan.remembered, _SPOKE: "yes", LAST_EDGE: hour_bucket(reading.now)[0].isoformat()}
        if taken := _taken_over(reading):
            remembered[_TAKEN_OVER] = taken.isoformat()
        told_notes = (*plan.notes(told.newest, bool(views)), *notes[:_NOTES])
        return Counted(views, tuple(post for post, _ in read.most_common()), remembered, told_notes)

    def _take(self, row: Any, plan: Plan, counts: list[Count], links: dict[int, str], notes: list[str]) -> None:
        """Add a row to the counts, or a note why not."""
        try:
            if not isinstance(row, dict):
                raise ValueError(f"{str(row)[:60]!r} is no count")
            count = count_of(row)
            if not row.get("url"):
                raise ValueError(f"post {count.post} has no address")
            links.setdefault(count.post, web_url(str(row["url"]), self.address))
        except ValueError as error:
            notes.append(f"left out: {error}")
            return
        if plan.first <= count.day <= plan.last:
            counts.append(count)

    async def _day(self, day: date, clock: Any) -> tuple[Told, list[Any]]:
        """What is told of a day, with the rows of all pages, each count once."""
        rows: dict[str, Any] = {}
        page, promised = 1, 0
        while True:
            told = await self._page(day, page, clock())
            if told.total < promised:
                raise self._bad("counts went away while they were read", "It is read again the next time")
            promised = promised or told.total  # there may be more on a later page: the day goes on
            for row in told.rows:  # one that slid to the next page meanwhile comes twice, and counts once
                key = f"{row.get('id')} {row.get('day')} {row.get('hour')}" if isinstance(row, dict) else str(row)
                rows[key] = row
            if page >= told.pages or not told.rows:
                break
            page += 1
            if page > _MOST_PAGES:
                raise self._bad(f"its reply for {day} never ends", "Update the plugin")
        if len(rows) < promised:
            raise self._bad(f"it told {len(rows)} of {promised} counts of {day}", "It is read again the next time")
        return told, list(rows.values())

    async def _page(self, day: date, page: int, now: datetime) -> Told:
        timestamp = str(int(now.timestamp()))
        query = {
            "from": day.isoformat(),
            "to": day.isoformat(),
            "grain": "hour",
            "page": str(page),
            "per_page": str(_PAGE),
            "t": timestamp,  # caches keep replies by their address, and would tell them to anybody
        }
        headers = {"X-Digest-Timestamp": timestamp, "X-Digest-Signature": signature(self.secret, timestamp, query)}
        try:
            reply, _ = await self.fetcher.get_json(self.address, params=query, headers=headers)
        except SourceError as error:
            status = re.search(r"the server answered (\d{3})", error.reason)
            reason, remedy = _REFUSALS.get(status[1] if status else "", (error.reason, error.remedy))
            raise SourceError(self.fetcher.source, self.address, reason, remedy) from None
        return self._told(reply)

    def _told(self, reply: Any) -> Told:
        try:
            rows, newest = reply["views"], reply["newest"]
            told = Told(
                str(reply["counter"])[:60],
                "hour" if reply["grain"] == "hour" else "day",
                zone_named(str(reply["timezone"])),
                date.fromisoformat(str(newest)) if newest else None,
                whole(reply.get("sampling", 1)),
                whole(reply["pages"]),
                whole(reply["total"]),
                rows,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._bad(f"its reply cannot be read ({error!r}): {str(reply)[:100]}", "Update the plugin") from None
        if not isinstance(rows, list) or len(rows) > 5000:
            raise self._bad(f"its reply holds no list of views: {str(reply)[:100]}", "Update the plugin")
        return told

    def _bad(self, reason: str, remedy: str) -> SourceError:
        return SourceError(self.fetcher.source, self.address, reason, remedy)


def signature(secret: str, timestamp: str, query: Mapping[str, str]) -> str:
    """The HMAC-SHA256, in hexadecimal, of the time, the method, the route and the sorted query (RFC 3986)."""
    asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
    signed = "\n".join((timestamp, "GET", ROUTE, asked))
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()


def _taken_over(reading: Reading) -> datetime | None:
    """The moment from which we count, where WP Popular Posts was read by itself before: its buckets are others."""
    before = reading.remembered.get(_TAKEN_OVER)
    if before is None and not PluginCounts.counted_before(reading):
        before = reading.remembered.get(LAST_EDGE)
    return datetime.fromisoformat(before) if before else None
