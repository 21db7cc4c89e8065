"""FLOW, subscribing's part: leaving, and coming back a moment later; a pause, a rhythm, a language, a name.

A reader's own page acts for them alone, but a forwarded mail gives its holder the page: so nothing here starts new
mail, shows what is known, or forgets anybody; those are asked for once more by mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from digest.domain.deliveries import Mail
from digest.domain.farewells import Reason
from digest.domain.links import Links, Purpose
from digest.domain.subscribers import (
    ASKING,
    ConfirmationLimits,
    EventKind,
    Evidence,
    Rhythm,
    Subscription,
    SubscriptionState,
    may_ask,
)
from digest.errors import InvalidToken
from digest.store import Store, Transaction, consent, deliveries, farewells, subscribers, suppressions

RETURN_WITHIN = timedelta(hours=24)  # how long a leaving can be taken back

# --- leaving -------------------------------------------------------------------------------------


def look_up_unsubscribe(store: Store, links: Links, token: str) -> Subscription | None:
    """Whom an unsubscribe link would unsubscribe; None when the reader is gone. Raises InvalidToken."""
    subscription_id = links.read_unsubscribe(token)
    with store.read() as tx:
        return subscribers.subscription(tx, subscription_id)


def unsubscribe(store: Store, links: Links, token: str, evidence: Evidence, now: datetime) -> Subscription | None:
    """The reader leaves; effective at the next claim. Works for ever and any number of times. Raises InvalidToken."""
    return leave(store, links.read_unsubscribe(token), evidence, now)


def leave(
    store: Store, subscription_id: int, evidence: Evidence, now: datetime, *, goodbye: Collection[str] = ()
) -> Subscription | None:
    """End a subscription, by whatever way; None when there is none. Who had left before has an earlier
    `unsubscribed_at` than `now`.

    `goodbye` names the newsletters that say so by one last mail: for ways that show no page.
    """
    with store.begin() as tx:
        return end(tx, subscription_id, evidence, now, goodbye=goodbye)


def end(
    tx: Transaction, subscription_id: int, evidence: Evidence, now: datetime, *, goodbye: Collection[str] = ()
) -> Subscription | None:
    """As `leave`, among other things that are stored together."""
    found = subscribers.subscription(tx, subscription_id)
    if found and _leave(tx, found, evidence, now) and found.newsletter in goodbye:
        deliveries.queue_letter(tx, Mail.GOODBYE, found.id, now)
    return subscribers.subscription(tx, subscription_id)


def leave_everything(store: Store, links: Links, token: str, evidence: Evidence, now: datetime) -> list[Subscription]:
    """End all subscriptions of the reader whose page it is; returns those that ended. Raises InvalidToken."""
    subscription_id = links.read_preferences(token)
    with store.begin() as tx:
        found = subscribers.subscription(tx, subscription_id)
        if found is None:
            return []
        ended = {
            each.id for each in subscribers.everything_of(tx, found.subscriber_id) if _leave(tx, each, evidence, now)
        }
        return [each for each in subscribers.everything_of(tx, found.subscriber_id) if each.id in ended]


def _leave(tx: Transaction, subscription: Subscription, evidence: Evidence, now: datetime) -> bool:
    left = subscribers.unsubscribe(tx, subscription.id, now)
    if left:
        kind = EventKind.UNSUBSCRIBED
        consent.record(tx, subscription.subscriber_id, subscription.newsletter, kind, evidence, now)
    return left


# --- a moment later ------------------------------------------------------------------------------


def look_up_return(store: Store, links: Links, token: str, now: datetime) -> Subscription | None:
    """Whose leaving a page could take back, still unsubscribed by it, or back already; None when they are gone.

    Raises InvalidToken: a day is over, or they came back and left again.
    """
    with store.read() as tx:
        return _returnable(tx, links, token, now)[0]


@dataclass(frozen=True, slots=True)
class Instead:
    """What a reader would rather have than leave; nothing of it: everything as it was."""

    paused_until: datetime | None = None  # in the zone whose date the trail tells
    rhythm: Rhythm | None = None


def take_back(
    store: Store, links: Links, token: str, instead: Instead, evidence: Evidence, now: datetime
) -> tuple[Subscription | None, bool]:
    """Undo the very leaving whose page had this token; doing it again changes nothing. None: the reader is gone.

    The second value is whether it was this press that did it.

    Raises InvalidToken when it came too late, is void, or the address gets no mail for another reason.
    """
    with store.begin() as tx:
        found, left_at = _returnable(tx, links, token, now)
        if found is None or found.state is not SubscriptionState.UNSUBSCRIBED:
            return found, False
        if _is_suppressed(tx, links, found):
            raise InvalidToken(Purpose.RETURN, expired=True)
        proof = replace(evidence, token_hash=hashlib.sha256(token.encode("utf-8", "replace")).hexdigest())
        back = subscribers.take_back(tx, found.subscriber_id, left_at)
        for each in subscribers.everything_of(tx, found.subscriber_id):
            if each.newsletter in back:
                consent.record(tx, each.subscriber_id, each.newsletter, EventKind.RETURNED, proof, now)
                if instead.paused_until:
                    _pause(tx, each, instead.paused_until, evidence, now)
                if instead.rhythm is not None:
                    _set_rhythm(tx, each, instead.rhythm, evidence, now)
        return subscribers.subscription(tx, found.id), True


def say_why(store: Store, links: Links, token: str, reason: Reason, month: str, now: datetime) -> Subscription | None:
    """Count why somebody left, in a `month` such as 2026-11; who, is not kept. Raises InvalidToken."""
    with store.begin() as tx:
        found, _ = _returnable(tx, links, token, now)
        if found and found.state is SubscriptionState.UNSUBSCRIBED:
            farewells.add(tx, found.newsletter, month, reason)
        return found


def _returnable(tx: Transaction, links: Links, token: str, now: datetime) -> tuple[Subscription | None, datetime]:
    subscription_id, left_at = links.read_timed(Purpose.RETURN, token, now, RETURN_WITHIN)
    found = subscribers.subscription(tx, subscription_id)
    if found and found.state is SubscriptionState.UNSUBSCRIBED and found.unsubscribed_at != left_at:
        raise InvalidToken(Purpose.RETURN, expired=True)
    return found, left_at


# --- a reader's own page -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """What a reader's page shows: the subscription its link names, and all others of theirs."""

    named: Subscription
    subscriptions: tuple[Subscription, ...]
    is_suppressed: bool  # nothing reaches them until they sign up again, or at all
    may_ask: bool  # whether one more mail asking to confirm may go out now

    def to(self, newsletter: str) -> Subscription | None:
        """The subscription to a newsletter, if any."""
        return next((each for each in self.subscriptions if each.newsletter == newsletter), None)

    def gets(self, newsletter: str) -> bool:
        """Whether editions of it come to them, now or when a pause is over."""
        found = self.to(newsletter)
        return found is not None and found.state is SubscriptionState.CONFIRMED and not self.is_suppressed


