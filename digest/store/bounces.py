"""What came back of deliveries: once a kind, however often the report is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.bouncing import OPEN_TO_ALL, Bounce, Outcome, Returned
from digest.domain.deliveries import DeliveryState
from digest.domain.pace import domains_of
from digest.domain.reports import ReportKind
from digest.store.engine import insert
from digest.store.schema import bounces, deliveries, editions, notices, subscribers, subscriptions, verdicts

_LONGEST_ROW = 400  # deliveries to one reader that are looked at: a year of a daily newsletter


@dataclass(frozen=True, slots=True)
class Group:
    """Hard bounces of one edition at one provider, alike in what followed from them."""

    edition_id: int
    provider: str
    bounces: int
    words: str  # of one of them


def record(tx: Connection, bounce: Bounce) -> bool:
    """Keep what came back; False when it was known already."""
    values = {
        "at": bounce.at,
        "delivery_id": bounce.delivery_id,
        "subscriber_id": bounce.subscriber_id,
        "kind": bounce.kind,
        "status": bounce.status[:16],
        "provider": bounce.provider,
        "words": bounce.words,
        "via": bounce.via,
        "outcome": bounce.outcome,
    }
    statement = insert(tx, bounces).values(values).on_conflict_do_nothing(index_elements=["delivery_id", "kind"])
    return tx.scalar(statement.returning(bounces.c.id)) is not None


def vouch(tx: Connection, bounce: Bounce) -> bool:
    """It was known already, from where anybody can write; now it is vouched for. False when it was before."""
    these = (bounces.c.delivery_id == bounce.delivery_id, bounces.c.kind == bounce.kind, bounces.c.via.in_(OPEN_TO_ALL))
    return tx.execute(sa.update(bounces).where(*these).values(via=bounce.via)).rowcount == 1


def returned(tx: Connection, delivery_id: int) -> Returned | None:
    """The delivery to a reader by that number, if its row still exists."""
    row = tx.execute(_returned().where(deliveries.c.id == delivery_id)).one_or_none()
    return _to_returned(row) if row else None


def latest(tx: Connection, subscription_id: int) -> Returned | None:
    """The last mail that went out to a subscription, if any is remembered."""
    went_out = (deliveries.c.subscription_id == subscription_id, deliveries.c.state == DeliveryState.SENT)
    row = tx.execute(_returned().where(*went_out).order_by(deliveries.c.id.desc()).limit(1)).one_or_none()
    return _to_returned(row) if row else None


def _returned() -> sa.Select[Any]:
    settled_at = sa.func.coalesce(deliveries.c.settled_at, deliveries.c.queued_at, type_=deliveries.c.queued_at.type)
    columns = (deliveries.c.id, deliveries.c.edition_id, deliveries.c.subscription_id, deliveries.c.state)
    return sa.select(*columns, settled_at.label("settled_at")).where(deliveries.c.subscription_id.is_not(None))


def _to_returned(row: sa.Row[Any]) -> Returned:
    return Returned(row.id, row.edition_id or 0, row.subscription_id, DeliveryState(row.state), row.settled_at)


def history(tx: Connection, subscriber_id: int, since: datetime) -> list[tuple[datetime, ReportKind | None]]:
    """What went out to a reader from then on and when, newest first, each with what came back of it."""
    query = (
        sa.select(deliveries.c.queued_at, sa.func.min(bounces.c.kind))
        .select_from(
            deliveries.join(subscriptions, subscriptions.c.id == deliveries.c.subscription_id).outerjoin(
                bounces,
                sa.and_(bounces.c.delivery_id == deliveries.c.id, bounces.c.kind.in_(_OF_THE_MAILBOX)),
            )
        )
        .where(
            subscriptions.c.subscriber_id == subscriber_id,
            deliveries.c.state == DeliveryState.SENT,
            deliveries.c.queued_at >= since,
        )
        .group_by(deliveries.c.id, deliveries.c.queued_at)
        .order_by(deliveries.c.id.desc())
        .limit(_LONGEST_ROW)
    )
    return [(sent_at, ReportKind(kind) if kind else None) for sent_at, kind in tx.execute(query)]


_OF_THE_MAILBOX = (ReportKind.HARD, ReportKind.SOFT, ReportKind.POLICY)  # min() takes the first: what it tells most


def tally(tx: Connection, edition_id: int, provider: str) -> tuple[int, Outcome]:
    """Count one more hard bounce of an edition at a provider: (how many now, what was decided about them)."""
    statement = insert(tx, verdicts).values(edition_id=edition_id, provider=provider, bounces=1)
    more = {"bounces": verdicts.c.bounces + 1}
    statement = statement.on_conflict_do_update(index_elements=["edition_id", "provider"], set_=more)
    row = tx.execute(statement.returning(verdicts.c.bounces, verdicts.c.outcome)).one()
    return row.bounces, Outcome(row.outcome)


def decide(tx: Connection, edition_id: int, provider: str, outcome: Outcome) -> None:
    """What follows from hard bounces of an edition at a provider from now on."""
    these = (verdicts.c.edition_id == edition_id, verdicts.c.provider == provider)
    tx.execute(sa.update(verdicts).where(*these).values(outcome=outcome))


def readers_at(tx: Connection, edition_id: int, provider: str, at_most: int) -> int:
    """How many readers of an edition are at a provider; counting stops at `at_most`."""
    there = sa.or_(*(subscribers.c.address_key.like(f"%@{_plain(each)}", escape="\\") for each in domains_of(provider)))
    some = (
        sa.select(sa.literal(1))
        .select_from(
            deliveries.join(subscriptions, subscriptions.c.id == deliveries.c.subscription_id).join(subscribers)
        )
        .where(*_of(deliveries.c.id, edition_id), deliveries.c.edition_id == edition_id, there)
        .limit(at_most)
    )
    return int(tx.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0)


def hard_at(tx: Connection, edition_id: int, provider: str, outcomes: Sequence[Outcome]) -> list[tuple[int, int, str]]:
    """(bounce id, subscriber id, words) of hard bounces with these outcomes whose reader is still known."""
    query = sa.select(bounces.c.id, bounces.c.subscriber_id, bounces.c.words).where(
        *_hard_of(edition_id, provider), bounces.c.outcome.in_(outcomes), bounces.c.subscriber_id.is_not(None)
    )
    return [(row.id, row.subscriber_id, row.words) for row in tx.execute(query)]


def set_outcome(tx: Connection, edition_id: int, provider: str, before: Sequence[Outcome], after: Outcome) -> int:
    """Let something else follow from hard bounces; returns how many there were."""
    statement = sa.update(bounces).where(*_hard_of(edition_id, provider), bounces.c.outcome.in_(before))
    return tx.execute(statement.values(outcome=after)).rowcount


def conclude(tx: Connection, delivery_id: int, kind: ReportKind, outcome: Outcome) -> None:
    """Note what followed from a report, once that is known."""
    statement = sa.update(bounces).where(bounces.c.delivery_id == delivery_id, bounces.c.kind == kind)
    tx.execute(statement.values(outcome=outcome))


def _hard_of(edition_id: int, provider: str) -> tuple[sa.ColumnElement[bool], ...]:
    return *_of(bounces.c.delivery_id, edition_id), bounces.c.kind == ReportKind.HARD, bounces.c.provider == provider


def _of(delivery_id: sa.ColumnElement[int], edition_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    """What belongs to an edition's deliveries: they lie side by side."""
    ends = editions.alias("ends")
    first, last = (
        sa.select(column).where(ends.c.id == edition_id).scalar_subquery()
        for column in (ends.c.first_delivery, ends.c.last_delivery)
    )
    return delivery_id >= first, delivery_id <= last


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def held(tx: Connection) -> list[Group]:
    """What waits for the desk's decision."""
    query = sa.select(verdicts.c.edition_id, verdicts.c.provider).where(verdicts.c.outcome == Outcome.HELD)
    rows = tx.execute(query.order_by(verdicts.c.edition_id, verdicts.c.provider)).all()
    return [_group(tx, row.edition_id, row.provider) for row in rows]


