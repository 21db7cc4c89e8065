"""Every subscription with what its consent rests on, for a list that leaves the house."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.subscribers import EventKind
from digest.store.schema import events, subscribers, subscriptions, suppressions

COLUMNS = (
    *("email", "name", "newsletter", "status", "language", "requested_at", "confirmed_at", "unsubscribed_at"),
    *("rhythm", "paused_until", "suppressed"),
    *("consent_at", "consent_way", "consent_form", "consent_ip", "consent_wording"),
)


def listed(tx: Connection, newsletter: str = "", state: str = "") -> Iterator[tuple[str, ...]]:
    """Rows as COLUMNS names them, read as a stream; moments in ISO 8601, UTC. The consent is the last one given."""
    earlier = events.alias().c
    of_this = sa.and_(
        earlier.subscriber_id == subscriptions.c.subscriber_id,
        earlier.newsletter == subscriptions.c.newsletter,
        earlier.kind == EventKind.CONFIRMED,
    )
    last = sa.select(sa.func.max(earlier.id)).where(of_this).correlate(subscriptions).scalar_subquery()
    stands, consent = subscriptions.c, events.c
    query = (
        sa.select(
            *(subscribers.c.address, subscribers.c.name, stands.newsletter, stands.state, stands.language),
            *(stands.requested_at, stands.confirmed_at, stands.unsubscribed_at, stands.rhythm, stands.paused_until),
            suppressions.c.kind,
            *(consent.at, consent.way, consent.form, consent.ip, consent.wording_id),
            stands.id,
        )
        .select_from(
            subscriptions.join(subscribers)
            .outerjoin(suppressions, suppressions.c.subscriber_id == stands.subscriber_id)
            .outerjoin(events, consent.id == last)
        )
        .order_by(stands.id)
    )
    if newsletter:
        query = query.where(stands.newsletter == newsletter)
    if state:
        query = query.where(stands.state == state)
    known = 0
    for row in tx.execute(query, execution_options={"yield_per": 1000}):
        *cells, number = row
        if number != known:  # whatever joins, each subscription is one row
            known = number
            yield tuple(map(_cell, cells))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)
