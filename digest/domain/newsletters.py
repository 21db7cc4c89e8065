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


class FairStart(StrEnum):
    """How stories that came late in the period are weighed against those that had all of it."""

    NONE = "none"  # the views of the period, as they are
    PER_HOUR = "per_hour"  # views an hour alive in the period; `fair_floor` hours at the least
    HALF_LIFE = "half_life"  # views count half for each `half_life` the story is old when the period closes


class Fallback(StrEnum):
    """What an edition is drafted by when the counts cannot be right."""

    NEWEST = "newest"  # pinned articles, then the newest
    VIEWS = "views"  # the views all the same; the desk is told
    SKIP = "skip"  # no edition this time; it is recorded and the desk is told


class BlockKind(StrEnum):
    """What a block of the mail is filled with."""

    TOP = "top"  # the best of all
    SECTION = "section"  # the best of one section
    PINNED = "pinned"  # what the desk pinned
    SHARED = "shared"  # what was shared most, where a source tells


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the mail under a heading of its own."""

    title: str
    kind: BlockKind = BlockKind.TOP
    count: int = 3
    section: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """How the picks of an edition are chosen. Numbers that may be zero mean "no such rule" when they are.

    With `blocks` their counts hold, and `count` does not. A section's own block is not held to `max_per_section`.
    """

    count: int = 10
    min_articles: int = 3
    min_views: int = 1
    published: Published = Published.PERIOD
    too_few: TooFew = TooFew.SKIP
    fair_start: FairStart = FairStart.NONE
    fair_floor: timedelta = timedelta(hours=24)
    half_life: timedelta = timedelta(days=3)
    max_per_section: int = 0
    max_per_author: int = 0
    ban_tags: tuple[str, ...] = ()
    ban_sections: tuple[str, ...] = ()
    ban_patterns: tuple[str, ...] = ()  # "*" stands for anything; tried on the title and on the path
    cool_down: timedelta = timedelta(0)  # after which an article may come again; zero: never
    similar: float = 0.0  # titles that share this part of their words, 0 to 1, tell one story
    sponsored_tags: tuple[str, ...] = ()
    sponsored_count: int = 0
    blocks: tuple[Block, ...] = ()
    views_from: tuple[str, ...] = ()  # sources whose counts are added up; none: the first that counted anything

    def takes(self, section: str) -> bool:
        """Whether an article of that section may come in by its rank: with blocks, one must be for it."""
        open_to_all = not self.blocks or any(block.kind is BlockKind.TOP for block in self.blocks)
        return open_to_all or any(
            block.section.casefold() == section.casefold() for block in self.blocks if block.section
        )

    @property
    def holds(self) -> int:
        """How many articles an edition holds, the sponsored ones aside."""
        return sum(block.count for block in self.blocks) or self.count


@dataclass(frozen=True, slots=True)
class Plausibility:
    """When the counts of a period are believed, and what happens when they are not."""

    newest_within: timedelta = timedelta(days=3)  # before the period closes, something must have been counted
    least: float = 0.2  # of the mean of the periods before
    most: float = 5.0  # times that mean
    one_article: float = 0.95  # of all views, if they are a thousand or more
    fallback: Fallback = Fallback.NEWEST


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
    plausibility: Plausibility = Plausibility()
    source_order: tuple[str, ...] = ()  # as in config.toml: whose counts go before whose

    def period(self, now: datetime) -> Period:
        """The period that closed last."""
        return self.cutoff.period(now)

    def periods_before(self, period: Period, number: int) -> list[Period]:
        """The last so many periods before `period`, the latest first."""
        before: list[Period] = []
        end = period.start
        for _ in range(number):
            start = self.cutoff.before(end)
            before.append(Period(start, end))
            end = start
        return before

    def send_at(self, period: Period) -> datetime:
        """When the edition of `period` is to be sent: the first scheduled moment at or after its end."""
        return self.schedule.next(period.end - timedelta(microseconds=1))

    def month_start(self, moment: datetime) -> datetime:
        """When the month of `moment` began here."""
        return moment.astimezone(self.zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