def _group(tx: Connection, edition_id: int, provider: str) -> Group:
    these = sa.select(sa.func.count(), sa.func.max(bounces.c.words)).where(
        *_hard_of(edition_id, provider), bounces.c.outcome == Outcome.HELD
    )
    number, words = tx.execute(these).one()
    return Group(edition_id, provider, number, words or "")


def refusals_since(tx: Connection, since: datetime) -> list[tuple[str, datetime, str, str]]:
    """(provider, at, status, words) of refusals by policy from then on, oldest first."""
    query = sa.select(bounces).where(bounces.c.kind == ReportKind.POLICY, bounces.c.at >= since).order_by(bounces.c.id)
    return [(row.provider, row.at, row.status, row.words) for row in tx.execute(query)]


def told_at(tx: Connection, subject: str, edition_id: int | None = None) -> datetime | None:
    """When the desk was last told this; about that edition only, when one is named."""
    query = sa.select(sa.func.max(notices.c.at, type_=notices.c.at.type)).where(notices.c.subject == subject)
    if edition_id is not None:
        query = query.where(notices.c.edition_id == edition_id)
    moment: datetime | None = tx.scalar(query)
    return moment


def listed(tx: Connection, *, since: datetime, kind: str = "", provider: str = "") -> Iterator[tuple[Bounce, str]]:
    """(what came back, the reader's address) from then on, newest first; no address when they were forgotten."""
    query = (
        sa.select(bounces, subscribers.c.address)
        .select_from(bounces.outerjoin(subscribers, subscribers.c.id == bounces.c.subscriber_id))
        .where(bounces.c.at >= since)
        .order_by(bounces.c.id.desc())
    )
    if kind:
        query = query.where(bounces.c.kind == kind)
    if provider:
        query = query.where(bounces.c.provider == provider)
    for row in tx.execute(query, execution_options={"yield_per": 1000}):
        known = (row.at, row.delivery_id, row.subscriber_id, ReportKind(row.kind), row.status, row.provider)
        yield Bounce(*known, row.words, row.via, Outcome(row.outcome)), row.address or ""
