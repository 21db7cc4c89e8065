"""The statements a sender runs hundreds of times a second, written out for both databases.

They go straight to the driver: SQLAlchemy's part of such a statement costs more than SQLite's own.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

# In the words of the partial indexes, for the statements that SQLAlchemy makes.
FRESH_ROWS = sa.text("deliveries.state = 'queued' AND deliveries.due_at IS NULL")
LATER_ROWS = sa.text("deliveries.state IN ('queued', 'deferred') AND deliveries.due_at IS NOT NULL")


def _both(text: str, **by_dialect: tuple[str, str]) -> dict[str, str]:
    """One statement for SQLite and PostgreSQL; `name=(sqlite, postgresql)` fills in where they differ."""
    sqlite = text.format(**{name: pair[0] for name, pair in by_dialect.items()})
    postgresql = text.format(**{name: pair[1] for name, pair in by_dialect.items()})
    return {"sqlite": sqlite, "postgresql": _named(postgresql)}


both = _both  # for the statements of others


def _named(text: str) -> str:
    """The text with parameters as psycopg names them."""
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", text)


def run(tx: Connection, statement: dict[str, str], values: Any) -> Any:
    """The driver's cursor after a statement. Straight to the driver: SQLAlchemy's part costs more than SQLite's."""
    driver: Any = tx.connection.driver_connection
    return driver.execute(statement[tx.dialect.name], values)


def run_many(tx: Connection, statement: dict[str, str], values: list[dict[str, Any]]) -> int:
    """A statement for each of several sets of values; returns how many rows that touched."""
    driver: Any = tx.connection.driver_connection
    cursor = driver.cursor()
    cursor.executemany(statement[tx.dialect.name], values)
    return int(cursor.rowcount)


class Row(NamedTuple):
    """What the claiming statements return."""

    id: int
    mail: str
    edition_id: int
    queued_at: int
    due_at: int | None
    attempts: int
    subscription_id: int
    newsletter: str
    language: str
    standing: str
    reader: str | None
    name: str
    suppression: str | None
    paused_until: int | None


class Letter(NamedTuple):
    """A confirmation or a notice that is due."""

    id: int
    mail: str
    queued_at: int
    attempts: int
    subscription_id: int | None
    address: str | None
    notice_id: int | None
    newsletter: str | None
    language: str | None
    standing: str | None
    requested_at: datetime | str | None
    reader: str | None
    suppression: str | None


def rows_of(tx: Connection, statement: dict[str, str], values: dict[str, Any]) -> list[Row]:
    return [Row._make(row) for row in run(tx, statement, values).fetchall()]


# Editions being sent, and 0 when a confirmation or a notice waits.
WORK = _both(
    """
    SELECT 0 WHERE EXISTS (
        SELECT 1 FROM deliveries WHERE edition_id IS NULL AND state = 'queued' AND due_at IS NULL
    ) OR EXISTS (
        SELECT 1 FROM deliveries
        WHERE edition_id IS NULL AND state IN ('queued', 'deferred') AND due_at IS NOT NULL AND due_at <= :now
    )
    UNION ALL
    SELECT * FROM (SELECT id FROM editions WHERE state = 'sending' ORDER BY send_at, id) AS sending
    """
)

_LOCK = ("", "FOR UPDATE SKIP LOCKED")
_COLUMNS = """
    d.id, d.mail, d.edition_id, d.queued_at, d.due_at, d.attempts, d.subscription_id, s.newsletter, s.language,
    s.state AS standing, r.address AS reader, r.name, x.kind AS suppression, s.paused_until
"""
_READERS = """
    FROM due AS d
    LEFT JOIN subscriptions AS s ON s.id = d.subscription_id
    LEFT JOIN subscribers AS r ON r.id = s.subscriber_id
    LEFT JOIN suppressions AS x ON x.subscriber_id = s.subscriber_id
"""
_CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT * FROM deliveries WHERE edition_id = :edition AND {which} LIMIT :limit {lock}
    )
    SELECT {columns} {readers} ORDER BY {order}
