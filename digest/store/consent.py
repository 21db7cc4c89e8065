"""The trail of consent: what each reader agreed to, when, how and in which words.

Lines are added, never changed. Two things are taken from them in time: network and browser after `keep_ip` (here), and
all of a reader's lines when they are forgotten (erasure.py); a minimal proof is kept then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.proofs import Proof, wording_id
from digest.domain.subscribers import ConsentEvent, EventKind, Evidence, Way
from digest.store.engine import Insert, insert_for
from digest.store.schema import events, proofs, wordings


def record(
    tx: Connection, subscriber_id: int, newsletter: str, kind: EventKind, evidence: Evidence, now: datetime
) -> None:
    """Add one line to the trail; lines are never changed."""
    values = {
        "at": now,
        "subscriber_id": subscriber_id,
        "newsletter": newsletter,
        "kind": kind,
        "way": evidence.way,
        "address_as_typed": evidence.address_as_typed,
        "wording_id": _wording(tx, evidence.wording, now),
        "language": evidence.language,
        "form": evidence.form,
        "ip": evidence.ip,
        "user_agent": evidence.user_agent,
        "delivery_id": evidence.delivery_id,
        "token_hash": evidence.token_hash,
    }
    tx.execute(_RECORD, values)


def _wording(tx: Connection, text: str, now: datetime) -> str | None:
    """The id of a consent text, stored once however often it is shown."""
    if not text:
        return None
    name = wording_id(text)
    tx.execute(_keeping(tx.dialect.name), {"id": name, "text": text, "first_shown_at": now})
    return name


_RECORD = sa.insert(events)  # built once, as everybody who signs up is recorded


@cache
def _keeping(dialect: str) -> Insert:
    return insert_for(dialect, wordings).on_conflict_do_nothing()


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


# --- what is left of who was forgotten -----------------------------------------------------------


def keep_proofs(tx: Connection, kept: Iterable[Proof]) -> None:
    """Keep what is left of consents whose giver is forgotten now."""
    for each in kept:
        values = {
            "address_hash": each.address_hash,
            "newsletter": each.newsletter,
            "language": each.language,
            "wording_id": each.wording_id,
            "way": each.way,
            "requested_at": each.requested_at,
            "confirmed_at": each.confirmed_at,
            "withdrawn_at": each.withdrawn_at,
            "forgotten_at": each.forgotten_at,
        }
        tx.execute(sa.insert(proofs).values(values))


def proofs_of(tx: Connection, address_hash: str) -> list[tuple[Proof, str]]:
    """(proof, the words agreed to) of an address that was forgotten, oldest first."""
    query = sa.select(proofs, wordings.c.text).select_from(proofs.outerjoin(wordings))
    rows = tx.execute(query.where(proofs.c.address_hash == address_hash).order_by(proofs.c.id))
    return [
        (
            Proof(
                row.address_hash,
                row.newsletter,
                row.language,
                row.wording_id,
                row.way,
                row.requested_at,
                row.confirmed_at,
                row.withdrawn_at,
                row.forgotten_at,
            ),
            row.text or "",
        )
        for row in rows
    ]


def purge_proofs(tx: Connection, before: datetime) -> int:
    """Delete the proofs of who was forgotten before that moment; returns how many."""
    return tx.execute(sa.delete(proofs).where(proofs.c.forgotten_at < before)).rowcount


# --- network and browser, kept for a while -------------------------------------------------------


def with_network(tx: Connection, before: datetime, after: int, at_most: int = 1000) -> list[int]:
    """The next events after that id, written here before that moment, that still say from where they came.

    A consent of years ago that was imported yesterday was written yesterday.
    """
    written_at = sa.func.coalesce(events.c.written_at, events.c.at)
    known = sa.or_(events.c.ip != "", events.c.user_agent != "")
    query = sa.select(events.c.id).where(events.c.id > after, written_at < before, known).order_by(events.c.id)
    return list(tx.scalars(query.limit(at_most)))


def blank_network(tx: Connection, event_ids: Collection[int]) -> None:
    """Take network and browser out of events; all else in them stays."""
    tx.execute(sa.update(events).where(events.c.id.in_(event_ids)).values(ip="", user_agent=""))
