"""What the readers' numbers are counted from. Each query is one pass over one table; none loads a row a reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.domain.deliveries import DeliveryState
from digest.domain.editions import EditionState
from digest.domain.pace import provider
from digest.domain.statistics import Day, EditionLeft, ProviderBounces
from digest.domain.subscribers import EventKind, Rhythm, SubscriptionState, Way
from digest.store import deliveries as delivery_queries
from digest.store.schema import (
    bounces,
    deliveries,
    editions,
    events,
    farewells,
    subscribers,
    subscriptions,
    suppressions,
)
from digest.store.statements import FRESH_ROWS, LATER_ROWS

_ASKED_BY = (Way.FORM, Way.API)


def states(tx: Connection) -> dict[tuple[str, str], int]:
    """(newsletter, state) -> subscriptions, of every newsletter at once."""
    columns = (subscriptions.c.newsletter, subscriptions.c.state)
    query = sa.select(*columns, sa.func.count()).group_by(*columns)
    return {(newsletter, state): number for newsletter, state, number in tx.execute(query)}


def asides(tx: Connection, newsletter: str, now: datetime) -> tuple[int, int, int]:
    """Of the confirmed readers: (suppressed, pausing, those who want one edition a month)."""
    at = sa.literal(now, subscriptions.c.paused_until.type)
    pausing = sa.case((sa.func.coalesce(subscriptions.c.paused_until, 0) > at, 1), else_=0)
    monthly = sa.case((subscriptions.c.rhythm == Rhythm.MONTHLY, 1), else_=0)
    joined = subscriptions.outerjoin(suppressions, suppressions.c.subscriber_id == subscriptions.c.subscriber_id)
    query = (
        sa.select(
            sa.func.count(suppressions.c.address_hash),
            sa.func.coalesce(sa.func.sum(pausing), 0),
            sa.func.coalesce(sa.func.sum(monthly), 0),
        )
        .select_from(joined)
        .where(subscriptions.c.newsletter == newsletter, subscriptions.c.state == SubscriptionState.CONFIRMED)
    )
    suppressed, paused, once = tx.execute(query).one()
    return suppressed, paused, once


def answered(tx: Connection, newsletter: str, since: datetime, until: datetime) -> tuple[int, int]:
    """Sign-ups made in [since, until): (how many, how many of them were confirmed later)."""
    asked = events.alias("asked")
    later = events.alias("later")
    confirmed = sa.exists().where(
        later.c.subscriber_id == asked.c.subscriber_id,
        later.c.newsletter == newsletter,
        later.c.kind == EventKind.CONFIRMED,
        later.c.id > asked.c.id,
    )
    each = (
        sa.select(asked.c.subscriber_id, sa.func.max(sa.case((confirmed, 1), else_=0)).label("confirmed"))
        .where(
            asked.c.newsletter == newsletter,
            asked.c.kind == EventKind.REQUESTED,
            asked.c.way.in_(_ASKED_BY),
            asked.c.at >= since,
            asked.c.at < until,
        )
        .group_by(asked.c.subscriber_id)
        .subquery()
    )
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(each.c.confirmed), 0)).select_from(each)
    number, yes = tx.execute(query).one()
    return number, yes


def days(tx: Connection, newsletter: str, zone: ZoneInfo, first: date, last: date) -> list[Day]:
    """Local days from `first` to `last`, both included: who asked, confirmed, left, and how many there were."""
    asked = _by_day(tx, newsletter, subscriptions.c.requested_at, zone, sa.true())
    confirmed = _by_day(tx, newsletter, subscriptions.c.confirmed_at, zone, sa.true())
    were_readers = subscriptions.c.confirmed_at.is_not(None)
    left = _by_day(tx, newsletter, subscriptions.c.unsubscribed_at, zone, were_readers)
    readers = sum(n for day, n in confirmed.items() if day < first) - sum(n for day, n in left.items() if day < first)
    found = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        readers += confirmed[day] - left[day]
        found.append(Day(day, asked[day], confirmed[day], left[day], readers))
    return found


def _by_day(
    tx: Connection,
    newsletter: str,
    moment: sa.ColumnElement[datetime | None],
    zone: ZoneInfo,
    which: sa.ColumnElement[bool],
) -> Counter[date]:
    """How many subscriptions have that moment in each local day. The database counts quarters of an hour: zones do."""
    if tx.dialect.name == "sqlite":
        quarter = sa.cast(sa.func.strftime("%s", moment), sa.Integer) / 900
    else:
        quarter = sa.cast(sa.func.floor(sa.extract("epoch", moment) / 900), sa.BigInteger)
    bucket = (sa.func.floor(quarter) if tx.dialect.name == "sqlite" else quarter).label("bucket")
    query = (
        sa.select(bucket, sa.func.count())
        .where(subscriptions.c.newsletter == newsletter, moment.is_not(None), which)
        .group_by(bucket)
    )
    found: Counter[date] = Counter()
    for at, number in tx.execute(query):
        found[datetime.fromtimestamp(int(at) * 900, UTC).astimezone(zone).date()] += number
    return found


def by_edition(tx: Connection, newsletter: str, limit: int, now: datetime) -> list[EditionLeft]:
    """The last editions readers have, newest first: who left, complained or bounced until the next one went out."""
    went_out = (EditionState.SENDING, EditionState.PAUSED, EditionState.SENT)
    query = (
        sa.select(editions)
        .where(editions.c.newsletter == newsletter, editions.c.state.in_(went_out), editions.c.frozen_at.is_not(None))
        .order_by(editions.c.frozen_at.desc())
        .limit(limit)
    )
    found, until = [], now
    for row in tx.execute(query).all():
        sent = delivery_queries.counts(tx, row.id)[DeliveryState.SENT]
        hard, complaints = _returned(tx, row.first_delivery, row.last_delivery)
        left = _left(tx, newsletter, row.frozen_at, until)
        found.append(EditionLeft(row.number, row.frozen_at, sent, left, complaints, hard))
        until = row.frozen_at
    return found


def _left(tx: Connection, newsletter: str, since: datetime, until: datetime) -> int:
    query = sa.select(sa.func.count()).where(
        subscriptions.c.newsletter == newsletter,
        subscriptions.c.state == SubscriptionState.UNSUBSCRIBED,
        subscriptions.c.confirmed_at.is_not(None),
        subscriptions.c.unsubscribed_at >= since,
        subscriptions.c.unsubscribed_at < until,
    )
    return tx.scalar(query) or 0


def _returned(tx: Connection, first: int | None, last: int | None) -> tuple[int, int]:
    """(hard bounces, complaints) of the deliveries from `first` to `last`."""
    if first is None or last is None:
        return 0, 0
    query = (
        sa.select(bounces.c.kind, sa.func.count())
        .where(bounces.c.delivery_id >= first, bounces.c.delivery_id <= last)
        .group_by(bounces.c.kind)
    )
    kinds: dict[str, int] = dict(iter(tx.execute(query)))  # pairs
    return kinds.get("hard bounce", 0), kinds.get("complaint", 0)


def by_provider(tx: Connection, newsletter: str, since: datetime, limit: int) -> list[ProviderBounces]:
    """The providers with the most confirmed readers, and with the most reports since that moment; largest first."""
    readers = _readers_by_provider(tx, newsletter)
    came_back: dict[str, Counter[str]] = {}
    query = (
        sa.select(bounces.c.provider, bounces.c.kind, sa.func.count())
        .where(bounces.c.at >= since)
        .group_by(bounces.c.provider, bounces.c.kind)
    )
    for domain, kind, number in tx.execute(query):
        came_back.setdefault(provider(domain), Counter())[kind] += number
    order = sorted({*readers, *came_back}, key=lambda name: (-readers[name], name))
    busiest = sorted(came_back, key=lambda name: -came_back[name].total())[:limit]
    chosen = [name for name in order if name in busiest or name in order[:limit]]
    return [_provider_line(name, readers[name], came_back.get(name, Counter())) for name in chosen]


def _provider_line(name: str, readers: int, kinds: Mapping[str, int]) -> ProviderBounces:
    hard, soft = kinds.get("hard bounce", 0), kinds.get("soft bounce", 0)
    return ProviderBounces(name, readers, hard, soft, kinds.get("refused by policy", 0), kinds.get("complaint", 0))


def _readers_by_provider(tx: Connection, newsletter: str) -> Counter[str]:
    address = subscribers.c.address_key
    if tx.dialect.name == "sqlite":
        domain = sa.func.substr(address, sa.func.instr(address, "@") + 1)
    else:
        domain = sa.func.split_part(address, "@", 2)
    query = (
        sa.select(domain, sa.func.count())
        .select_from(subscriptions.join(subscribers))
        .where(subscriptions.c.newsletter == newsletter, subscriptions.c.state == SubscriptionState.CONFIRMED)
        .group_by(domain)
    )
    found: Counter[str] = Counter()
    for name, number in tx.execute(query):
        found[provider(name)] += number
    return found


def farewell_reasons(tx: Connection, newsletter: str, since: datetime) -> dict[str, int]:
    """Why readers left since that month, by their own words: reason -> how many, most first."""
    number = sa.func.sum(farewells.c.readers)
    query = (
        sa.select(farewells.c.reason, number)
        .where(farewells.c.newsletter == newsletter, farewells.c.month >= f"{since:%Y-%m}")
        .group_by(farewells.c.reason)
        .order_by(number.desc(), farewells.c.reason)
    )
    return {reason: int(readers) for reason, readers in tx.execute(query)}


def waiting(tx: Connection) -> int:
    """Confirmations, notices and other letters that wait to be sent now."""
    of_none = deliveries.c.edition_id.is_(None)
    numbers = (sa.select(sa.func.count()).where(of_none, rows) for rows in (FRESH_ROWS, LATER_ROWS))
    return sum(tx.scalar(each) or 0 for each in numbers)


def returned(tx: Connection) -> dict[str, int]:
    """Reports about our mail, ever, by kind."""
    query = sa.select(bounces.c.kind, sa.func.count()).group_by(bounces.c.kind)
    return dict(iter(tx.execute(query)))  # pairs


def suppressed(tx: Connection) -> dict[str, int]:
    """Suppressed addresses by kind."""
    query = sa.select(suppressions.c.kind, sa.func.count()).group_by(suppressions.c.kind)
    return dict(iter(tx.execute(query)))  # pairs
