"""Readers, their subscriptions, the trail of their consent, and suppressions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.addresses import Address
from digest.domain.subscribers import ConsentEvent, EventKind, Evidence, Subscription, SubscriptionState, Way
from digest.store.engine import insert
from digest.store.schema import events, subscribers, subscriptions, suppressions, wordings


def add(tx: Connection, address: Address, name: str, now: datetime) -> int:
    """The id of the subscriber with this address, made when new. The spelling first given stays."""
    statement = insert(tx, subscribers).values(
        address=address.text,
        address_key=address.key,
        variant_key=address.variant_key,
        name=name,
        created_at=now,
    )
    tx.execute(statement.on_conflict_do_nothing(index_elements=["address_key"]))
    query = sa.select(subscribers.c.id).where(subscribers.c.address_key == address.key)
    return int(tx.execute(query).scalar_one())


def subscribe(
    tx: Connection,
    subscriber_id: int,
    newsletter: str,
    state: SubscriptionState,
    language: str,
    now: datetime,
) -> Subscription:
    """Set where a subscriber stands with a newsletter, as of a request made now."""
    confirmed_at = now if state is SubscriptionState.CONFIRMED else None
    values = {
        "state": state,
        "language": language,
        "requested_at": now,
        "confirmed_at": confirmed_at,
        "unsubscribed_at": None,
    }
    statement = insert(tx, subscriptions).values(subscriber_id=subscriber_id, newsletter=newsletter, **values)
    statement = statement.on_conflict_do_update(index_elements=["subscriber_id", "newsletter"], set_=values)
    subscription_id = tx.execute(statement.returning(subscriptions.c.id)).scalar_one()
    found = subscription(tx, subscription_id)
    assert found is not None
    return found


def subscription(tx: Connection, subscription_id: int) -> Subscription | None:
    """The subscription, if it still exists."""
    row = tx.execute(_select_subscriptions().where(subscriptions.c.id == subscription_id)).one_or_none()
    return _to_subscription(row) if row else None


def subscription_to(tx: Connection, subscriber_id: int, newsletter: str) -> Subscription | None:
    """The subscriber's subscription to a newsletter, if any."""
    query = _select_subscriptions().where(subscribers.c.id == subscriber_id, subscriptions.c.newsletter == newsletter)
    row = tx.execute(query).one_or_none()
    return _to_subscription(row) if row else None


def subscriptions_of(tx: Connection, address: Address) -> list[Subscription]:
    """All subscriptions of an address."""
    query = _select_subscriptions().where(subscribers.c.address_key == address.key).order_by(subscriptions.c.newsletter)
    return [_to_subscription(row) for row in tx.execute(query)]


def listed(tx: Connection, newsletter: str = "", state: str = "") -> Iterator[Subscription]:
    """Subscriptions in the order they were made, read as a stream: a list may be long."""
    query = _select_subscriptions().order_by(subscriptions.c.id)
    if newsletter:
        query = query.where(subscriptions.c.newsletter == newsletter)
    if state:
        query = query.where(subscriptions.c.state == state)
    for row in tx.execute(query, execution_options={"yield_per": 1000}):
        yield _to_subscription(row)


def counts(tx: Connection, newsletter: str) -> dict[str, int]:
    """How many subscriptions are in each state."""
    query = (
        sa.select(subscriptions.c.state, sa.func.count())
        .where(subscriptions.c.newsletter == newsletter)
        .group_by(subscriptions.c.state)
    )
    found: dict[str, int] = dict(iter(tx.execute(query)))  # pairs
    return {state.value: found.get(state.value, 0) for state in SubscriptionState}


def confirm(tx: Connection, subscription_id: int, requested_at: datetime, now: datetime) -> bool:
    """Pending becomes confirmed, if it still waits for this very request; False otherwise."""
    statement = (
        sa.update(subscriptions)
        .where(
            subscriptions.c.id == subscription_id,
            subscriptions.c.state == SubscriptionState.PENDING,
            subscriptions.c.requested_at == requested_at,
        )
        .values(state=SubscriptionState.CONFIRMED, confirmed_at=now)
    )
    return tx.execute(statement).rowcount == 1


