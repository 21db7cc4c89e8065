"""Views by hour from Plausible (Stats API v2, `POST /api/v2/query`; Plausible Cloud, Community Edition 3).

Hours, not days: the API groups by `time:hour` and `event:page` at once, takes a date range to the second, and counts
anew at each query, so today's hours are as good as last week's. An hour is what a cut-off at Saturday 08:00 needs.

- Labels (`2026-11-27 18:00:00`) are in the site's reporting zone, without offset. The answer repeats the range asked
  for in that zone with offsets, which tells what the labels mean, whatever zone is set here. Where the offsets of its
  two ends differ, the clocks change in between: the range is halved until they do not, so the hour that comes twice is
  read as two hours, and in zones of half an hour the two parts of an hour are added up.
- `event:page` is a path. A Plausible site that counts several hosts does not tell them apart here.
- Rows come in a fixed order, at most 10,000 at a time, and must be as many as `total_rows` says.
- A key may ask 600 times an hour, so six seconds lie between two requests.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from digest.config.sources import PlausibleSource
from digest.domain.articles import Harvest, ViewCount
from digest.domain.periods import hour_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.analytics import ApiFetcher, begin, unreadable, views_in
from digest.sources.counting import Pages, counted_nothing, origin_of
from digest.sources.plain import parse_moment

LATE = timedelta(hours=2)  # views are written down within seconds; this forgives clocks that differ
EVERY = 3600 / 600  # seconds between two requests
PAGE = 10_000  # rows; the most the API gives
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
_REMEDIES = {
    400: "Update Plausible: the Stats API v2 came with Community Edition 3",
    401: "Check token (a Stats API key) and site_id (the site as Plausible lists it)",
    402: "Choose a plan with the Stats API, or another source of views",
    404: "Check url; the Stats API v2 came with Community Edition 3",
}

_CHECK_EMPTY = "If people did read, check site_id and the site's tracking script"

Hours = Counter[tuple[str, datetime]]  # views by path and hour


@dataclass(frozen=True, slots=True)
class _Page:
    """A part of an answer."""

    rows: list[tuple[str, str, int]]  # label, path, views
    total: int  # rows of the whole answer
    first_zone: tzinfo  # at the beginning of the range
    last_zone: tzinfo  # and at its end
    place: str


@dataclass(frozen=True, slots=True)
class Plausible:
    """Reads one site. Paths belong to `site_url`; `zone` is only for what a person reads."""

    section: PlausibleSource
    site_url: str
    zone: ZoneInfo
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Views of the hours since the last reading, this hour's too; at most five weeks. Raises SourceError."""
        start, _ = hour_bucket(begin(reading, LATE))
        end = reading.now.astimezone(UTC).replace(microsecond=0)
        hours: Hours = Counter()
        token = self.section.token.get_secret_value()
        bearer = {"Authorization": f"Bearer {token}"}
        fetcher = ApiFetcher.asking(self.section, self.section.url, token, _REMEDIES, headers=bearer, every=EVERY)
        fetcher.sleep = self.sleep
        async with fetcher:
            await self._read(fetcher, start, end, hours)
        # Five weeks of a large site are half a million rows: meanwhile the loop serves readers.
        return await asyncio.to_thread(self._harvest, hours, start, end)

    async def _read(self, fetcher: ApiFetcher, start: datetime, end: datetime, hours: Hours) -> None:
        """Add the views in [start, end) to `hours`."""
        page = await self._page(fetcher, start, end, 0)
        if page.first_zone.utcoffset(None) != page.last_zone.utcoffset(None) and end - start > _HOUR:
            middle, _ = hour_bucket(start + (end - start) / 2)
            middle = max(middle, start + _HOUR)
            await self._read(fetcher, start, middle, hours)
            await self._read(fetcher, middle, end, hours)
            return
        rows: dict[tuple[str, str], int] = {}
        offset = 0
        while True:
            known = len(rows)
            rows.update(((label, path), views) for label, path, views in page.rows)
            if len(rows) >= page.total:
                break
            if len(rows) == known:  # an empty page, or the same one again
                raise self._incomplete(page, known)
            offset += len(page.rows)
            page = await self._page(fetcher, start, end, offset)
        for (label, path), views in rows.items():
            hours[path, self._hour(label, page, start, end)] += views

    async def _page(self, fetcher: ApiFetcher, start: datetime, end: datetime, offset: int) -> _Page:
        query = {
            "site_id": self.section.site_id,
            "metrics": ["pageviews"],
            "date_range": [start.isoformat(), (end - _SECOND).isoformat()],  # it includes both
            "dimensions": ["time:hour", "event:page"],
            "order_by": [["time:hour", "asc"], ["event:page", "asc"]],
            "include": {"total_rows": True},
            "pagination": {"limit": PAGE, "offset": offset},
        }
        answer, reply = await fetcher.get_json(f"{self.section.url.rstrip('/')}/api/v2/query", body=query)
        try:
            rows = [_row(row) for row in answer["results"]]
            first, last = (_zone(moment) for moment in answer["query"]["date_range"])
            return _Page(rows, views_in(answer["meta"]["total_rows"]), first, last, reply.url)
        except (KeyError, TypeError):
            raise unreadable(self.name, reply.url, answer, "Plausible") from None
        except ValueError as error:
            raise self._odd(reply.url, str(error)) from None

    def _hour(self, label: str, page: _Page, start: datetime, end: datetime) -> datetime:
        """When the hour of a label begins. Raises SourceError when that is none of those asked for."""
        try:
            moment = parse_moment(label, page.first_zone)
        except (ValueError, OverflowError) as error:
            raise self._odd(page.place, f"an hour is {label[:40]!r}: {error}") from None
        if not isinstance(moment, datetime) or not start - _HOUR < moment < end:
            raise self._odd(
                page.place, f"it was asked for {start:%Y-%m-%d %H:%M} UTC and later, and names {label[:40]!r}"
            )
        return moment.astimezone(UTC)

    def _harvest(self, hours: Mapping[tuple[str, datetime], int], start: datetime, end: datetime) -> Harvest:
        pages = Pages(origin_of(self.site_url))
        urls = {path: pages.url(path) for path, _ in hours}
        # Where hours begin at the half, the first one was cut: it was read whole the last time.
        views = tuple(
            ViewCount(url, at, _HOUR, count)
            for (path, at), count in hours.items()
            if count and at >= start and (url := urls[path])
        )
        notes = pages.notes if views else (*pages.notes, counted_nothing(start, end, self.zone, _CHECK_EMPTY))
        return Harvest(views=views, notes=notes)

    def _incomplete(self, page: _Page, known: int) -> SourceError:
        reason = f"it says it has {page.total:,} rows, and gave {known:,}"
        return SourceError(self.name, page.place, reason, "It is read again the next time; if it stays so, tell us")

    def _odd(self, place: str, reason: str) -> SourceError:
        return SourceError(self.name, place, reason, "Nothing was stored; update Plausible, or tell us")


def _row(row: Mapping[str, Any]) -> tuple[str, str, int]:
    match row["dimensions"], row["metrics"]:
        case [str(label), str(path)], [views]:
            pass
        case _:
            raise TypeError
    try:
        return label, path, views_in(views)
    except ValueError as error:
        raise ValueError(f"the views of {path[:60]!r} at {label[:40]}: {error}") from None


def _zone(moment: object) -> tzinfo:
    """The offset of a moment of the answer's range, as a zone."""
    zone = datetime.fromisoformat(str(moment)).tzinfo
    if zone is None:
        raise ValueError(f"its date_range has no offset: {str(moment)[:40]!r}")
    return zone
