"""Addresses and domains that get no mail, and the log of who said so and who let them go again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.suppressions import Suppression, SuppressionKind
from digest.store.engine import insert
from digest.store.schema import suppressed_domains, suppression_log, suppressions


def suppress(tx: Connection, suppression: Suppression) -> bool:
    """Never mail this address again; False when it was suppressed already, for whatever reason."""
    statement = insert(tx, suppressions).values(
        address_hash=suppression.address_hash,
        kind=suppression.kind,
        reason=suppression.reason,
        by=suppression.by,
        domain=suppression.domain,
        at=suppression.at,
        subscriber_id=suppression.subscriber_id,
    )
    new = tx.execute(statement.on_conflict_do_nothing(index_elements=["address_hash"])).rowcount == 1
    if new:
        _log(tx, suppression, lifted=False)
    return new


def of(tx: Connection, address_hash: str) -> Suppression | None:
    """The suppression of an address, or None when it is not suppressed."""
    row = tx.execute(sa.select(suppressions).where(suppressions.c.address_hash == address_hash)).one_or_none()
    return _to_suppression(row) if row else None


def lift(tx: Connection, suppression: Suppression) -> bool:
    """Let an address go; `reason`, `by` and `at` are of the lifting. False when it was not suppressed."""
    statement = sa.delete(suppressions).where(suppressions.c.address_hash == suppression.address_hash)
    gone = tx.execute(statement).rowcount == 1
    if gone:
        _log(tx, suppression, lifted=True)
    return gone


def link(tx: Connection, address_hash: str, subscriber_id: int) -> Suppression | None:
    """Let a suppression older than its subscriber hold for the subscriber; returns it, if there is one."""
    statement = sa.update(suppressions).where(suppressions.c.address_hash == address_hash)
    tx.execute(statement.values(subscriber_id=subscriber_id))
    return of(tx, address_hash)


def is_domain_suppressed(tx: Connection, domain: str) -> bool:
    """Whether nothing goes to a domain, in lower-case A-labels."""
    query = sa.select(suppressed_domains.c.domain).where(suppressed_domains.c.domain == domain)
    return tx.execute(query).first() is not None


def _log(tx: Connection, suppression: Suppression, *, lifted: bool) -> None:
    tx.execute(
        sa.insert(suppression_log).values(
            at=suppression.at,
            subject=suppression.address_hash,
            lifted=lifted,
            kind=suppression.kind,
            reason=suppression.reason,
            by=suppression.by,
        )
    )


def _to_suppression(row: Row[Any]) -> Suppression:
    return Suppression(
        address_hash=row.address_hash,
        kind=SuppressionKind(row.kind),
        reason=row.reason,
        at=row.at,
        by=row.by,
        domain=row.domain,
        subscriber_id=row.subscriber_id,
    )
