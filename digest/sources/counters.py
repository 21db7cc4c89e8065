"""What the counters of WordPress have in common: local days and hours, a grain, and a day on which they stopped.

They write down local time without an offset. A day is that of the zone the counter counts in, 23 or 25 hours long
where the clocks change. The hour that comes twice cannot be told from its twin: both go into one bucket of two hours.

How many rows a counter keeps is its owner's choice (WP Popular Posts and JNews purge a log, Post Views Counter resets
days): what is gone there is not counted as nothing here, as only buckets that are read again are replaced. With
sampling, a counter writes down one view in so many as so many: the numbers are estimates then.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from digest.domain.articles import ViewCount
from digest.sources import Reading
from digest.sources.rows import MOST_VIEWS

FIRST_BACK = timedelta(days=35)  # the first reading: five weeks, so that the desk has some to compare with
MARGIN = timedelta(days=2)  # later ones: a counter with a cache writes late, and today is not over
_DAY = timedelta(days=1)
_OFFSET = re.compile(r"([+-])(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Count:
    """Views of the post `post` on a local day, in its hour `hour` or, where that is None, in all of it."""

    post: int
    day: date
    hour: int | None
    views: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a counter is read, and how it is cut.

    `counter` is its name for people. `grain` is "hour" or "day", from the local day `since` on: what was stored before
    was cut in another way, and the same views in two sizes would count twice. Nothing before `after` is counted.
    """

    counter: str
    zone: tzinfo
    grain: str
    first: date
    last: date
    since: date
    was: str = ""
    after: datetime | None = None

    @classmethod
    def of(cls, reading: Reading, counter: str, zone: tzinfo, grain: str, after: datetime | None = None) -> Plan:
        """The plan of one reading, by what the last one remembered."""
        today = reading.now.astimezone(zone).date()
        first = first_day(reading, zone)
        mark = f"{counter} {zone} "
        was = reading.remembered.get("grain", "")
        if was == mark + grain:
            since = date.fromisoformat(reading.remembered["grain_since"])
        else:
            since = today + _DAY if was else first
        return cls(counter, zone, grain, first, today, since, was.removeprefix(mark), after)

    @property
    def remembered(self) -> dict[str, str]:
        """For the next reading."""
        return {"grain": f"{self.counter} {self.zone} {self.grain}", "grain_since": self.since.isoformat()}

    def views(self, counts: Iterable[Count], links: Mapping[int, str]) -> tuple[ViewCount, ...]:
        """The buckets of the posts whose address is known."""
        buckets: dict[tuple[str, datetime, timedelta], int] = defaultdict(int)
        for count in counts:
            if count.post in links and (bucket := self._bucket(count)):
                buckets[(links[count.post], *bucket)] += count.views
        return tuple(ViewCount(*bucket, views) for bucket, views in buckets.items())

    def notes(self, newest: date | None, found: bool) -> Iterator[str]:
        """What the operator should know of this reading: `newest` is the last day on which anything was counted."""
        if newest is None:
            yield f"{self.counter} has not counted anything yet"
        elif newest < self.last - _DAY:
            yield f"{self.counter} counted last on {newest}: it seems to be switched off"
        elif not found:
            yield f"{self.counter} counted nothing from {self.first} to {self.last}"
        if self.since > self.last:
            yield f"{self.counter} counts in another way now: by the {self.grain} from {self.since} on"

    def _bucket(self, count: Count) -> tuple[datetime, timedelta] | None:
        hour = count.hour
        if count.day < self.since:
            if (self.grain, self.was) != ("hour", "day"):  # nothing can be made of it that would replace what was
                return None
            hour = None
        at, span = bucket_of(count.day, hour, self.zone)
        return None if self.after is not None and at < self.after else (at, span)


def first_day(reading: Reading, zone: tzinfo) -> date:
    """The local day from which a counter is read."""
    start = reading.now - FIRST_BACK if reading.since is None else reading.since - MARGIN
    return max(start, reading.now - FIRST_BACK).astimezone(zone).date()


def bucket_of(day: date, hour: int | None, zone: tzinfo) -> tuple[datetime, timedelta]:
    """A local day, or an hour of it, as (start in UTC, span)."""
    wall = datetime.combine(day, time(hour or 0))
    start = wall.replace(tzinfo=zone).astimezone(UTC)
    after = wall + (_DAY if hour is None else timedelta(hours=1))
    span = after.replace(tzinfo=zone).astimezone(UTC) - start
    return start, max(span, timedelta(hours=1))  # an hour the clocks jump over: nobody can have read in it


def count_of(row: Mapping[str, Any]) -> Count:
    """The count in a row with id, day, hour, views. Raises ValueError that says what is wrong with it."""
    try:
        day, hour = date.fromisoformat(str(row["day"])), row.get("hour")
        count = Count(whole(row["id"]), day, None if hour is None else whole(hour), whole(row["views"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(dict(row))[:120]} is no count ({error!r})") from None
    if not 0 <= count.views <= MOST_VIEWS or not 0 <= (count.hour or 0) <= 23 or count.post < 1:
        raise ValueError(f"{str(dict(row))[:120]} cannot be")
    return count


def whole(value: Any) -> int:
    """A whole number, whatever a driver made of it. Raises ValueError."""
    text = "" if isinstance(value, bool) else str(value).strip().removesuffix(".0")
    if not text.isascii() or not text.removeprefix("-").isdecimal() or len(text) > 19:
        raise ValueError(f"{str(value)[:40]!r} is no whole number")
    return int(text)


def zone_named(name: str) -> tzinfo:
    """A zone as WordPress names it: Europe/Warsaw, or +02:00. Raises ValueError."""
    if match := _OFFSET.fullmatch(name.strip()):
        sign, hours, minutes = match.groups()
        return timezone((1 if sign == "+" else -1) * timedelta(hours=int(hours), minutes=int(minutes)))
    try:
        return ZoneInfo(name.strip())
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name[:40]!r} is no time zone") from None


def site_zone(settings: Mapping[str, Any]) -> tzinfo:
    """The zone a site keeps its local times in, by its `timezone_string` or `gmt_offset`; UTC when it does not say."""
    try:
        return ZoneInfo(str(settings["timezone_string"]))
    except (KeyError, ValueError, OSError):
        hours = settings.get("gmt_offset")
        known = isinstance(hours, int | float | str) and re.fullmatch(r"-?\d+(\.\d+)?", str(hours))
        offset = float(hours or 0) if known else 0.0
        return timezone(timedelta(hours=offset)) if abs(offset) < 24 else UTC
