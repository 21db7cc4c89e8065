"""Articles, the pages they are, and how often each was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.articles import Article, FoundArticle, Image
from digest.store.engine import chunks, insert
from digest.store.schema import articles, pages, sources

_OURS = frozenset(
    {"id", "first_seen_at", "pinned_at", "pinned_position", "banned_at", "gone_at"}
)  # no source's business


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What we know of a source from its earlier readings."""

    id: int
    name: str
    collected_at: datetime | None
    failed_at: datetime | None
    error: str
    remembered: Mapping[str, str]
    first_total_at: datetime | None = None


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
        changing = [c.name for c in articles.c if c.name not in _OURS]
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
        "shares": article.shares,
    }


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


def set_wish(tx: Connection, article_id: int, **wish: Any) -> None:
    """What the desk wishes: pinned_at and pinned_position, or banned_at. What is not named is taken back."""
    wishes = {"pinned_at": None, "pinned_position": None, "banned_at": None, **wish}
    tx.execute(sa.update(articles).where(articles.c.id == article_id).values(wishes))


def mark_gone(tx: Connection, article_ids: Collection[int], now: datetime | None) -> None:
    """Their pages are no more, since `now`; None: they are there after all."""
    tx.execute(sa.update(articles).where(articles.c.id.in_(article_ids)).values(gone_at=now))


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
        "pinned_at",
        "pinned_position",
        "banned_at",
        "gone_at",
        "shares",
    )
    values = {name: row._mapping[name] for name in names}
    image = Image(**row.image) if row.image else None
    return Article(**values, image=image, tags=tuple(row.tags))
