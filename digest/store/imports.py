"""Imports: how far each has come, what is known of a batch of addresses, and a batch written in one go.

A list may have a million rows, so these statements go straight to the driver, and PostgreSQL gets its rows by COPY.
Ids are taken beforehand: no row has to be found again that was just written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.arrivals import Held, Stand
from digest.domain.deliveries import Mail
from digest.domain.intake_rows import KeptOut, Noted, Placed, Writes
from digest.domain.subscribers import EventKind, Evidence, SubscriptionState
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.errors import StoreConflict
from digest.store import deliveries
from digest.store.bulk import fill, text
from digest.store.schema import imports, suppressed_domains, suppression_log, wordings
from digest.store.statements import both, run, run_many

_CACHE = 65_536  # kB of SQLite's pages: readers come in any order, so its indexes are written all over


@dataclass(frozen=True, slots=True)
class Import:
    """One file being brought in: `position` rows are done, and `counts` is what came of them."""

    id: int
    file_name: str
    consent: str
    position: int
    counts: dict[str, Any]
    started_at: datetime
    finished_at: datetime | None


def latest(tx: Connection, file_hash: str, newsletter: str, plan: dict[str, Any]) -> Import | None:
    """The last import of this very file, read in this very way."""
    query = sa.select(imports).where(imports.c.file_hash == file_hash, imports.c.newsletter == newsletter)
    for row in tx.execute(query.order_by(imports.c.id.desc())):
        if row.plan == json.loads(json.dumps(plan)):
            known = (row.id, row.file_name, row.consent, row.position, dict(row.counts))
            return Import(*known, row.started_at, row.finished_at)
    return None


def begin(
    tx: Connection, file_hash: str, file_name: str, newsletter: str, consent: str, plan: dict[str, Any], now: datetime
) -> Import:
    """A new import that has not read a row yet."""
    values = {"file_hash": file_hash, "file_name": file_name, "newsletter": newsletter, "consent": consent}
    more = {"plan": plan, "position": 0, "counts": {}, "started_at": now}
    number = tx.execute(sa.insert(imports).values(**values, **more).returning(imports.c.id)).scalar_one()
    return Import(int(number), file_name, consent, 0, {}, now, None)


def advance(
    tx: Connection, one: Import, position: int, counts: dict[str, Any], finished_at: datetime | None
) -> Import | None:
    """Move an import on, in the transaction that writes its rows; None when another process has moved it."""
    statement = sa.update(imports).where(
        imports.c.id == one.id, imports.c.position == one.position, imports.c.finished_at.is_(None)
    )
    moved = tx.execute(statement.values(position=position, counts=counts, finished_at=finished_at)).rowcount
    if moved != 1:
        return None
    return Import(one.id, one.file_name, one.consent, position, counts, one.started_at, finished_at)


def tune(tx: Connection) -> None:
    """Make this transaction's connection fit for many rows in any order."""
    if tx.dialect.name == "sqlite":
        run(tx, {"sqlite": f"PRAGMA cache_size = -{_CACHE}"}, ())
        return
    for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):  # the tables have grown since they were seen
        run(tx, {"postgresql": f"SET LOCAL {name} = off"}, None)


_HELD = both(
    """
    SELECT r.address_key, r.id, s.id, s.newsletter, s.state, s.confirmed_at, s.unsubscribed_at
    FROM {keys} JOIN subscribers AS r ON r.address_key = k.value LEFT JOIN subscriptions AS s ON s.subscriber_id = r.id
    """,
    keys=("json_each(:keys) AS k CROSS", "unnest(CAST(:keys AS text[])) AS k(value)"),
)
_SUPPRESSED = both(
    "SELECT x.address_hash, x.kind FROM {keys} JOIN suppressions AS x ON x.address_hash = k.value",
    keys=("json_each(:keys) AS k CROSS", "unnest(CAST(:keys AS text[])) AS k(value)"),
)


_IDS = both("SELECT nextval(CAST(:sequence AS regclass)) FROM generate_series(1, :n)")


