"""FLOW: signed up, pending, confirmed, unsubscribed; and never mailed again when that is asked.

A sign-up and the mail that answers it commit together. Every function here does the same work whatever
the address's standing is, so that nobody learns from us who subscribes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.domain.addresses import Address
from digest.domain.links import Links, Purpose
from digest.domain.subscribers import (
    ConfirmationLimits,
    EventKind,
    Evidence,
    Subscription,
    SubscriptionState,
    may_ask,
)
from digest.errors import InvalidToken, NotFound
from digest.store import Store, Transaction, deliveries, subscribers


@dataclass(frozen=True, slots=True)
class SignUp:
    """Somebody typed an address into a form."""

    address: Address
    newsletter: str
    language: str
    name: str
    evidence: Evidence


def sign_up(store: Store, links: Links, request: SignUp, limits: ConfirmationLimits, now: datetime) -> None:
    """Take a sign-up: who is new, or gone, becomes pending and is asked by mail to confirm.

    A confirmed reader stays confirmed and gets the same mail with other words. A suppressed address, or a
    mailbox asked often enough today, gets nothing. The caller's answer is the same for all of them.
    """
    with store.begin() as tx:
        subscriber_id = subscribers.add(tx, request.address, request.name, now)
        suppressed = subscribers.link_suppression(tx, links.address_hash(request.address.key), subscriber_id)
        asked = deliveries.asked_at(tx, request.address.variant_key, now - timedelta(days=1))
        if suppressed or not may_ask(asked, now, limits):
            return
        standing = subscribers.subscription_to(tx, subscriber_id, request.newsletter)
        if standing is None or standing.state is not SubscriptionState.CONFIRMED:
            standing = subscribers.subscribe(
                tx, subscriber_id, request.newsletter, SubscriptionState.PENDING, request.language, now
            )
            subscribers.record(tx, subscriber_id, request.newsletter, EventKind.REQUESTED, request.evidence, now)
        deliveries.queue_confirmation(tx, standing.id, now)


def look_up_confirm(store: Store, links: Links, token: str, now: datetime, valid_for: timedelta) -> Subscription:
    """What a confirmation link would do; nothing changes. Raises InvalidToken, also when the link is void."""
    with store.read() as tx:
        return _confirmable(tx, links, token, now, valid_for)


def confirm(
    store: Store, links: Links, token: str, evidence: Evidence, now: datetime, valid_for: timedelta
) -> Subscription:
    """The reader has confirmed. Doing it again changes nothing and is no error. Raises InvalidToken."""
    with store.begin() as tx:
        found = _confirmable(tx, links, token, now, valid_for)
        if subscribers.confirm(tx, found.id, found.requested_at, now):
            subscribers.record(tx, found.subscriber_id, found.newsletter, EventKind.CONFIRMED, evidence, now)
        confirmed = subscribers.subscription(tx, found.id)
        assert confirmed is not None
        return confirmed


def _confirmable(tx: Transaction, links: Links, token: str, now: datetime, valid_for: timedelta) -> Subscription:
    subscription_id, requested_at = links.read_confirm(token, now, valid_for)
    found = subscribers.subscription(tx, subscription_id)
    # A later request, an unsubscribe or an erasure voids the link.
    if found is None or found.requested_at != requested_at or found.state is SubscriptionState.UNSUBSCRIBED:
        raise InvalidToken(Purpose.CONFIRM, expired=True)
    return found


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
            subscribers.record(tx, found.subscriber_id, found.newsletter, EventKind.UNSUBSCRIBED, evidence, now)
        return subscribers.subscription(tx, subscription_id)


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
    if subscribers.suppression(tx, links.address_hash(entry.address.key)):
        return "suppressed"
    subscriber_id = subscribers.add(tx, entry.address, entry.name, now)
    standing = subscribers.subscription_to(tx, subscriber_id, newsletter)
    if standing and standing.state is SubscriptionState.UNSUBSCRIBED:
        return "unsubscribed"
    wanted = SubscriptionState.CONFIRMED if entry.confirmed else SubscriptionState.PENDING
    if standing and standing.state is SubscriptionState.CONFIRMED:
        return "already"  # who is still pending is asked again: the first mail may not have arrived
    made = subscribers.subscribe(tx, subscriber_id, newsletter, wanted, language, now)
    kind = EventKind.CONFIRMED if entry.confirmed else EventKind.REQUESTED
    subscribers.record(tx, subscriber_id, newsletter, kind, evidence, now)
    if not entry.confirmed:
        deliveries.queue_confirmation(tx, made.id, now)
    return "added"


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
        new = subscribers.suppress(tx, links.address_hash(address.key), reason, subscriber_id, now)
        if new and subscriber_id is not None:
            subscribers.record(tx, subscriber_id, "", EventKind.SUPPRESSED, evidence, now)
        return new
