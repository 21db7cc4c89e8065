"""The trail of consent: what each reader agreed to, when, how and in which words. Lines are added, never changed."""

from __future__ import annotations

import hashlib
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.subscribers import ConsentEvent, EventKind, Evidence, Way
from digest.store.engine import insert
from digest.store.schema import events, wordings


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
            delivery_id=evidence.delivery_id,
            token_hash=evidence.token_hash,
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
                row.delivery_id,
                row.token_hash,
            ),
        )
        for row in tx.execute(query)
    ]