def held(tx: Connection, keys: Sequence[str]) -> dict[str, Held]:
    """Readers we have among these address keys, with all their subscriptions."""
    found: dict[str, Held] = {}
    for key, number, place, newsletter, state, confirmed_at, left_at in run(tx, _HELD, _keys(tx, keys)).fetchall():
        one = found.setdefault(key, Held(number))
        if place is not None:
            one.subscriptions[newsletter] = Stand(place, state, _moment(confirmed_at), left_at is not None)
    return found


def suppressed(tx: Connection, hashes: Sequence[str]) -> dict[str, SuppressionKind]:
    """Which of these addresses get no mail, and why."""
    return {address: SuppressionKind(kind) for address, kind in run(tx, _SUPPRESSED, _keys(tx, hashes)).fetchall()}


def suppressed_domains_among(tx: Connection, domains: Iterable[str]) -> frozenset[str]:
    """Which of these domains get no mail."""
    if tx.execute(sa.select(suppressed_domains.c.domain).limit(1)).first() is None:
        return frozenset()
    query = sa.select(suppressed_domains.c.domain).where(suppressed_domains.c.domain.in_(list(domains)))
    return frozenset(tx.scalars(query))


def _keys(tx: Connection, keys: Sequence[str]) -> dict[str, Any]:
    return {"keys": json.dumps(keys) if tx.dialect.name == "sqlite" else list(keys)}


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def ids(tx: Connection, table: str, at_most: int) -> Callable[[], int]:
    """Gives ids for new rows of a table, one at a call; nobody else gets them."""
    if tx.dialect.name == "sqlite":  # nobody else writes before this transaction ends
        known = run(tx, {"sqlite": "SELECT seq FROM sqlite_sequence WHERE name = :name"}, {"name": table}).fetchone()
        return partial(next, count(known[0] + 1 if known else 1))
    taken: Iterator[int] = (row[0] for row in run(tx, _IDS, {"sequence": f"{table}_id_seq", "n": at_most}).fetchall())
    return partial(next, taken)


def write(
    tx: Connection, writes: Writes, evidence: Evidence, reasons: dict[SuppressionKind, str], now: datetime
) -> None:
    """Everything a batch comes to. Raises StoreConflict when another transaction got in its way: do the batch again."""
    try:
        at = text(tx, now)
        rows = ((one.id, one.address, one.key, one.variant, one.name, at) for one in writes.readers)
        fill(tx, "subscribers", ("id", "address", "address_key", "variant_key", "name", "created_at"), rows)
        fill(tx, "subscriptions", _PLACED, (_placed(tx, one) for one in writes.placed))
        for statement, changed in ((_AGAIN, _staying(writes)), (_LEAVE, _leaving(writes))):
            _change(tx, statement, changed)
        letters = [_ask(tx, one, now) if one.asks else None for one in writes.noted]
        notes = zip(writes.noted, letters, strict=True)
        known = _wordings_among(tx, writes.noted)
        fill(tx, "events", _NOTED, ((*_noted(tx, one, letter, evidence, known), at) for one, letter in notes))
        _keep_out(tx, list(writes.kept_out.values()), evidence, reasons, now)
    except psycopg.errors.IntegrityError as error:
        raise StoreConflict("somebody signed up at this very moment") from error


_PLACED = (
    *("id", "subscriber_id", "newsletter", "state", "language", "requested_at", "confirmed_at", "unsubscribed_at"),
    *("paused_until", "rhythm"),
)
_NOTED = (
    *("at", "subscriber_id", "newsletter", "kind", "way", "address_as_typed", "language", "form", "ip", "delivery_id"),
    *("wording_id", "written_at"),
)
_AGAIN = both(
    """
    UPDATE subscriptions
    SET state = :state, language = :language, requested_at = :requested_at, confirmed_at = :confirmed_at,
        unsubscribed_at = NULL, reminded_at = NULL, paused_until = :paused_until, rhythm = :rhythm
    WHERE id = :id AND state = :was
    """
)
_LEAVE = both(
    """
    UPDATE subscriptions SET state = 'unsubscribed', unsubscribed_at = :unsubscribed_at
    WHERE id = :id AND state = :was
    """
)


