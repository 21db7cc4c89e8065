"""Deliveries: queueing them, and looking at what became of them. `outbox` has the sender's part."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.deliveries import WAITING, DeliveryState, Mail, Receipt, Settled
from digest.domain.editions import Edition, EditionState
from digest.domain.subscribers import Rhythm, SubscriptionState
from digest.store.engine import insert
from digest.store.schema import deliveries, editions, folded, subscribers, subscriptions, suppressions
from digest.store.statements import LATER_ROWS as LATER


def queue_edition(tx: Connection, edition: Edition, now: datetime, *, is_monthly: bool) -> tuple[int, int, int]:
    """Queue a delivery to every confirmed reader who is to get this edition: (audience, queued, excluded).

    Excluded are who is suppressed, who pauses, and, unless it `is_monthly`, who wants one a month.
    """
    rows = (
        _confirmed(edition.newsletter)
        .where(suppressions.c.address_hash.is_(None), ~_waits(now, is_monthly=is_monthly))
        .with_only_columns(
            sa.literal(Mail.DIGEST.value),
            sa.literal(edition.id),
            subscriptions.c.id,
            sa.literal(DeliveryState.QUEUED.value),
            sa.literal(now, deliveries.c.queued_at.type),
        )
        .order_by(subscriptions.c.id)  # in the order of the index on subscriptions: twice as fast
    )
    names = ["mail", "edition_id", "subscription_id", "state", "queued_at"]
    statement = sa.insert(deliveries).inline().from_select(names, rows)
    before = _last_id(tx)
    queued = tx.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
    span = {"first_delivery": before + 1, "last_delivery": _last_id(tx)}
    tx.execute(sa.update(editions).where(editions.c.id == edition.id).values(span))
    total, excluded = count_audience(tx, edition.newsletter, now, is_monthly=is_monthly)
    return total, queued, excluded


def _last_id(tx: Connection) -> int:
    """The last id given out. On PostgreSQL one is drawn to learn it; a gap in the numbers harms nobody."""
    if tx.dialect.name == "sqlite":
        return int(tx.scalar(sa.text("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'deliveries'")))
    return int(tx.scalar(sa.text("SELECT nextval('deliveries_id_seq')")))


def _of(edition_id: int) -> sa.ColumnElement[bool]:
    """The rows of an edition. They lie side by side, so no index by edition has to be kept."""
    span = editions.alias("span")
    first, last = (
        sa.select(column).where(span.c.id == edition_id).scalar_subquery()
        for column in (span.c.first_delivery, span.c.last_delivery)
    )
    return sa.and_(deliveries.c.id >= first, deliveries.c.id <= last, deliveries.c.edition_id == edition_id)


def other_languages(tx: Connection, newsletter: str, language: str) -> list[str]:
    """The languages of confirmed readers besides `language`."""
    readers = sa.and_(subscriptions.c.newsletter == newsletter, subscriptions.c.state == "confirmed")
    query = sa.select(subscriptions.c.language).distinct().where(readers, subscriptions.c.language != language)
    return sorted(tx.scalars(query))


def count_audience(tx: Connection, newsletter: str, now: datetime, *, is_monthly: bool) -> tuple[int, int]:
    """(confirmed readers, those of them who are suppressed, pause, or want one a month when this is another)."""
    left_out = sa.or_(suppressions.c.address_hash.is_not(None), _waits(now, is_monthly=is_monthly))
    number = sa.func.coalesce(sa.func.sum(sa.case((left_out, 1), else_=0)), 0)
    total, excluded = tx.execute(_confirmed(newsletter).with_only_columns(sa.func.count(), number)).one()
    return total, excluded


def _waits(now: datetime, *, is_monthly: bool) -> sa.ColumnElement[bool]:
    """Whether a reader has asked to be let alone by this edition."""
    paused = sa.func.coalesce(subscriptions.c.paused_until, 0) > sa.literal(now, subscriptions.c.paused_until.type)
    return paused if is_monthly else sa.or_(paused, subscriptions.c.rhythm == Rhythm.MONTHLY)


def was_awaited(tx: Connection, newsletter: str, moment: datetime) -> bool:
    """Whether a reader of ours had confirmed before that moment, so that an edition was expected then.

    Who was brought in later, with a consent from elsewhere, did not wait for us.
    """
    here = sa.exists().where(subscribers.c.id == subscriptions.c.subscriber_id, subscribers.c.created_at < moment)
    query = _confirmed(newsletter).where(subscriptions.c.confirmed_at < moment, here).limit(1)
    return tx.execute(query).first() is not None


def _confirmed(newsletter: str) -> sa.Select[Any]:
    return (
        sa.select(subscriptions.c.id)
        .select_from(
            subscriptions.outerjoin(suppressions, suppressions.c.subscriber_id == subscriptions.c.subscriber_id)
        )
        .where(subscriptions.c.newsletter == newsletter, subscriptions.c.state == SubscriptionState.CONFIRMED)
    )


def queue_letter(
    tx: Connection, mail: Mail, subscription_id: int, now: datetime, due_at: datetime | None = None
) -> int:
    """Queue a mail about one subscription: to confirm, a reminder, a welcome, ... Returns the delivery's id."""
    values = {"mail": mail, "subscription_id": subscription_id, "state": DeliveryState.QUEUED, "queued_at": now}
    values["due_at"] = due_at
    return int(tx.execute(_QUEUE_LETTER, values).scalar_one())


