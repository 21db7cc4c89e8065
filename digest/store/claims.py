"""Which deliveries go next: claimed a few at a time, in transactions that also record what came back.

A claim walks along an index by a cursor: on PostgreSQL the entries it has passed stay in the index until a vacuum, and
a walk that began at the front each time would pay for all of them at each claim.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from digest.domain.deliveries import Delivery, Mail
from digest.domain.standing import why_not
from digest.domain.subscribers import SubscriptionState
from digest.store.statements import (
    FRESH,
    LATER,
    LETTERS,
    MARK,
    POSTPONE,
    POSTPONED,
    SKIP,
    WORK,
    Letter,
    Row,
    rows_of,
    run,
    run_many,
)

MOST_LOOKED_AT = 400  # rows in one turn
_CONFIRMED = SubscriptionState.CONFIRMED
LOOK_EVERY = 0.2  # seconds between looks at which editions are being sent, and at what is due again
Turn = Callable[[str, bool], float]  # (recipient domain, had a turn before) -> seconds until it may go; 0: now


@dataclass(slots=True)
class Walk:
    """How far one worker's claims have come in each edition."""

    work: list[int] = field(default_factory=list)  # editions being sent, and 0 for confirmations and notices
    looked_at: float = -1.0  # when `work` was read, on the monotonic clock
    later_at: dict[int, float] = field(default_factory=dict)  # edition -> when nothing of it was due again
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
    work = _work(tx, walk, at)
    sending = frozenset(work) - {0}
    claimed: list[Delivery] = []
    exhausted: list[int] = []
    if 0 in work and limit > 0:
        claimed += _claim_letters(tx, worker_id, at, limit)
    for edition_id in work:
        if edition_id and len(claimed) < limit:
            found, is_all = _claim_edition(tx, worker_id, walk, edition_id, at, limit - len(claimed), turn)
            claimed += found
            if is_all:
                exhausted.append(edition_id)
    return Claimed(claimed, sending, tuple(exhausted))


def is_steady(walk: Walk) -> bool:
    """Whether the next claim takes fresh ones of the only edition being sent, and need not look at anything else."""
    now = time.monotonic()
    return (
        len(walk.work) == 1
        and walk.work[0] != 0
        and now - walk.looked_at < LOOK_EVERY
        and now - walk.later_at.get(walk.work[0], -1.0) < LOOK_EVERY
        and walk.work[0] not in walk.ended
    )


def swept(walk: Walk, edition_id: int, rows: Sequence[Sequence[Any]], limit: int, now: datetime) -> Claimed:
    """What a sweep found. Readers who may not go are passed by: a later claim looks at them closely and says why."""
    found = [Row._make(row) for row in rows]
    if found:
        walk.fresh[edition_id] = found[-1].id
    at = int(now.timestamp())
    going = [_to_delivery(row) for row in found if not _why_not(row, at)]
    if len(going) < limit:
        walk.ended.add(edition_id)
    return Claimed(going, frozenset({edition_id}), ())


def _work(tx: Connection, walk: Walk, now: int) -> list[int]:
    """What there is to send, read anew five times a second: soon enough for a pause, and for a confirmation."""
    if time.monotonic() - walk.looked_at >= LOOK_EVERY:
        walk.work = [row[0] for row in run(tx, WORK, {"now": now})]
        walk.looked_at = time.monotonic()
    return walk.work


def _claim_edition(
    tx: Connection, worker_id: int, walk: Walk, edition_id: int, now: int, limit: int, turn: Turn | None
) -> tuple[list[Delivery], bool]:
    """Of one edition: those whose time has come again, then fresh ones, then postponed ones that may go early."""
    claimed: list[Delivery] = []
    looked_at = 0
    looks: list[Callable[[int], Sequence[Row]]] = [
        lambda room: _later(tx, walk, edition_id, now, room),
        lambda room: _fresh(tx, walk, edition_id, room),
    ]
    for look in looks:
        while (room := limit - len(claimed)) > 0 and (rows := look(room)):
            claimed += _take(tx, worker_id, rows, now, room, turn)
            looked_at += len(rows)
            if looked_at > MOST_LOOKED_AT:
                return claimed, False  # a limited domain's are postponed a few at a time: others wait for this turn
    if (room := limit - len(claimed)) > 0:  # one look ahead is enough: most of what it sees has to wait
        rows = rows_of(tx, POSTPONED, {"edition": edition_id, "now": now, "limit": 4 * room})
        claimed += _take(tx, worker_id, rows, now, room, turn or _at_once)
    return claimed, len(claimed) < limit


