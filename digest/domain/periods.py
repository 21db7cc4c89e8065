"""When an edition is due and which views it counts: schedules in a named zone, half-open periods in UTC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SCHEDULE = re.compile(r"(?:(daily)|monthly +(\d{1,2})|([a-z]{3}(?: *, *[a-z]{3})*)) +(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Period:
    """The half-open span [start, end) an edition covers; both aware UTC."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def counts(self, at: datetime, span: timedelta) -> bool:
        """Whether views of the bucket [at, at + span) count here: a bucket counts where it ends.

        So at a Saturday 08:00 cut-off a whole Friday counts, and a Saturday only half over waits for
        the next edition with all of its views; every bucket counts in exactly one period.
        """
        return self.start < at + span <= self.end

    @property
    def hours(self) -> int:
        """168 in most weeks, 167 or 169 where the clocks change."""
        return round((self.end - self.start).total_seconds() / 3600)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A repeating moment in local time: `sat 08:00`, `mon,thu 07:30`, `daily 06:00`, `monthly 1 08:00`.

    A local time the clocks jump over means the moment an hour later; one that comes twice means the first.
    """

    days: frozenset[int]  # 0 is Monday; empty with `day_of_month`
    at: time
    zone: ZoneInfo
    day_of_month: int = 0

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> Schedule:
        """Raises ValueError, with the forms it knows, when `text` is none of them."""
        match = _SCHEDULE.fullmatch(text.strip().lower())
        if match is None or int(match[4]) > 23 or int(match[5]) > 59:
            raise ValueError(
                f"{text!r} is not a schedule; write 'sat 08:00', 'mon,thu 07:30', 'daily 06:00' or 'monthly 1 08:00'"
            )
        daily, monthly, names, hour, minute = match.groups()
        at = time(int(hour), int(minute))
        if daily:
            return cls(frozenset(range(7)), at, zone)
        if monthly:
            if not 1 <= int(monthly) <= 28:
                raise ValueError(f"{text!r}: the day of the month must be 1 to 28, so that every month has it")
            return cls(frozenset(), at, zone, int(monthly))
        days = [name.strip() for name in names.split(",")]
        if unknown := [name for name in days if name not in WEEKDAYS]:
            raise ValueError(f"{text!r}: {unknown[0]!r} is not a weekday; write one of {', '.join(WEEKDAYS)}")
        return cls(frozenset(WEEKDAYS.index(name) for name in days), at, zone)

    def last(self, now: datetime) -> datetime:
        """The latest moment at or before `now`, in UTC."""
        return next(moment for moment in self._backwards(_local_date(now, self.zone)) if moment <= now)

    def before(self, moment: datetime) -> datetime:
        """The latest moment strictly before `moment`, in UTC."""
        return next(each for each in self._backwards(_local_date(moment, self.zone)) if each < moment)

    def next(self, now: datetime) -> datetime:
        """The first moment strictly after `now`, in UTC."""
        day = _local_date(now, self.zone) - timedelta(days=1)
        while True:
            if self._falls_on(day) and (moment := self._moment(day)) > now:
                return moment
            day += timedelta(days=1)

    def period(self, now: datetime) -> Period:
        """The period that closed last: from the cut-off before the last one up to the last one."""
        end = self.last(now)
        return Period(self.before(end), end)

    def _backwards(self, day: date) -> Iterator[datetime]:
        day += timedelta(days=1)
        while True:
            if self._falls_on(day):
                yield self._moment(day)
            day -= timedelta(days=1)

    def _falls_on(self, day: date) -> bool:
        return day.day == self.day_of_month if self.day_of_month else day.weekday() in self.days

    def _moment(self, day: date) -> datetime:
        return datetime.combine(day, self.at, self.zone).astimezone(UTC)


def _local_date(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def day_bucket(day: date, zone: ZoneInfo) -> tuple[datetime, timedelta]:
    """A whole local day as (start in UTC, span); 23 or 25 hours where the clocks change."""
    start = datetime.combine(day, time(0), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(UTC)
    return start, end - start


def hour_bucket(moment: datetime) -> tuple[datetime, timedelta]:
    """The clock hour that holds `moment`, as (start in UTC, span). Zones of half an hour keep their own hours."""
    local = moment.replace(minute=0, second=0, microsecond=0)
    return local.astimezone(UTC), timedelta(hours=1)
