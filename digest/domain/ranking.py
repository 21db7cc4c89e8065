"""Which articles make the edition, and why each is in or out. Pure: values in, values out.

Every candidate is judged by itself first (banned, sent before, outside of the period, too few views). Those left are
put in order by score and fill the edition's blocks from the top, past what a quota or a likeness keeps out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from digest.domain.banning import Bans
from digest.domain.filling import Place, fill, is_marked, marks_of
from digest.domain.newsletters import Block, BlockKind, FairStart, Published, Selection
from digest.domain.periods import Period

HOUR = timedelta(hours=1)
CLOCK_CHANGE = timedelta(hours=2)  # the most the clocks of a place are changed by


class Candidate(NamedTuple):
    """An article and how often it was read in the period, by the source that counts and `beside` it by others."""

    id: int
    url: str
    title: str
    published_at: datetime
    views: int
    section: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    shares: int | None = None
    pinned_at: datetime | None = None
    pinned_position: int | None = None
    banned_at: datetime | None = None
    gone_at: datetime | None = None
    sent_at: datetime | None = None  # the end of the period it was last sent for
    beside: Mapping[str, int] = {}


class Ranked(NamedTuple):
    """A candidate with its judgement: `rank` counts from 1 among those allowed, 0 for those that are not.

    `block` is the heading it stands under in the edition.
    """

    candidate: Candidate
    score: float
    rank: int
    kept: bool
    reason: str
    block: str = ""
    is_sponsored: bool = False


def rank(
    candidates: Iterable[Candidate], period: Period, selection: Selection, *, by_newest: bool = False
) -> list[Ranked]:
    """Judge every candidate; the kept ones come first, in the order of the edition.

    Ties of score go to the one with more views, then to the one published later, then to the higher id. `by_newest`:
    the counts are not to be believed.
    """
    bans = Bans(selection.ban_tags, selection.ban_sections, selection.ban_patterns)
    marks = marks_of(selection)
    least = 0 if by_newest else selection.min_views
    allowed: list[tuple[float, Candidate]] = []
    dropped: list[Ranked] = []
    for candidate in candidates:
        score = candidate.published_at.timestamp() if by_newest else score_of(candidate, period, selection)
        wanted = 0 if marks and is_marked(candidate, marks) else least  # who paid need not have been read
        if reason := _why_not(candidate, period, selection, bans, wanted):
            dropped.append(Ranked(candidate, score, 0, False, reason))
        else:
            allowed.append((score, candidate))
    allowed.sort(key=_order)
    places, passed = fill([candidate for _, candidate in allowed], selection)
    judged = _judge(allowed, places, passed, selection, by_newest=by_newest)
    dropped.sort(key=lambda each: _order((each.score, each.candidate)))
    return judged + dropped


def is_settled(ranked: Sequence[Ranked], period: Period, selection: Selection, unseen: int) -> bool:
    """Whether no article with at most `unseen` views could come in: the list is full, and all of it scores higher.

    What is chosen by something else than views, shares or a mark, might lie anywhere.
    """
    blocks = selection.blocks or (Block("", BlockKind.TOP, selection.count),)
    kept = [each for each in ranked if each.kept and not each.is_sponsored]
    if selection.sponsored_count or any(block.kind is BlockKind.SHARED for block in blocks):
        return False
    if len(kept) < sum(block.count for block in blocks):
        return False
    best = best_of_unseen(period, selection, unseen)
    return all(each.score > best for each in kept if each.candidate.pinned_at is None)


def best_of_unseen(period: Period, selection: Selection, unseen: int) -> float:
    """The highest score that at most `unseen` views can come to."""
    return score_of(Candidate(0, "", "", period.end, unseen), period, selection)


def without_rank(ranked: Sequence[Ranked], best: float, holds: int) -> list[Ranked]:
    """Of those that score no higher than an article nobody looked at might, the rank is not known."""
    words = f"read less than it takes; the edition holds {holds}"
    return [
        each._replace(rank=0, reason=each.reason if each.kept or " by " not in each.reason else words)
        if each.rank and each.score <= best
        else each
        for each in ranked
    ]


def score_of(candidate: Candidate, period: Period, selection: Selection) -> float:
    """What the candidate is ranked by; more views never make it less."""
    match selection.fair_start:
        case FairStart.PER_HOUR:
            return candidate.views / _hours_alive(candidate, period, selection)
        case FairStart.HALF_LIFE:
            age = max(period.end - candidate.published_at, timedelta(0))
            return float(candidate.views * 0.5 ** (age / selection.half_life))
        case _:
            return float(candidate.views)


def _hours_alive(candidate: Candidate, period: Period, selection: Selection) -> float:
    """How long it could be read in the period; no shorter than the floor, or a minute's luck would win the week."""
    alive = period.end - max(candidate.published_at, period.start)
    return max(alive, selection.fair_floor, HOUR) / HOUR


def _order(scored: tuple[float, Candidate]) -> tuple[float, int, float, int]:
    score, candidate = scored
    return (-score, -candidate.views, -candidate.published_at.timestamp(), -candidate.id)


def _why_not(candidate: Candidate, period: Period, selection: Selection, bans: Bans, least: int) -> str:
    if candidate.banned_at is not None:
        return "banned by the desk"
    if candidate.gone_at is not None:
        return "its page is gone"
    if (ban := bans.on(candidate)) if bans else "":
        return ban
    if candidate.sent_at is not None and not _is_cool(candidate.sent_at, period, selection):
        return "was in an edition sent before"
    if candidate.pinned_at is not None:
        return ""
    if candidate.published_at >= period.end:
        return "published after the period closed"
    if candidate.published_at < period.start and selection.published is Published.PERIOD:
        return "published before the period began"
    if candidate.views < least:
        return f"fewer than {least:,} views" if least > 1 else "no views in the period"
    return ""


def _is_cool(sent_at: datetime, period: Period, selection: Selection) -> bool:
    """Four weeks are four weeks, also when the clocks were changed in between."""
    return bool(selection.cool_down) and period.end - sent_at >= selection.cool_down - CLOCK_CHANGE


# --- the words ------------------------------------------------------------------------------------------


def _judge(
    allowed: Sequence[tuple[float, Candidate]],
    places: Mapping[int, Place],
    passed: Mapping[int, str],
    selection: Selection,
    *,
    by_newest: bool,
) -> list[Ranked]:
    """Kept ones in the order of the edition, then the rest by rank."""
    words = "newest" if by_newest else _WORDS[selection.fair_start]
    holds = selection.holds
    kept: list[tuple[int, Ranked]] = []
    others: list[Ranked] = []
    for number, (score, candidate) in enumerate(allowed, start=1):
        stands = f"{nth(number)} by {words}"
        if place := places.get(candidate.id):
            reason = place.reason or stands
            kept.append(
                (place.position, Ranked(candidate, score, number, True, reason, place.block, place.is_sponsored))
            )
        else:
            full = f"the edition holds {holds}"
            if not selection.takes(candidate.section):
                full = (
                    f"no block takes section {candidate.section!r}"
                    if candidate.section
                    else "it has no section, and no block takes it"
                )
            why = passed.get(candidate.id) or f"{stands}; {full}"
            others.append(Ranked(candidate, score, number, False, why))
    kept.sort(key=lambda each: each[0])
    return [ranked for _, ranked in kept] + others


_WORDS = {
    FairStart.NONE: "views",
    FairStart.PER_HOUR: "views an hour",
    FairStart.HALF_LIFE: "views, weighed by age",
}


def nth(place: int) -> str:
    """1st, 2nd, 3rd, 4th, ..."""
    suffix = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{suffix}"
