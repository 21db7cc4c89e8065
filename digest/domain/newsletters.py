"""A newsletter: its rhythm, its language, and what it takes to make an edition of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from digest.domain.periods import Period, Schedule


class Approval(StrEnum):
    """What happens at the hour of sending when the desk has said nothing."""

    NONE = "none"  # the edition goes out, unless the desk held it
    REQUIRED = "required"  # the edition waits until the desk approves


class Published(StrEnum):
    """Which articles may be picked, by when they were published."""

    PERIOD = "period"
    ANY = "any"


class TooFew(StrEnum):
    """What happens when fewer articles than `min_articles` are left."""

    SKIP = "skip"  # no edition this time; it is recorded and the desk is told
    SEND = "send"  # send what there is, if there is anything


@dataclass(frozen=True, slots=True)
class Selection:
    """How the picks of an edition are chosen."""

    count: int = 10
    min_articles: int = 3
    min_views: int = 1
    published: Published = Published.PERIOD
    too_few: TooFew = TooFew.SKIP


@dataclass(frozen=True, slots=True)
class Newsletter:
    """One publication. `schedule` says when it is sent; `cutoff` when its period closes (the same by default)."""

    name: str
    title: str
    language: str
    zone: ZoneInfo
    schedule: Schedule
    cutoff: Schedule
    catch_up: timedelta
    approval: Approval
    selection: Selection

    def period(self, now: datetime) -> Period:
        """The period that closed last."""
        return self.cutoff.period(now)

    def send_at(self, period: Period) -> datetime:
        """When the edition of `period` is to be sent: the first scheduled moment at or after its end."""
        return self.schedule.next(period.end - timedelta(microseconds=1))
