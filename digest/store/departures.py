"""Many readers leaving in one transaction, in two statements whatever their number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection

from digest.domain.subscribers import EventKind, Way
from digest.store.statements import LEAVE, RECORD_LEAVING, run, run_many


def leave(tx: Connection, agents: Mapping[int, str], way: Way, now: datetime) -> int:
    """End these subscriptions and record it; {subscription id: user agent}. Returns how many were not ended before."""
    is_sqlite = tx.dialect.name == "sqlite"
    # SQLite keeps times as text without a zone, as `types.UtcDateTime` writes them.
    at = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else now
    ids = json.dumps(list(agents)) if is_sqlite else list(agents)
    left = run(tx, LEAVE, {"ids": ids, "now": at}).fetchall()
    if left:
        same = {"at": at, "kind": EventKind.UNSUBSCRIBED.value, "way": way.value}
        rows = [
            {**same, "subscriber": subscriber, "newsletter": newsletter, "agent": agents[number]}
            for number, subscriber, newsletter in left
        ]
        run_many(tx, RECORD_LEAVING, rows)
    return len(left)
