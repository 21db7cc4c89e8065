"""Who sends now, and what the desk was told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.store.schema import notices, workers


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that sends, or did."""

    id: int
    host: str
    pid: int
    heartbeat_at: datetime
    rate: float  # messages a second, lately


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the desk was told."""

    id: int
    at: datetime
    edition_id: int
    subject: str
    text: str


def register(tx: Connection, host: str, pid: int, now: datetime) -> int:
    """A new worker's id."""
    values = {"host": host, "pid": pid, "started_at": now, "heartbeat_at": now}
    return int(tx.execute(sa.insert(workers).values(values).returning(workers.c.id)).scalar_one())


def beat(tx: Connection, worker_id: int, now: datetime, rate: float = 0.0) -> None:
    """The worker is alive, also if another took it for dead before it had its lock. `rate`: messages a second."""
    values = {"heartbeat_at": now, "stopped_at": None, "rate": rate}
    tx.execute(sa.update(workers).where(workers.c.id == worker_id).values(values))


def stop(tx: Connection, worker_id: int, now: datetime) -> None:
    """The worker has stopped and left nothing behind, or was found dead."""
    tx.execute(sa.update(workers).where(workers.c.id == worker_id).values(stopped_at=now))


def not_stopped(tx: Connection) -> list[Worker]:
    """Workers that run, or died without a word."""
    query = sa.select(workers.c.id, workers.c.host, workers.c.pid, workers.c.heartbeat_at, workers.c.rate)
    return [Worker(*row) for row in tx.execute(query.where(workers.c.stopped_at.is_(None)).order_by(workers.c.id))]


def first_start(tx: Connection) -> datetime | None:
    """When something sent for the first time."""
    first: datetime | None = tx.execute(sa.select(sa.func.min(workers.c.started_at))).scalar_one()
    return first


def add_notice(tx: Connection, edition_id: int | None, subject: str, text: str, now: datetime) -> int:
    """Keep what the desk is told; returns the notice's id."""
    values = {"at": now, "edition_id": edition_id, "subject": subject, "text": text}
    return int(tx.execute(sa.insert(notices).values(values).returning(notices.c.id)).scalar_one())


def notice(tx: Connection, notice_id: int) -> Notice:
    """One notice."""
    row = tx.execute(sa.select(notices).where(notices.c.id == notice_id)).one()
    return Notice(row.id, row.at, row.edition_id or 0, row.subject, row.text)


def notices_of(tx: Connection, edition_id: int) -> list[Notice]:
    """What the desk was told about an edition, oldest first."""
    query = sa.select(notices).where(notices.c.edition_id == edition_id).order_by(notices.c.id)
    return [Notice(row.id, row.at, row.edition_id or 0, row.subject, row.text) for row in tx.execute(query)]
