"""How often pages were read: counts by bucket, lifetime counters, and the totals of periods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.periods import Period
from digest.store.engine import chunks, insert
from digest.store.schema import articles, pages, period_totals, sources, totals, views

Bucket = tuple[int, datetime, timedelta]  # page id, start, span
_HOUR = 3600
_DAY = 23 * 3600  # seconds of the shortest, where the clocks change


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Views of a page that is no article we know."""

    page: str
    views: int


def put_views(tx: Connection, source_id: int, counts: Mapping[Bucket, int]) -> set[Bucket]:
    """Store counts by (page id, start, span). A bucket read again replaces what it held: sources know best.

    Returns those that were left out: hours of a day that holds them already, as its hours were folded.
    """
    folded = _folded(tx, source_id, counts)
    _store(tx, source_id, {key: n for key, n in counts.items() if key not in folded}, replace=True)
    return folded


def add_views(tx: Connection, source_id: int, counts: Mapping[Bucket, int]) -> None:
    """Add to the counts by (page id, start, span): for what is counted here, view by view."""
    _store(tx, source_id, counts, replace=False)


def _store(tx: Connection, source_id: int, counts: Mapping[Bucket, int], *, replace: bool) -> None:
    statement = insert(tx, views)
    new = statement.excluded.views if replace else views.c.views + statement.excluded.views
    keys = ["until", "page_id", "source_id", "span"]
    statement = statement.on_conflict_do_update(index_elements=keys, set_={"views": new})
    rows: list[dict[str, Any]] = [
        {"until": at + span, "page_id": page, "source_id": source_id, "span": int(span.total_seconds()), "views": count}
        for (page, at, span), count in counts.items()
    ]
    rows.sort(key=lambda row: (row["until"], row["page_id"]))  # two writers then lock rows in one order
    for batch in chunks(rows, 5000):
        tx.execute(statement, batch)
    if rows:  # what was kept of the periods they count in is no longer true
        first, last = rows[0]["until"], rows[-1]["until"]
        coarse = [at + span for _, at, span in counts if span.total_seconds() > _HOUR]
        _note_span(tx, source_id, first, last, max(coarse, default=None))
        tx.execute(sa.delete(period_totals).where(period_totals.c.end >= first, period_totals.c.start < last))


def _note_span(tx: Connection, source_id: int, first: datetime, last: datetime, coarse: datetime | None) -> None:
    """Keep between which ends the source has buckets; written only when that has changed."""
    wider = {
        "counted_from": sa.or_(sources.c.counted_from.is_(None), sources.c.counted_from > first),
        "counted_until": sa.or_(sources.c.counted_until.is_(None), sources.c.counted_until < last),
    }
    values = {"counted_from": first, "counted_until": last}
    if coarse is not None:
        wider["coarse_until"] = sa.or_(sources.c.coarse_until.is_(None), sources.c.coarse_until < coarse)
        values["coarse_until"] = coarse
    new = {name: sa.case((is_wider, values[name]), else_=sources.c[name]) for name, is_wider in wider.items()}
    tx.execute(sa.update(sources).where(sources.c.id == source_id, sa.or_(*wider.values())).values(new))


def _folded(tx: Connection, source_id: int, counts: Mapping[Bucket, int]) -> set[Bucket]:
    """The hours that a day of the same page and source holds already."""
    limit = tx.scalar(sa.select(sources.c.folded_until).where(sources.c.id == source_id))
    old = [key for key in counts if limit and key[1] + key[2] <= limit and key[2].total_seconds() < _DAY]
    found: set[Bucket] = set()
    for batch in chunks(sorted(old, key=lambda key: key[1]), 5000):
        ends = views.c.until.between(batch[0][1], batch[-1][1] + timedelta(days=2))
        query = sa.select(views.c.page_id, views.c.until, views.c.span)
        query = query.where(ends, views.c.source_id == source_id, views.c.span >= _DAY)
        days: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
        for page, until, span in tx.execute(query):
            days[page].append((until - timedelta(seconds=span), until))
        found |= {key for key in batch if any(a <= key[1] and key[1] + key[2] <= b for a, b in days[key[0]])}
    return found


def read_totals(tx: Connection, source_id: int) -> dict[int, tuple[int, datetime]]:
    """The last reading of each lifetime counter of a source: (total, read_at) by page id."""
    rows = tx.execute(sa.select(totals).where(totals.c.source_id == source_id))
    return {row.page_id: (row.total, row.read_at) for row in rows}


def put_totals(tx: Connection, source_id: int, read: Mapping[int, int], now: datetime) -> None:
    """Keep readings of lifetime counters, for the difference to the next. One older than that is not kept."""
    begun = sa.and_(sources.c.id == source_id, sources.c.first_total_at.is_(None))
    tx.execute(sa.update(sources).where(begun).values(first_total_at=now))
    statement = insert(tx, totals)
    new = {"total": statement.excluded.total, "read_at": statement.excluded.read_at}
    statement = statement.on_conflict_do_update(
        index_elements=["source_id", "page_id"], set_=new, where=totals.c.read_at < statement.excluded.read_at
    )
    for batch in chunks(sorted(read.items()), 5000):
        tx.execute(statement, [{"source_id": source_id, "page_id": p, "total": t, "read_at": now} for p, t in batch])


