"""Articles, the pages they are, and how often each was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.articles import Article, FoundArticle, Image
from digest.store.engine import chunks, insert
from digest.store.schema import articles, pages, sources

# What a second source may fill in, each with its bit in `articles.lent` and how its absence is written.
_LENDABLE = {
    "summary": (1, ""),
    "section": (2, ""),
    "author": (4, ""),
    "image": (8, "null"),
    "tags": (16, "[]"),
    "shares": (32, None),
}
_ITS_OWN = ("url", "title", "published_at")
_SILENT = timedelta(days=14)  # a source that was not read for so long gives up its articles


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
    counted_from: datetime | None = None
    counted_until: datetime | None = None
    coarse_until: datetime | None = None
    folded_until: datetime | None = None


def source(tx: Connection, name: str) -> SourceRecord:
    """The source's record, made when it is new."""
    tx.execute(insert(tx, sources).values(name=name, remembered={}).on_conflict_do_nothing())
    return SourceRecord(**tx.execute(sa.select(sources).where(sources.c.name == name)).one()._mapping)


def known_source(tx: Connection, name: str) -> SourceRecord | None:
    """The source's record, or None when it was never read."""
    row = tx.execute(sa.select(sources).where(sources.c.name == name)).one_or_none()
    return SourceRecord(**row._mapping) if row else None


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


def failures(tx: Connection) -> set[str]:
    """The errors of those sources whose last reading was a bad one."""
    return set(tx.scalars(sa.select(sources.c.error).where(sources.c.error != "")))


def page_ids(tx: Connection, canonicals: Iterable[str]) -> dict[str, int]:
    """The ids of pages by canonical URL; unknown pages are made known."""
    found: dict[str, int] = {}
    for batch in chunks(sorted(set(canonicals))):  # sorted: two writers then lock rows in one order
        query = sa.select(pages.c.canonical, pages.c.id).where(pages.c.canonical.in_(batch))
        found.update({row.canonical: row.id for row in tx.execute(query)})
        if rows := [{"canonical": each} for each in batch if each not in found]:  # a try alone would use up an id
            tx.execute(insert(tx, pages).on_conflict_do_nothing(), rows)
            found.update({row.canonical: row.id for row in tx.execute(query)})
    return found


def save(tx: Connection, source_id: int, found: Mapping[int, FoundArticle], now: datetime) -> int:
    """Store articles by page id, also those that were thought to be gone. Returns how many are new.

    An article's words are those of the source that reported it first. Seen there again, it takes over what changed.
    Another source only lends what is missing, and takes the article over when its own source fell silent.
    """
    new = 0
    for batch in chunks(found.items()):
        ids = [page for page, _ in batch]
        known = set(tx.scalars(sa.select(articles.c.id).where(articles.c.id.in_(ids))))
        new += sum(page not in known for page, _ in batch)
        _take_over(tx, source_id, ids, now)
        statement = insert(tx, articles)
        statement = statement.on_conflict_do_update(index_elements=["id"], set_=_merged(statement.excluded))
        tx.execute(statement, [_values(page, article, source_id, now) for page, article in batch])
    return new


def _take_over(tx: Connection, source_id: int, ids: Sequence[int], now: datetime) -> None:
    """Give the articles of silent sources to this one; all their words are lent to it."""
    is_silent = sa.or_(sources.c.collected_at.is_(None), sources.c.collected_at < now - _SILENT)
    silent = sa.select(sources.c.id).where(is_silent, sources.c.id != source_id)
    orphans = sa.update(articles).where(articles.c.id.in_(ids), articles.c.source_id.in_(silent))
    tx.execute(orphans.values(source_id=source_id, lent=sum(bit for bit, _ in _LENDABLE.values())))


def _merged(said: sa.ColumnCollection[str, sa.ColumnElement[Any]]) -> dict[str, Any]:
    """What an article becomes when a source says it again."""
    is_owner = articles.c.source_id == said["source_id"]
    new: dict[str, Any] = {name: sa.case((is_owner, said[name]), else_=articles.c[name]) for name in _ITS_OWN}
    lent: sa.ColumnElement[int] = sa.literal(0)
    for name, (bit, empty) in _LENDABLE.items():
        is_lent = articles.c.lent.bitwise_and(bit) != 0
        is_said, is_missing = _is_said(said[name], empty), ~_is_said(articles.c[name], empty)
        # Its owner may take a word back, but not one that it never had: others have lent that.
        takes = sa.or_(sa.and_(is_owner, ~is_lent), sa.and_(is_said, sa.or_(is_owner, is_lent, is_missing)))
        new[name] = sa.case((takes, said[name]), else_=articles.c[name])
        stays_lent = sa.or_(sa.and_(is_owner, is_lent, ~is_said), sa.and_(~is_owner, sa.or_(is_lent, takes)))
        lent = lent + sa.case((stays_lent, bit), else_=0)
    new["words"] = sa.func.coalesce(said["words"], articles.c.words)
    return new | {"lent": lent, "gone_at": None}


def _is_said(value: sa.ColumnElement[Any], empty: str | None) -> sa.ColumnElement[bool]:
    if empty is None:
        return value.is_not(None)
    return sa.func.coalesce(sa.cast(value, sa.Text), empty) != empty


def published_after(tx: Connection, pages: Collection[int], moment: datetime) -> dict[int, datetime]:
    """Those of the pages that are articles published after `moment`, with the time."""
    found: dict[int, datetime] = {}
    for batch in chunks(pages):
        query = sa.select(articles.c.id, articles.c.published_at)
        query = query.where(articles.c.id.in_(batch), articles.c.published_at > moment)
        found.update({row.id: row.published_at for row in tx.execute(query)})
    return found


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
        "words": article.words,
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
        "words",
    )
    values = {name: row._mapping[name] for name in names}
    image = Image(**row.image) if row.image else None
    return Article(**values, image=image, tags=tuple(row.tags))
