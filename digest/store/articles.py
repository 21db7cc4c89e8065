"""Articles, the pages they are, and how often each was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.articles import Article, FoundArticle, Image
from digest.domain.periods import Period
from digest.domain.ranking import Candidate
from digest.store.engine import chunks, insert
from digest.store.schema import articles, pages, sources, totals, views

_LONGEST_SPAN = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What we know of a source from its earlier readings."""

    id: int
    name: str
    collected_at: datetime | None
    failed_at: datetime | None
    error: str
    remembered: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Views of a page that is no article we know."""

    page: str
    views: int


def source(tx: Connection, name: str) -> SourceRecord:
    """The source's record, made when it is new."""
    tx.execute(insert(tx, sources).values(name=name, remembered={}).on_conflict_do_nothing())
    return SourceRecord(**tx.execute(sa.select(sources).where(sources.c.name == name)).one()._mapping)


def lock_source(tx: Connection, source_id: int) -> None:
    """Let nobody else store a reading of this source before this transaction ends: differences would count twice."""
    tx.execute(sa.select(sources.c.id).where(sources.c.id == source_id).with_for_update())


def note_collected(tx: Connection, source_id: int, now: datetime, remembered: Mapping[str, str]) -> None:
    """Record a good reading."""
    values = {"collected_at": now, "remembered": dict(remembered), "failed_at": None, "error": ""}
    tx.execute(sa.update(sources).where(sources.c.id == source_id).values(values))


def note_failed(tx: Connection, source_id: int, now: datetime, error: str) -> None:
    """Record a bad reading; what was read before stays."""
    tx.execute(sa.update(sources).where(sources.c.id == source_id).values(failed_at=now, error=error))


def page_ids(tx: Connection, canonicals: Iterable[str]) -> dict[str, int]:
    """The ids of pages by canonical URL; unknown pages are made known."""
    found: dict[str, int] = {}
    for batch in chunks(sorted(set(canonicals))):  # sorted: two writers then lock rows in one order
        rows = [{"canonical": each} for each in batch]
        tx.execute(insert(tx, pages).on_conflict_do_nothing(), rows)
        query = sa.select(pages.c.canonical, pages.c.id).where(pages.c.canonical.in_(batch))
        found.update({row.canonical: row.id for row in tx.execute(query)})
    return found


def save(tx: Connection, source_id: int, found: Mapping[int, FoundArticle], now: datetime) -> int:
    """Store articles by page id; one seen again takes over what changed. Returns how many are new."""
    new = 0
    for batch in chunks(found.items()):
        known = set(tx.scalars(sa.select(articles.c.id).where(articles.c.id.in_([page for page, _ in batch]))))
        new += sum(page not in known for page, _ in batch)
        statement = insert(tx, articles)
        changing = [c.name for c in articles.c if c.name not in ("id", "first_seen_at", "pinned_at", "banned_at")]
        statement = statement.on_conflict_do_update(
            index_elements=["id"], set_={name: statement.excluded[name] for name in changing}
        )
        tx.execute(statement, [_values(page, article, source_id, now) for page, article in batch])
    return new


def _values(page_id: int, article: FoundArticle, source_id: int, now: datetime) -> dict[str, Any]:
    return {
        "id": page_id,
        "url": article.url,
        "title": article.title,
        "summary": article.summary,
        "image": asdict(article.image) if article.image else None,
        "section": article.section,
        "author": article.author,
        "tags": list(article.tags),
        "published_at": article.published_at,
        "first_seen_at": now,
        "source_id": source_id,
    }


def put_views(tx: Connection, source_id: int, counts: Mapping[tuple[int, datetime, timedelta], int]) -> None:
    """Store counts by (page id, start, span). A bucket read again replaces what it held: sources know best."""
    _store_views(tx, source_id, counts, replace=True)


def add_views(tx: Connection, source_id: int, counts: Mapping[tuple[int, datetime, timedelta], int]) -> None:
    """Add to the counts by (page id, start, span): for what is counted here, view by view."""
    _store_views(tx, source_id, counts, replace=False)


def _store_views(
    tx: Connection, source_id: int, counts: Mapping[tuple[int, datetime, timedelta], int], *, replace: bool
) -> None:
    statement = insert(tx, views)
    new = statement.excluded.views if replace else views.c.views + statement.excluded.views
    statement = statement.on_conflict_do_update(
        index_elements=["at", "page_id", "source_id", "span"], set_={"views": new}
    )
    for batch in chunks(sorted(counts.items()), 5000):
        rows = [
            {
                "page_id": page,
                "source_id": source_id,
                "at": at,
                "span": int(span.total_seconds()),
                "views": count,
            }
            for (page, at, span), count in batch
        ]
        tx.execute(statement, rows)


