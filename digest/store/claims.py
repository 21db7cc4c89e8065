"""Which deliveries go next: claimed a few at a time, in transactions that also record what came back.

The statements here run hundreds of times a second, so they are written out, once, for both databases. A claim walks
along an index by a cursor: on PostgreSQL the entries it has passed stay in the index until a vacuum, and a walk that
began at the front each time would pay for all of them at each claim.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.deliveries import WAITING, Delivery, DeliveryState, Mail
from digest.domain.subscribers import SubscriptionState
from digest.store.schema import deliveries, subscribers, subscriptions, suppressions

Turn = Callable[[str, bool], float]  # (recipient domain, had a turn before) -> seconds until it may go; 0: now


@dataclass(slots=True)
class Walk:
    """How far one worker's claims have come in each edition."""

    fresh: dict[int, int] = field(default_factory=dict)  # edition -> the last id
    later: dict[int, tuple[int, int]] = field(default_factory=dict)  # edition -> the last (due_at, id)
    ended: set[int] = field(default_factory=set)  # editions whose fresh ones seemed to be at an end

    def rewind(self) -> None:
        """Look from the start again where something may lie behind: called once a second, not at each claim."""
        self.later.clear()
        for edition_id in self.ended:
            self.fresh.pop(edition_id, None)
        self.ended.clear()


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim found. `editions` are those being sent now; `exhausted` those of which nothing more is due."""

    deliveries: list[Delivery]
    editions: frozenset[int]
    exhausted: tuple[int, ...]


def claim(tx: Connection, worker_id: int, walk: Walk, now: datetime, limit: int, turn: Turn | None = None) -> Claimed:
    """Mark up to `limit` due deliveries as `sending` and return them; those that may no longer go are skipped.

    The reader's standing is read here, at the last moment. What belongs to no edition goes first. With `turn` each
    recipient domain is asked whether it can take one more; what has to wait is postponed, and others go before it.
    """
    at = int(now.timestamp())
    work = [row[0] for row in _run(tx, _WORK, {"now": at})]
    sending = frozenset(work) - {0}
    claimed: list[Delivery] = []
    exhausted: list[int] = []
    if 0 in work and limit > 0:
        claimed += _claim_letters(tx, worker_id, now, limit)
    for edition_id in work:
        if edition_id and len(claimed) < limit:
            found, is_all = _claim_edition(tx, worker_id, walk, edition_id, at, limit - len(claimed), turn)
            claimed += found
            if is_all:
                exhausted.append(edition_id)
    return Claimed(claimed, sending, tuple(exhausted))


def _claim_edition(
    tx: Connection, worker_id: int, walk: Walk, edition_id: int, now: int, limit: int, turn: Turn | None
) -> tuple[list[Delivery], bool]:
    """Of one edition: those whose time has come again, then fresh ones, then postponed ones that may go early."""
    claimed: list[Delivery] = []
    looks: list[Callable[[int], Sequence[Any]]] = [
        lambda room: _later(tx, walk, edition_id, now, room),
        lambda room: _fresh(tx, walk, edition_id, room),
    ]
    for look in looks:
        while (room := limit - len(claimed)) > 0 and (rows := look(room)):
            claimed += _take(tx, worker_id, rows, now, room, turn)
    if (room := limit - len(claimed)) > 0:  # one look ahead is enough: most of what it sees has to wait
        rows = _run(tx, _POSTPONED, {"edition": edition_id, "now": now, "limit": 4 * room})
        claimed += _take(tx, worker_id, rows, now, room, turn or _at_once)
    return claimed, len(claimed) < limit


def _at_once(_domain: str, _again: bool) -> float:
    """The turn of every domain when none is limited any more."""
    return 0.0


def _later(tx: Connection, walk: Walk, edition_id: int, now: int, limit: int) -> Sequence[Any]:
    due, last = walk.later.get(edition_id, (0, 0))
    rows = _run(tx, _LATER, {"edition": edition_id, "now": now, "due": due, "after": last, "limit": limit})
    if rows:
        walk.later[edition_id] = (rows[-1].due_at, rows[-1].id)
    return rows


def _fresh(tx: Connection, walk: Walk, edition_id: int, limit: int) -> Sequence[Any]:
    rows = _run(tx, _FRESH, {"edition": edition_id, "after": walk.fresh.get(edition_id, 0), "limit": limit})
    if rows:
        walk.fresh[edition_id] = rows[-1].id
    else:
        walk.ended.add(edition_id)
    return rows


def _take(
    tx: Connection, worker_id: int, rows: Sequence[Any], now: int, room: int, turn: Turn | None
) -> list[Delivery]:
    going: list[Delivery] = []
    barred: list[dict[str, Any]] = []
    postponed: list[dict[str, Any]] = []
    for row in rows:
        if reason := _why_not(row):
            barred.append({"id": row.id, "reason": reason, "now": now})
        elif turn is None:
            going.append(_to_delivery(row))
        elif len(going) < room:
            wait = turn(row.reader.rpartition("@")[2], row.due_at is not None)
            if wait == 0.0:
                going.append(_to_delivery(row))
            elif row.due_at is None or row.due_at <= now:
                postponed.append({"id": row.id, "due": now + max(1, int(wait))})
    if going:
        _run(tx, _MARK, {"worker": worker_id, "ids": _ids(tx, [each.id for each in going])}, expect=len(going))
    for statement, values in ((_SKIP, barred), (_POSTPONE, postponed)):
        if values:
            tx.exec_driver_sql(statement[tx.dialect.name], values)
    return going


def _why_not(row: Any) -> str:
    if row.reader is None:
        return "the subscriber was forgotten"
    if row.suppressed:
        return "the address is suppressed"
    if row.standing == SubscriptionState.UNSUBSCRIBED:
        return "unsubscribed before it was sent"
    if row.mail == Mail.DIGEST and row.standing != SubscriptionState.CONFIRMED:
        return "no longer confirmed"
    return ""


def _to_delivery(row: Any) -> Delivery:
    return Delivery(
        row.id,
        Mail.DIGEST,
        row.edition_id,
        row.reader,
        datetime.fromtimestamp(row.queued_at, UTC),
        row.attempts + 1,
        row.subscription_id,
        row.newsletter,
        row.language,
        row.name,
        confirmed=True,
    )


# --- confirmations and notices: few, and always first ---------------------------------------------


def _claim_letters(tx: Connection, worker_id: int, now: datetime, limit: int) -> list[Delivery]:
    query = (
        sa.select(
            deliveries,
            subscriptions.c.newsletter,
            subscriptions.c.language,
            subscriptions.c.requested_at,
            subscriptions.c.state.label("standing"),
            subscribers.c.address.label("reader"),
            suppressions.c.address_hash.is_not(None).label("suppressed"),
        )
        .select_from(
            deliveries.outerjoin(subscriptions, subscriptions.c.id == deliveries.c.subscription_id)
            .outerjoin(subscribers)
            .outerjoin(suppressions, suppressions.c.subscriber_id == subscriptions.c.subscriber_id)
        )
        .where(
            deliveries.c.edition_id.is_(None),
            deliveries.c.state.in_(WAITING),
            sa.or_(deliveries.c.due_at.is_(None), deliveries.c.due_at <= now),
        )
        .order_by(deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    rows = tx.execute(query).all()
    going = [row for row in rows if row.mail == Mail.NOTICE or not _why_not(row)]
    barred = [row for row in rows if row not in going]
    for row in barred:
        values = {"state": DeliveryState.SKIPPED, "reply": _why_not(row), "settled_at": now}
        tx.execute(sa.update(deliveries).where(deliveries.c.id == row.id).values(values))
    if going:
        ids = [row.id for row in going]
        _run(tx, _MARK, {"worker": worker_id, "ids": _ids(tx, ids)}, expect=len(ids))
    return [_to_letter(row) for row in going]


def _to_letter(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        mail=Mail(row.mail),
        edition_id=0,
        address=row.reader or row.address,
        queued_at=row.queued_at,
        attempts=row.attempts + 1,
        subscription_id=row.subscription_id or 0,
        newsletter=row.newsletter or "",
        language=row.language or "",
        confirmed=row.standing == SubscriptionState.CONFIRMED,
        requested_at=row.requested_at,
        notice_id=row.notice_id or 0,
    )


# --- the statements -------------------------------------------------------------------------------


def _both(text: str, **by_dialect: tuple[str, str]) -> dict[str, str]:
    """One statement for SQLite and PostgreSQL; `name=(sqlite, postgresql)` fills in where they differ."""
    sqlite = text.format(**{name: pair[0] for name, pair in by_dialect.items()})
    postgresql = text.format(**{name: pair[1] for name, pair in by_dialect.items()})
    return {"sqlite": sqlite, "postgresql": re.sub(r"(?<!:):(\w+)", r"%(\1)s", postgresql)}


def _run(tx: Connection, statement: dict[str, str], values: dict[str, Any], expect: int | None = None) -> Sequence[Any]:
    result = tx.exec_driver_sql(statement[tx.dialect.name], values)
    if expect is not None:
        assert result.rowcount == expect, "a claimed delivery changed under its lock"
        return ()
    return result.fetchall()


def _ids(tx: Connection, ids: list[int]) -> Any:
    """A list of ids as each database takes it in one parameter."""
    return str(ids) if tx.dialect.name == "sqlite" else ids


# Editions being sent, and 0 when a confirmation or a notice waits.
_WORK = _both(
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
_CLAIM = """
    WITH due AS {materialized} (
        SELECT * FROM deliveries WHERE edition_id = :edition AND {which} LIMIT :limit {lock}
    )
    SELECT d.id, d.mail, d.edition_id, d.queued_at, d.due_at, d.attempts, d.subscription_id,
           s.newsletter, s.language, s.state AS standing, r.address AS reader, r.name,
           x.address_hash IS NOT NULL AS suppressed
    FROM due AS d
    LEFT JOIN subscriptions AS s ON s.id = d.subscription_id
    LEFT JOIN subscribers AS r ON r.id = s.subscriber_id
    LEFT JOIN suppressions AS x ON x.subscriber_id = s.subscriber_id
    ORDER BY {order}
