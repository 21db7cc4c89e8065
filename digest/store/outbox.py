"""The outbox as the sender sees it: what to send next, and what became of it.

A row is `sending` in the database before its message may go on the wire, and `sent` only after the server's 250.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.addresses import Address
from digest.domain.deliveries import UNSETTLED, WAITING, Delivery, DeliveryState, Mail, Outcome
from digest.domain.editions import EditionState
from digest.domain.subscribers import SubscriptionState
from digest.store import workers
from digest.store.engine import Store
from digest.store.schema import deliveries, editions, subscribers, subscriptions, suppressions

LONGEST_REPLY = 500  # characters of a server's words that are kept
SILENT_FOR = timedelta(seconds=60)  # a worker on a machine that vanished is given up after this


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


def _due(tx: Connection, edition_id: int | None, now: datetime, limit: int) -> Sequence[Any]:
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


def settled_editions(tx: Connection) -> list[int]:
    """Editions being sent of which nothing is left to send."""
    left = sa.select(deliveries.c.id).where(deliveries.c.edition_id == editions.c.id, deliveries.c.state.in_(UNSETTLED))
    query = sa.select(editions.c.id).where(editions.c.state == EditionState.SENDING, ~sa.exists(left))
    return list(tx.scalars(query))


def bury_the_dead(store: Store, own_id: int, now: datetime) -> int:
    """Make uncertain what workers that died had on the wire. Returns how many deliveries that were."""
    with store.read() as tx:
        others = [each for each in workers.not_stopped(tx) if each.id != own_id]
    dead = [each.id for each in others if now - each.heartbeat_at > SILENT_FOR or _is_dead(store, each.id)]
    if not dead:
        return 0
    with store.begin() as tx:
        unknown = make_uncertain(tx, dead, now)
        for worker_id in dead:
            workers.stop(tx, worker_id, now)
    return unknown


def _is_dead(store: Store, worker_id: int) -> bool:
    """Whether a worker's lock is free. With SQLite we hold the only one, so every other is dead."""
    if store.is_sqlite:
        return True
    lock = store.lock_sender(worker_id)
    if lock is None:
        return False
    lock.release()
    return True


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