_QUEUE_LETTER = sa.insert(deliveries).returning(deliveries.c.id)  # built once, as is what stands at `asked_at`


def queue_notice(tx: Connection, notice_id: int, address: str, now: datetime) -> None:
    """Queue a notice to one address of the desk."""
    values = {"mail": Mail.NOTICE, "notice_id": notice_id, "address": address}
    tx.execute(sa.insert(deliveries).values(**values, state=DeliveryState.QUEUED, queued_at=now))


def let_go(tx: Connection, delivery_id: int, now: datetime) -> None:
    """Send at once what was put off when it was queued."""
    waits = sa.and_(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.QUEUED)
    tx.execute(sa.update(deliveries).where(waits, deliveries.c.due_at > now).values(due_at=now))


def skip(tx: Connection, delivery_id: int, why: str, now: datetime) -> bool:
    """Do not send what still waits; False when it was too late for that."""
    waits = sa.and_(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.QUEUED)
    values = {"state": DeliveryState.SKIPPED, "settled_at": now, "due_at": None, "reply": why}
    return tx.execute(sa.update(deliveries).where(waits).values(values)).rowcount == 1


def lock_mailbox(tx: Connection, variant_key: str) -> None:
    """Until the transaction ends, nobody else asks this mailbox: two at once would both find it not asked yet."""
    if tx.dialect.name != "sqlite":  # there all who write wait for one another anyway
        number = int.from_bytes(hashlib.sha256(variant_key.encode()).digest()[:8], "big", signed=True)
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def asked_at(
    tx: Connection, variant_key: str, since: datetime, mail: Mail | Collection[Mail] = Mail.CONFIRMATION
) -> list[datetime]:
    """When mails of a kind, or of some, were queued to a mailbox, in any spelling of its address."""
    kinds = [mail] if isinstance(mail, Mail) else list(mail)
    return list(tx.scalars(_ASKED_AT, {"variant": variant_key, "kinds": kinds, "since": since}))


_ASKED_AT = (
    sa.select(deliveries.c.queued_at)
    .select_from(deliveries.join(subscriptions, subscriptions.c.id == deliveries.c.subscription_id).join(subscribers))
    .where(
        subscribers.c.variant_key == sa.bindparam("variant"),
        deliveries.c.mail.in_(sa.bindparam("kinds", expanding=True)),
        deliveries.c.queued_at > sa.bindparam("since"),
    )
)


def due_now(tx: Connection, edition_id: int, now: datetime) -> None:
    """Let deferred deliveries of an edition be tried at once: the desk has resumed it."""
    statement = sa.update(deliveries).where(deliveries.c.edition_id == edition_id, LATER, deliveries.c.due_at > now)
    tx.execute(statement.values(due_at=now))


def queue_again(
    tx: Connection, edition_id: int, states: Collection[DeliveryState], now: datetime, address_key: str = ""
) -> int:
    """Queue settled deliveries once more, with the same Message-ID. Returns how many."""
    statement = sa.update(deliveries).where(_of(edition_id), deliveries.c.state.in_(states))
    if address_key:
        of_reader = sa.select(subscriptions.c.id).join(subscribers).where(subscribers.c.address_key == address_key)
        statement = statement.where(deliveries.c.subscription_id.in_(of_reader))
    values = {
        "state": DeliveryState.QUEUED,
        "due_at": now,  # not empty: claims have passed by those without a time
        "attempts": 0,  # `queued_at` stays: it is the message's Date, and the message is the same
        "settled_at": None,
    }
    return tx.execute(statement.values(values)).rowcount


