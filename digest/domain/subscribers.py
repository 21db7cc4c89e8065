"""Readers and what they agreed to: subscriptions, and the rules a sign-up meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from digest.domain.addresses import Address
from digest.domain.deliveries import Mail


class SubscriptionState(StrEnum):
    """Where a reader stands with one newsletter. Only `confirmed` is ever mailed an edition."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"


class Rhythm(StrEnum):
    """How often a reader wants a newsletter, where that is less often than it appears."""

    EVERY = ""
    MONTHLY = "monthly"  # only the first edition of a month


class Way(StrEnum):
    """How a consent event came about."""

    FORM = "form"
    LINK = "link"
    ONE_CLICK = "one-click"
    MAILTO = "mailto"
    PAGE = "page"  # the preference page
    API = "api"
    COMPLAINT = "complaint"
    BOUNCE = "bounce"
    OPERATOR = "operator"
    IMPORT = "import"


class EventKind(StrEnum):
    """What a consent event records; the trail is append-only."""

    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"
    RETURNED = "returned"  # took leaving back, a moment later
    CHANGED = "changed"  # a pause, a rhythm, a language, a name: `form` says which
    SUPPRESSED = "suppressed"
    LIFTED = "lifted"  # a suppression, by the desk or by confirming again
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One reader's standing with one newsletter. `requested_at` changes with each new request."""

    id: int
    subscriber_id: int
    newsletter: str
    state: SubscriptionState
    language: str
    address: Address
    name: str
    requested_at: datetime
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    reminded_at: datetime | None = None
    paused_until: datetime | None = None
    rhythm: Rhythm = Rhythm.EVERY

    @property
    def since(self) -> datetime:
        """When it came to the state it is in."""
        dates = {
            SubscriptionState.PENDING: self.requested_at,
            SubscriptionState.CONFIRMED: self.confirmed_at,
            SubscriptionState.UNSUBSCRIBED: self.unsubscribed_at,
        }
        return dates[self.state] or self.requested_at


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about the request behind a consent event, kept so that consent can be proven (GDPR art. 7)."""

    way: Way
    address_as_typed: str = ""
    wording: str = ""  # the consent text as shown; stored once by its hash
    language: str = ""
    form: str = ""  # URL of the form, or the operator's statement
    ip: str = ""  # already shortened to /24 or /48
    user_agent: str = ""
    delivery_id: int | None = None  # the mail that asked for it
    token_hash: str = ""  # SHA-256 of the token that was shown, in hex


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One line of the append-only trail."""

    at: datetime
    kind: EventKind
    newsletter: str
    evidence: Evidence


ASKING = frozenset({Mail.CONFIRMATION, Mail.REMINDER})  # the mails that ask to confirm, and count together


@dataclass(frozen=True, slots=True)
class ConfirmationLimits:
    """How often one mailbox may be asked to confirm, whoever types its address into a form."""

    cool_down: timedelta = timedelta(minutes=10)
    daily_cap: int = 3


def may_ask(asked_at: Sequence[datetime], now: datetime, limits: ConfirmationLimits) -> bool:
    """Whether one more confirmation may go to a mailbox that was asked at the given moments."""
    today = [at for at in asked_at if at > now - timedelta(days=1)]
    return len(today) < limits.daily_cap and all(at <= now - limits.cool_down for at in today)
