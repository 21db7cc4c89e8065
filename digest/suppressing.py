"""FLOW, subscribing's part: who is never mailed, by the operator's word, and what is known of an address."""

from __future__ import annotations

from datetime import datetime

from digest.domain.addresses import Address
from digest.domain.links import Links
from digest.domain.subscribers import EventKind, Evidence, Subscription
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.errors import NotFound
from digest.store import Store, consent, subscribers, suppressions


def find(store: Store, address: Address) -> list[Subscription]:
    """All subscriptions of an address. Raises NotFound when we do not know it."""
    with store.read() as tx:
        found = subscribers.subscriptions_of(tx, address)
    if not found:
        raise NotFound("subscriber", address.text, "see `digest subscribers list`")
    return found


def suppress(store: Store, links: Links, address: Address, reason: str, evidence: Evidence, now: datetime) -> bool:
    """Never mail this address again; False when that was so already."""
    with store.begin() as tx:
        found = subscribers.subscriptions_of(tx, address)
        subscriber_id = found[0].subscriber_id if found else None
        address_hash = links.address_hash(address.key)
        kind = SuppressionKind.OPERATOR
        new = suppressions.suppress(
            tx, Suppression(address_hash, kind, reason, now, by="the operator", subscriber_id=subscriber_id)
        )
        if new and subscriber_id is not None:
            consent.record(tx, subscriber_id, "", EventKind.SUPPRESSED, evidence, now)
        return new
