"""FLOW, subscribing's part: leaving, and coming back a moment later; a pause, a rhythm, a language, a name."""

from __future__ import annotations

from datetime import datetime

from digest.domain.links import Links
from digest.domain.subscribers import EventKind, Evidence, Subscription
from digest.store import Store, consent, subscribers


def look_up_unsubscribe(store: Store, links: Links, token: str) -> Subscription | None:
    """Whom an unsubscribe link would unsubscribe; None when the reader is gone. Raises InvalidToken."""
    subscription_id = links.read_unsubscribe(token)
    with store.read() as tx:
        return subscribers.subscription(tx, subscription_id)


def unsubscribe(store: Store, links: Links, token: str, evidence: Evidence, now: datetime) -> Subscription | None:
    """The reader leaves; effective at the next claim. Works for ever and any number of times. Raises InvalidToken."""
    return leave(store, links.read_unsubscribe(token), evidence, now)


def leave(store: Store, subscription_id: int, evidence: Evidence, now: datetime) -> Subscription | None:
    """End a subscription, by whatever way; None when there is none."""
    with store.begin() as tx:
        found = subscribers.subscription(tx, subscription_id)
        if found and subscribers.unsubscribe(tx, subscription_id, now):
            consent.record(tx, found.subscriber_id, found.newsletter, EventKind.UNSUBSCRIBED, evidence, now)
        return subscribers.subscription(tx, subscription_id)
