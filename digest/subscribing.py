"""FLOW: signed up, pending, confirmed. Leaving and what else a reader may wish is in `preferring`.

A sign-up and the mail that answers it commit together. Every function here does the same work whatever
the address's standing is, so that nobody learns from us who subscribes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from digest.domain.addresses import Address
from digest.domain.deliveries import Mail
from digest.domain.links import Links, Purpose
from digest.domain.subscribers import (
    ConfirmationLimits,
    EventKind,
    Evidence,
    Subscription,
    SubscriptionState,
    Way,
    may_ask,
)
from digest.errors import InvalidToken
from digest.store import Store, Transaction, consent, deliveries, subscribers, suppressions


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
        suppression = suppressions.link(tx, links.address_hash(request.address.key), subscriber_id)
        is_firm = suppression is not None and suppression.is_firm
        is_domain = suppressions.is_domain_suppressed(tx, request.address.domain)
        asked = deliveries.asked_at(tx, request.address.variant_key, now - timedelta(days=1))
        if is_firm or is_domain or not may_ask(asked, now, limits):
            return
        standing = subscribers.subscription_to(tx, subscriber_id, request.newsletter)
        if standing is None or standing.state is not SubscriptionState.CONFIRMED:
            standing = subscribers.subscribe(
                tx, subscriber_id, request.newsletter, SubscriptionState.PENDING, request.language, now
            )
            delivery_id = deliveries.queue_letter(tx, Mail.CONFIRMATION, standing.id, now)
            evidence = replace(request.evidence, delivery_id=delivery_id)
            consent.record(tx, subscriber_id, request.newsletter, EventKind.REQUESTED, evidence, now)
        else:
            deliveries.queue_letter(tx, Mail.CONFIRMATION, standing.id, now)


def look_up_confirm(store: Store, links: Links, token: str, now: datetime, valid_for: timedelta) -> Subscription:
    """What a confirmation link would do; nothing changes. Raises InvalidToken, also when the link is void."""
    with store.read() as tx:
        return _confirmable(tx, links, token, now, valid_for)


def confirm(
    store: Store,
    links: Links,
    token: str,
    evidence: Evidence,
    now: datetime,
    valid_for: timedelta,
    *,
    welcome: Collection[str] = (),
) -> Subscription:
    """The reader has confirmed. Doing it again changes nothing and is no error. Raises InvalidToken.

    `welcome` names the newsletters that greet their new readers by mail.
    """
    with store.begin() as tx:
        found = _confirmable(tx, links, token, now, valid_for)
        if subscribers.confirm(tx, found.id, found.requested_at, now):
            token_hash = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
            proof = replace(evidence, token_hash=token_hash)
            consent.record(tx, found.subscriber_id, found.newsletter, EventKind.CONFIRMED, proof, now)
            _lift(tx, links, found, now)
            if found.newsletter in welcome:
                deliveries.queue_letter(tx, Mail.WELCOME, found.id, now)
        confirmed = subscribers.subscription(tx, found.id)
        assert confirmed is not None
        return confirmed


def _lift(tx: Transaction, links: Links, found: Subscription, now: datetime) -> None:
    """Who confirms has a mailbox that works, and wants the mail: what was held against either is over."""
    suppression = suppressions.of(tx, links.address_hash(found.address.key))
    if suppression is None or suppression.is_firm:
        return
    lifted = replace(suppression, reason="the reader signed up again and confirmed", by="the reader", at=now)
    suppressions.lift(tx, lifted)
    consent.record(tx, found.subscriber_id, "", EventKind.LIFTED, Evidence(Way.LINK, form=suppression.reason), now)


def _confirmable(tx: Transaction, links: Links, token: str, now: datetime, valid_for: timedelta) -> Subscription:
    subscription_id, requested_at = links.read_confirm(token, now, valid_for)
    found = subscribers.subscription(tx, subscription_id)
    # A later request, an unsubscribe or an erasure voids the link.
    if found is None or found.requested_at != requested_at or found.state is SubscriptionState.UNSUBSCRIBED:
        raise InvalidToken(Purpose.CONFIRM, expired=True)
    return found
