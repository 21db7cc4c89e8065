"""FLOW: publishing's part: the articles of a period, ranked, held against what is plausible, and recorded.

What an edition is made of, and why, is kept whole: the counts, the scores, the reasons, and whatever one should know
of them. With that record a stranger can do the ranking again by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any

from digest.domain.articles import Article
from digest.domain.editions import NOT_PLAUSIBLE, Basis, Edition, Pick
from digest.domain.newsletters import BlockKind, Fallback, Newsletter, Published, TooFew
from digest.domain.periods import Period
from digest.domain.plausibility import Counted, odd_about
from digest.domain.ranking import Candidate, Ranked
from digest.errors import TooFewArticles
from digest.publishing import descent
from digest.publishing.descent import Descent, Pages
from digest.store import Transaction, articles, candidates, editions, readership
from digest.store.candidates import PeriodViews, Record

PERIODS_BEFORE = 4  # that a period's views are held against


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
    sources = (selection.views_from, newsletter.source_order)
    found = candidates.most_read(tx, period, descent.FIRST_LOOK, *sources)

    def whole() -> Pages:
        all_of_them = candidates.of_period(tx, period, *sources)
        return all_of_them.views, partial(candidates.of_pages, tx, all_of_them, period)

    fetch = partial(candidates.of_pages, tx, found, period)
    sent = editions.last_sent(tx, newsletter.name, period)
    down = Descent(selection, period, sent, (found.views, fetch), found.unseen, whole)
    known = fetch(candidates.pinned(tx))
    ranked = down.judge(known)
    most = max((each.candidate.views for each in ranked), default=0)
    odd = odd_about(_counted(tx, newsletter, period, found, most), period, newsletter.plausibility)
    by_newest = bool(odd) and newsletter.plausibility.fallback is Fallback.NEWEST
    if by_newest or (selection.published is Published.ANY and not selection.min_views):
        more = fetch(candidates.newest(tx, descent.FIRST_LOOK))  # nobody read them, and they may come
        ranked = down.judge([*known, *more], to_the_end=True, by_newest=by_newest)
    record = Record(_rules(newsletter), _window(found, period), ranked, down.rest)
    basis = Basis.NEWEST if by_newest else Basis.VIEWS
    return Choice(record, basis, tuple(odd), (*_notes(found, period), *_short_blocks(newsletter, ranked)))


def _short_blocks(newsletter: Newsletter, ranked: Sequence[Ranked]) -> list[str]:
    """Which blocks got fewer articles than they have room for; the desk alone fills those for pins."""
    filled = Counter(each.block for each in ranked if each.kept)
    sections = sorted({each.candidate.section for each in ranked if each.candidate.section})[:12]
    notes = []
    for block in newsletter.selection.blocks:
        got, whose = filled[block.title], f" of section {block.section!r}" if block.section else ""
        if block.section and not got:
            there = ", ".join(sections)
            notes.append(f"block {block.title!r} is empty: no article{whose}; there are: {there}")
        elif got < block.count and block.kind in (BlockKind.TOP, BlockKind.SECTION):
            notes.append(f"block {block.title!r} has {got} of its {block.count}: there is no more{whose} to take")
    return notes


def _counted(tx: Transaction, newsletter: Newsletter, period: Period, found: PeriodViews, most: int) -> Counted:
    readership.keep_totals(tx, period, {source_id: each.views for source_id, each in found.sources.items()})
    earlier = readership.totals_of(tx, newsletter.periods_before(period, PERIODS_BEFORE)).values()
    totals = [sum(n for source_id, n in each.items() if source_id in found.counting) for each in earlier]
    beside = [each.views for source_id, each in found.sources.items() if source_id not in found.counting]
    return Counted(
        total=found.total,
        of_most_read=most,
        oldest=found.oldest,
        newest=found.newest,
        before=[total for total in totals if total],
        silent=_silent(newsletter, found, {source_id for each in earlier for source_id, n in each.items() if n}),
        beside=max(beside, default=0),
    )


def _silent(newsletter: Newsletter, found: PeriodViews, counted_before: set[int]) -> str:
    """A source that should count, did so before, and has nothing now."""
    now = {source_id for source_id, each in found.sources.items() if each.views}
    by_name = {name: source_id for source_id, name in found.names.items()}
    for name in newsletter.selection.views_from or newsletter.source_order:
        source_id = by_name.get(name, 0)
        if source_id in counted_before and source_id not in now:
            return name
        if source_id in found.counting and not newsletter.selection.views_from:
            return ""  # those behind it do not count
    return ""


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
    if isinstance(value, Enum):
        return value.value
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
    notes = [*(f"{NOT_PLAUSIBLE}{each}" for each in choice.odd), *choice.notes]
    editions.update(tx, edition.id, basis=choice.basis, notes=notes)
    must_be_enough(newsletter, choice.kept)


def differs(tx: Transaction, edition: Edition, choice: Choice) -> bool:
    """Whether the choice is another list than the edition's."""
    present = [pick.article.id for pick in editions.picked(tx, edition.id)]
    return present != [each.candidate.id for each in choice.kept]


