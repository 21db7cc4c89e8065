"""What follows from reports: when failing for a while means failing for good, and when a provider is not believed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from digest.domain.deliveries import DeliveryState
from digest.domain.masking import without
from digest.domain.reports import ReportKind

FEW = 20  # hard bounces, or refusals, that prove nothing against a server yet
SHARE = 0.2  # more of an edition than this does not vanish in a week: it is the server that is wrong
TOO_OLD = timedelta(days=90)  # no server holds mail so long: what is said of older mail is not about its delivery
_STILL_UNDER_WAY = timedelta(days=5)  # RFC 5321 section 4.5.4.1: servers try so long before they send a report
LONGEST_WORDS = 300  # characters of a server's words that are kept

# Only mail that went out can come back. One is `sending` when its report overtakes our own record of it.
CAN_COME_BACK = frozenset({DeliveryState.SENT, DeliveryState.SENDING, DeliveryState.UNCERTAIN})


# Ways in that anybody can write to, with a token out of a forwarded mail; a webhook's provider has shown who it is.
OPEN_TO_ALL = frozenset({"mailbox", "pipe"})


class Outcome(StrEnum):
    """What followed from a report."""

    NOTHING = ""
    SUPPRESSED = "suppressed"
    COUNTED = "counted"  # a soft one, with others before and after it
    HELD = "held"  # too many at once to be believed: the desk decides
    APPLIED = "applied"  # held, and the desk believed it
    DISCARDED = "discarded"  # held, and the desk did not
    TOLD = "for the desk"  # about us


@dataclass(frozen=True, slots=True)
class Bounce:
    """A report about one delivery, as it is kept; `words` are without the address."""

    at: datetime
    delivery_id: int
    subscriber_id: int | None
    kind: ReportKind
    status: str
    provider: str
    words: str
    via: str
    outcome: Outcome = Outcome.NOTHING


@dataclass(frozen=True, slots=True)
class Returned:
    """The delivery a report is about: `settled_at` is when it was sent, or else when it was queued."""

    id: int
    edition_id: int
    subscription_id: int
    state: DeliveryState
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class SoftRule:
    """Soft bounces in a row, over so long, with nothing delivered in between, mean that a mailbox is given up."""

    limit: int = 5
    over: timedelta = timedelta(weeks=3)


def is_given_up(history: Iterable[tuple[datetime, ReportKind | None]], now: datetime, rule: SoftRule) -> bool:
    """Whether a mailbox has failed for good: `history` is what went out to it, newest first, and what came back.

    What went out in the last days may yet come back, so it says nothing. A refusal by policy says nothing of the
    mailbox either. Anything else that did not come back was delivered, and ends the row.
    """
    row: list[datetime] = []
    for sent_at, kind in history:
        if kind in (ReportKind.SOFT, ReportKind.HARD):
            row.append(sent_at)
        elif kind is None and (row or sent_at < now - _STILL_UNDER_WAY):
            break
    return len(row) >= rule.limit and row[0] - row[-1] >= rule.over


def is_unbelievable(bounced: int, readers: int) -> bool:
    """Whether so many of an edition's readers cannot have lost their mailboxes at once."""
    return bounced > FEW and bounced > SHARE * readers


def is_time_to_count(bounced: int) -> bool:
    """Whether to hold so many against the readers: when there are a tenth more than the last time.

    Counting readers costs something. Too many are noticed a little later for it; none is lost, as the earlier ones
    are held then too.
    """
    if bounced <= FEW + 1:
        return bounced == FEW + 1
    return math.floor(math.log(bounced, 1.1)) > math.floor(math.log(bounced - 1, 1.1))


def readers_that_matter(bounced: int) -> int:
    """How many readers need be counted to tell whether so many bounces can be believed."""
    return int(bounced / SHARE) + 1


def kept_words(words: str, address: str) -> str:
    """A server's words about a reader in one line, as they may be kept: without the address, however it is written."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in words).split())
    return without(plain, address)[:LONGEST_WORDS]