def unsubscribe(tx: Connection, subscription_id: int, now: datetime) -> bool:
    """Whatever it was becomes unsubscribed; False when it was already."""
    statement = (
        sa.update(subscriptions)
        .where(subscriptions.c.id == subscription_id, subscriptions.c.state != SubscriptionState.UNSUBSCRIBED)
        .values(state=SubscriptionState.UNSUBSCRIBED, unsubscribed_at=now)
    )
    return tx.execute(statement).rowcount == 1


def record(
    tx: Connection, subscriber_id: int, newsletter: str, kind: EventKind, evidence: Evidence, now: datetime
) -> None:
    """Add one line to the trail; lines are never changed."""
    tx.execute(
        sa.insert(events).values(
            at=now,
            subscriber_id=subscriber_id,
            newsletter=newsletter,
            kind=kind,
            way=evidence.way,
            address_as_typed=evidence.address_as_typed,
            wording_id=_wording(tx, evidence.wording, now),
            language=evidence.language,
            form=evidence.form,
            ip=evidence.ip,
            user_agent=evidence.user_agent,
        )
    )


def _wording(tx: Connection, text: str, now: datetime) -> str | None:
    """The id of a consent text, stored once however often it is shown."""
    if not text:
        return None
    wording_id = hashlib.sha256(text.encode()).hexdigest()
    tx.execute(insert(tx, wordings).values(id=wording_id, text=text, first_shown_at=now).on_conflict_do_nothing())
    return wording_id


def trail(tx: Connection, subscriber_id: int) -> list[ConsentEvent]:
    """The consent events of a subscriber, oldest first."""
    query = (
        sa.select(events, wordings.c.text)
        .select_from(events.outerjoin(wordings))
        .where(events.c.subscriber_id == subscriber_id)
        .order_by(events.c.id)
    )
    return [
        ConsentEvent(
            row.at,
            EventKind(row.kind),
            row.newsletter,
            Evidence(
                Way(row.way),
                row.address_as_typed,
                row.text or "",
                row.language,
                row.form,
                row.ip,
                row.user_agent,
            ),
        )
        for row in tx.execute(query)
    ]


def suppress(tx: Connection, address_hash: str, reason: str, subscriber_id: int | None, now: datetime) -> bool:
    """Never mail this address again; False when it was suppressed already."""
    statement = insert(tx, suppressions).values(
        address_hash=address_hash, reason=reason, at=now, subscriber_id=subscriber_id
    )
    return tx.execute(statement.on_conflict_do_nothing(index_elements=["address_hash"])).rowcount == 1


def suppression(tx: Connection, address_hash: str) -> str | None:
    """Why the address is suppressed, or None when it is not."""
    reason: str | None = tx.scalar(sa.select(suppressions.c.reason).where(suppressions.c.address_hash == address_hash))
    return reason


def link_suppression(tx: Connection, address_hash: str, subscriber_id: int) -> bool:
    """Let a suppression older than its subscriber hold for the subscriber; False when there is none."""
    statement = sa.update(suppressions).where(suppressions.c.address_hash == address_hash)
    return tx.execute(statement.values(subscriber_id=subscriber_id)).rowcount == 1


def _select_subscriptions() -> sa.Select[Any]:
    return sa.select(subscriptions, subscribers.c.address, subscribers.c.name).join(subscribers)


def _to_subscription(row: Row[Any]) -> Subscription:
    local, _, domain = row.address.rpartition("@")
    return Subscription(
        id=row.id,
        subscriber_id=row.subscriber_id,
        newsletter=row.newsletter,
        state=SubscriptionState(row.state),
        language=row.language,
        address=Address(local, domain),
        name=row.name,
        requested_at=row.requested_at,
        confirmed_at=row.confirmed_at,
        unsubscribed_at=row.unsubscribed_at,
    )
