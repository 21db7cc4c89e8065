"""What came to us by itself, so that what comes twice counts once: keys of pushes, and batches of the beacon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.store.engine import insert
from digest.store.schema import pushes


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push that was stored: the hash of its body, and what we answered."""

    body_hash: str
    answer: Mapping[str, Any]


def pushed(tx: Connection, source_id: int, key: str) -> Pushed | None:
    """The push that came with this key, or None."""
    query = sa.select(pushes.c.body_hash, pushes.c.answer).where(pushes.c.source_id == source_id, pushes.c.key == key)
    row = tx.execute(query).one_or_none()
    return Pushed(row.body_hash, row.answer) if row else None


def keep(tx: Connection, source_id: int, key: str, body_hash: str, at: datetime, answer: Mapping[str, Any]) -> None:
    """Remember a push. The database refuses a key it has."""
    values = {"source_id": source_id, "key": key, "body_hash": body_hash, "at": at, "answer": dict(answer)}
    tx.execute(sa.insert(pushes).values(values))


def is_next(tx: Connection, source_id: int, writer: str, batch: int, at: datetime) -> bool:
    """Move a writer on to this batch: False when it is there already, so that the batch is stored.

    A writer gives its batches one by one, each again until it is sure of it, so one row a writer is enough.
    """
    values = {"source_id": source_id, "key": writer, "body_hash": str(batch), "at": at, "answer": {}}
    statement = insert(tx, pushes).values(values)
    moved = statement.on_conflict_do_update(
        index_elements=["source_id", "key"],
        set_={"body_hash": statement.excluded.body_hash, "at": statement.excluded.at},
        where=pushes.c.body_hash != statement.excluded.body_hash,
    )
    return tx.execute(moved.returning(pushes.c.key)).first() is not None


def forget(tx: Connection, before: datetime) -> int:
    """Drop the keys of all that came earlier; returns how many."""
    return int(tx.execute(sa.delete(pushes).where(pushes.c.at < before)).rowcount)
