"""After a deletion: what the database keeps besides its rows is cleaned of what they held.

SQLite: `PRAGMA secure_delete` (engine.py) overwrites what is deleted in the file; the write-ahead log holds the pages
as they were until a checkpoint truncates it, and that has to wait for everybody who reads. PostgreSQL: dead rows stay
until a vacuum, and the planner's statistics quote values until the table is analysed anew.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import sqlalchemy as sa

from digest.store.engine import Store
from digest.store.schema import (
    bounces,
    deliveries,
    editions,
    events,
    notices,
    proofs,
    subscribers,
    subscriptions,
    suppression_log,
    suppressions,
)

_HELD_ADDRESSES = (
    *(subscribers, subscriptions, events, deliveries, bounces, suppressions, proofs),
    *(suppression_log, notices, editions),  # words that erasure takes out of them
)


def truncate_log(store: Store, patience: float) -> bool:
    """Empty SQLite's write-ahead log, waiting so many seconds for who reads; False: somebody still did."""
    if not store.is_sqlite or not store.url.database or store.url.database == ":memory:":
        return True
    with closing(sqlite3.connect(store.url.database, timeout=patience, isolation_level=None)) as connection:
        try:
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
    return not busy


def scrub(store: Store, patience: float = 20.0) -> bool:
    """Do all that can be done while others work; False: it has to be done again. Takes seconds on a large database."""
    if store.is_sqlite:
        return truncate_log(store, patience)
    names = ", ".join(table.name for table in _HELD_ADDRESSES)
    try:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Indexes hold addresses too, and PostgreSQL passes them by when few rows are dead.
            connection.execute(sa.text(f"VACUUM (ANALYZE, INDEX_CLEANUP ON) {names}"))
    except sa.exc.DBAPIError:
        return False
    return True


def rewrite(store: Store) -> None:
    """Write a SQLite file anew, without any trace of what was ever deleted from it."""
    if store.url.database and store.url.database != ":memory:":
        with closing(sqlite3.connect(store.url.database, timeout=60.0, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
