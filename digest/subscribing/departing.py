"""FLOW, subscribing's part: mailbox providers pressing the one-click button for readers, many in the same second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from digest.domain.subscribers import Way
from digest.store import Store, departures


@dataclass(frozen=True, slots=True)
class Departure:
    """One reader leaves. The token was read already: `subscription_id` is to be trusted."""

    subscription_id: int
    user_agent: str


def leave(store: Store, departing: Sequence[Departure], now: datetime) -> int:
    """End their subscriptions in one transaction, effective at the next claim; returns how many were not ended before.

    Who is gone, or left before, is passed over.
    """
    with store.begin() as tx:
        agents = {each.subscription_id: each.user_agent for each in departing}
        return departures.leave(tx, agents, Way.ONE_CLICK, now)