def counts(tx: Connection, edition_id: int) -> dict[str, int]:
    """How many deliveries of an edition are in each state; every state is named. It reads all rows of the edition."""
    query = sa.select(deliveries.c.state, sa.func.count()).where(_of(edition_id)).group_by(deliveries.c.state)
    found: dict[str, int] = dict(iter(tx.execute(query)))  # pairs
    old = tx.scalar(sa.select(folded.c.deliveries).where(folded.c.edition_id == edition_id)) or 0
    found[DeliveryState.SENT] = found.get(DeliveryState.SENT, 0) + old
    return {state.value: found.get(state.value, 0) for state in DeliveryState}


def fold(tx: Connection, before: datetime, at_most: int = 5_000) -> int:
    """Turn a batch of sent rows settled before that moment into a number; returns how many, so call it until 0."""
    finished = sa.select(editions.c.id).where(editions.c.state == EditionState.SENT, editions.c.sent_at < before)
    for edition_id in tx.scalars(finished).all():
        sent = sa.and_(_of(edition_id), deliveries.c.state == DeliveryState.SENT, deliveries.c.settled_at < before)
        some = sa.select(deliveries.c.id).where(sent).order_by(deliveries.c.id).limit(at_most)
        number = tx.execute(sa.delete(deliveries).where(deliveries.c.id.in_(some))).rowcount
        if number:
            statement = insert(tx, folded).values(edition_id=edition_id, deliveries=number)
            grown = {"deliveries": folded.c.deliveries + number}
            tx.execute(statement.on_conflict_do_update(index_elements=["edition_id"], set_=grown))
            return number
    return 0


def next_due(tx: Connection, edition_id: int) -> datetime | None:
    """When the next waiting delivery of an edition is due, or None when one is due at once or none waits."""
    here = deliveries.c.edition_id == edition_id
    fresh = sa.select(deliveries.c.id).where(here, deliveries.c.state == "queued", deliveries.c.due_at.is_(None))
    if tx.execute(fresh.limit(1)).first():
        return None
    later = sa.select(sa.func.min(deliveries.c.due_at)).where(
        here, deliveries.c.state.in_(WAITING), deliveries.c.due_at.is_not(None)
    )
    moment: datetime | None = tx.scalar(later)
    return moment


class Refusal(NamedTuple):
    """A reader whose mailbox does not exist, as the server said when it was asked to take the mail."""

    delivery_id: int
    subscriber_id: int
    address_key: str
    status: str  # RFC 3463; empty when it gave none
    words: str


def hard_refusals(tx: Connection, edition_id: int) -> Iterator[Refusal]:
    """Readers of an edition whose mailbox does not exist, as the server said."""
    columns = (subscribers.c.id.label("subscriber_id"), subscribers.c.address_key)
    query = (
        sa.select(deliveries.c.id, deliveries.c.code, deliveries.c.reply, *columns)
        .select_from(
            deliveries.join(subscriptions, subscriptions.c.id == deliveries.c.subscription_id).join(subscribers)
        )
        .where(_of(edition_id), deliveries.c.state == DeliveryState.REFUSED)
    )
    for row in tx.execute(query, execution_options={"yield_per": 1000}):
        status = Receipt(row.code, row.reply).enhanced
        yield Refusal(row.id, row.subscriber_id, row.address_key, status, f"{row.code} {row.reply}")


def listed(
    tx: Connection,
    *,
    edition_id: int | None = None,
    state: str = "",
    subscriber_id: int | None = None,
) -> Iterator[Settled]:
    """Deliveries for the desk to look at, oldest first, read as a stream: there may be millions."""
    readers = subscriptions.join(subscribers)
    query = (
        sa.select(deliveries, subscribers.c.address.label("reader"))
        .select_from(deliveries.outerjoin(readers, subscriptions.c.id == deliveries.c.subscription_id))
        .order_by(deliveries.c.id)
    )
    if edition_id is not None:
        query = query.where(_of(edition_id))
    if state:
        query = query.where(deliveries.c.state == state)
    if subscriber_id is not None:
        query = query.where(subscriptions.c.subscriber_id == subscriber_id)
    for row in tx.execute(query, execution_options={"yield_per": 1000}):
        yield Settled(
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
