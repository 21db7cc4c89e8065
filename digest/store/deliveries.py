"""The outbox: what is to be sent, what is on the wire, and what became of it.

A row is `sending` in the database before its message may go on the wire, and `sent` only after the server's 250.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.addresses import Address
from digest.domain.deliveries import UNSETTLED, WAITING, Delivery, DeliveryState, Mail, Outcome, Settled
from digest.domain.editions import Edition, EditionState
from digest.domain.subscribers import SubscriptionState
from digest.store.schema import deliveries, editions, subscribers, subscriptions, suppressions

LONGEST_REPLY = 500  # characters of a server's words that are kept


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


def claim(tx: Connection, worker_id: int, now: datetime, limit: int) -> list[Delivery]:
    """Mark up to `limit` due deliveries as `sending` and return them; those that may no longer go are skipped.

    The reader's standing is read here, at the last moment. What belongs to no edition goes first.
    """
    claimed: list[Delivery] = []
    for edition_id in [None, *_editions_sending(tx)]:
        while len(claimed) < limit and (rows := _due(tx, edition_id, now, limit - len(claimed))):
            going, barred = _sort_out(rows)
            _skip(tx, barred, now)
            _mark_sending(tx, [row.id for row in going], worker_id)
            claimed += [_to_delivery(row) for row in going]
    return claimed


def _editions_sending(tx: Connection) -> list[int]:
    query = (
        sa.select(editions.c.id)
        .where(editions.c.state == EditionState.SENDING)
        .order_by(editions.c.send_at, editions.c.id)
    )
    return list(tx.scalars(query))


def _due(tx: Connection, edition_id: int | None, now: datetime, limit: int) -> Sequence[Row[Any]]:
    query = (
        sa.select(
            deliveries,
            subscriptions.c.newsletter,
            subscriptions.c.language,
            subscriptions.c.requested_at,
            subscriptions.c.state.label("subscription_state"),
            subscribers.c.address.label("reader"),
            suppressions.c.address_hash,
        )
        .select_from(
            deliveries.outerjoin(subscriptions)
            .outerjoin(subscribers)
            .outerjoin(suppressions, suppressions.c.subscriber_id == subscriptions.c.subscriber_id)
        )
        .where(deliveries.c.edition_id == edition_id, deliveries.c.state.in_(WAITING), deliveries.c.due_at <= now)
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    return tx.execute(query).all()


def _sort_out(rows: Sequence[Row[Any]]) -> tuple[list[Row[Any]], list[tuple[int, str]]]:
    going: list[Row[Any]] = []
    barred: list[tuple[int, str]] = []
    for row in rows:
        reason = _why_not(row)
        if reason:
            barred.append((row.id, reason))
        else:
            going.append(row)
    return going, barred


def _why_not(row: Row[Any]) -> str:
    if row.mail == Mail.NOTICE:
        return ""
    if row.reader is None:
        return "the subscriber was forgotten"
    if row.address_hash is not None:
        return "the address is suppressed"
    if row.subscription_state == SubscriptionState.UNSUBSCRIBED:
        return "unsubscribed before it was sent"
    if row.mail == Mail.DIGEST and row.subscription_state != SubscriptionState.CONFIRMED:
        return "no longer confirmed"
    return ""


def _skip(tx: Connection, barred: Sequence[tuple[int, str]], now: datetime) -> None:
    for delivery_id, reason in barred:
        values = {"state": DeliveryState.SKIPPED, "reply": reason, "settled_at": now}
        tx.execute(sa.update(deliveries).where(deliveries.c.id == delivery_id).values(values))


def _mark_sending(tx: Connection, ids: Sequence[int], worker_id: int) -> None:
    if not ids:
        return
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(ids))
        .values(state=DeliveryState.SENDING, worker_id=worker_id, attempts=deliveries.c.attempts + 1)
    )
    assert tx.execute(statement).rowcount == len(ids), "a claimed delivery changed under its lock"


def settle(tx: Connection, worker_id: int, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Record what became of deliveries this worker holds.

    One that was declared uncertain meanwhile, because this worker seemed dead, learns the truth all the same.
    """
    if not outcomes:
        return
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.id == sa.bindparam("delivery_id"),
            deliveries.c.worker_id == worker_id,
            sa.or_(deliveries.c.state == DeliveryState.SENDING, deliveries.c.state == DeliveryState.UNCERTAIN),
        )
        .values(
            state=sa.bindparam("new_state"),
            due_at=sa.func.coalesce(sa.bindparam("new_due", type_=deliveries.c.due_at.type), deliveries.c.due_at),
            attempts=deliveries.c.attempts - sa.bindparam("untried"),
            settled_at=sa.bindparam("settled"),
            code=sa.bindparam("new_code"),
            reply=sa.bindparam("new_reply"),
        )
    )
    tx.execute(statement, [_outcome_values(each, now) for each in outcomes])


def _outcome_values(outcome: Outcome, now: datetime) -> dict[str, Any]:
    return {
        "delivery_id": outcome.delivery_id,
        "new_state": outcome.state,
        "new_due": outcome.due_at,
        "untried": 1 if outcome.state is DeliveryState.QUEUED else 0,  # given back: it was not tried
        "settled": None if outcome.state in UNSETTLED else now,
        "new_code": outcome.receipt.code,
        "new_reply": outcome.receipt.text[:LONGEST_REPLY],
    }


def make_uncertain(tx: Connection, worker_ids: Collection[int], now: datetime) -> int:
    """What dead workers had on the wire: nobody can know whether it arrived. Returns how many."""
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.state == DeliveryState.SENDING, deliveries.c.worker_id.in_(worker_ids))
        .values(
            state=DeliveryState.UNCERTAIN,
            settled_at=now,
            reply="the sender stopped in the middle of this one",
        )
    )
    return tx.execute(statement).rowcount


def release_unknown(tx: Connection, worker_id: int, held: Collection[int]) -> int:
    """Give back what was claimed in a transaction whose end this worker never heard of: it never went out."""
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.state == DeliveryState.SENDING,
            deliveries.c.worker_id == worker_id,
            deliveries.c.id.not_in(held),
        )
        .values(state=DeliveryState.QUEUED, attempts=deliveries.c.attempts - 1)
    )
    return tx.execute(statement).rowcount


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


def settled_editions(tx: Connection) -> list[int]:
    """Editions being sent of which nothing is left to send."""
    left = sa.select(deliveries.c.id).where(deliveries.c.edition_id == editions.c.id, deliveries.c.state.in_(UNSETTLED))
    query = sa.select(editions.c.id).where(editions.c.state == EditionState.SENDING, ~sa.exists(left))
    return list(tx.scalars(query))


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


def _to_delivery(row: Row[Any]) -> Delivery:
    local, _, domain = (row.reader or row.address).rpartition("@")
    return Delivery(
        id=row.id,
        mail=Mail(row.mail),
        edition_id=row.edition_id or 0,
        address=Address(local, domain),
        queued_at=row.queued_at,
        attempts=row.attempts + 1,
        subscription_id=row.subscription_id or 0,
        newsletter=row.newsletter or "",
        language=row.language or "",
        confirmed=row.subscription_state == SubscriptionState.CONFIRMED,
        requested_at=row.requested_at,
        notice_id=row.notice_id or 0,
    )
