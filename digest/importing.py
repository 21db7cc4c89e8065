"""FLOW, subscribing's part: readers the operator brings in, with the statement of consent that covers them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from digest.domain.addresses import Address
from digest.domain.deliveries import Mail
from digest.domain.links import Links
from digest.domain.subscribers import EventKind, Evidence, SubscriptionState
from digest.store import Store, Transaction, consent, deliveries, subscribers, suppressions


@dataclass(frozen=True, slots=True)
class Entry:
    """A reader the operator brings in, with the statement of consent that covers them."""

    address: Address
    name: str = ""
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of readers the operator brought in."""

    added: int = 0
    already: int = 0
    unsubscribed: int = 0  # left before; bringing them back takes their own sign-up
    suppressed: int = 0


def bring_in(
    store: Store,
    links: Links,
    entries: Iterable[Entry],
    newsletter: str,
    language: str,
    evidence: Evidence,
    now: datetime,
) -> Brought:
    """Add readers by the operator's word, recorded in `evidence.form`. Who left, or is suppressed, stays out."""
    tally = {"added": 0, "already": 0, "unsubscribed": 0, "suppressed": 0}
    with store.begin() as tx:
        for entry in entries:
            tally[_bring_one(tx, links, entry, newsletter, language, evidence, now)] += 1
    return Brought(**tally)


def _bring_one(
    tx: Transaction,
    links: Links,
    entry: Entry,
    newsletter: str,
    language: str,
    evidence: Evidence,
    now: datetime,
) -> str:
    if suppressions.of(tx, links.address_hash(entry.address.key)):
        return "suppressed"
    subscriber_id = subscribers.add(tx, entry.address, entry.name, now)
    standing = subscribers.subscription_to(tx, subscriber_id, newsletter)
    if standing and standing.state is SubscriptionState.UNSUBSCRIBED:
        return "unsubscribed"
    wanted = SubscriptionState.CONFIRMED if entry.confirmed else SubscriptionState.PENDING
    if standing and standing.state is SubscriptionState.CONFIRMED:
        return "already"  # who is still pending is asked again: the first mail may not have arrived
    made = subscribers.subscribe(tx, subscriber_id, newsletter, wanted, language, now)
    kind, proof = EventKind.CONFIRMED, evidence
    if not entry.confirmed:
        kind = EventKind.REQUESTED
        proof = replace(evidence, delivery_id=deliveries.queue_letter(tx, Mail.CONFIRMATION, made.id, now))
    consent.record(tx, subscriber_id, newsletter, kind, proof, now)
    return "added"
