"""FLOW: publishing's part: the articles of a period, ranked, held against what is plausible, and recorded.

What an edition is made of, and why, is kept whole: the counts, the scores, the reasons, and whatever one should know
of them. With that record a stranger can do the ranking again by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from digest.domain.articles import Article
from digest.domain.editions import Basis, Edition
from digest.domain.newsletters import Fallback, Newsletter, TooFew
from digest.domain.periods import Period
from digest.domain.plausibility import Counted, odd_about
from digest.domain.ranking import Ranked, is_settled, rank
from digest.errors import TooFewArticles
from digest.store import Transaction, articles, candidates, editions, readership
from digest.store.candidates import PeriodViews, Record

PERIODS_BEFORE = 4  # that a period's views are held against
FIRST_LOOK = 300  # pages; four times as many the next time


@dataclass(frozen=True, slots=True)
class Choice:
    """A period's candidates, judged. `odd` says why its counts are not believed, `notes` what else one should know."""

    record: Record
    basis: Basis
    odd: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> list[Ranked]:
        """The picks, in the order of the edition."""
        return [each for each in self.record.candidates if each.kept]


def choose(tx: Transaction, newsletter: Newsletter, period: Period) -> Choice:
    """Rank the articles of a period by its views; by the newsletter's policy where those cannot be right."""
    selection = newsletter.selection
    found = candidates.of_period(tx, period, selection.views_from, newsletter.source_order)
    sent = editions.last_sent(tx, newsletter.name)
    judge = partial(rank, period=period, selection=selection, sent=sent)
    ranked, seen = _ranked(tx, newsletter, period, found, judge)
    most = max((each.candidate.views for each in ranked), default=0)
    odd = odd_about(_counted(tx, newsletter, period, found, most), period, newsletter.plausibility)
    by_newest = bool(odd) and newsletter.plausibility.fallback is Fallback.NEWEST
    if by_newest:
        every = [*candidates.pinned(tx), *(page for page, _ in found.views)]
        ranked, seen = judge(candidates.of_pages(tx, found, list(dict.fromkeys(every))), by_newest=True), len(every)
    record = Record(_rules(newsletter), _window(found, period), ranked, found.views[seen:])
    basis = Basis.NEWEST if by_newest else Basis.VIEWS
    return Choice(record, basis, tuple(odd), tuple(_notes(found, period)))


def _ranked(
    tx: Transaction, newsletter: Newsletter, period: Period, found: PeriodViews, judge: Callable[..., list[Ranked]]
) -> tuple[list[Ranked], int]:
    """(candidates judged, how many of the most read pages were looked at).

    A week has tens of thousands of pages, and ten of them are picked: from the most read down only so many are looked
    at until no other can come in.
    """
    pinned = candidates.pinned(tx)
    known = candidates.of_pages(tx, found, pinned)
    seen, step = 0, FIRST_LOOK
    while True:
        until = _past_ties(found.views, seen + step)
        among = set(pinned)
        known += candidates.of_pages(tx, found, [page for page, _ in found.views[seen:until] if page not in among])
        seen, step = until, 4 * step
        ranked = judge(known)
        if seen >= len(found.views) or is_settled(ranked, period, newsletter.selection, found.views[seen][1]):
            return ranked, seen


def _past_ties(counts: Sequence[tuple[int, int]], place: int) -> int:
    """Behind the last page that was read as often as the one at `place`: what follows was read less."""
    while 0 < place < len(counts) and counts[place][1] == counts[place - 1][1]:
        place += 1
    return min(place, len(counts))


def _counted(tx: Transaction, newsletter: Newsletter, period: Period, found: PeriodViews, most: int) -> Counted:
    readership.keep_totals(tx, period, {source_id: each.views for source_id, each in found.sources.items()})
    earlier = readership.totals_of(tx, newsletter.periods_before(period, PERIODS_BEFORE))
    totals = [sum(n for source_id, n in each.items() if source_id in found.counting) for each in earlier.values()]
    return Counted(found.total, most, found.oldest, found.newest, [total for total in totals if total])


def _window(found: PeriodViews, period: Period) -> dict[str, Any]:
    counting = [found.sources[each] for each in sorted(found.counting) if each in found.sources]
    return {
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "sources": [each.name for each in counting],
        "beside": {each.name: each.views for id_, each in found.sources.items() if id_ not in found.counting},
        "views": found.total,
        "newest": found.newest.isoformat() if found.newest else None,
    }


