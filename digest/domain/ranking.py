"""Which articles make the edition, and why each is in or out. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from digest.domain.articles import Article
from digest.domain.newsletters import Published, Selection
from digest.domain.periods import Period


@dataclass(frozen=True, slots=True)
class Candidate:
    """An article and how often it was read in the period."""

    article: Article
    views: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its judgement: `rank` counts from 1 among those allowed, 0 for those that are not."""

    article: Article
    views: int
    score: float
    rank: int
    kept: bool
    reason: str


def rank(candidates: Iterable[Candidate], period: Period, selection: Selection, sent: Collection[int]) -> list[Ranked]:
    """Judge every candidate; the kept ones come first, in the order of the edition.

    Pinned articles come first, in the order they were pinned; then the most viewed. Ties go to the one
    published later, then to the higher id. `sent` holds the ids of articles in editions already sent.
    """
    allowed: list[Candidate] = []
    dropped: list[Ranked] = []
    for candidate in candidates:
        reason = _why_not(candidate, period, selection, sent)
        if reason:
            dropped.append(Ranked(candidate.article, candidate.views, float(candidate.views), 0, False, reason))
        else:
            allowed.append(candidate)
    allowed.sort(key=_order)
    judged = [_judge(candidate, place, selection) for place, candidate in enumerate(allowed, start=1)]
    dropped.sort(key=lambda each: _order(Candidate(each.article, each.views)))
    return judged + dropped


def _order(candidate: Candidate) -> tuple[float, ...]:
    article = candidate.article
    pinned = article.pinned_at.timestamp() if article.pinned_at else float("inf")
    return (pinned, -candidate.views, -article.published_at.timestamp(), -article.id)


def _why_not(candidate: Candidate, period: Period, selection: Selection, sent: Collection[int]) -> str:
    article = candidate.article
    if article.banned_at:
        return "banned by the desk"
    if article.id in sent:
        return "was in an edition sent before"
    if article.pinned_at:
        return ""
    if article.published_at >= period.end:
        return "published after the period closed"
    if selection.published is Published.PERIOD and article.published_at not in period:
        return "published before the period began"
    if candidate.views < selection.min_views:
        return f"fewer than {selection.min_views} views" if selection.min_views > 1 else "no views in the period"
    return ""


def _judge(candidate: Candidate, place: int, selection: Selection) -> Ranked:
    kept = place <= selection.count
    if candidate.article.pinned_at:
        reason = "pinned by the desk" if kept else f"pinned, but the edition holds {selection.count}"
    else:
        reason = f"{_nth(place)} by views" if kept else f"{_nth(place)} by views; the edition holds {selection.count}"
    return Ranked(candidate.article, candidate.views, float(candidate.views), place, kept, reason)


def _nth(place: int) -> str:
    suffix = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{suffix}"