"""
_MATERIALIZED = ("MATERIALIZED", "MATERIALIZED")


def _claiming(which: str, order: str, claim_order: str) -> dict[str, str]:
    return _both(
        _CLAIM,
        which=(f"{which} ORDER BY {claim_order}",) * 2,
        order=(order, order),
        lock=_LOCK,
        materialized=_MATERIALIZED,
    )


_FRESH = _claiming("state = 'queued' AND due_at IS NULL AND id > :after", "d.id", "id")
_LATER = _claiming(
    "state IN ('queued', 'deferred') AND due_at IS NOT NULL AND due_at <= :now AND (due_at, id) > (:due, :after)",
    "d.due_at, d.id",
    "due_at, id",
)
# Postponed for their domain's sake, not yet due: they may go as soon as the domain takes more.
_POSTPONED = _claiming(
    "state IN ('queued', 'deferred') AND due_at IS NOT NULL AND due_at > :now AND state = 'queued'",
    "d.due_at, d.id",
    "due_at, id",
)
_MARK = _both(
    "UPDATE deliveries SET state = 'sending', worker_id = :worker, attempts = attempts + 1 WHERE {among}",
    among=("id IN (SELECT value FROM json_each(:ids))", "id = ANY(:ids)"),
)
_SKIP = _both("UPDATE deliveries SET state = 'skipped', reply = :reason, settled_at = :now WHERE id = :id")
_POSTPONE = _both("UPDATE deliveries SET due_at = :due WHERE id = :id")