def standing(store: Store, links: Links, token: str, limits: ConfirmationLimits, now: datetime) -> Standing | None:
    """What a preference link shows; None when the reader is gone. It never expires. Raises InvalidToken."""
    subscription_id = links.read_preferences(token)
    with store.read() as tx:
        found = subscribers.subscription(tx, subscription_id)
        if found is None:
            return None
        asked = deliveries.asked_at(tx, found.address.variant_key, now - timedelta(days=1), ASKING)
        return Standing(
            found,
            tuple(subscribers.everything_of(tx, found.subscriber_id)),
            _is_suppressed(tx, links, found),
            may_ask(asked, now, limits),
        )


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a reader has changed on their page. None: it stays as it is.

    `paused_until` in the past ends a pause; the trail tells its date in the zone it is given in.
    """

    leaves: Collection[str] = ()  # newsletters
    rhythms: Mapping[str, Rhythm] = field(default_factory=dict)
    language: str | None = None
    name: str | None = None
    paused_until: datetime | None = None


def change(store: Store, links: Links, token: str, wishes: Wishes, evidence: Evidence, now: datetime) -> None:
    """Do what a reader wishes; what is so already leaves no trace. Raises InvalidToken."""
    subscription_id = links.read_preferences(token)
    with store.begin() as tx:
        found = subscribers.subscription(tx, subscription_id)
        if found is None:
            return
        for each in subscribers.everything_of(tx, found.subscriber_id):
            if each.newsletter in wishes.leaves:
                _leave(tx, each, evidence, now)
            _set_rhythm(tx, each, wishes.rhythms.get(each.newsletter, each.rhythm), evidence, now)
            if wishes.paused_until is not None:
                _pause(tx, each, wishes.paused_until, evidence, now)
        if wishes.language not in (None, found.language):
            subscribers.set_language(tx, found.subscriber_id, wishes.language or "")
            _changed(tx, found, "", f"language: {wishes.language}", evidence, now)
        if wishes.name not in (None, found.name):
            subscribers.set_name(tx, found.subscriber_id, wishes.name or "")
            _changed(tx, found, "", "name", evidence, now)


def ask_by_mail(store: Store, links: Links, token: str, mail: Mail, limits: ConfirmationLimits, now: datetime) -> None:
    """Ask once more, by mail, whether it was they: for OWN_DATA and ERASURE. Raises InvalidToken.

    What was asked a moment ago, or often enough today, is not asked again; the page says the same.
    """
    subscription_id = links.read_preferences(token)
    with store.begin() as tx:
        found = subscribers.subscription(tx, subscription_id)
        if found is None:
            return
        deliveries.lock_mailbox(tx, found.address.variant_key)  # or a hundred presses at once each find nothing asked
        asked = deliveries.asked_at(tx, found.address.variant_key, now - timedelta(days=1), mail)
        if may_ask(asked, now, limits):
            deliveries.queue_letter(tx, mail, found.id, now)


def _pause(tx: Transaction, found: Subscription, until: datetime, evidence: Evidence, now: datetime) -> None:
    pause = until if until > now else None
    if pause != found.paused_until:
        subscribers.set_pause(tx, found.id, pause)
        what = f"paused until {pause:%Y-%m-%d}" if pause else "no pause"
        _changed(tx, found, found.newsletter, what, evidence, now)


def _set_rhythm(tx: Transaction, found: Subscription, rhythm: Rhythm, evidence: Evidence, now: datetime) -> None:
    if rhythm is not found.rhythm:
        subscribers.set_rhythm(tx, found.id, rhythm)
        _changed(tx, found, found.newsletter, f"rhythm: {rhythm or 'every edition'}", evidence, now)


def _changed(
    tx: Transaction, found: Subscription, newsletter: str, what: str, evidence: Evidence, now: datetime
) -> None:
    proof = replace(evidence, form=what)
    consent.record(tx, found.subscriber_id, newsletter, EventKind.CHANGED, proof, now)


def _is_suppressed(tx: Transaction, links: Links, found: Subscription) -> bool:
    is_domain = suppressions.is_domain_suppressed(tx, found.address.domain)
    return is_domain or suppressions.of(tx, links.address_hash(found.address.key)) is not None
