"""What each mail server was given lately, and which recipient domains go slowly: shared by all workers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.pace import Caps
from digest.store.engine import insert
from digest.store.schema import slowdowns, usage

_KEPT = 2 * 24 * 60  # minutes
_FORGOTTEN_AFTER = timedelta(hours=2)  # a slowdown nobody has renewed
_LOCK = 0x55736167  # "Usag": one worker at a time reads and adds


def lock(tx: Connection) -> None:
    """Until this transaction ends no other worker reads or adds: to be called before either."""
    if tx.dialect.name != "sqlite":  # there a writing transaction is alone anyway
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def left(tx: Connection, server: str, caps: Caps, now: datetime) -> int | None:
    """How many more messages the server may be given now; None: no limit."""
    minute = _minute(now)
    # The minute in which an hour begins counts whole, so that no hour ever holds more than its cap.
    this_hour = sa.func.coalesce(sa.func.sum(usage.c.messages).filter(usage.c.minute >= minute - 60), 0)
    this_day = sa.func.coalesce(sa.func.sum(usage.c.messages).filter(usage.c.minute >= minute - 24 * 60), 0)
    query = sa.select(this_hour, this_day, sa.func.min(usage.c.minute)).where(
        usage.c.server == server, usage.c.minute <= minute
    )
    hour, day, first = tx.execute(query).one()
    return caps.left(hour, day, _day(first) if first is not None else None, now.date())


def add(tx: Connection, server: str, messages: int, now: datetime) -> None:
    """Count messages the server is given; a negative number for those that were given back untried."""
    statement = insert(tx, usage).values(server=server, minute=_minute(now), messages=messages)
    grown = {"messages": usage.c.messages + messages}
    tx.execute(statement.on_conflict_do_update(index_elements=["server", "minute"], set_=grown))


def forget_old(tx: Connection, now: datetime) -> None:
    """Drop what no cap asks about any more. The first minute stays: a server's warm-up is counted from it."""
    older = usage.alias()
    first = sa.select(sa.func.min(older.c.minute)).where(older.c.server == usage.c.server).scalar_subquery()
    tx.execute(sa.delete(usage).where(usage.c.minute < _minute(now) - _KEPT, usage.c.minute > first))
    tx.execute(sa.delete(slowdowns).where(slowdowns.c.at < now - _FORGOTTEN_AFTER))


def slowed(tx: Connection) -> dict[str, float]:
    """The domains that go slowly now, in messages a second."""
    return {row.domain: row.rate for row in tx.execute(sa.select(slowdowns.c.domain, slowdowns.c.rate))}


def slow_down(tx: Connection, rates: Mapping[str, float], now: datetime) -> None:
    """Let all workers know of new rates; 0 ends a slowdown."""
    for domain, rate in rates.items():
        if not rate:
            tx.execute(sa.delete(slowdowns).where(slowdowns.c.domain == domain))
            continue
        statement = insert(tx, slowdowns).values(domain=domain, rate=rate, at=now)
        tx.execute(statement.on_conflict_do_update(index_elements=["domain"], set_={"rate": rate, "at": now}))


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // 60


def _day(minute: int) -> date:
    return datetime.fromtimestamp(minute * 60, UTC).date()
