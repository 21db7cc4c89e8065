"""Whether the counts of a period can be right. Pure: values in, what is odd about them out.

A counter that was switched off, a tracker that was blocked, a robot that read one page a million times: each gives a
list that looks like any other. So the counts are held against what is known of the periods before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.domain.newsletters import Plausibility
from digest.domain.periods import Period

A_DAY = timedelta(days=1)
FEWEST_BEFORE = 2  # periods with counts before a mean says anything
FEWEST_VIEWS = 1000  # of all articles, before one of them can be said to have too many


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted in a period.

    `oldest` and `newest` are the ends of the first bucket in it and of the last at or before its end, aware UTC.
    """

    total: int
    of_most_read: int  # of one article
    oldest: datetime | None
    newest: datetime | None
    before: Sequence[int] = ()  # totals of the periods before it, those that had any
    silent: str = ""  # a source that goes before those that count, counted before, and counted nothing now
    beside: int = 0  # the most that a source which does not count says


def odd_about(counted: Counted, period: Period, rules: Plausibility) -> list[str]:
    """One line for each thing that cannot be right; none when the counts are believed."""
    if not counted.total:
        return ["no view was counted in the whole period"]
    if not counted.of_most_read:
        return [f"{counted.total:,} views were counted, and none of them on an article we know"]
    odd: list[str] = []
    if counted.silent:
        odd.append(f"source {counted.silent!r}, which goes before the others, counted nothing this time")
    if not counted.before and counted.total < rules.least * counted.beside:
        odd.append(f"{counted.total:,} views were counted, and a source beside says {counted.beside:,}")
    if counted.newest and period.end - counted.newest > rules.newest_within and _has_a_rhythm(counted):
        odd.append(f"the newest counted hour ended {counted.newest:%d %b %H:%M} UTC, too long before the period closed")
    if len(counted.before) >= FEWEST_BEFORE:
        mean = sum(counted.before) / len(counted.before)
        if not mean * rules.least <= counted.total <= mean * rules.most:
            times = counted.total / mean
            odd.append(
                f"{counted.total:,} views are {times:.2g} times the mean of the {len(counted.before)} periods before,"
                f" {mean:,.0f}"
            )
    if counted.total >= FEWEST_VIEWS and counted.of_most_read > rules.one_article * counted.total:
        odd.append(f"one article has {counted.of_most_read:,} of all {counted.total:,} views")
    return odd


def _has_a_rhythm(counted: Counted) -> bool:
    """Whether silence says anything: not where all we know is an hour or two, as of a counter just switched on."""
    span = counted.newest - counted.oldest if counted.newest and counted.oldest else timedelta(0)
    return bool(counted.before) or span >= A_DAY
