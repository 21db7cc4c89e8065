"""What an edition may be made of: the articles of a period with their counts, and the record of how they ranked."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.periods import Period
from digest.domain.ranking import Candidate, Ranked
from digest.store import readership
from digest.store.engine import chunks, insert
from digest.store.schema import articles, rankings, sources, views

_MOMENTS = ("published_at", "pinned_at", "banned_at", "gone_at", "sent_at")
_WORDS = (articles.c.id, articles.c.url, articles.c.title, articles.c.published_at, articles.c.section)
_WISHES = (articles.c.pinned_at, articles.c.pinned_position, articles.c.banned_at, articles.c.gone_at)
_COLUMNS = (*_WORDS, articles.c.author, articles.c.tags, articles.c.shares, *_WISHES)


@dataclass(frozen=True, slots=True)
class SourceCount:
    """What one source counted in a period. `is_coarse`: some of it by spans longer than an hour."""

    name: str
    views: int
    is_coarse: bool
    first_total_at: datetime | None  # it reads lifetime counters, since then


@dataclass(frozen=True, slots=True)
class PeriodViews:
    """A period's counts by page, and by source. `counting` names the sources whose counts are a candidate's views.

    `views` are those of the counting sources, the most read page first; `beside` what others say of a page. A page
    need not be an article. Those after them that are not here, if any, were read `unseen` times at the most.
    """

    views: list[tuple[int, int]]  # (page id, views)
    beside: Mapping[int, Mapping[str, int]]
    sources: Mapping[int, SourceCount]
    names: Mapping[int, str]  # of all sources, by id
    counting: frozenset[int]
    oldest: datetime | None
    newest: datetime | None
    unseen: int | None = None

    @property
    def total(self) -> int:
        """All views the counting sources have, of articles and other pages."""
        return sum(self.sources[each].views for each in self.counting if each in self.sources)


def of_period(tx: Connection, period: Period, views_from: Sequence[str] = (), order: Sequence[str] = ()) -> PeriodViews:
    """How often each page was read in the period; articles published in it that nobody read come last.

    Several sources may count the same reading: those in `views_from` count; else the first of `order` that has
    counted anything in the period, then of all. What the others say is kept beside it.
    """
    rows = _counted(tx, period)
    records = _records(tx)
    names = {id_: row.name for id_, row in records.items()}
    by_source: Counter[int] = Counter()
    for _, source_id, number in rows:
        by_source[source_id] += number
    found = {id_: _source_count(records[id_], number, period) for id_, number in by_source.items()}
    counting = _counting(names, by_source, views_from, order)
    views_of, beside = _merged(rows, counting, names)
    for page in _published(tx, period):
        views_of.setdefault(page, 0)
    ordered = sorted(views_of.items(), key=_most_read, reverse=True)
    return PeriodViews(ordered, beside, found, names, counting, *readership.edges(tx, period, sorted(counting)))


def most_read(
    tx: Connection, period: Period, most: int, views_from: Sequence[str] = (), order: Sequence[str] = ()
) -> PeriodViews:
    """`of_period`, but only the so many most read pages where a single source has counted, which costs far less.

    Of pages read equally often all are there, or none.
    """
    records = _records(tx)
    having = [
        row
        for row in records.values()
        if row.counted_from and row.counted_from <= period.end and row.counted_until > period.start
    ]
    if len(having) != 1 or (views_from and having[0].name not in views_from):
        return of_period(tx, period, views_from, order)
    total = sa.cast(sa.func.sum(views.c.views), sa.BigInteger).label("total")
    query = sa.select(views.c.page_id, total).where(readership.within(period)).group_by(views.c.page_id)
    rows = tx.execute(query.order_by(total.desc()).limit(most + 1)).all()
    if len(rows) <= most or rows[-1].total == rows[0].total:
        return of_period(tx, period, views_from, order)
    unseen = rows[-1].total
    top = [(page, number) for page, number in rows if number > unseen]
    whole = int(tx.scalar(sa.select(sa.func.sum(views.c.views)).where(readership.within(period))) or 0)
    only = having[0].id
    counted = {only: _source_count(having[0], whole, period)}
    names, counting = {id_: row.name for id_, row in records.items()}, frozenset({only})
    return PeriodViews(top, {}, counted, names, counting, *readership.edges(tx, period, [only]), unseen)


def _records(tx: Connection) -> dict[int, Row[Any]]:
    return {row.id: row for row in tx.execute(sa.select(sources))}


def _source_count(record: Row[Any], number: int, period: Period) -> SourceCount:
    is_coarse = record.coarse_until is not None and record.coarse_until > period.start
    return SourceCount(record.name, number, is_coarse, record.first_total_at)


def _most_read(page: tuple[int, int]) -> int:
    return page[1]


def _counted(tx: Connection, period: Period) -> Sequence[Row[int, int, int]]:
    """(page, source, views), one row a page and source."""
    total = sa.cast(sa.func.sum(views.c.views), sa.BigInteger)
    query = sa.select(views.c.page_id, views.c.source_id, total)
    query = query.where(readership.within(period)).group_by(views.c.page_id, views.c.source_id)
    return tx.execute(query).all()


def _counting(
    names: Mapping[int, str], by_source: Mapping[int, int], views_from: Sequence[str], order: Sequence[str]
) -> frozenset[int]:
    if views_from:
        return frozenset(id_ for id_, name in names.items() if name in views_from)
    rank = {name: place for place, name in enumerate(order)}
    having = [id_ for id_, number in by_source.items() if number]
    return frozenset(sorted(having, key=lambda id_: (rank.get(names[id_], len(rank)), id_))[:1])


def _merged(
    rows: Iterable[Row[int, int, int]], counting: frozenset[int], names: Mapping[int, str]
) -> tuple[dict[int, int], dict[int, dict[str, int]]]:
    """(views by page of the counting sources, what others say by page)."""
    views_of: dict[int, int] = {}
    beside: dict[int, dict[str, int]] = {}
    for page, source_id, number in rows:
        if source_id in counting:
            views_of[page] = views_of.get(page, 0) + number
        else:
            views_of.setdefault(page, 0)
            beside.setdefault(page, {})[names[source_id]] = number
    return views_of, beside


def _published(tx: Connection, period: Period) -> Iterable[int]:
    query = sa.select(articles.c.id).where(articles.c.published_at.between(period.start, period.end))
    return tx.scalars(query).all()


def pinned(tx: Connection) -> list[int]:
    """The articles the desk wants, whenever they were published."""
    return list(tx.scalars(sa.select(articles.c.id).where(articles.c.pinned_at.is_not(None))))


def newest(tx: Connection, most: int) -> list[int]:
    """The articles published last."""
    query = sa.select(articles.c.id).order_by(articles.c.published_at.desc(), articles.c.id.desc()).limit(most)
    return list(tx.scalars(query))


def of_pages(tx: Connection, found: PeriodViews, period: Period, pages: Sequence[int]) -> list[Candidate]:
    """Those of the pages that are articles, with their counts."""
    if not pages:
        return []
    wanted = set(pages)
    views_of = {page: number for page, number in found.views if page in wanted}
    if found.unseen is not None and (others := wanted - views_of.keys()):
        mine = sa.and_(readership.within(period), views.c.page_id.in_(others))
        query = sa.select(views.c.page_id, sa.func.sum(views.c.views)).where(mine).group_by(views.c.page_id)
        views_of |= {page: int(number) for page, number in tx.execute(query)}
    return [
        each._replace(views=views_of.get(each.id, 0), beside=found.beside.get(each.id, {}))
        for each in by_ids(tx, pages)
    ]


def by_ids(tx: Connection, ids: Sequence[int]) -> list[Candidate]:
    """Articles as candidates without views."""
    made: list[Candidate] = []
    for batch in chunks(ids):
        query = sa.select(*_COLUMNS).where(articles.c.id.in_(batch))
        made += [_candidate(tuple(row)) for row in tx.execute(query)]
    return made


def _candidate(row: Sequence[Any]) -> Candidate:
    id_, url, title, published_at, section, author, tags, shares, pinned_at, position, banned_at, gone_at = row
    words = (section, author, tuple(tags), shares)
    return Candidate(id_, url, title, published_at, 0, *words, pinned_at, position, banned_at, gone_at)


# --- the record -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """How an edition's candidates ranked. `rules` and `window` are what a stranger needs to do it again.

    `rest` are pages that were read less than any that could have come in, (page id, views), the most read first; None:
    they are counted when somebody asks.
    """

    rules: Mapping[str, Any]
    window: Mapping[str, Any]
    candidates: Sequence[Ranked]
    rest: Sequence[tuple[int, int]] | None = ()


def save(tx: Connection, edition_id: int, record: Record) -> None:
    """Replace the record of an edition."""
    judged = [[*map(_plain, each.candidate), *each[1:]] for each in record.candidates]
    document = {"rules": record.rules, "window": record.window, "judged": judged, "rest": record.rest}
    packed = zlib.compress(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(), 1)
    statement = insert(tx, rankings).values(edition_id=edition_id, record=packed)
    new = {"record": statement.excluded.record}
    tx.execute(statement.on_conflict_do_update(index_elements=["edition_id"], set_=new))


def load(tx: Connection, edition_id: int, *, whole: bool = False) -> Record:
    """The record of an edition; an empty one when nothing was ranked yet. `whole`: with the rest as candidates too.

    Words are the article's of today, numbers and reasons those of the ranking.
    """
    document = _document(tx, edition_id)
    if document is None:
        return Record({}, {}, [])
    rest = document.get("rest", ())
    rest = [(id_, views) for id_, views in rest] if rest is not None else None
    ranked = [_judged(row) for row in document.get("judged", ())] or _of_old(tx, document.get("candidates", ()))
    record = Record(document.get("rules", {}), document.get("window", {}), ranked, rest)
    return with_rest(tx, record) if whole else record


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _judged(row: list[Any]) -> Ranked:
    """A candidate in the words it was judged by."""
    fields = dict(zip((*Candidate._fields, *Ranked._fields[1:]), row, strict=True))
    for name in _MOMENTS:
        fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
    candidate = Candidate(**{name: fields.pop(name) for name in Candidate._fields})
    return Ranked(candidate._replace(tags=tuple(candidate.tags)), **fields)


def _of_old(tx: Connection, rows: Sequence[list[Any]]) -> list[Ranked]:
    """Records of before migration 0003 have numbers and reasons only."""
    known = {each.id: each for each in by_ids(tx, [row[0] for row in rows])}
    return [
        Ranked(known[id_]._replace(views=views), score, rank, bool(kept), reason, block)
        for id_, views, score, rank, kept, reason, block, *_ in rows
        if id_ in known
    ]


def with_rest(tx: Connection, record: Record) -> Record:
    """The record with the rest as candidates too. Nobody has looked at those: they have views, and no rank."""
    rest = rest_of(tx, record)
    known = {each.id: each for each in by_ids(tx, [page for page, _ in rest])}
    reason = "read less than any that could have come in"
    more = [Ranked(known[id_]._replace(views=n), float(n), 0, False, reason) for id_, n in rest if id_ in known]
    return replace(record, candidates=[*record.candidates, *more], rest=())


def rest_of(tx: Connection, record: Record) -> Sequence[tuple[int, int]]:
    """The pages that were not looked at, with their views: as kept, or as they are counted now."""
    if record.rest is not None:
        return record.rest
    period = Period(*(datetime.fromisoformat(record.window[name]) for name in ("start", "end")))
    found = of_period(tx, period, record.window["sources"])
    judged = {each.candidate.id for each in record.candidates}
    return [(page, number) for page, number in found.views if page not in judged]


def number(tx: Connection, edition_id: int) -> int:
    """How many pages the record names."""
    document = _document(tx, edition_id)
    if document is None:
        return 0
    return sum(len(document.get(name) or ()) for name in ("judged", "candidates", "rest"))


def _document(tx: Connection, edition_id: int) -> dict[str, Any] | None:
    packed = tx.scalar(sa.select(rankings.c.record).where(rankings.c.edition_id == edition_id))
    document: dict[str, Any] | None = json.loads(zlib.decompress(packed)) if packed else None
    return document
