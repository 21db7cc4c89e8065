"""Readers and their subscriptions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Executable, Row

from digest.domain.addresses import Address
from digest.domain.subscribers import Rhythm, Subscription, SubscriptionState
from digest.store.engine import Insert, insert_for
from digest.store.schema import subscribers, subscriptions, suppressions


def add(tx: Connection, address: Address, name: str, now: datetime) -> int:
    """The id of the subscriber with this address, made when new. The spelling first given stays."""
    values = {
        "address": address.text,
        "address_key": address.key,
        "variant_key": address.variant_key,
        "name": name,
        "created_at": now,
    }
    tx.execute(_adding(tx.dialect.name), values)
    return int(tx.execute(_ID_OF, {"key": address.key}).scalar_one())


def name_stranger(tx: Connection, subscriber_id: int, name: str) -> None:
    """Who never confirmed anything is called what the last request says: anybody may have typed the one before."""
    tx.execute(_NAME_STRANGER, {"of": subscriber_id, "name": name})


def subscribe(
    tx: Connection,
    subscriber_id: int,
    newsletter: str,
    state: SubscriptionState,
    language: str,
    now: datetime,
) -> int:
    """Set where a subscriber stands with a newsletter, as of a request made now. Returns the subscription's id.

    Who is only asked keeps when they left, or else when they had confirmed: without an answer they go back there.
    """
    values = {
        "subscriber_id": subscriber_id,
        "newsletter": newsletter,
        "state": state,
        "language": language,
        "requested_at": now,
        "confirmed_at": now if state is SubscriptionState.CONFIRMED else None,
        "reminded_at": None,
        "paused_until": None,
        "rhythm": Rhythm.EVERY,
    }
    is_asked = state is SubscriptionState.PENDING
    return int(tx.execute(_subscribing(tx.dialect.name, is_asked), values).scalar_one())


def subscription(tx: Connection, subscription_id: int) -> Subscription | None:
    """The subscription, if it still exists."""
    row = tx.execute(_BY_ID, {"id": subscription_id}).one_or_none()
    return _to_subscription(row) if row else None


def subscription_to(tx: Connection, subscriber_id: int, newsletter: str) -> Subscription | None:
    """The subscriber's subscription to a newsletter, if any."""
    row = tx.execute(_BY_NEWSLETTER, {"subscriber_id": subscriber_id, "newsletter": newsletter}).one_or_none()
    return _to_subscription(row) if row else None


def subscriptions_of(tx: Connection, address: Address) -> list[Subscription]:
    """All subscriptions of an address."""
    query = _select_subscriptions().where(subscribers.c.address_key == address.key).order_by(subscriptions.c.newsletter)
    return [_to_subscription(row) for row in tx.execute(query)]


def listed(tx: Connection, newsletter: str = "", state: str = "") -> Iterator[Subscription]:
    """Subscriptions in the order they were made, read as a stream: a list may be long."""
    return (subscription for subscription, _ in marked(tx, newsletter, state))


def marked(tx: Connection, newsletter: str = "", state: str = "") -> Iterator[tuple[Subscription, bool]]:
    """The same, each with whether its reader is suppressed, and so gets no mail whatever the state."""
    is_suppressed = sa.exists().where(suppressions.c.subscriber_id == subscribers.c.id).label("is_suppressed")
    query = _select_subscriptions().add_columns(is_suppressed).order_by(subscriptions.c.id)
    if newsletter:
        query = query.where(subscriptions.c.newsletter == newsletter)
    if state:
        query = query.where(subscriptions.c.state == state)
    for row in tx.execute(query, execution_options={"yield_per": 1000}):
        yield _to_subscription(row), bool(row.is_suppressed)


def confirmed_at_domain(tx: Connection, domain: str) -> tuple[int, int]:
    """How many people get a newsletter at that domain, and how many do in all."""
    readers = subscriptions.c.subscriber_id.distinct()
    get_it = sa.select(sa.func.count(readers)).where(subscriptions.c.state == SubscriptionState.CONFIRMED)
    at_it = get_it.join(subscribers).where(subscribers.c.address_key.endswith(f"@{domain}", autoescape=True))
    return tx.scalar(at_it) or 0, tx.scalar(get_it) or 0


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
    return tx.execute(_CONFIRM, {"of": subscription_id, "asked": requested_at, "now": now}).rowcount == 1


def unsubscribe(tx: Connection, subscription_id: int, now: datetime) -> bool:
    """Whatever it was becomes unsubscribed; False when it was already."""
    statement = (
        sa.update(subscriptions)
        .where(subscriptions.c.id == subscription_id, subscriptions.c.state != SubscriptionState.UNSUBSCRIBED)
        .values(state=SubscriptionState.UNSUBSCRIBED, unsubscribed_at=now)
    )
    return tx.execute(statement).rowcount == 1


