"""What became of claimed deliveries, and of those whose worker died.

A row is `sending` in the database before its message may go on the wire, and `sent` only after the server's 250.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.deliveries import LONGEST_WAIT, UNSETTLED, WAITING, DeliveryState, Outcome
from digest.domain.editions import EditionState
from digest.store import workers
from digest.store.engine import Store
from digest.store.schema import deliveries, editions
from digest.store.statements import FRESH_ROWS as FRESH
from digest.store.statements import LATER_ROWS as LATER
from digest.store.statements import SETTLE, run, run_many

LONGEST_REPLY = 500  # characters of a server's words that are kept
_BATCH = 5_000  # rows a housekeeping transaction changes: short enough for a confirmation to wait for


def settle(tx: Connection, worker_id: int, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Record what became of deliveries this worker holds.

    One that was declared uncertain meanwhile, because this worker seemed dead, learns the truth all the same.
    """
    if not outcomes:
        return
    rows = rows_of(outcomes, now)
    if tx.dialect.name == "sqlite":
        run_many(tx, SETTLE, [{**row, "worker": worker_id} for row in rows])
    else:
        run(tx, SETTLE, {"outcomes": json.dumps(rows), "worker": worker_id})


def rows_of(outcomes: Sequence[Outcome], now: datetime) -> list[dict[str, Any]]:
    """Outcomes as the statements take them."""
    at = int(now.timestamp())
    rows = []
    for id_, state, receipt, due_at, *_ in outcomes:
        unsettled = state in UNSETTLED
        # What is given back is due at once. It gets a time all the same: claims have passed the fresh ones by.
        due = (int(due_at.timestamp()) if due_at else at) if unsettled else None
        rows.append(
            {
                "id": id_,
                "state": state.value,
                "due": due,
                "untried": 1 if state is DeliveryState.QUEUED else 0,
                "settled": None if unsettled else at,
                "code": receipt.code,
                "reply": receipt.text[:LONGEST_REPLY].replace("\0", ""),
            }
        )
    return rows


def make_uncertain(tx: Connection, worker_ids: Collection[int], now: datetime) -> int:
    """What dead workers had on the wire: nobody can know whether it arrived. Returns how many."""
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.state == "sending", deliveries.c.worker_id.in_(worker_ids))
        .values(
            state=DeliveryState.UNCERTAIN,
            settled_at=now,
            reply="the sender stopped in the middle of this one",
        )
    )
    return tx.execute(statement).rowcount


def release_unknown(tx: Connection, worker_id: int, held: Collection[int], now: datetime) -> int:
    """Give back what was claimed in a transaction whose end this worker never heard of: it never went out."""
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.state == "sending",
            deliveries.c.worker_id == worker_id,
            deliveries.c.id.not_in(held),
        )
        .values(state=DeliveryState.QUEUED, attempts=deliveries.c.attempts - 1, due_at=now)
    )
    return tx.execute(statement).rowcount


def is_settled(tx: Connection, edition_id: int) -> bool:
    """Whether nothing of an edition is left to send, by any worker."""
    here = deliveries.c.edition_id == edition_id
    lefts = (FRESH, LATER, sa.text("deliveries.state = 'sending'"))
    # One statement: between two looks another worker could move a row from where we have not looked to where we have.
    left = tx.scalar(sa.select(sa.or_(*(sa.exists().where(here, each) for each in lefts))))
    return not left


def bury_the_dead(store: Store, own_id: int, alive: Collection[int], silent: Collection[int], now: datetime) -> int:
    """Make uncertain what workers that died had on the wire. Returns how many deliveries that were.

    A worker is dead when its lock is free, unless it is known to be `alive`; or when it is `silent`: its machine may
    have vanished with the lock.
    """
    with store.read() as tx:
        # One that was declared dead too early may have gone on, claimed more, and died in earnest.
        sending = sa.select(deliveries.c.worker_id).where(sa.text("deliveries.state = 'sending'")).distinct()
        others = {each.id for each in workers.not_stopped(tx)} | set(tx.scalars(sending))
    others -= {own_id, *alive}
    dead = [each for each in sorted(others) if each in silent or store.is_sender_gone(each)]
    if not dead:
        return 0
    with store.begin() as tx:
        unknown = make_uncertain(tx, dead, now)
        for worker_id in dead:
            workers.stop(tx, worker_id, now)
    return unknown


# --- housekeeping ---------------------------------------------------------------------------------


def cancel_some(tx: Connection, now: datetime) -> int:
    """Cancel a batch of what waits in cancelled editions; returns how many, so call it until that is 0."""
    cancelled = sa.select(editions.c.id).where(editions.c.state == EditionState.CANCELLED)
    total = 0
    for edition_id in tx.scalars(cancelled).all():
        here = deliveries.c.edition_id == edition_id
        for waits in (FRESH, LATER):
            some = sa.select(deliveries.c.id).where(here, waits).order_by(deliveries.c.id).limit(_BATCH - total)
            statement = sa.update(deliveries).where(deliveries.c.id.in_(some), deliveries.c.state.in_(WAITING))
            values = {"state": DeliveryState.CANCELLED, "settled_at": now, "due_at": None}
            total += tx.execute(statement.values(values)).rowcount
    return total


def mend_due_times(tx: Connection, now: datetime) -> int:
    """Let go what is deferred for longer than anything ever is: the clock was ahead when it was put off."""
    sending = sa.select(editions.c.id).where(editions.c.state == EditionState.SENDING)
    total = 0
    for edition_id in [None, *tx.scalars(sending)]:  # one by one: so it is a range of the index, not the whole of it
        too_late = deliveries.c.due_at > now + 2 * LONGEST_WAIT
        postponed = deliveries.c.state == "queued"  # a limited domain's may wait for hours; a letter may not
        meant = sa.true() if edition_id is None else ~postponed
        statement = sa.update(deliveries).where(deliveries.c.edition_id == edition_id, LATER, too_late, meant)
        total += tx.execute(statement.values(due_at=now)).rowcount
    return total