def read_totals(tx: Connection, source_id: int) -> dict[int, tuple[int, datetime]]:
    """The last reading of each lifetime counter of a source: (total, read_at) by page id."""
    rows = tx.execute(sa.select(totals).where(totals.c.source_id == source_id))
    return {row.page_id: (row.total, row.read_at) for row in rows}


def put_totals(tx: Connection, source_id: int, read: Mapping[int, int], now: datetime) -> None:
    """Keep readings of lifetime counters, for the difference to the next."""
    statement = insert(tx, totals)
    new = {"total": statement.excluded.total, "read_at": statement.excluded.read_at}
    statement = statement.on_conflict_do_update(index_elements=["source_id", "page_id"], set_=new)
    for batch in chunks(sorted(read.items()), 5000):
        tx.execute(statement, [{"source_id": source_id, "page_id": p, "total": t, "read_at": now} for p, t in batch])


def _views_in(period: Period, name: str = "counted") -> sa.Subquery:
    """Views by page in the period: a bucket counts where it ends, see Period.counts."""
    end = views.c.at + views.c.span
    start, stop = int(period.start.timestamp()), int(period.end.timestamp())
    return (
        sa.select(views.c.page_id, sa.func.sum(views.c.views).label("views"))
        .where(
            views.c.at >= period.start - _LONGEST_SPAN,
            views.c.at < period.end,
            sa.type_coerce(end, sa.BigInteger) > start,
            sa.type_coerce(end, sa.BigInteger) <= stop,
        )
        .group_by(views.c.page_id)
        .subquery(name)
    )


def candidates(tx: Connection, period: Period) -> list[Candidate]:
    """Every article read or published in the period, or pinned, with its views there."""
    counted = _views_in(period)
    query = (
        sa.select(articles, sources.c.name.label("source"), sa.func.coalesce(counted.c.views, 0).label("views"))
        .select_from(articles.join(sources).outerjoin(counted, counted.c.page_id == articles.c.id))
        .where(
            sa.or_(
                counted.c.views > 0,
                articles.c.published_at.between(period.start, period.end),
                articles.c.pinned_at.is_not(None),
            )
        )
    )
    return [Candidate(to_article(row), int(row.views)) for row in tx.execute(query)]


def unmatched(tx: Connection, period: Period) -> list[Unmatched]:
    """Pages read in the period that are no articles, most read first."""
    counted = _views_in(period)
    query = (
        sa.select(pages.c.canonical, counted.c.views)
        .select_from(
            counted.join(pages, pages.c.id == counted.c.page_id).outerjoin(articles, articles.c.id == pages.c.id)
        )
        .where(articles.c.id.is_(None))
        .order_by(counted.c.views.desc(), pages.c.canonical)
    )
    return [Unmatched(row.canonical, int(row.views)) for row in tx.execute(query)]


def by_ids(tx: Connection, ids: Collection[int]) -> dict[int, Article]:
    """Articles by id."""
    found: dict[int, Article] = {}
    for batch in chunks(ids):
        query = _select_articles().where(articles.c.id.in_(batch))
        found.update({row.id: to_article(row) for row in tx.execute(query)})
    return found


def by_page(tx: Connection, canonical: str) -> Article | None:
    """The article at a canonical URL."""
    query = _select_articles().join(pages, pages.c.id == articles.c.id).where(pages.c.canonical == canonical)
    row = tx.execute(query).one_or_none()
    return to_article(row) if row else None


def newest(tx: Connection, limit: int) -> list[Article]:
    """The articles published last."""
    query = _select_articles().order_by(articles.c.published_at.desc(), articles.c.id.desc()).limit(limit)
    return [to_article(row) for row in tx.execute(query)]


def newest_counted(tx: Connection) -> datetime | None:
    """The end of the newest bucket that holds views, or None when nothing was ever counted."""
    row = tx.execute(sa.select(views.c.at, views.c.span).order_by(views.c.at.desc()).limit(1)).one_or_none()
    return row.at + timedelta(seconds=row.span) if row else None


def set_wish(tx: Connection, article_id: int, *, pinned_at: datetime | None, banned_at: datetime | None) -> None:
    """What the desk wishes for an article: pinned, banned, or neither."""
    tx.execute(sa.update(articles).where(articles.c.id == article_id).values(pinned_at=pinned_at, banned_at=banned_at))


def _select_articles() -> sa.Select[Any]:
    return sa.select(articles, sources.c.name.label("source")).join(sources, sources.c.id == articles.c.source_id)


def to_article(row: Row[Any]) -> Article:
    """A row that holds all of `articles` and the source's name as `source`."""
    names: Sequence[str] = (
        "id",
        "url",
        "title",
        "published_at",
        "first_seen_at",
        "summary",
        "section",
        "author",
        "source",
    )
    values = {name: row._mapping[name] for name in names}
    image = Image(**row.image) if row.image else None
    return Article(**values, image=image, tags=tuple(row.tags), pinned_at=row.pinned_at, banned_at=row.banned_at)