def _at_once(_domain: str, _again: bool) -> float:
    """The turn of every domain when none is limited any more."""
    return 0.0


def _later(tx: Connection, walk: Walk, edition_id: int, now: int, limit: int) -> Sequence[Row]:
    if time.monotonic() - walk.later_at.get(edition_id, -1.0) < LOOK_EVERY:
        return ()
    due, last = walk.later.get(edition_id, (0, 0))
    rows = rows_of(tx, LATER, {"edition": edition_id, "now": now, "due": due, "after": last, "limit": limit})
    if rows:
        walk.later[edition_id] = (rows[-1].due_at or 0, rows[-1].id)
    else:
        walk.later_at[edition_id] = time.monotonic()
    return rows


def _fresh(tx: Connection, walk: Walk, edition_id: int, limit: int) -> Sequence[Row]:
    rows = rows_of(tx, FRESH, {"edition": edition_id, "after": walk.fresh.get(edition_id, 0), "limit": limit})
    if rows:
        walk.fresh[edition_id] = rows[-1].id
    else:
        walk.ended.add(edition_id)
    return rows


def _take(
    tx: Connection, worker_id: int, rows: Sequence[Row], now: int, room: int, turn: Turn | None
) -> list[Delivery]:
    going: list[Delivery] = []
    barred: list[dict[str, Any]] = []
    postponed: list[dict[str, Any]] = []
    for row in rows:
        if reason := _why_not(row, now):
            barred.append({"id": row.id, "reason": reason, "now": now})
        elif turn is None:
            going.append(_to_delivery(row))
        elif len(going) < room:
            wait = turn(str(row.reader).rpartition("@")[2], row.due_at is not None)
            if wait == 0.0:
                going.append(_to_delivery(row))
            elif row.due_at is None or row.due_at <= now:
                postponed.append({"id": row.id, "due": now + max(1, int(wait))})
    if going:
        _mark(tx, worker_id, [each.id for each in going])
    for statement, values in ((SKIP, barred), (POSTPONE, postponed)):
        if values:
            run_many(tx, statement, values)
    return going


def _mark(tx: Connection, worker_id: int, ids: list[int]) -> None:
    # A list in one parameter, as each reads it; the driver would look at every number.
    given = str(ids) if tx.dialect.name == "sqlite" else "{" + str(ids)[1:-1] + "}"
    run(tx, MARK, {"worker": worker_id, "ids": given})


def _why_not(row: Row, now: int) -> str:
    if row.standing == _CONFIRMED and row.reader is not None and row.suppression is None and not row.paused_until:
        return ""  # nearly everybody
    return why_not(
        Mail.DIGEST,
        is_known=row.reader is not None,
        state=row.standing,
        suppression=row.suppression,
        is_paused=(row.paused_until or 0) > now,
    )


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


def _claim_letters(tx: Connection, worker_id: int, now: int, limit: int) -> list[Delivery]:
    rows = [Letter._make(row) for row in run(tx, LETTERS, {"now": now, "limit": limit}).fetchall()]
    barred = {row.id: reason for row in rows if row.mail != Mail.NOTICE and (reason := _why_no_letter(row))}
    if barred:
        run_many(tx, SKIP, [{"id": id_, "reason": reason, "now": now} for id_, reason in barred.items()])
    going = [row for row in rows if row.id not in barred]
    if going:
        _mark(tx, worker_id, [row.id for row in going])
    return [_to_letter(row) for row in going]


def _why_no_letter(row: Letter) -> str:
    is_known = row.reader is not None
    return why_not(row.mail, is_known=is_known, state=row.standing, suppression=row.suppression)


def _to_letter(row: Letter) -> Delivery:
    requested_at = row.requested_at
    if isinstance(requested_at, str):  # SQLite keeps times as text in UTC
        requested_at = datetime.fromisoformat(requested_at).replace(tzinfo=UTC)
    return Delivery(
        id=row.id,
        mail=Mail(row.mail),
        edition_id=0,
        address=row.reader or row.address or "",
        queued_at=datetime.fromtimestamp(row.queued_at, UTC),
        attempts=row.attempts + 1,
        subscription_id=row.subscription_id or 0,
        newsletter=row.newsletter or "",
        language=row.language or "",
        confirmed=row.standing == SubscriptionState.CONFIRMED,
        requested_at=requested_at,
        notice_id=row.notice_id or 0,
    )
