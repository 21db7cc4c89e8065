"""Editions: their states, picks, candidates and frozen renderings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.articles import Article
from digest.domain.editions import BEFORE, Basis, Edition, EditionState, Pick, Rendering
from digest.domain.newsletters import Newsletter
from digest.domain.periods import Period
from digest.domain.ranking import Ranked
from digest.errors import NotFound, WrongState
from digest.store import articles as article_queries
from digest.store.engine import insert
from digest.store.schema import articles, editions, picks, renderings, sources

_READERS_HAVE_IT = (EditionState.SENDING, EditionState.PAUSED, EditionState.SENT)


def create(tx: Connection, newsletter: Newsletter, period: Period, now: datetime) -> Edition | None:
    """A new drafted edition, or None when the period has one already, whoever made it."""
    if by_period_end(tx, newsletter.name, period.end) is not None:
        return None  # asked first, as a try alone would use up an id
    number = sa.select(sa.func.coalesce(sa.func.max(editions.c.number), 0) + 1).where(
        editions.c.newsletter == newsletter.name
    )
    statement = insert(tx, editions).values(
        newsletter=newsletter.name,
        number=number.scalar_subquery(),
        period_start=period.start,
        period_end=period.end,
        state=EditionState.DRAFTED,
        subject="",
        send_at=newsletter.send_at(period),
        created_at=now,
    )
    statement = statement.on_conflict_do_nothing(index_elements=["newsletter", "period_end"])
    row = tx.execute(statement.returning(editions.c.id)).one_or_none()
    return by_id(tx, row.id) if row else None


def first_made(tx: Connection, newsletter: str, but: int) -> datetime | None:
    """When the first edition of a newsletter was made, but for the one with that id."""
    of_it = sa.and_(editions.c.newsletter == newsletter, editions.c.id != but)
    first: datetime | None = tx.execute(sa.select(sa.func.min(editions.c.created_at)).where(of_it)).scalar_one()
    return first


def by_id(tx: Connection, edition_id: int, *, lock: bool = False) -> Edition | None:
    """The edition, if there is one; with `lock` nobody else changes it before this transaction ends."""
    query = sa.select(editions).where(editions.c.id == edition_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return _to_edition(row) if row else None


def required(tx: Connection, edition_id: int, *, lock: bool = False) -> Edition:
    """The edition. Raises NotFound."""
    if found := by_id(tx, edition_id, lock=lock):
        return found
    raise NotFound("edition", edition_id, "see `digest edition list`")


def by_period_end(tx: Connection, newsletter: str, end: datetime) -> Edition | None:
    """The edition of the period that ends at `end`, if there is one."""
    query = sa.select(editions).where(editions.c.newsletter == newsletter, editions.c.period_end == end)
    row = tx.execute(query).one_or_none()
    return _to_edition(row) if row else None


def latest(tx: Connection, newsletter: str | None = None) -> Edition | None:
    """The edition with the latest period."""
    found = listed(tx, newsletter, limit=1)
    return found[0] if found else None


def listed(
    tx: Connection, newsletter: str | None = None, states: Sequence[EditionState] = (), limit: int = 1000
) -> list[Edition]:
    """Editions, the latest period first."""
    query = sa.select(editions).order_by(editions.c.period_end.desc(), editions.c.id.desc()).limit(limit)
    if newsletter:
        query = query.where(editions.c.newsletter == newsletter)
    if states:
        query = query.where(editions.c.state.in_(states))
    return [_to_edition(row) for row in tx.execute(query)]


def went_out(tx: Connection, newsletter: str, since: datetime, before: datetime) -> bool:
    """Whether readers have an edition that was to be sent in [since, before)."""
    there = sa.and_(editions.c.newsletter == newsletter, editions.c.state.in_(_READERS_HAVE_IT))
    query = sa.select(editions.c.id).where(there, editions.c.send_at >= since, editions.c.send_at < before)
    return tx.execute(query.limit(1)).first() is not None


def move(tx: Connection, edition_id: int, to: EditionState, **values: Any) -> bool:
    """Change the state if the present one allows it; False when it does not."""
    statement = (
        sa.update(editions)
        .where(editions.c.id == edition_id, editions.c.state.in_(BEFORE[to]))
        .values(state=to, **{"reason": "", **values})
    )
    return tx.execute(statement).rowcount == 1


def must_move(tx: Connection, edition_id: int, to: EditionState, wish: str, hint: str = "", **values: Any) -> None:
    """Change the state. Raises NotFound, or WrongState that says why it cannot be `wish`."""
    if not move(tx, edition_id, to, **values):
        raise WrongState("edition", edition_id, required(tx, edition_id).state, wish, hint)


def reopen(tx: Connection, edition_ids: Collection[int]) -> None:
    """Of these, those that count as sent are being sent again."""
    if edition_ids:
        tx.execute(sa.select(editions.c.id).where(editions.c.id.in_(edition_ids)).with_for_update())
        settled = sa.and_(editions.c.id.in_(edition_ids), editions.c.state == EditionState.SENT)
        tx.execute(sa.update(editions).where(settled).values(state=EditionState.SENDING))


def update(tx: Connection, edition_id: int, **values: Any) -> None:
    """Set other columns of an edition."""
    tx.execute(sa.update(editions).where(editions.c.id == edition_id).values(**values))


def save_picks(tx: Connection, edition_id: int, kept: Sequence[Ranked]) -> None:
    """Replace the picks of an edition, in their order."""
    tx.execute(sa.delete(picks).where(picks.c.edition_id == edition_id))
    if kept:
        tx.execute(sa.insert(picks), [_pick_values(edition_id, place, each) for place, each in enumerate(kept, 1)])


def _pick_values(edition_id: int, position: int, ranked: Ranked) -> dict[str, Any]:
    article = ranked.candidate
    return {
        "edition_id": edition_id,
        "position": position,
        "article_id": article.id,
        "title": article.title,
        "url": article.url,
        "views": article.views,
        "reason": ranked.reason,
        "block": ranked.block,
        "is_sponsored": ranked.is_sponsored,
    }


def picked(tx: Connection, edition_id: int) -> list[Pick]:
    """The picks, in order, with the title and URL they go out with."""
    query = (
        sa.select(
            articles,
            sources.c.name.label("source"),
            picks.c.position,
            picks.c.title.label("title_sent"),
            picks.c.url.label("url_sent"),
            picks.c.views,
            picks.c.reason,
            picks.c.block,
            picks.c.is_sponsored,
        )
        .select_from(picks.join(articles).join(sources))
        .where(picks.c.edition_id == edition_id)
        .order_by(picks.c.position)
    )
    return [
        Pick(
            row.position,
            replace(article_queries.to_article(row), title=row.title_sent, url=row.url_sent),
            row.views,
            row.reason,
            row.block,
            row.is_sponsored,
        )
        for row in tx.execute(query)
    ]


def retitle(tx: Connection, edition_id: int, article: Article) -> None:
    """The pick goes out under the article's title of now."""
    its = sa.and_(picks.c.edition_id == edition_id, picks.c.article_id == article.id)
    tx.execute(sa.update(picks).where(its).values(title=article.title))


