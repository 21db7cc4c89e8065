"""The locks that say who is sending; each ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.store.drivers import AWAY, told

_CLASS = 0x446967  # of our advisory locks in PostgreSQL: "Dig"


class SenderLock:
    """Held while a worker sends; `release` it when done."""

    def __init__(
        self, *, fd: int = -1, path: str = "", connection: Connection | None = None, worker_id: int = 0
    ) -> None:
        self._fd = fd
        self._path = path
        self._connection = connection
        self._worker_id = worker_id

    def is_held(self) -> bool:
        """Whether the lock still stands; PostgreSQL drops it with the connection."""
        if self._connection is None:
            return True
        try:
            self._connection.scalar(sa.select(1))
        except (*AWAY, sa.exc.DBAPIError):
            return False
        return True

    def release(self) -> None:
        """Let another take it."""
        if self._connection is None:
            with suppress(OSError):
                if self._path.rpartition("-")[2].isdecimal():  # a worker's own: its number never comes again
                    Path(self._path).unlink()
            os.close(self._fd)
            return
        with suppress(*AWAY, sa.exc.DBAPIError):  # the server is gone, and the lock with it
            self._connection.scalar(sa.select(sa.func.pg_advisory_unlock(_CLASS, self._worker_id)))
        with suppress(*AWAY, sa.exc.DBAPIError):
            self._connection.close()


def lock_file(path: str) -> SenderLock | None:
    """The operating system's lock on a file beside the database, or None when another has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino != Path(path).stat().st_ino:  # removed by its holder in between: it is no lock any more
            raise FileNotFoundError(path)
    except OSError:
        os.close(fd)
        return None
    return SenderLock(fd=fd, path=path)


def lock_advisory(engine: sa.Engine, worker_id: int) -> SenderLock | None:
    """The database's lock of that number, or None when another has it. Raises StoreUnavailable."""
    with told():
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            got = connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_CLASS, worker_id)))
        except BaseException:
            connection.close()
            raise
    if not got:
        connection.close()
        return None
    return SenderLock(connection=connection, worker_id=worker_id)