"""


def _claiming(which: str, order: str, claim_order: str) -> dict[str, str]:
    return _both(
        _CLAIM,
        which=(f"{which} ORDER BY {claim_order}",) * 2,
        order=(order, order),
        lock=_LOCK,
        columns=(_COLUMNS,) * 2,
        readers=(_READERS,) * 2,
    )


FRESH = _claiming("state = 'queued' AND due_at IS NULL AND id > :after", "d.id", "id")
LATER = _claiming(
    "state IN ('queued', 'deferred') AND due_at IS NOT NULL AND due_at <= :now AND (due_at, id) > (:due, :after)",
    "d.due_at, d.id",
    "due_at, id",
)
# Postponed for their domain's sake, not yet due: they may go as soon as the domain takes more.
POSTPONED = _claiming(
    "state = 'queued' AND due_at IS NOT NULL AND due_at > :now",
    "d.due_at, d.id",
    "due_at, id",
)
LETTERS = _both(
    """
    WITH due AS MATERIALIZED (
        SELECT * FROM deliveries WHERE id IN (
            SELECT id FROM deliveries WHERE edition_id IS NULL AND state = 'queued' AND due_at IS NULL
            UNION ALL
            SELECT id FROM deliveries
            WHERE edition_id IS NULL AND state IN ('queued', 'deferred') AND due_at IS NOT NULL AND due_at <= :now
        )
        AND state IN ('queued', 'deferred')  -- looked at once more when the row is locked: another may have been first
        ORDER BY id LIMIT :limit {lock}
    )
    SELECT d.id, d.mail, d.queued_at, d.attempts, d.subscription_id, d.address, d.notice_id,
           s.newsletter, s.language, s.state AS standing, s.requested_at, r.address AS reader, x.kind AS suppression
    FROM due AS d
    LEFT JOIN subscriptions AS s ON s.id = d.subscription_id
    LEFT JOIN subscribers AS r ON r.id = s.subscriber_id
    LEFT JOIN suppressions AS x ON x.subscriber_id = s.subscriber_id
    ORDER BY d.id
    """,
    lock=_LOCK,
)
MARK = _both(
    "UPDATE deliveries SET state = 'sending', worker_id = :worker, attempts = attempts + 1 WHERE {among}",
    among=("id IN (SELECT value FROM json_each(:ids))", "id = ANY(CAST(:ids AS bigint[]))"),
)
SKIP = _both("UPDATE deliveries SET state = 'skipped', reply = :reason, settled_at = :now WHERE id = :id")
POSTPONE = _both("UPDATE deliveries SET due_at = :due WHERE id = :id")
_OUTCOMES = (
    "json_to_recordset(CAST(:outcomes AS json)) AS v(id bigint, state text, due bigint, untried smallint,"
    " settled bigint, code smallint, reply text)"
)
# A row without a reader is of somebody forgotten meanwhile: what the server said may name them.
_SETTLE_SQLITE = """
    UPDATE deliveries
    SET state = :state, due_at = :due, attempts = attempts - :untried, settled_at = :settled,
        code = :code, reply = CASE WHEN subscription_id IS NULL AND notice_id IS NULL THEN '' ELSE :reply END
    WHERE id = :id AND worker_id = :worker
      AND (state IN ('sending', 'uncertain') OR (state = 'queued' AND :state = 'sent'))
"""
_SETTLE_POSTGRESQL = f"""
    UPDATE deliveries AS d
    SET state = v.state, due_at = v.due, attempts = d.attempts - v.untried, settled_at = v.settled,
        code = v.code,
        reply = CASE WHEN d.subscription_id IS NULL AND d.notice_id IS NULL THEN '' ELSE v.reply END
    FROM {_OUTCOMES}
    WHERE d.id = v.id AND d.worker_id = :worker
      AND (d.state IN ('sending', 'uncertain') OR (d.state = 'queued' AND v.state = 'sent'))
"""
SETTLE = _both("{settle}", settle=(_SETTLE_SQLITE, _SETTLE_POSTGRESQL))
# A whole turn in one statement, for PostgreSQL, where each costs a round trip. It is a transaction by itself.
SWEEP = _named(
    f"""
    WITH settled AS ({_SETTLE_POSTGRESQL}),
    due AS MATERIALIZED (
        SELECT * FROM deliveries
        WHERE edition_id = :edition AND state = 'queued' AND due_at IS NULL AND id > :after
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    ),
    known AS MATERIALIZED (
        SELECT {_COLUMNS} {_READERS}
    ),
    marked AS (
        UPDATE deliveries AS d SET state = 'sending', worker_id = :worker, attempts = d.attempts + 1
        FROM known AS k
        WHERE d.id = k.id AND k.standing = 'confirmed' AND k.reader IS NOT NULL AND k.suppression IS NULL
          AND coalesce(k.paused_until, 0) <= :now
    )
    SELECT * FROM known ORDER BY id
    """
)
