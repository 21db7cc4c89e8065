"""The turns of a sender in full swing, on PostgreSQL: one statement each, awaited in the sender's own event loop.

A thread would have to be woken for every turn and would fight the event loop for the interpreter. So the statement goes
over a connection of its own, which waits as sockets do. In it the outcomes are recorded and the next few claimed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from digest.domain.deliveries import Outcome
from digest.errors import StoreUnavailable
from digest.store.claims import Claimed, Walk, swept
from digest.store.engine import SENDER_PLANS, Store
from digest.store.outbox import rows_of
from digest.store.statements import SWEEP


class Sweeper:
    """The connection; it is opened when first needed, and anew after trouble."""

    def __init__(self, store: Store) -> None:
        self._url = store.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def settle_and_claim(
        self, worker_id: int, walk: Walk, outcomes: Sequence[Outcome], now: datetime, limit: int
    ) -> Claimed:
        """Record and claim, where `claims.is_steady` says that nothing else is to be done. Raises StoreUnavailable."""
        (edition_id,) = walk.work
        values = {
            "outcomes": json.dumps(rows_of(outcomes, now)),
            "worker": worker_id,
            "edition": edition_id,
            "after": walk.fresh.get(edition_id, 0),
            "limit": limit,
            "now": int(now.timestamp()),
        }
        try:
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, options=SENDER_PLANS, prepare_threshold=0
                )
            cursor = await self._connection.execute(SWEEP, values)
            return swept(walk, edition_id, await cursor.fetchall(), limit, now)
        except psycopg.OperationalError as error:
            await self.close()
            raise StoreUnavailable(" ".join(str(error).split())[:300]) from error

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