def _rules(newsletter: Newsletter) -> dict[str, Any]:
    return {name: _plain(value) for name, value in asdict(newsletter.selection).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value if isinstance(value, int | float | str) else f"{value.total_seconds():.0f}s"


def _notes(found: PeriodViews, period: Period) -> list[str]:
    notes: list[str] = []
    for id_, source in sorted(found.sources.items()):
        if id_ not in found.counting:
            notes.append(f"source {source.name!r} counted {source.views:,} views; they are shown beside, not counted")
            continue
        if source.is_coarse:
            notes.append(
                f"source {source.name!r} counts by spans longer than an hour: a span counts in the period it ends in"
            )
        if source.first_total_at and source.first_total_at > period.start:
            notes.append(
                f"source {source.name!r} has no baseline for all of the period: it was first read at"
                f" {source.first_total_at:%Y-%m-%d %H:%M} UTC, and views before that are unknown"
            )
    return notes


def keep(tx: Transaction, newsletter: Newsletter, edition: Edition, choice: Choice) -> None:
    """Make the choice the edition's. Raises TooFewArticles; the record and its notes are kept all the same."""
    candidates.save(tx, edition.id, choice.record)
    editions.save_picks(tx, edition.id, choice.kept)
    notes = [*(f"not plausible: {each}" for each in choice.odd), *choice.notes]
    editions.update(tx, edition.id, basis=choice.basis, notes=notes)
    must_be_enough(newsletter, choice.kept)


def must_be_enough(newsletter: Newsletter, kept: Sequence[Ranked]) -> None:
    """Raises TooFewArticles. What is sponsored does not make an edition."""
    selection = newsletter.selection
    number = sum(not each.is_sponsored for each in kept)
    enough = selection.min_articles if selection.too_few is TooFew.SKIP else 1
    if number < enough:
        raise TooFewArticles(number, enough)


# --- right before freezing ----------------------------------------------------------------------------------


def correct(
    tx: Transaction, newsletter: Newsletter, edition: Edition, gone: Mapping[str, str], now: datetime
) -> list[str]:
    """Take over what happened to the picks since: `gone` says by URL why a page is no more.

    A page that is gone drops out, and the next one moves up; by the counts of the draft, so that nothing else moves.
    A changed title is taken over. Returns what was done, which the edition's notes say too. Raises TooFewArticles.
    """
    picked = editions.picked(tx, edition.id)
    missing = {pick.article.id: gone[pick.article.url] for pick in picked if pick.article.url in gone}
    said = [f"{pick.article.title!r} is gone ({missing[pick.article.id]}), so it dropped out" for pick in picked
            if pick.article.id in missing]  # fmt: skip
    if missing:
        articles.mark_gone(tx, list(missing), now)
        _move_up(tx, newsletter, edition)
    for pick, present in _retitled(tx, edition.id, missing):
        said.append(f"{pick!r} is now called {present.title!r}")
        editions.retitle(tx, edition.id, present)
    if said:
        editions.update(tx, edition.id, notes=[*edition.notes, *said])
    return said


def _move_up(tx: Transaction, newsletter: Newsletter, edition: Edition) -> None:
    """Fill the edition again from its own record, without what is gone."""
    record = candidates.load(tx, edition.id)
    again = rank(
        [each.candidate for each in record.candidates],
        edition.period,
        newsletter.selection,
        editions.last_sent(tx, newsletter.name),
        by_newest=edition.basis is Basis.NEWEST,
    )
    candidates.save(tx, edition.id, replace(record, candidates=again))
    kept = [each for each in again if each.kept]
    editions.save_picks(tx, edition.id, kept)
    must_be_enough(newsletter, kept)


def _retitled(tx: Transaction, edition_id: int, missing: Collection[int]) -> list[tuple[str, Article]]:
    """(the title it was picked with, the article as it is now) of picks whose title changed."""
    picked = [pick for pick in editions.picked(tx, edition_id) if pick.article.id not in missing]
    present = articles.by_ids(tx, [pick.article.id for pick in picked])
    changed = [(pick.article.title, present[pick.article.id]) for pick in picked]
    return [(title, article) for title, article in changed if title != article.title]