# --- a period -------------------------------------------------------------------------------------------


def within(period: Period) -> sa.ColumnElement[bool]:
    """The buckets that count in the period: those that end in it, see Period.counts."""
    return sa.and_(views.c.until > period.start, views.c.until <= period.end)


def edges(tx: Connection, period: Period, source_ids: Sequence[int]) -> tuple[datetime | None, datetime | None]:
    """The ends of the first bucket of these sources in the period, and of the last one in it."""
    own = sa.and_(within(period), views.c.source_id.in_(source_ids), views.c.views > 0)
    query = sa.select(views.c.until).where(own).limit(1)
    return tx.scalar(query.order_by(views.c.until)), tx.scalar(query.order_by(views.c.until.desc()))


def unmatched(tx: Connection, period: Period) -> list[Unmatched]:
    """Pages read in the period that are no articles, most read first."""
    total = sa.func.sum(views.c.views).label("views")
    counted = sa.select(views.c.page_id, total).where(within(period)).group_by(views.c.page_id).subquery()
    query = (
        sa.select(pages.c.canonical, counted.c.views)
        .select_from(counted.join(pages).outerjoin(articles, articles.c.id == pages.c.id))
        .where(articles.c.id.is_(None))
        .order_by(counted.c.views.desc(), pages.c.canonical)
    )
    return [Unmatched(row.canonical, int(row.views)) for row in tx.execute(query)]


def totals_of(tx: Connection, periods: Sequence[Period]) -> dict[Period, dict[int, int]]:
    """Views of closed periods by source id. Added up once and kept: they are asked for again every week."""
    known: dict[Period, dict[int, int]] = {}
    for period in periods:
        same = sa.and_(period_totals.c.start == period.start, period_totals.c.end == period.end)
        kept = {row.source_id: row.views for row in tx.execute(sa.select(period_totals).where(same))}
        if not kept:
            total = sa.func.sum(views.c.views)
            query = sa.select(views.c.source_id, total).where(within(period)).group_by(views.c.source_id)
            kept = {source_id: int(views) for source_id, views in tx.execute(query)}
            keep_totals(tx, period, kept)
        known[period] = kept
    return known


def keep_totals(tx: Connection, period: Period, by_source: Mapping[int, int]) -> None:
    """Keep what a period's views came to."""
    statement = insert(tx, period_totals)
    new = {"views": statement.excluded.views}
    statement = statement.on_conflict_do_update(index_elements=["start", "end", "source_id"], set_=new)
    rows = [
        {"start": period.start, "end": period.end, "source_id": source_id, "views": number}
        for source_id, number in sorted(by_source.items())
    ]
    if rows:
        tx.execute(statement, rows)


# --- old hours ------------------------------------------------------------------------------------------


def next_end(tx: Connection, after: datetime | None) -> datetime | None:
    """The first end of a bucket later than `after`, or the very first; None when there is none."""
    query = sa.select(views.c.until).order_by(views.c.until).limit(1)
    return tx.scalar(query.where(views.c.until > after) if after else query)


def fold_hours(tx: Connection, start: datetime, end: datetime) -> int:
    """Turn the hours that end in (start, end] into one bucket that ends at `end`; returns how many rows that saved."""
    # First of all: a reading locks its source before it writes views, and one that comes later must know of this.
    passed = sa.or_(sources.c.folded_until.is_(None), sources.c.folded_until < end)
    tx.execute(sa.update(sources).where(passed).values(folded_until=end))
    hours = sa.and_(views.c.until > start, views.c.until <= end, views.c.span == _HOUR)
    span = int((end - start).total_seconds())
    summed = (
        sa.select(
            sa.literal(end, views.c.until.type),
            views.c.page_id,
            views.c.source_id,
            sa.literal(span, sa.Integer),
            sa.func.sum(views.c.views),
        )
        .where(hours)
        .group_by(views.c.page_id, views.c.source_id)
    )
    days = [tuple(row) for row in tx.execute(summed)]
    removed = tx.execute(sa.delete(views).where(hours)).rowcount
    statement = insert(tx, views)
    statement = statement.on_conflict_do_update(
        index_elements=["until", "page_id", "source_id", "span"],
        set_={"views": views.c.views + statement.excluded.views},
    )
    names = ("until", "page_id", "source_id", "span", "views")
    for batch in chunks([dict(zip(names, day, strict=True)) for day in days], 5000):
        tx.execute(statement, batch)
    for source_id in {day[2] for day in days}:
        _note_span(tx, source_id, end, end, end)
    return removed - len(days)
