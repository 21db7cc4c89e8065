"""Forgetting a reader: every row and every word that leads to them goes, what others need for their accounts stays."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.addresses import Address
from digest.domain.deliveries import WAITING, DeliveryState
from digest.domain.masking import without
from digest.domain.proofs import consents, proof_of
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.store import consent, suppressions
from digest.store.deliveries import lock_mailbox
from digest.store.schema import (
    bounces,
    deliveries,
    editions,
    events,
    notices,
    subscribers,
    subscriptions,
    suppression_log,
)
from digest.store.schema import suppressions as suppressed


@dataclass(frozen=True, slots=True)
class Erased:
    """What is gone, and what is kept: `proofs` without a name or an address, `deliveries` as mere numbers."""

    subscriptions: int
    events: int
    deliveries: int
    waiting: int  # of these, not sent any more
    bounces: int
    proofs: int


def lock(tx: Connection, address: Address) -> tuple[int, Address] | None:
    """The subscriber with this address, held until the transaction ends; None: there is none."""
    lock_mailbox(tx, address.variant_key)  # who signs up at this moment comes before, or starts anew after
    query = sa.select(subscribers.c.id, subscribers.c.address).where(subscribers.c.address_key == address.key)
    row = tx.execute(query.with_for_update()).one_or_none()
    if row is None:
        return None
    local, _, domain = row.address.rpartition("@")
    return row.id, Address(local, domain)


def erase(tx: Connection, subscriber_id: int, address: Address, forgotten: Suppression) -> Erased:
    """Delete a reader and all that is known of them, in the caller's transaction.

    `forgotten` says who wished it and when, and is what is left: nobody but the reader brings that address back. Rows
    of deliveries stay, without reader and words, as an edition's accounts must add up; what waits is skipped, what is
    on the wire right now ends there. `scrubbing` then cleans up behind this.
    """
    trail = consent.trail(tx, subscriber_id)
    kept = [proof for each in consents(trail) if (proof := proof_of(each, forgotten.address_hash, forgotten.at))]
    consent.keep_proofs(tx, kept)
    touched, waiting = _erase_deliveries(tx, subscriber_id, forgotten.at)
    returned = _erase_bounces(tx, subscriber_id)
    _mend_notes(tx, address)
    gone_events = tx.execute(sa.delete(events).where(events.c.subscriber_id == subscriber_id)).rowcount
    gone = tx.execute(sa.delete(subscriptions).where(subscriptions.c.subscriber_id == subscriber_id)).rowcount
    tx.execute(sa.delete(subscribers).where(subscribers.c.id == subscriber_id))
    _suppress(tx, forgotten)
    return Erased(gone, gone_events, touched, waiting, returned, len(kept))


def _erase_deliveries(tx: Connection, subscriber_id: int, now: datetime) -> tuple[int, int]:
    """(rows, those of them that were still waiting). A row's state is read when it is changed: a sender is at work."""
    theirs = sa.select(subscriptions.c.id).where(subscriptions.c.subscriber_id == subscriber_id)
    waits = deliveries.c.state.in_(WAITING)
    statement = sa.update(deliveries).where(deliveries.c.subscription_id.in_(theirs))
    waiting = tx.execute(
        statement.where(waits).values(
            subscription_id=None,
            state=DeliveryState.SKIPPED,
            due_at=None,
            settled_at=now,
            reply="the subscriber was forgotten",
        )
    ).rowcount
    others = tx.execute(
        statement.values(
            subscription_id=None,
            state=sa.case((waits, DeliveryState.SKIPPED.value), else_=deliveries.c.state),
            due_at=None,
            settled_at=sa.case((waits, sa.literal(now, deliveries.c.settled_at.type)), else_=deliveries.c.settled_at),
            reply="",
        )
    ).rowcount
    return waiting + others, waiting


def _erase_bounces(tx: Connection, subscriber_id: int) -> int:
    """The numbers of what came back stay; a provider too, unless it is one that nobody else has."""
    here = bounces.c.subscriber_id == subscriber_id
    other = bounces.alias("other")
    shared = sa.exists().where(other.c.provider == bounces.c.provider, other.c.subscriber_id != subscriber_id)
    provider = sa.case((shared, bounces.c.provider), else_="")
    statement = sa.update(bounces).where(here).values(subscriber_id=None, words="", provider=provider)
    return tx.execute(statement).rowcount


def _mend_notes(tx: Connection, address: Address) -> None:
    """What the desk was told, and why editions paused, may quote a server that quoted the address."""
    for table, column in ((notices, notices.c.text), (notices, notices.c.subject), (editions, editions.c.reason)):
        quoting = sa.func.lower(column).contains(address.key, autoescape=True)
        for row in tx.execute(sa.select(table.c.id, column.label("words")).where(quoting)).all():
            words = re.sub(re.escape(address.text), address.masked, row.words, flags=re.I)
            tx.execute(sa.update(table).where(table.c.id == row.id).values({column: without(words, address.text)}))


def _suppress(tx: Connection, forgotten: Suppression) -> None:
    """Kept out from now on. What was said of them before stands if it is firmer, without the words."""
    here = suppressed.c.address_hash == forgotten.address_hash
    known = suppressions.of(tx, forgotten.address_hash)
    tx.execute(sa.update(suppression_log).where(suppression_log.c.subject == forgotten.address_hash).values(reason=""))
    if known is not None and known.is_firm and known.kind is not SuppressionKind.DOMAIN:
        tx.execute(sa.update(suppressed).where(here).values(reason=str(known.kind), subscriber_id=None))
    else:
        tx.execute(sa.delete(suppressed).where(here))
        suppressions.suppress(tx, forgotten)