def must_be_enough(newsletter: Newsletter, kept: Sequence[Ranked]) -> None:
    """Raises TooFewArticles. What is sponsored does not make an edition."""
    selection = newsletter.selection
    number = sum(not each.is_sponsored for each in kept)
    enough = selection.min_articles if selection.too_few is TooFew.SKIP else 1
    if number < enough:
        raise TooFewArticles(number, enough)


def whole(tx: Transaction, record: Record) -> Record:
    """The record with the rest of the pages as candidates too."""
    return candidates.with_rest(tx, record)


# --- right before freezing ----------------------------------------------------------------------------------


def correct(
    tx: Transaction, newsletter: Newsletter, edition: Edition, gone: Mapping[str, str], now: datetime
) -> list[str]:
    """Take over what happened to the picks since: `gone` says by URL why a page is no more.

    A page that is gone drops out, and the next one moves up; by the counts of the draft, so that nothing else moves.
    A changed title is taken over. Returns what was done, which the edition's notes say too. Raises TooFewArticles.
    """
    said: list[str] = []
    picked = editions.picked(tx, edition.id)
    if len(picked) > 1 and all(pick.article.url in gone for pick in picked):
        gone = {}
        said.append("every one of its pages was reported gone: taken for a trouble of the site, and none dropped out")
    while missing := _missing(tx, picked, gone):  # what moves up may be gone too
        titles = {pick.article.id: pick.article.title for pick in picked}
        said += [f"{titles[id_]!r} {why}, so it dropped out" for id_, why in missing.items()]
        editions.update(tx, edition.id, notes=[*edition.notes, *said])
        articles.mark_gone(tx, [pick.article.id for pick in picked if pick.article.url in gone], now)
        _move_up(tx, newsletter, edition)
        picked = editions.picked(tx, edition.id)
    for title, article in _retitled(tx, picked):
        said.append(f"{title!r} is now called {article.title!r}")
        editions.retitle(tx, edition.id, article)
    if said:
        editions.update(tx, edition.id, notes=[*edition.notes, *said])
    return said


def _missing(tx: Transaction, picked: Sequence[Pick], gone: Mapping[str, str]) -> dict[int, str]:
    """Which picks may not go out, and why."""
    present = articles.by_ids(tx, [pick.article.id for pick in picked])
    missing = {pick.article.id: f"is gone ({gone[pick.article.url]})" for pick in picked if pick.article.url in gone}
    return missing | {id_: "was banned by the desk" for id_, article in present.items() if article.banned_at}


def _move_up(tx: Transaction, newsletter: Newsletter, edition: Edition) -> None:
    """Fill the edition again by the counts of its record, without what is gone. Raises TooFewArticles."""
    record = candidates.load(tx, edition.id)
    judged = {each.candidate.id: each.candidate for each in record.candidates}

    def fetch(views: Mapping[int, int], pages: Sequence[int]) -> list[Candidate]:
        beside = {id_: each.beside for id_, each in judged.items()}
        found = candidates.by_ids(tx, pages)
        return [each._replace(views=views[each.id], beside=beside.get(each.id, {})) for each in found]

    def rest() -> Pages:
        counts = candidates.rest_of(tx, record)
        return counts, partial(fetch, dict(counts))

    known = fetch({id_: each.views for id_, each in judged.items()}, list(judged))
    least = min((each.views for each in known if each.pinned_at is None), default=0)
    by_newest = edition.basis is Basis.NEWEST
    sent = editions.last_sent(tx, newsletter.name, edition.period)
    down = Descent(newsletter.selection, edition.period, sent, ([], partial(fetch, {})), least, rest)
    again = down.judge(known, to_the_end=by_newest, by_newest=by_newest)
    left = record.rest if down.rest is None else down.rest
    candidates.save(tx, edition.id, replace(record, candidates=again, rest=left))
    kept = [each for each in again if each.kept]
    editions.save_picks(tx, edition.id, kept)
    must_be_enough(newsletter, kept)


def _retitled(tx: Transaction, picked: Sequence[Pick]) -> list[tuple[str, Article]]:
    """(the title it was picked with, the article as it is now) of picks whose title changed."""
    present = articles.by_ids(tx, [pick.article.id for pick in picked])
    pairs = [(pick.article.title, present[pick.article.id]) for pick in picked]
    return [(title, article) for title, article in pairs if title != article.title]
