"""Addresses and domains that get no mail, and the log of who said so and who let them go again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from digest.domain.suppressions import (
    TAKES_THE_PLACE_OF,
    SuppressedDomain,
    Suppression,
    SuppressionChange,
    SuppressionKind,
)
from digest.store.engine import insert
from digest.store.schema import subscribers, suppressed_domains, suppression_log, suppressions

_WITH_READERS = suppressions.outerjoin(subscribers, subscribers.c.id == suppressions.c.subscriber_id)


def suppress(tx: Connection, suppression: Suppression) -> bool:
    """Never mail this address again; False when it was suppressed already, and as firmly."""
    return bool(suppress_some(tx, [suppression]))


def of(tx: Connection, address_hash: str) -> Suppression | None:
    """The suppression of an address, or None when it is not suppressed."""
    row = tx.execute(_OF, {"hash": address_hash}).one_or_none()
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
    tx.execute(_LINK, {"hash": address_hash, "subscriber": subscriber_id})
    return of(tx, address_hash)


def is_domain_suppressed(tx: Connection, domain: str) -> bool:
    """Whether nothing goes to a domain, in lower-case A-labels."""
    return tx.execute(_OF_DOMAIN, {"domain": domain}).first() is not None


# Built once: everybody who signs up is looked up.
_OF = sa.select(suppressions).where(suppressions.c.address_hash == sa.bindparam("hash"))
_LINK = (
    sa.update(suppressions)
    .where(suppressions.c.address_hash == sa.bindparam("hash"))
    .values(subscriber_id=sa.bindparam("subscriber"))
)
_OF_DOMAIN = sa.select(suppressed_domains.c.domain).where(suppressed_domains.c.domain == sa.bindparam("domain"))


def hold_for_domain(tx: Connection, name: str, lifted: Suppression) -> None:
    """Whoever was let go for their own part stays suppressed with their domain, if that is."""
    if of := domain(tx, name):
        suppress(tx, replace(lifted, kind=SuppressionKind.DOMAIN, reason=of.reason, by=of.by, domain=of.domain))


# --- many at once ---------------------------------------------------------------------------------


def suppress_some(tx: Connection, several: Sequence[Suppression]) -> set[str]:
    """Suppress a few hundred addresses, each once; returns the hashes of those that were not suppressed already.

    What stands longer takes the place of what the reader could have lifted, and of a domain's, which goes again with
    the domain.
    """
    if not several:
        return set()
    statement = insert(tx, suppressions)
    known, new_one = suppressions.c, statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["address_hash"],
        set_={
            **{name: new_one[name] for name in ("kind", "reason", "by", "domain", "at")},
            "subscriber_id": sa.func.coalesce(new_one.subscriber_id, known.subscriber_id),
        },
        where=sa.or_(
            *(
                sa.and_(_is_one_of(new_one.kind, [kind]), _is_one_of(known.kind, others))
                for kind, others in TAKES_THE_PLACE_OF.items()
            )
        ),
    )
    new = set(tx.scalars(statement.returning(suppressions.c.address_hash), [_values(each) for each in several]))
    own = {each.address_hash: each for each in several if each.address_hash in new and not each.domain}
    if own:  # a domain's log has one line for all its readers
        tx.execute(sa.insert(suppression_log), [_line(each, lifted=False) for each in own.values()])
    return new


def _is_one_of(column: sa.ColumnElement[str], kinds: Collection[SuppressionKind]) -> sa.ColumnElement[bool]:
    # Written out: a statement that is run with many sets of values takes no list among them.
    return sa.or_(*(column == sa.literal_column(f"'{kind}'") for kind in sorted(kinds)))


def among(tx: Connection, address_hashes: Collection[str]) -> dict[str, Suppression]:
    """The suppressions of some addresses, by their hashes."""
    query = sa.select(suppressions).where(suppressions.c.address_hash.in_(address_hashes))
    return {row.address_hash: _to_suppression(row) for row in tx.execute(query)}


def link_some(tx: Connection, readers: Mapping[str, int]) -> None:
    """Let suppressions hold for the subscribers their addresses turned out to be of: hash -> subscriber id."""
    for address_hash, subscriber_id in readers.items():
        here = suppressions.c.address_hash == address_hash
        tx.execute(sa.update(suppressions).where(here).values(subscriber_id=subscriber_id))


def linked(tx: Connection, after: int, at_most: int = 500) -> list[tuple[int, str, str]]:
    """(subscriber id, address key, hash) of the next suppressions whose reader is known, in the order of the id."""
    query = (
        sa.select(subscribers.c.id, subscribers.c.address_key, suppressions.c.address_hash)
        .select_from(subscribers.join(suppressions, suppressions.c.subscriber_id == subscribers.c.id))
        .where(subscribers.c.id > after)
        .order_by(subscribers.c.id)
        .limit(at_most)
    )
    return [(row.id, row.address_key, row.address_hash) for row in tx.execute(query)]


def rehash(tx: Connection, before: str, after: str) -> None:
    """The same suppression under another hash; one that stands there already is the one that stays."""
    taken = sa.select(sa.literal(1)).where(suppressions.c.address_hash == after)
    if tx.execute(taken).first():
        tx.execute(sa.delete(suppressions).where(suppressions.c.address_hash == before))
    else:
        here = suppressions.c.address_hash == before
        tx.execute(sa.update(suppressions).where(here).values(address_hash=after))


def readers_after(tx: Connection, after: int, domain: str = "", at_most: int = 1000) -> list[tuple[int, str, datetime]]:
    """(id, address key, created at) of the next subscribers, of one domain if it is given."""
    columns = (subscribers.c.id, subscribers.c.address_key, subscribers.c.created_at)
    query = sa.select(*columns).where(subscribers.c.id > after).order_by(subscribers.c.id).limit(at_most)
    if domain:
        query = query.where(subscribers.c.address_key.endswith(f"@{domain}", autoescape=True))
    return [(row.id, row.address_key, row.created_at) for row in tx.execute(query)]


def ids_of(tx: Connection, address_keys: Collection[str]) -> dict[str, int]:
    """The subscribers among some addresses: key -> id."""
    query = sa.select(subscribers.c.address_key, subscribers.c.id).where(subscribers.c.address_key.in_(address_keys))
    return {row.address_key: row.id for row in tx.execute(query)}


# --- domains --------------------------------------------------------------------------------------


def suppress_domain(tx: Connection, suppressed: SuppressedDomain) -> bool:
    """Nothing goes to this domain; False when that was so already. Its readers are suppressed by `suppress_some`."""
    statement = insert(tx, suppressed_domains).values(
        domain=suppressed.domain, reason=suppressed.reason, by=suppressed.by, at=suppressed.at
    )
    statement = statement.on_conflict_do_nothing(index_elements=["domain"])
    new = tx.execute(statement.returning(suppressed_domains.c.domain)).first() is not None
    if new:
        _log_domain(tx, suppressed, lifted=False)
    return new


def lift_domain(tx: Connection, lifted: SuppressedDomain) -> int | None:
    """Let a domain go with all readers suppressed because of it; how many those were, None: it was not suppressed."""
    here = suppressed_domains.c.domain == lifted.domain
    if not tx.execute(sa.delete(suppressed_domains).where(here)).rowcount:
        return None
    _log_domain(tx, lifted, lifted=True)
    of_it = sa.and_(suppressions.c.domain == lifted.domain, suppressions.c.domain != "")
    return tx.execute(sa.delete(suppressions).where(of_it)).rowcount


def domain(tx: Connection, name: str) -> SuppressedDomain | None:
    """The suppression of a domain, if there is one."""
    row = tx.execute(sa.select(suppressed_domains).where(suppressed_domains.c.domain == name)).one_or_none()
    return SuppressedDomain(row.domain, row.reason, row.at, row.by) if row else None


def domains(tx: Connection) -> Iterator[SuppressedDomain]:
    """Every suppressed domain, in the order of the alphabet."""
    query = sa.select(suppressed_domains).order_by(suppressed_domains.c.domain)
    for row in tx.execute(query, execution_options={"yield_per": 1000}):
        yield SuppressedDomain(row.domain, row.reason, row.at, row.by)


# --- to look at -----------------------------------------------------------------------------------


def listed(tx: Connection, kind: str = "") -> Iterator[tuple[Suppression, str]]:
    """(suppression, the address where it is still known), oldest first, read as a stream: there may be millions."""
    query = (
        sa.select(suppressions, subscribers.c.address)
        .select_from(_WITH_READERS)
        .order_by(suppressions.c.at, suppressions.c.address_hash)
    )
    if kind:
        query = query.where(suppressions.c.kind == kind)
    for row in tx.execute(query, execution_options={"yield_per": 1000}):
        yield _to_suppression(row), row.address or ""


def changes(tx: Connection, subject: str) -> list[SuppressionChange]:
    """What was ever said of an address, by its hash, or of a domain; oldest first."""
    query = sa.select(suppression_log).where(suppression_log.c.subject == subject).order_by(suppression_log.c.id)
    return [
        SuppressionChange(row.at, row.subject, row.lifted, row.kind, row.reason, row.by) for row in tx.execute(query)
    ]


def lifted_at(tx: Connection, subjects: Collection[str]) -> dict[str, datetime]:
    """When addresses, by their hashes, or domains were let go the last time; those that never were are left out."""
    last = sa.func.max(suppression_log.c.at, type_=suppression_log.c.at.type).label("at")
    these = (suppression_log.c.subject.in_(subjects), suppression_log.c.lifted)
    query = sa.select(suppression_log.c.subject, last).where(*these).group_by(suppression_log.c.subject)
    return {row.subject: row.at for row in tx.execute(query)}


def _log(tx: Connection, suppression: Suppression, *, lifted: bool) -> None:
    tx.execute(sa.insert(suppression_log).values(_line(suppression, lifted=lifted)))


def _line(suppression: Suppression, *, lifted: bool) -> dict[str, Any]:
    return {
        "at": suppression.at,
        "subject": suppression.address_hash,
        "lifted": lifted,
        "kind": suppression.kind,
        "reason": suppression.reason,
        "by": suppression.by,
    }


def _log_domain(tx: Connection, suppressed: SuppressedDomain, *, lifted: bool) -> None:
    values = {"at": suppressed.at, "subject": suppressed.domain, "lifted": lifted, "kind": SuppressionKind.DOMAIN}
    tx.execute(sa.insert(suppression_log).values(**values, reason=suppressed.reason, by=suppressed.by))


def _values(suppression: Suppression) -> dict[str, Any]:
    return {
        "address_hash": suppression.address_hash,
        "kind": suppression.kind,
        "reason": suppression.reason,
        "by": suppression.by,
        "domain": suppression.domain,
        "at": suppression.at,
        "subscriber_id": suppression.subscriber_id,
    }


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


def without_reader(tx: Connection) -> int:
    """How many suppressions are of nobody we know: only the hash tells whose they are."""
    query = sa.select(sa.func.count()).select_from(_WITH_READERS).where(subscribers.c.id.is_(None))
    return tx.scalar(query) or 0
