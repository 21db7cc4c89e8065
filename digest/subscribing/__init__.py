"""FLOW: signed up, pending, confirmed. Leaving and what else a reader may wish is in `preferring`.

A sign-up and the mail that answers it commit together. Every function here does the same work whatever
the address's standing is, so that nobody learns from us who subscribes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from digest.domain.addresses import Address
from digest.domain.deliveries import Mail
from digest.domain.links import Links, Purpose
from digest.domain.subscribers import (
    ASKING,
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
from digest.store.engine import tentatively

_FOR_EVER = timedelta(weeks=5200)


@dataclass(frozen=True, slots=True)
class SignUp:
    """Somebody typed an address into a form. `is_trap`: a program did, so nothing is to come of it."""

    address: Address
    newsletter: str
    language: str
    name: str
    evidence: Evidence
    is_trap: bool = False


def sign_up(
    store: Store,
    links: Links,
    request: SignUp,
    limits: ConfirmationLimits,
    now: datetime,
    hold: timedelta = timedelta(0),
) -> int | None:
    """Take a sign-up: who is new, or gone, becomes pending and is asked by mail to confirm.

    A confirmed reader stays confirmed and gets the same mail with other words, unless their mail has failed: who
    presses then is let in again. After a provider's complaint or the operator's word, or when the mailbox was asked
    often enough today, nothing is sent, and nothing of the attempt is kept. The caller's answer is the same for all.
    Returns the delivery, if there is one; it waits for `hold` unless somebody lets it go.
    """
    with store.begin() as tx:
        deliveries.lock_mailbox(tx, request.address.variant_key)
        suppression = suppressions.of(tx, links.address_hash(request.address.key))
        is_domain = suppressions.is_domain_suppressed(tx, request.address.domain)
        asked = deliveries.asked_at(tx, request.address.variant_key, now - timedelta(days=1), ASKING)
        is_firm = suppression is not None and suppression.is_firm
        is_welcome = not (request.is_trap or is_firm or is_domain) and may_ask(asked, now, limits)
        # From here on each does the very same work, and the time it takes tells nothing; some take it back.
        with tentatively(tx, keep=is_welcome):
            delivery_id = _ask(tx, links, request, now, now + hold if hold else None)
        return delivery_id if is_welcome else None


def _ask(tx: Transaction, links: Links, request: SignUp, now: datetime, due_at: datetime | None) -> int:
    subscriber_id = subscribers.add(tx, request.address, request.name, now)
    subscribers.name_stranger(tx, subscriber_id, request.name)
    suppression = suppressions.link(tx, links.address_hash(request.address.key), subscriber_id)
    standing = subscribers.subscription_to(tx, subscriber_id, request.newsletter)
    # Whose mail came back is asked anew: only confirming again says that the mailbox works.
    is_confirmed = suppression is None and standing is not None and standing.state is SubscriptionState.CONFIRMED
    with tentatively(tx, keep=not is_confirmed):
        pending, language = SubscriptionState.PENDING, request.language
        asked_id = subscribers.subscribe(tx, subscriber_id, request.newsletter, pending, language, now)
    delivery_id = deliveries.queue_letter(tx, Mail.CONFIRMATION, asked_id, now, due_at)
    with tentatively(tx, keep=not is_confirmed):
        evidence = replace(request.evidence, delivery_id=delivery_id)
        consent.record(tx, subscriber_id, request.newsletter, EventKind.REQUESTED, evidence, now)
    return delivery_id


def screen(store: Store, delivery_id: int, takes_mail: bool | None, now: datetime) -> None:
    """What became of a look at the domain of a mail that was held: it goes, or it does not. None: nobody can say."""
    with store.begin() as tx:
        if takes_mail is False:
            deliveries.skip(tx, delivery_id, "its domain takes no mail: it has neither mail server nor address", now)
        else:
            deliveries.let_go(tx, delivery_id, now)


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
    shown: Callable[[Subscription], str] = lambda _: "",
) -> Subscription:
    """The reader has confirmed. Doing it again changes nothing and is no error. Raises InvalidToken.

    `welcome` names the newsletters that greet their new readers by mail, `shown` the consent text beside the button.
    """
    with store.begin() as tx:
        found = _confirmable(tx, links, token, now, valid_for)
        if subscribers.confirm(tx, found.id, found.requested_at, now):
            token_hash = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
            proof = replace(evidence, token_hash=token_hash, wording=shown(found), language=found.language)
            consent.record(tx, found.subscriber_id, found.newsletter, EventKind.CONFIRMED, proof, now)
            _lift(tx, links, found, now)
            if found.newsletter in welcome:
                deliveries.queue_letter(tx, Mail.WELCOME, found.id, now)
        confirmed = subscribers.subscription(tx, found.id)
        if confirmed is None:  # forgotten at this very moment
            raise InvalidToken(Purpose.CONFIRM, expired=True)
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
    subscription_id, requested_at = links.read_confirm(token, now, _FOR_EVER)
    found = subscribers.subscription(tx, subscription_id)
    # A later request, an unsubscribe or an erasure voids the link.
    if found is None or found.requested_at != requested_at or found.state is SubscriptionState.UNSUBSCRIBED:
        raise InvalidToken(Purpose.CONFIRM, expired=True)
    suppression = suppressions.of(tx, links.address_hash(found.address.key))
    if (suppression and suppression.is_firm) or suppressions.is_domain_suppressed(tx, found.address.domain):
        raise InvalidToken(Purpose.CONFIRM, expired=True)  # nothing would come of it; what is held, is not said
    if now > (found.reminded_at or requested_at) + valid_for:  # whom we have reminded gets the whole time again
        raise InvalidToken(Purpose.CONFIRM, expired=True)
    return found