def _staying(writes: Writes) -> list[Placed]:
    return [one for one in writes.changed if one.state != SubscriptionState.UNSUBSCRIBED]


def _leaving(writes: Writes) -> list[Placed]:
    return [one for one in writes.changed if one.state == SubscriptionState.UNSUBSCRIBED]


def _change(tx: Connection, statement: dict[str, str], changed: list[Placed]) -> None:
    if not changed:
        return
    columns = (*_PLACED, "was")
    values = [dict(zip(columns, (*_placed(tx, one), one.was), strict=True)) for one in changed]
    if run_many(tx, statement, values) != len(changed):
        raise StoreConflict("somebody confirmed or left at this very moment")


def _placed(tx: Connection, one: Placed) -> tuple[Any, ...]:
    moments = (text(tx, one.requested_at), text(tx, one.confirmed_at), text(tx, one.unsubscribed_at))
    paused_until = int(one.paused_until.timestamp()) if one.paused_until else None
    return (*one[:5], *moments, paused_until, one.rhythm)


def _wordings_among(tx: Connection, noted: list[Noted]) -> frozenset[str]:
    """Which of the words that consents came with are here; a batch has few."""
    wanted = {one.carried.wording_id for one in noted if one.carried and one.carried.wording_id}
    if not wanted:
        return frozenset()
    return frozenset(tx.scalars(sa.select(wordings.c.id).where(wordings.c.id.in_(wanted))))


def _noted(
    tx: Connection, one: Noted, letter: int | None, evidence: Evidence, known: frozenset[str]
) -> tuple[Any, ...]:
    at, subscriber_id, newsletter, kind, typed, language, ip, _, carried = one
    way, form, wording_id = evidence.way, evidence.form, None
    if carried:
        way, form, wording_id = carried
        if wording_id and wording_id not in known:  # their text is elsewhere; the hash still proves it
            form, wording_id = f"{form} (words agreed to: SHA-256 {wording_id})".strip(), None
    said = (kind.value, way.value, typed, language, form, ip)
    return (text(tx, at), subscriber_id, newsletter, *said, letter, wording_id or None)


def _ask(tx: Connection, one: Noted, now: datetime) -> int:
    assert one.kind is EventKind.REQUESTED
    return deliveries.queue_letter(tx, Mail.CONFIRMATION, one.asks, now)


_SUPPRESS = both(
    """
    INSERT INTO suppressions (address_hash, kind, reason, "by", domain, at, subscriber_id)
    VALUES (:address_hash, :kind, :reason, :by, '', :at, :subscriber_id)
    ON CONFLICT (address_hash) DO UPDATE
    SET kind = excluded.kind, reason = excluded.reason, "by" = excluded."by", domain = '', at = excluded.at,
        subscriber_id = coalesce(excluded.subscriber_id, suppressions.subscriber_id)
    WHERE :replaces = 1
    """
)


def _keep_out(
    tx: Connection, kept: list[KeptOut], evidence: Evidence, reasons: dict[SuppressionKind, str], now: datetime
) -> None:
    if not kept:
        return
    made = [
        Suppression(one.address_hash, one.kind, reasons[one.kind], now, "an import", "", one.subscriber_id)
        for one in kept
    ]
    values = [
        {
            "address_hash": one.address_hash,
            "kind": one.kind.value,
            "reason": one.reason,
            "by": one.by,
            "at": text(tx, now),
            "subscriber_id": one.subscriber_id,
            "replaces": int(each.replaces),
        }
        for one, each in zip(made, kept, strict=True)
    ]
    run_many(tx, _SUPPRESS, values)
    log = [
        {"at": now, "subject": one.address_hash, "lifted": False, "kind": one.kind, "reason": one.reason, "by": one.by}
        for one in made
    ]
    tx.execute(sa.insert(suppression_log), log)
