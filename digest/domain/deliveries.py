"""A delivery: one message to one subscriber. Its states, and what a server's answer means for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from digest.domain.masking import without


class DeliveryState(StrEnum):
    """Where a delivery stands. `sent` means the server answered 250, not that it was read."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DEFERRED = "deferred"
    REFUSED = "refused"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


WAITING = frozenset({DeliveryState.QUEUED, DeliveryState.DEFERRED})
UNSETTLED = WAITING | {DeliveryState.SENDING}


class Mail(StrEnum):
    """Which message a delivery carries. What belongs to no edition overtakes the editions."""

    CONFIRMATION = "confirmation"
    REMINDER = "reminder"  # to confirm, once
    WELCOME = "welcome"
    GOODBYE = "goodbye"
    OWN_DATA = "own-data"  # asked again by mail: show me what you know about me
    ERASURE = "erasure"  # asked again by mail: forget me
    DIGEST = "digest"
    NOTICE = "notice"  # to the desk


class Delivery(NamedTuple):
    """A delivery ready to be attempted, with all that its message needs about the reader.

    A notice has no subscription, and only a digest has an edition: those ids are 0 then. A tuple, as thousands
    are made a second.
    """

    id: int
    mail: Mail
    edition_id: int
    address: str  # as it goes into RCPT and To
    queued_at: datetime
    attempts: int  # this one included
    subscription_id: int = 0
    newsletter: str = ""
    language: str = ""
    name: str = ""
    confirmed: bool = False
    requested_at: datetime | None = None
    notice_id: int = 0

    @property
    def domain(self) -> str:
        """What stands behind the @."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A server's answer: reply code (RFC 5321 section 4.2), enhanced code (RFC 3463) and its words.

    `code` 0: there was no answer, and `text` says what happened on the network instead.
    """

    code: int
    text: str = ""

    @property
    def enhanced(self) -> str:
        """The enhanced status code the words begin with, such as `5.1.1`, or an empty string."""
        match = _ENHANCED.match(self.text)
        return match[0] if match and match[0][0] == str(self.code)[0] else ""

    def about(self, address: str) -> Receipt:
        """The same answer without the reader's address in its words."""
        return Receipt(self.code, without(self.text, address))

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


class Verdict(StrEnum):
    """What an answer means."""

    SENT = "sent"
    DEFERRED = "deferred"  # try this reader again later
    REFUSED = "refused"  # this mailbox will not take it
    FAILED = "failed"  # the server will not take this message for this reader, for another reason
    ABOUT_US = "about us"  # the server refuses us: no reader is touched
    UNCERTAIN = "uncertain"  # the message may or may not have been taken


_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_ABOUT_THE_MAILBOX = re.compile(r"5\.(?:1\.(?:1|2|3|6|10)|2\.1)")
# Policy, authentication and security speak about the sender (RFC 3463 section 3.8); so do these reply codes:
# 530 and 534 to 538 authentication, 521 no mail here, 523 to 525 and 554 with 5.7 policy.
_CODES_ABOUT_US = frozenset({521, 523, 525, 530, 534, 535, 538})


def judge(receipt: Receipt, *, command: str) -> Verdict:
    """What the answer to `command` (MAIL, RCPT, DATA or END) says about the reader, or about us."""
    code = receipt.code
    if 200 <= code < 300:
        return Verdict.SENT
    enhanced = receipt.enhanced
    if command == "ADDRESS":  # our own finding: this server cannot be told such an address
        return Verdict.FAILED
    if code < 400:
        return Verdict.UNCERTAIN if command == "END" else Verdict.DEFERRED
    if code == 421 or (400 <= code < 500) or (code == 552 and command == "RCPT"):
        return Verdict.DEFERRED
    if (
        code in _CODES_ABOUT_US
        or enhanced.startswith("5.7.")
        or (command == "MAIL" and not enhanced.startswith("5.6."))
    ):
        return Verdict.ABOUT_US
    if _ABOUT_THE_MAILBOX.fullmatch(enhanced) or (command == "RCPT" and not enhanced and code in (550, 551, 553)):
        return Verdict.REFUSED
    return Verdict.FAILED


_GREYLISTED = re.compile(r"gr[ea]y-?list", re.I)


def asks_for_patience(receipt: Receipt) -> bool:
    """Whether a 4yz answer is about the whole domain and its load, not about one mailbox or a first acquaintance.

    x.1.z and x.2.z speak about an address and its mailbox (RFC 3463 section 3); greylisting wants each to come again.
    """
    enhanced = receipt.enhanced
    return not enhanced.startswith(("4.1.", "4.2.")) and not _GREYLISTED.search(receipt.text)


LONGEST_WAIT = timedelta(hours=2)


def retry_wait(attempts: int, first: timedelta, luck: float) -> timedelta:
    """How long to wait after so many attempts: `first`, then twice as long each time, up to two hours.

    `luck` in [0, 1) spreads the tries by an eighth either way, so that a crowd does not come back at once.
    """
    wait: timedelta = min(first * 2 ** min(max(attempts - 1, 0), 16), max(LONGEST_WAIT, first))
    return wait * (0.875 + 0.25 * luck)


class Outcome(NamedTuple):
    """What one attempt came to, to be recorded: the new state, the server's words, when to try again.

    `server` is named when the message was given back untried: the place it took in that server's hour, at
    `counted_at`, is free again.
    """

    delivery_id: int
    state: DeliveryState
    receipt: Receipt
    due_at: datetime | None = None
    server: str = ""
    counted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an edition is. `rate` is messages a second, lately, of all workers; `eta` seconds, None: unknown."""

    edition_id: int
    state: str
    total: int
    settled: int
    counts: dict[str, int]
    rate: float
    eta: float | None
    waits_until: datetime | None = None  # nothing is due before


@dataclass(frozen=True, slots=True)
class Settled:
    """A delivery as the desk sees it afterwards."""

    id: int
    address: str
    mail: Mail
    edition_id: int
    state: DeliveryState
    attempts: int
    code: int
    reply: str
    settled_at: datetime | None
