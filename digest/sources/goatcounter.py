"""Visitors by hour from GoatCounter (2.4 to 2.7): GET /api/v0/stats/hits, a day at a time.

What it counts are visitors, not views: one who comes back to a page within some eight hours is counted once. Beside
sources that count views its numbers are smaller; the order of the articles means the same.

- `stats[].day` and `.hourly` are in the zone of the user who made the token, all of them at the offset that is valid
  NOW: after the clocks change, last month's hours move. GET /api/v0/me tells that zone. Hours here are told by UTC, so
  an hour keeps its place when it is read again under another offset.
- A day is asked for from its midnight to its last second at that offset: older versions add up whole days of UTC, and
  come out right for such ranges only. They round zones of half an hour up, newer ones down: set the user to UTC.
- An unknown parameter is an error, and `group` is one to older versions; hours are the default.
- Pages are found by excluding the ids seen. Addresses cannot grow for ever, proxies refuse long ones, so a day ends
  at some 850 pages, the most read ones; what that leaves out is said.
- Four requests a second; who asks too often is told in X-Rate-Limit-Reset.

Facts: arp242/goatcounter handlers/api.go and hit_list.go of 2022 to 2026, arp242/tz.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from digest.config.sources import GoatCounterSource
from digest.domain.articles import Harvest, ViewCount
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.analytics import begin, views_in
from digest.sources.counting import AttentiveFetcher, Pages, counted_nothing, origin_of
from digest.sources.plain import folded

LATE = timedelta(hours=1)  # how long after its end an hour may still grow
EVERY = 0.25  # seconds between two requests
LIMIT = 100  # pages in one answer; the most it gives
LONGEST_LIST = 6000  # characters of ids to exclude; nginx takes 8 kB of address
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_HOW_TO_ENTER = "Make a token in GoatCounter: user menu, API, with the permission to read statistics"
_CHECK_EMPTY = "If people did read, check url, and that the pages load count.js"
_VISITORS = "GoatCounter counts visitors, not views"
_REMEDIES = {
    401: f"It does not know this token. {_HOW_TO_ENTER}",
    403: _HOW_TO_ENTER,
    404: "Check url: it should be your GoatCounter",
}


@dataclass(frozen=True, slots=True)
class GoatCounter:
    """Reads one site. Paths belong to the host of `site_url`; `zone` is for notes."""

    section: GoatCounterSource
    site_url: str
    zone: ZoneInfo
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Visitors by hour from the last reading to the running hour; at first of five weeks. Raises SourceError."""
        token = self.section.token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with AttentiveFetcher.of(self.section, self.section.url, headers=headers, every=EVERY) as fetcher:
            assert isinstance(fetcher, AttentiveFetcher)
            fetcher.sleep = self.sleep
            return await self._read(fetcher, reading)

    async def _read(self, fetcher: AttentiveFetcher, reading: Reading) -> Harvest:
        place = f"{self.section.url.rstrip('/')}/api/v0"
        zone = self._zone(await self._ask(fetcher, f"{place}/me", {}), f"{place}/me")
        offset = reading.now.astimezone(zone).utcoffset() or timedelta()
        # Hours that were final the last time may have been folded into their week since: they are not told again.
        start = begin(reading, LATE).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        tally = _Tally(Pages(origin_of(self.site_url)), start, reading.now, offset)
        for day in _days(start + offset, reading.now.astimezone(UTC) + offset):
            await self._read_day(fetcher, f"{place}/stats/hits", day, tally)
        notes = [*tally.notes(), *([_VISITORS] if reading.since is None else [])]
        if offset % _HOUR:
            notes.append(f"the token's user is in {zone.key}, so hours may be off by one: set that user to UTC")
        if not tally.views:
            notes.append(counted_nothing(start, reading.now, self.zone, _CHECK_EMPTY))
        return Harvest(views=tuple(tally.views), notes=tuple(notes))

    async def _read_day(self, fetcher: AttentiveFetcher, place: str, day: date, tally: _Tally) -> None:
        first = datetime.combine(day, time(0), UTC) - tally.offset
        query = {"start": _moment(first), "end": _moment(first + _DAY - _SECOND), "limit": LIMIT}
        seen: list[str] = []
        while True:
            answer = await self._ask(fetcher, place, {**query, **({"exclude_paths": ",".join(seen)} if seen else {})})
            try:
                hits, more = answer["hits"] or [], answer["more"]
                new = [hit for hit in hits if str(hit["path_id"]) not in seen]
                seen += [str(int(hit["path_id"])) for hit in new]
                for hit in new:
                    tally.take(hit, day)
                least = min((views_in(hit["count"]) for hit in new), default=0)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                reason = f"its counts cannot be read ({error}); it begins {folded(str(answer), 100)!r}"
                raise SourceError(self.name, place, reason, "Check url, and update GoatCounter") from None
            if not more:
                return
            if not new:
                reason = "it says that there is more, and gives the same pages again"
                raise SourceError(self.name, place, reason, "Update GoatCounter")
            if len(",".join(seen)) > LONGEST_LIST:
                tally.cut_off[day] = least
                return

    async def _ask(self, fetcher: AttentiveFetcher, place: str, query: Mapping[str, Any]) -> Any:
        try:
            answer, _ = await fetcher.get_json(place, params=query)
        except SourceError:
            refusal = fetcher.refusal
            if refusal is None or refusal.status not in (400, *_REMEDIES):
                raise
            reason = ": ".join(filter(None, (f"it answered {refusal.status}", refusal.words("error"))))
            raise SourceError(self.name, place, reason, _REMEDIES.get(refusal.status, "Update GoatCounter")) from None
        return answer

    def _zone(self, answer: Any, place: str) -> ZoneInfo:
        """Of the user who made the token; GoatCounter writes the country before it, as in NL.Europe/Amsterdam."""
        try:
            written = answer["user"]["settings"]["timezone"] or ".UTC"
            return ZoneInfo(written.partition(".")[2] or written)
        except (KeyError, TypeError, AttributeError, ValueError, OSError):
            reason = f"it does not tell the user's time zone; it begins {folded(str(answer), 100)!r}"
            raise SourceError(
                self.name, place, reason, "Check url, and set the time zone of the token's user"
            ) from None


