"""One engine for both databases."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from digest.store.drivers import told
from digest.store.locks import SenderLock, lock_advisory, lock_file

T = TypeVar("T")
Insert: TypeAlias = sqlite.Insert | postgresql.Insert
# SQLAlchemy's log at DEBUG shows every row it reads, whatever `hide_parameters` says.
logging.getLogger("sqlalchemy.engine.Engine").addFilter(lambda record: not str(record.msg).startswith("Row "))
_BUSY_SECONDS = 30
# A sender's statements are few and prepared once. Right after a million rows were queued PostgreSQL knows nothing of
# them yet, and a plan made then, or one made for any LIMIT, may read whole tables; these leave it only the indexes.
SENDER_PLANS = " ".join(
    f"-c {name}"
    for name in (
        "plan_cache_mode=force_generic_plan",
        "max_parallel_workers_per_gather=0",
        "enable_seqscan=off",
        "enable_bitmapscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
        "jit=off",
    )
)


class Store:
    """The database. `begin` opens a transaction that writes, `read` one that only looks.

    `for_sending` tunes it for a sender's small, frequent transactions (see `SENDER_PLANS`).
    """

    def __init__(self, url: str, *, for_sending: bool = False) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _make_private(self.url.database)
            self.engine = sa.create_engine(
                self.url,
                connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
                hide_parameters=True,  # a logged error must not show a reader's address
            )
            sa.event.listen(self.engine, "connect", _tune_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = sa.create_engine(
                self.url,
                pool_pre_ping=not for_sending,  # a look before each transaction would double their number
                hide_parameters=True,
                connect_args={"options": SENDER_PLANS} if for_sending else {},
            )
        self._for_sending = for_sending
        self._kept: Connection | None = None  # a sender's: to fetch one from the pool costs as much as a statement
        self._writing = self.engine.execution_options(digest_writes=True)
        repeatable = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._frozen_view = self._writing.execution_options(**repeatable)

    @contextmanager
    def begin(self, *, snapshot: bool = False) -> Iterator[Connection]:
        """A writing transaction: committed at the end, rolled back on any error. Raises StoreUnavailable.

        With `snapshot` all its statements see the same moment, so that counts agree (SQLite always does so);
        it raises StoreConflict when another transaction got in its way.
        """
        engine = self._frozen_view if snapshot else self._writing
        with told(), self._keeping() if self._for_sending else engine.begin() as tx:
            yield tx

    @contextmanager
    def _keeping(self) -> Iterator[Connection]:
        """A transaction on the one connection that is kept; after any error there is a new one."""
        if self._kept is None:
            self._kept = self._writing.connect()
        try:
            with self._kept.begin():
                yield self._kept
        except BaseException:
            broken, self._kept = self._kept, None
            broken.invalidate()
            broken.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for looking only. Raises StoreUnavailable."""
        with told(), self.engine.connect() as tx:
            yield tx

    def close(self) -> None:
        """Let go of every connection."""
        if self._kept is not None:
            self._kept.close()
        self.engine.dispose()

    def sibling(self) -> Store:
        """The same database, tuned for a sender."""
        return Store(self.url.render_as_string(hide_password=False), for_sending=True)

    def lock_sending(self) -> SenderLock | None:
        """With SQLite one installation sends at a time: its lock, or None when another holds it."""
        return lock_file(f"{self.url.database}.sender")

    def lock_sender(self, worker_id: int) -> SenderLock | None:
        """Claim to be the worker `worker_id` for as long as this process lives, or None when another is.

        The lock is the operating system's or PostgreSQL's: it ends with the process, however it ends.
        """
        if self.is_sqlite:
            return lock_file(f"{self.url.database}.sender-{worker_id}")
        return lock_advisory(self.engine, worker_id)

    def is_sender_gone(self, worker_id: int) -> bool:
        """Whether the process that was that worker has ended: its lock is free."""
        lock = self.lock_sender(worker_id)
        if lock is None:
            return False
        lock.release()
        return True


@contextmanager
def together(tx: Connection) -> Iterator[None]:
    """Let the driver's own statements inside go out without waiting for each answer, where the database can do so.

    PostgreSQL answers them all in one round trip; only what is fetched is waited for. Row counts are not known inside.
    """
    if tx.dialect.name == "sqlite":
        yield
        return
    driver: Any = tx.connection.driver_connection
    with driver.pipeline():
        yield


@contextmanager
def tentatively(tx: Connection, *, keep: bool) -> Iterator[None]:
    """Do what is inside, and take it back unless it is to be kept: to whoever waits, both take the same time."""
    with tx.begin_nested() as step:
        yield
        if not keep:
            step.rollback()


@contextmanager
def apart(tx: Connection) -> Iterator[None]:
    """One step of several: when it fails, it alone is taken back. Raises StoreUnavailable, StoreConflict."""
    with told(), tx.begin_nested():
        yield


def insert(tx: Connection, table: sa.Table) -> Insert:
    """An INSERT that knows ON CONFLICT, in the words of the database at hand."""
    return insert_for(tx.dialect.name, table)


def insert_for(dialect: str, table: sa.Table) -> Insert:
    """The same by the database's name, for what is built once."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def chunks(items: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """The items in lists of at most `size`: databases limit how many values one statement may carry."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _make_private(file: str | None) -> None:
    """A database that is made now is its owner's alone, as are the files SQLite puts beside it: readers are in it."""
    if file and file != ":memory:" and not Path(file).exists():
        with suppress(OSError):  # SQLite itself will say what is wrong with the place
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


def _tune_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by us, see below
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL: what is committed survives a power cut. A row that says `sending` must not be forgotten.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: a forgotten reader leaves no trace
    cursor.execute("PRAGMA cache_size = -2048")  # kB, for each connection: rows are met in order, a list may be long
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail when another wrote in between.
    writes = connection.get_execution_options().get("digest_writes")
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
