"""Requests nobody has confirmed yet: whom to remind, and whom to forget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.deliveries import DeliveryState, Mail
from digest.domain.subscribers import SubscriptionState
from digest.store.schema import bounces, deliveries, events, subscribers, subscriptions, suppressions

_IS_PENDING = sa.text("subscriptions.state = 'pending'")  # in these very words, so that the index is found
_WAS_READER = sa.or_(subscriptions.c.unsubscribed_at.is_not(None), subscriptions.c.confirmed_at.is_not(None))
_NOT_ON_THE_WIRE = deliveries.c.state != DeliveryState.SENDING


class Unanswered(NamedTuple):
    """A request whose mail has left, and that nobody has answered."""

    subscription_id: int
    requested_at: datetime
    variant_key: str


def unanswered(tx: Connection, oldest: datetime, newest: datetime, after: int, limit: int) -> list[Unanswered]:
    """Requests made in [oldest, newest] whose mail was taken by a server, not reminded of yet, by id after `after`."""
    arrived = sa.exists().where(
        deliveries.c.subscription_id == subscriptions.c.id,
        deliveries.c.edition_id.is_(None),
        deliveries.c.mail == Mail.CONFIRMATION,
        deliveries.c.state == DeliveryState.SENT,
    )
    query = (
        sa.select(subscriptions.c.id, subscriptions.c.requested_at, subscribers.c.variant_key)
        .select_from(
            subscriptions.join(subscribers).outerjoin(suppressions, suppressions.c.subscriber_id == subscribers.c.id)
        )
        .where(
            _IS_PENDING,
            subscriptions.c.requested_at.between(oldest, newest),
            subscriptions.c.reminded_at.is_(None),
            suppressions.c.address_hash.is_(None),
            subscriptions.c.id > after,
            arrived,
        )
        .order_by(subscriptions.c.id)
        .limit(limit)
    )
    return [Unanswered(*row) for row in tx.execute(query)]


def mark_reminded(tx: Connection, subscription_id: int, requested_at: datetime, now: datetime) -> bool:
    """Whether this request still waits and was not reminded of; from now on it was."""
    this = subscriptions.c.id == subscription_id, subscriptions.c.requested_at == requested_at
    statement = sa.update(subscriptions).where(*this, _IS_PENDING, subscriptions.c.reminded_at.is_(None))
    return tx.execute(statement.values(reminded_at=now)).rowcount == 1


def purge(tx: Connection, before: datetime, limit: int) -> int:
    """End requests made before that moment, with subscribers nothing else is known of; returns how many they were.

    Who was a reader before is again what they were: one who left, or one whose mail fails.
    """
    query = (
        sa.select(subscriptions.c.id, subscriptions.c.subscriber_id, _WAS_READER.label("was_reader"))
        .where(_IS_PENDING, subscriptions.c.requested_at < before)
        .limit(limit)
        .with_for_update()  # who confirms at this very moment comes first, or finds it gone
    )
    rows = tx.execute(query).all()
    readers = [row.id for row in rows if row.was_reader]
    strangers = [row.id for row in rows if not row.was_reader]
    if readers:
        had_left = subscriptions.c.unsubscribed_at.is_not(None)
        state = sa.case((had_left, SubscriptionState.UNSUBSCRIBED.value), else_=SubscriptionState.CONFIRMED.value)
        tx.execute(sa.update(subscriptions).where(subscriptions.c.id.in_(readers)).values(state=state))
    if strangers:
        tx.execute(sa.delete(deliveries).where(deliveries.c.subscription_id.in_(strangers), _NOT_ON_THE_WIRE))
        tx.execute(sa.delete(subscriptions).where(subscriptions.c.id.in_(strangers)))
        _forget(tx, sorted({row.subscriber_id for row in rows if not row.was_reader}))
    return len(rows)


def _forget(tx: Connection, ids: Sequence[int]) -> None:
    """Delete those of them who have no subscription, with what was recorded of them. A suppression stays."""
    query = sa.select(subscribers.c.id).where(subscribers.c.id.in_(ids), ~_has_subscription()).with_for_update()
    gone = list(tx.scalars(query))
    tx.execute(sa.delete(events).where(events.c.subscriber_id.in_(gone)))
    tx.execute(sa.update(suppressions).where(suppressions.c.subscriber_id.in_(gone)).values(subscriber_id=None))
    tx.execute(sa.update(bounces).where(bounces.c.subscriber_id.in_(gone)).values(subscriber_id=None, words=""))
    tx.execute(sa.delete(subscribers).where(subscribers.c.id.in_(gone)))


def _has_subscription() -> sa.ColumnElement[bool]:
    return sa.exists().where(subscriptions.c.subscriber_id == subscribers.c.id)