@dataclass(slots=True)
class _Tally:
    """The visitors of the hours that end after `start`, as they come in; `offset` is that of the hours' names."""

    pages: Pages
    start: datetime
    now: datetime
    offset: timedelta
    views: list[ViewCount] = field(default_factory=list)
    cut_off: dict[date, int] = field(default_factory=dict)  # visitors of the last page told, by day
    uneven: int = 0  # pages whose hours are not their count

    def take(self, hit: Mapping[str, Any], day: date) -> None:
        """Count one page on one day. Raises KeyError, TypeError or ValueError when it has another shape."""
        stats = [stat for stat in hit["stats"] or [] if date.fromisoformat(stat["day"]) == day]
        counts = [(at, count) for stat in stats for at, count in self._hours(stat)]
        self.uneven += sum(count for _, count in counts) != views_in(hit["count"])
        if hit["event"] is True or (url := self.pages.url(hit["path"])) is None:
            return
        self.views += [
            ViewCount(url, at, _HOUR, count) for at, count in counts if count and self.start <= at <= self.now
        ]

    def _hours(self, stat: Mapping[str, Any]) -> Iterator[tuple[datetime, int]]:
        midnight = datetime.combine(date.fromisoformat(stat["day"]), time(0), UTC) - self.offset
        midnight += -(midnight - datetime.min.replace(tzinfo=UTC)) % _HOUR  # the next whole hour
        if len(stat["hourly"]) != 24:
            raise ValueError(f"a day of {len(stat['hourly'])} hours")
        for number, value in enumerate(stat["hourly"]):
            yield midnight + number * _HOUR, views_in(value)

    def notes(self) -> Iterator[str]:
        """What was left out, and what does not fit."""
        yield from self.pages.notes
        if self.cut_off:
            days = "on 1 day" if len(self.cut_off) == 1 else f"on {len(self.cut_off)} days"
            most = max(self.cut_off.values())
            yield f"{days} more pages were read than can be asked for; not counted are those with {most:,} or less"
        if self.uneven:
            yield f"the hours of {self.uneven:,} pages do not add up to their count"


def _days(first: datetime, last: datetime) -> Iterator[date]:
    day = first.date()
    while day <= last.date():
        yield day
        day += _DAY


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