def take_back(tx: Connection, subscriber_id: int, unsubscribed_at: datetime) -> list[str]:
    """Undo one very leaving: all that ended at that moment is as it was before. Returns the newsletters' names.

    Who had not confirmed keeps that they have left until they do: it may be their second leaving, and without an
    answer the purge must not forget the first.
    """
    had_confirmed = subscriptions.c.confirmed_at.is_not(None)
    was = sa.case((had_confirmed, SubscriptionState.CONFIRMED.value), else_=SubscriptionState.PENDING.value)
    left_at = sa.case((had_confirmed, None), else_=subscriptions.c.unsubscribed_at)
    statement = (
        sa.update(subscriptions)
        .where(
            subscriptions.c.subscriber_id == subscriber_id,
            subscriptions.c.state == SubscriptionState.UNSUBSCRIBED,
            subscriptions.c.unsubscribed_at == unsubscribed_at,
        )
        .values(state=was, unsubscribed_at=left_at)
        .returning(subscriptions.c.newsletter)
    )
    return sorted(tx.scalars(statement))


def everything_of(tx: Connection, subscriber_id: int) -> list[Subscription]:
    """All subscriptions of a subscriber."""
    query = _select_subscriptions().where(subscribers.c.id == subscriber_id).order_by(subscriptions.c.id)
    return [_to_subscription(row) for row in tx.execute(query)]


def set_pause(tx: Connection, subscription_id: int, until: datetime | None) -> None:
    """No edition before that moment; None ends a pause."""
    _set(tx, subscription_id, paused_until=until)


def set_rhythm(tx: Connection, subscription_id: int, rhythm: Rhythm) -> None:
    """How often an edition of this newsletter is wanted."""
    _set(tx, subscription_id, rhythm=rhythm)


def set_language(tx: Connection, subscriber_id: int, language: str) -> None:
    """The language of all further mail to them."""
    statement = sa.update(subscriptions).where(subscriptions.c.subscriber_id == subscriber_id)
    tx.execute(statement.values(language=language))


def set_name(tx: Connection, subscriber_id: int, name: str) -> None:
    """What they are called; empty is fine."""
    tx.execute(sa.update(subscribers).where(subscribers.c.id == subscriber_id).values(name=name))


def _set(tx: Connection, subscription_id: int, **values: object) -> None:
    tx.execute(sa.update(subscriptions).where(subscriptions.c.id == subscription_id).values(**values))


def _select_subscriptions() -> sa.Select[Any]:
    return sa.select(subscriptions, subscribers.c.address, subscribers.c.name).join(subscribers)


# What every sign-up runs is built once: for SQLAlchemy to build a statement costs more than for a database to run it.
_BY_ID = _select_subscriptions().where(subscriptions.c.id == sa.bindparam("id"))
_BY_NEWSLETTER = _select_subscriptions().where(
    subscribers.c.id == sa.bindparam("subscriber_id"), subscriptions.c.newsletter == sa.bindparam("newsletter")
)
_ID_OF = sa.select(subscribers.c.id).where(subscribers.c.address_key == sa.bindparam("key"))
_NAME_STRANGER = (
    sa.update(subscribers)
    .where(
        subscribers.c.id == sa.bindparam("of"),
        ~sa.exists().where(
            subscriptions.c.subscriber_id == sa.bindparam("of"), subscriptions.c.confirmed_at.is_not(None)
        ),
    )
    .values(name=sa.bindparam("name"))
)
_CONFIRM = (
    sa.update(subscriptions)
    .where(
        subscriptions.c.id == sa.bindparam("of"),
        subscriptions.c.state == SubscriptionState.PENDING,
        subscriptions.c.requested_at == sa.bindparam("asked"),
    )
    .values(state=SubscriptionState.CONFIRMED, confirmed_at=sa.bindparam("now"), unsubscribed_at=None)
)


@cache
def _adding(dialect: str) -> Insert:
    return insert_for(dialect, subscribers).on_conflict_do_nothing(index_elements=["address_key"])


@cache
def _subscribing(dialect: str, is_asked: bool) -> Executable:
    """`is_asked`: without an answer they go back to where they were, so that is kept."""
    statement = insert_for(dialect, subscriptions)
    names = ("state", "language", "requested_at", "confirmed_at", "reminded_at", "paused_until", "rhythm")
    values: dict[str, Any] = {name: statement.excluded[name] for name in names}
    if is_asked:
        values["confirmed_at"] = sa.case((subscriptions.c.unsubscribed_at.is_(None), subscriptions.c.confirmed_at))
    else:
        values["unsubscribed_at"] = None
    changing = statement.on_conflict_do_update(index_elements=["subscriber_id", "newsletter"], set_=values)
    return changing.returning(subscriptions.c.id)


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
        reminded_at=row.reminded_at,
        paused_until=row.paused_until,
        rhythm=Rhythm(row.rhythm),
    )