def last_sent(tx: Connection, newsletter: str, period: Period | None = None) -> dict[int, datetime]:
    """The end of the period readers last had an article in, by the article's id; `period`'s own edition aside."""
    query = (
        sa.select(picks.c.article_id, sa.func.max(editions.c.period_end, type_=editions.c.period_end.type))
        .join(editions, editions.c.id == picks.c.edition_id)
        .where(editions.c.newsletter == newsletter, editions.c.state.in_(_READERS_HAVE_IT))
        .where(editions.c.period_end != period.end if period else sa.true())
        .group_by(picks.c.article_id)
    )
    return {row[0]: row[1] for row in tx.execute(query)}


def freeze(tx: Connection, rendered: Sequence[Rendering]) -> None:
    """Keep what every reader will get; nothing renders this edition again."""
    tx.execute(
        insert(tx, renderings).on_conflict_do_nothing(),
        [{name: getattr(each, name) for name in renderings.c.keys()} for each in rendered],  # noqa: SIM118 - a column collection
    )


def unfreeze(tx: Connection, edition_id: int) -> None:
    """Take back the freezing of an edition that went to nobody."""
    tx.execute(sa.delete(renderings).where(renderings.c.edition_id == edition_id))
    update(tx, edition_id, state=EditionState.DRAFTED, frozen_at=None, sent_at=None)


def frozen(tx: Connection, edition_id: int) -> list[Rendering]:
    """The frozen renderings, one a language."""
    query = sa.select(renderings).where(renderings.c.edition_id == edition_id).order_by(renderings.c.language)
    return [Rendering(**row._mapping) for row in tx.execute(query)]


def preheaders(tx: Connection, edition_ids: Collection[int]) -> dict[tuple[int, str], str]:
    """What frozen editions say after their subjects, by edition and language: all of a rendering that a list needs."""
    query = sa.select(renderings.c.edition_id, renderings.c.language, renderings.c.preheader)
    return {(row[0], row[1]): row[2] for row in tx.execute(query.where(renderings.c.edition_id.in_(edition_ids)))}


def _to_edition(row: Row[Any]) -> Edition:
    return Edition(
        id=row.id,
        newsletter=row.newsletter,
        number=row.number,
        period=Period(row.period_start, row.period_end),
        state=EditionState(row.state),
        subject=row.subject,
        send_at=row.send_at,
        created_at=row.created_at,
        frozen_at=row.frozen_at,
        sent_at=row.sent_at,
        reason=row.reason,
        audience=row.audience,
        excluded=row.excluded,
        basis=Basis(row.basis),
        notes=tuple(row.notes),
        note=row.note,
    )
