"""What the two drivers raise when a database is away, said in our words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from digest.errors import StoreConflict, StoreUnavailable

# The database is away, busy or full: as SQLAlchemy says it, and as the drivers do to those that call them directly.
AWAY = (
    *(sa.exc.OperationalError, sa.exc.InterfaceError, sqlite3.OperationalError),
    *(psycopg.OperationalError, psycopg.InterfaceError),
)
_CONFLICTS = ("40001", "40P01")  # PostgreSQL: both wrote the same, or each waited for the other


@contextmanager
def told() -> Iterator[None]:
    """What the drivers raise when the database is away, in our words. Raises StoreUnavailable, StoreConflict."""
    try:
        yield
    except AWAY as error:
        if _is_our_mistake(error):
            raise
        kind = StoreConflict if getattr(_cause(error), "sqlstate", "") in _CONFLICTS else StoreUnavailable
        raise kind(" ".join(str(_cause(error)).split())[:300]) from error


def _cause(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error


def _is_our_mistake(error: BaseException) -> bool:
    """SQLite calls a statement it cannot read an operational error too; trying it again would help nobody."""
    return getattr(_cause(error), "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
