"""What is known of one reader beside what they subscribed to and agreed to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.store.schema import bounces, deliveries, subscribers, subscriptions


@dataclass(frozen=True, slots=True)
class KnownMail:
    """A mail to a reader: `said` is how the server answered."""

    id: int
    mail: str
    newsletter: str
    edition_id: int | None
    state: str
    queued_at: datetime
    settled_at: datetime | None
    said: str


@dataclass(frozen=True, slots=True)
class KnownReport:
    """Something that came back of a mail to a reader."""

    at: datetime
    mail_id: int
    kind: str
    status: str
    words: str


def since(tx: Connection, subscriber_id: int) -> datetime | None:
    """When a subscriber was first heard of."""
    moment: datetime | None = tx.scalar(sa.select(subscribers.c.created_at).where(subscribers.c.id == subscriber_id))
    return moment


def mails(tx: Connection, subscriber_id: int) -> Iterator[KnownMail]:
    """Every mail to a subscriber that is still remembered, oldest first."""
    return _mails(tx, subscriptions.c.subscriber_id == subscriber_id)


def mails_by_id(tx: Connection, ids: Collection[int]) -> dict[int, KnownMail]:
    """Some mails, by their ids; those whose rows are gone are missing."""
    return {each.id: each for each in _mails(tx, deliveries.c.id.in_(ids))}


def _mails(tx: Connection, which: sa.ColumnElement[bool]) -> Iterator[KnownMail]:
    query = (
        sa.select(deliveries, subscriptions.c.newsletter)
        .select_from(deliveries.join(subscriptions, subscriptions.c.id == deliveries.c.subscription_id))
        .where(which)
        .order_by(deliveries.c.id)
    )
    for row in tx.execute(query):
        said = f"{row.code} {row.reply}".strip() if row.code else row.reply
        yield KnownMail(
            row.id, row.mail, row.newsletter, row.edition_id, row.state, row.queued_at, row.settled_at, said
        )


def reports(tx: Connection, subscriber_id: int) -> list[KnownReport]:
    """What came back of their mails, oldest first."""
    query = sa.select(bounces).where(bounces.c.subscriber_id == subscriber_id).order_by(bounces.c.id)
    return [KnownReport(row.at, row.delivery_id, row.kind, row.status, row.words) for row in tx.execute(query)]
