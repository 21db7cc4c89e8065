"""Views from Umami 3 (its own server, or Umami Cloud): GET /websites/{id}/metrics/expanded, one span at a time.

The API groups by page or by time, never by both, so each bucket is a request of its own. An hour each would be 840 for
the five weeks of a first reading; a day each would not tell Saturday 07:59 from 08:01. So:

- While it keeps up, it reads whole hours: the one that is running, and the one before until it is final, LATE after
  its end. That is a request or two each time. The running hour is read again under the same start and span, so it is
  replaced; a final bucket is never read again (`counted_until` remembers where they end).
- What was missed, and all of a first reading, is read in whole local days, each split at the cut-offs that fall into
  it: a day without one is one request. Only of the day in which the last reading stopped it reads hours to the end, as
  some of them may be stored already.
- Cut-offs older than two weeks are not known; such a Saturday is one bucket, and counts in the week that follows.

What counts are: `pageviews`. The older /metrics counts sessions, so a server that has nothing else is refused. The
server sorts by visitors and leaves ties in any order, so pages of a list may overlap and miss a few of the least read:
it is asked for so many rows at once that a second page is rare, and it is said when it happened.

Umami 2 called the type `url`, Umami 3 calls it `path`. A range includes both its ends, to the millisecond. Cloud keys
may ask 50 times in 15 seconds. Facts: umami-software/umami 3.4 and umami.is/docs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from digest.config.sources import UmamiSource
from digest.domain.articles import Harvest, ViewCount
from digest.domain.periods import day_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.analytics import FIRST_BACK, views_in
from digest.sources.counting import AttentiveFetcher, Pages, counted_nothing, origin_of
from digest.sources.plain import folded

LATE = timedelta(minutes=30)  # how long after its end a bucket may still grow: queues, clocks that differ
EVERY = 0.31  # seconds between two requests: 50 in 15 seconds, and a little patience
ROWS = 10_000  # at a time
MOST_PAGES = 100
_ROUND = 100  # a server that gives fewer rows than asked for gives a round number
_COUNTED_UNTIL = "counted_until"
_HOUR = timedelta(hours=1)
_MILLISECOND = timedelta(milliseconds=1)
_TYPES = ("path", "url")
_UPGRADE = "Upgrade it to Umami 3: this version counts sessions only, and those are no views"
_CHECK_SITE = "Check website_id, and that this user or key may see that website"
_CHECK_EMPTY = "If people did read, check website_id and the site's tracking code"


@dataclass(frozen=True, slots=True)
class Umami:
    """Reads one website. Paths belong to the host of `site_url`, days to `zone`."""

    section: UmamiSource
    site_url: str
    zone: ZoneInfo
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Views since the last reading, up to the running hour; at first of five weeks. Raises SourceError."""
        async with AttentiveFetcher.of(self.section, self.section.url, every=EVERY) as fetcher:
            assert isinstance(fetcher, AttentiveFetcher)
            fetcher.sleep = self.sleep
            return await self._read(fetcher, reading)

    async def _read(self, fetcher: AttentiveFetcher, reading: Reading) -> Harvest:
        website = _Website(self, fetcher, await self._entered(fetcher))
        known = reading.remembered.get(_COUNTED_UNTIL)
        if known is None:
            await website.check()
        buckets = list(buckets_since(datetime.fromisoformat(known) if known else None, reading, self.zone))
        if not buckets:  # the clock was set back
            return Harvest(remembered=dict(reading.remembered))
        pages = Pages(origin_of(self.site_url))
        views: list[ViewCount] = []
        for at, span in buckets:
            for path, count in (await website.views(at, at + span)).items():
                if count and (url := pages.url(path)):
                    views.append(ViewCount(url, at, span, count))
        notes = [*website.notes, *pages.notes]
        if not views:
            notes.append(counted_nothing(buckets[0][0], reading.now, self.zone, _CHECK_EMPTY))
        final = [at + span for at, span in buckets if at + span <= reading.now - LATE]
        until = max(final, default=buckets[0][0]).isoformat()
        return Harvest(views=tuple(views), remembered={_COUNTED_UNTIL: until}, notes=tuple(notes))

    async def _entered(self, fetcher: AttentiveFetcher) -> str:
        """Let `fetcher` carry what opens the API, for this reading only; returns where the website's part begins."""
        try:
            website_id = UUID(self.section.website_id)
        except ValueError:
            reason = f"website_id is {self.section.website_id[:60]!r}, which is none of Umami's"
            raise SourceError(
                self.name, "config.toml", reason, "Copy it from the website's settings in Umami"
            ) from None
        root = self.section.url.rstrip("/")
        if token := self.section.token.get_secret_value():
            fetcher.headers = {"x-umami-api-key": token, "Accept": "application/json"}
        else:
            root += "/api"
            fetcher.headers = {"Authorization": f"Bearer {await self._signed_in(fetcher, f'{root}/auth/login')}"}
        return f"{root}/websites/{website_id}"

    async def _signed_in(self, fetcher: AttentiveFetcher, place: str) -> str:
        body = {"username": self.section.username, "password": self.section.password.get_secret_value()}
        try:
            answer, _ = await fetcher.get_json(place, body=body)
        except SourceError as error:
            if fetcher.refusal and fetcher.refusal.status in (400, 401):
                raise SourceError(
                    self.name, place, "it does not know this username and password", "Check both in config.toml"
                ) from None
            raise error
        token = answer.get("token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise SourceError(self.name, place, "it gave no token", "Check url: it should be the address of Umami")
        return token


@dataclass(slots=True)
class _Website:
    """A website of Umami at `place`, while it is read."""

    source: Umami
    fetcher: AttentiveFetcher
    place: str
    kind: str = _TYPES[0]
    again: int = 0  # rows that came twice

    async def check(self) -> None:
        """That there is such a website: an administrator may ask for any, and is told that nobody read it."""
        try:
            answer, _ = await self.fetcher.get_json(self.place)
        except SourceError as error:
            raise self._explained(error) from None
        if not isinstance(answer, dict) or not answer.get("id"):
            raise SourceError(self.source.name, self.place, "Umami has no such website", _CHECK_SITE)

    async def views(self, start: datetime, end: datetime) -> dict[str, int]:
        """Views by path in [start, end)."""
        views: dict[str, int] = {}
        rows = 0
        for _ in range(MOST_PAGES):
            batch = await self._batch(start, end, rows)
            known = len(views)
            views.update(batch)
            rows += len(batch)
            self.again += known + len(batch) - len(views)
            if not batch or len(batch) % _ROUND:
                break
            if len(views) == known:
                raise self._odd("it gives the same rows again and again, whatever `offset` asks for")
        else:
            raise self._odd(f"it has more than {rows:,} pages for one span")
        return views

    @property
    def notes(self) -> tuple[str, ...]:
        """One line when the lists cannot be whole."""
        twice = f"Umami listed {self.again:,} pages twice, and may have left out as many of the least read"
        return (twice,) if self.again else ()

    async def _batch(self, start: datetime, end: datetime, offset: int) -> list[tuple[str, int]]:
        query = {"startAt": _milliseconds(start), "endAt": _milliseconds(end - _MILLISECOND)}
        place = f"{self.place}/metrics/expanded"
        while True:
            asked = {"type": self.kind, **query, "limit": ROWS, "offset": offset}
            try:
                answer, _ = await self.fetcher.get_json(place, params=asked)
            except SourceError as error:
                if self.kind == _TYPES[0] and self.fetcher.refusal and self.fetcher.refusal.status == 400:
                    self.kind = _TYPES[1]
                    continue
                raise self._explained(error) from None
            return self._rows(answer)

    def _rows(self, answer: Any) -> list[tuple[str, int]]:
        if isinstance(answer, list) and any(isinstance(row, dict) and "pageviews" not in row for row in answer):
            raise SourceError(self.source.name, self.place, "its answer has no `pageviews`", _UPGRADE)
        try:
            if not isinstance(answer, list):
                raise TypeError("it is no list")
            return [(str(row["name"]), views_in(row["pageviews"])) for row in answer]
        except (KeyError, TypeError, ValueError) as error:
            raise self._odd(f"its counts cannot be read ({error}); it begins {folded(str(answer), 100)!r}") from None

    def _explained(self, error: SourceError) -> SourceError:
        """What a refusal means here. Umami answers 401 for a key it does not know and for a website one may not see."""
        status = self.fetcher.refusal.status if self.fetcher.refusal else 0
        if status in (401, 403):
            remedy = f"{_CHECK_SITE}; check token" if self.source.section.token.get_secret_value() else _CHECK_SITE
            return SourceError(self.source.name, self.place, f"Umami refuses us ({status})", remedy)
        if status == 404 and error.place.partition("?")[0].endswith("/expanded"):
            return SourceError(self.source.name, self.place, "it has no /metrics/expanded", _UPGRADE)
        if status == 400 and self.fetcher.refusal and (words := self.fetcher.refusal.words("message")):
            return SourceError(self.source.name, error.place, f"Umami does not accept the question: {words}", _UPGRADE)
        return error

    def _odd(self, reason: str) -> SourceError:
        return SourceError(self.source.name, f"{self.place}/metrics/expanded", reason, "Check url, and update Umami")


def buckets_since(
    counted_until: datetime | None, reading: Reading, zone: ZoneInfo
) -> Iterator[tuple[datetime, timedelta]]:
    """The buckets to read, oldest first, as (start, span): no gap from `counted_until`, or five weeks back, to now."""
    now = reading.now.astimezone(UTC)
    earliest, _ = day_bucket(_day(now - FIRST_BACK, zone), zone)
    start = max(counted_until or earliest, earliest)
    # Hours that are not final may be stored up to the last reading, which was less than this long after.
    stored = counted_until + _HOUR + LATE if counted_until else earliest
    day = _day(start, zone)
    while day <= _day(now, zone):
        first, span = day_bucket(day, zone)
        end = first + span
        if first < stored or end > now - LATE:
            yield from _hours(max(start, first), end, now)
        else:
            cuts = sorted({first, end, *(edge for edge in reading.edges if first < edge < end)})
            yield from ((one.astimezone(UTC), other - one) for one, other in pairwise(cuts))
        day += timedelta(days=1)


def _hours(start: datetime, end: datetime, now: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """The hours of [start, end) that have begun; the last one is shorter where a day has half an hour more."""
    while start < end and start < now:
        span = min(_HOUR, end - start)
        yield start, span
        start += span


def _day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND
