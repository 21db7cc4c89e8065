"""Many readers leaving in one transaction, in one statement or two whatever their number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection

from digest.domain.subscribers import EventKind, Way
from digest.store.statements import both, run

# SQLite takes {subscription id: user agent} as JSON; nobody else can write between its two statements.
_RECORD = {
    "sqlite": """
    INSERT INTO events (at, subscriber_id, newsletter, kind, way, user_agent)
    SELECT :now, subscriber_id, newsletter, :kind, :way, who.value
    FROM json_each(:agents) AS who JOIN subscriptions ON subscriptions.id = CAST(who.key AS INTEGER)
    WHERE state <> 'unsubscribed'
    """
}
_LEAVE = {
    "sqlite": """
    UPDATE subscriptions SET state = 'unsubscribed', unsubscribed_at = :now
    WHERE id IN (SELECT CAST(key AS INTEGER) FROM json_each(:agents)) AND state <> 'unsubscribed'
    """
}
# PostgreSQL does both in one: whoever ends a subscription first is the one who records it. They are locked in the order
# of their ids, as an UPDATE takes them in the order of its plan, and two processes could wait for one another.
_LEAVE_RECORDED = {
    "postgresql": both(
        """
        WITH who AS (
            SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:agents AS text[])) AS who(id, agent)
        ), here AS (
            SELECT subscriptions.id, agent FROM subscriptions JOIN who ON subscriptions.id = who.id
            WHERE state <> 'unsubscribed' ORDER BY subscriptions.id FOR UPDATE OF subscriptions
        ), gone AS (
            UPDATE subscriptions SET state = 'unsubscribed', unsubscribed_at = :now
            FROM here WHERE subscriptions.id = here.id AND state <> 'unsubscribed'
            RETURNING subscriber_id, newsletter, agent
        )
        INSERT INTO events (at, subscriber_id, newsletter, kind, way, user_agent)
        SELECT :now, subscriber_id, newsletter, :kind, :way, agent FROM gone
        """
    )["postgresql"]
}


def leave(tx: Connection, agents: Mapping[int, str], way: Way, now: datetime) -> int:
    """End these subscriptions and record it; {subscription id: user agent}. Returns how many were not ended before."""
    same = {"kind": EventKind.UNSUBSCRIBED.value, "way": way.value}
    if tx.dialect.name == "sqlite":
        # SQLite keeps times as text without a zone, as `types.UtcDateTime` writes them.
        at = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        values = {**same, "now": at, "agents": json.dumps(agents)}
        run(tx, _RECORD, values)
        return int(run(tx, _LEAVE, values).rowcount)
    several = {"ids": list(agents), "agents": list(agents.values())}
    return int(run(tx, _LEAVE_RECORDED, {**same, **several, "now": now}).rowcount)
