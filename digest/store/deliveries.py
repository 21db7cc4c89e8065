"""Deliveries: queueing them, and looking at what became of them. `outbox` has the sender's part."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.deliveries import WAITING, DeliveryState, Mail, Settled
from digest.domain.editions import Edition
from digest.domain.subscribers import SubscriptionState
from digest.store.schema import deliveries, subscribers, subscriptions, suppressions


def queue_edition(tx: Connection, edition: Edition, now: datetime) -> tuple[int, int, int]:
    """Queue a delivery to every confirmed reader who is not suppressed: (audience, queued, excluded)."""
    audience = _confirmed(edition.newsletter)
    allowed = audience.where(suppressions.c.address_hash.is_(None))
    rows = allowed.with_only_columns(
        sa.literal(Mail.DIGEST.value),
        sa.literal(edition.id),
        subscriptions.c.id,
        sa.literal(DeliveryState.QUEUED.value),
        sa.literal(now, deliveries.c.queued_at.type),
        sa.literal(now, deliveries.c.due_at.type),
    )
    names = ["mail", "edition_id", "subscription_id", "state", "queued_at", "due_at"]
    statement = sa.insert(deliveries).inline().from_select(names, rows)
    queued = tx.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
    total, excluded = count_audience(tx, edition.newsletter)
    return total, queued, excluded


def count_audience(tx: Connection, newsletter: str) -> tuple[int, int]:
    """(confirmed readers, those of them who are suppressed)."""
    query = _confirmed(newsletter).with_only_columns(sa.func.count(), sa.func.count(suppressions.c.address_hash))
    total, suppressed = tx.execute(query).one()
    return total, suppressed


def was_awaited(tx: Connection, newsletter: str, moment: datetime) -> bool:
    """Whether a reader had confirmed before that moment, so that an edition was expected then."""
    query = _confirmed(newsletter).where(subscriptions.c.confirmed_at < moment).limit(1)
    return tx.execute(query).first() is not None


def _confirmed(newsletter: str) -> sa.Select[Any]:
    return (
        sa.select(subscriptions.c.id)
        .select_from(
            subscriptions.join(subscribers).outerjoin(
                suppressions, suppressions.c.subscriber_id == subscriptions.c.subscriber_id
            )
        )
        .where(subscriptions.c.newsletter == newsletter, subscriptions.c.state == SubscriptionState.CONFIRMED)
    )


def queue_confirmation(tx: Connection, subscription_id: int, now: datetime) -> None:
    """Queue the mail that asks a reader to confirm."""
    values = {"mail": Mail.CONFIRMATION, "subscription_id": subscription_id}
    tx.execute(sa.insert(deliveries).values(**values, state=DeliveryState.QUEUED, queued_at=now, due_at=now))


def queue_notice(tx: Connection, notice_id: int, address: str, now: datetime) -> None:
    """Queue a notice to one address of the desk."""
    values = {"mail": Mail.NOTICE, "notice_id": notice_id, "address": address}
    tx.execute(sa.insert(deliveries).values(**values, state=DeliveryState.QUEUED, queued_at=now, due_at=now))


def asked_at(tx: Connection, variant_key: str, since: datetime) -> list[datetime]:
    """When confirmations were queued to a mailbox, in any spelling of its address."""
    query = (
        sa.select(deliveries.c.queued_at)
        .select_from(deliveries.join(subscriptions).join(subscribers))
        .where(
            subscribers.c.variant_key == variant_key,
            deliveries.c.mail == Mail.CONFIRMATION,
            deliveries.c.queued_at > since,
        )
    )
    return list(tx.scalars(query))


def cancel_waiting(tx: Connection, edition_id: int, now: datetime) -> int:
    """Cancel what has not been sent yet. Returns how many."""
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.edition_id == edition_id, deliveries.c.state.in_(WAITING))
        .values(state=DeliveryState.CANCELLED, settled_at=now)
    )
    return tx.execute(statement).rowcount


def due_now(tx: Connection, edition_id: int, now: datetime) -> None:
    """Let deferred deliveries of an edition be tried at once: the desk has resumed it."""
    statement = sa.update(deliveries).where(deliveries.c.edition_id == edition_id, deliveries.c.state.in_(WAITING))
    tx.execute(statement.values(due_at=now))


def queue_again(
    tx: Connection, edition_id: int, states: Collection[DeliveryState], now: datetime, address_key: str = ""
) -> int:
    """Queue settled deliveries once more, with the same Message-ID. Returns how many."""
    statement = sa.update(deliveries).where(deliveries.c.edition_id == edition_id, deliveries.c.state.in_(states))
    if address_key:
        of_reader = sa.select(subscriptions.c.id).join(subscribers).where(subscribers.c.address_key == address_key)
        statement = statement.where(deliveries.c.subscription_id.in_(of_reader))
    values = {
        "state": DeliveryState.QUEUED,
        "due_at": now,
        "queued_at": now,
        "attempts": 0,
        "settled_at": None,
    }
    return tx.execute(statement.values(values)).rowcount


def counts(tx: Connection, edition_id: int) -> dict[str, int]:
    """How many deliveries of an edition are in each state; every state is named."""
    query = (
        sa.select(deliveries.c.state, sa.func.count())
        .where(deliveries.c.edition_id == edition_id)
        .group_by(deliveries.c.state)
    )
    found: dict[str, int] = dict(iter(tx.execute(query)))  # pairs
    return {state.value: found.get(state.value, 0) for state in DeliveryState}


def next_due(tx: Connection, edition_id: int) -> datetime | None:
    """When the next waiting delivery of an edition is due, or None when none waits."""
    query = sa.select(sa.func.min(deliveries.c.due_at)).where(
        deliveries.c.edition_id == edition_id, deliveries.c.state.in_(WAITING)
    )
    moment: datetime | None = tx.scalar(query)
    return moment


def listed(
    tx: Connection,
    *,
    edition_id: int | None = None,
    state: str = "",
    subscriber_id: int | None = None,
    limit: int = 100_000,
) -> list[Settled]:
    """Deliveries for the desk to look at, oldest first."""
    query = (
        sa.select(deliveries, subscribers.c.address.label("reader"))
        .select_from(deliveries.outerjoin(subscriptions).outerjoin(subscribers))
        .order_by(deliveries.c.id)
        .limit(limit)
    )
    if edition_id is not None:
        query = query.where(deliveries.c.edition_id == edition_id)
    if state:
        query = query.where(deliveries.c.state == state)
    if subscriber_id is not None:
        query = query.where(subscriptions.c.subscriber_id == subscriber_id)
    return [
        Settled(
            id=row.id,
            address=row.reader or row.address or "",
            mail=Mail(row.mail),
            edition_id=row.edition_id or 0,
            state=DeliveryState(row.state),
            attempts=row.attempts,
            code=row.code,
            reply=row.reply,
            settled_at=row.settled_at,
        )
        for row in tx.execute(query)
    ]


def subscription_of(tx: Connection, delivery_id: int) -> int | None:
    """The subscription a delivery went to."""
    found: int | None = tx.scalar(sa.select(deliveries.c.subscription_id).where(deliveries.c.id == delivery_id))
    return found
