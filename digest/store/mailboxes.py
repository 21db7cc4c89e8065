"""How far the mailbox of reports has been read, and whether it could be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.store.engine import insert
from digest.store.schema import mailboxes


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What is known of a mailbox; `failed_at` is the first failure since it was last read well."""

    name: str
    remembered: Mapping[str, Any]
    read_at: datetime | None = None
    failed_at: datetime | None = None
    error: str = ""


def known(tx: Connection, name: str) -> Mailbox:
    """The mailbox of that name, with nothing remembered when it was never read."""
    row = tx.execute(sa.select(mailboxes).where(mailboxes.c.name == name)).one_or_none()
    return Mailbox(row.name, row.remembered, row.read_at, row.failed_at, row.error) if row else Mailbox(name, {})


def keep(tx: Connection, name: str, remembered: Mapping[str, Any], now: datetime) -> None:
    """It was read as far as `remembered` says."""
    _put(tx, name, {"remembered": dict(remembered), "read_at": now, "failed_at": None, "error": ""})


def fail(tx: Connection, name: str, error: str, now: datetime) -> bool:
    """It could not be read; whether this is the first failure since it was last read well."""
    before = known(tx, name)
    _put(tx, name, {"remembered": before.remembered, "failed_at": before.failed_at or now, "error": error})
    return before.failed_at is None


def _put(tx: Connection, name: str, values: dict[str, Any]) -> None:
    statement = insert(tx, mailboxes).values(name=name, **values)
    tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
