"""What the installation remembers of itself: a word or two by name."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.store.engine import insert
from digest.store.schema import marks


def get(tx: Connection, name: str) -> str:
    """What was set last; empty when nothing was."""
    return tx.scalar(sa.select(marks.c.value).where(marks.c.name == name)) or ""


def put(tx: Connection, name: str, value: str) -> None:
    """Remember it."""
    statement = insert(tx, marks).values(name=name, value=value)
    tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
