"""Why readers left, as numbers by newsletter and month; no row is about anybody."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.farewells import Farewells, Reason
from digest.store.engine import insert
from digest.store.schema import farewells


def add(tx: Connection, newsletter: str, month: str, reason: Reason) -> None:
    """One reader more who gave this reason in `month`, such as 2026-11."""
    statement = insert(tx, farewells).values(newsletter=newsletter, month=month, reason=reason, readers=1)
    key = ["newsletter", "month", "reason"]
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_={"readers": farewells.c.readers + 1}))


def listed(tx: Connection, newsletter: str = "") -> list[Farewells]:
    """The latest month first, and in it the reason given most."""
    query = sa.select(farewells).order_by(farewells.c.month.desc(), farewells.c.readers.desc(), farewells.c.reason)
    if newsletter:
        query = query.where(farewells.c.newsletter == newsletter)
    return [Farewells(row.newsletter, row.month, Reason(row.reason), row.readers) for row in tx.execute(query)]
