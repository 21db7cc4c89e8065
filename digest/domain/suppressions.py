"""Who is never mailed, why, and what the reader's own wish can change about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SuppressionKind(StrEnum):
    """Why an address gets no mail."""

    BOUNCED = "bounced"  # its mailbox does not exist, or has failed for weeks
    COMPLAINED = "complained"  # it pressed "this is spam": a provider says so, and proved who it is
    REPORTED = "reported"  # the same by mail, which whoever holds a mail of ours can write
    UNSUBSCRIBED = "unsubscribed"  # it had left already where it was imported from
    FORGOTTEN = "forgotten"  # the reader asked us to forget them
    OPERATOR = "operator"  # somebody of ours said so
    DOMAIN = "domain"  # nothing goes to that domain


# Readers who sign up by themselves, and confirm, overrule these: the mailbox works, and it is their wish. The request
# to confirm may go out to them; nothing else may before it is pressed. A provider's complaint and the operator's
# word stand firm.
LIFTED_BY_THE_READER = frozenset(
    {SuppressionKind.BOUNCED, SuppressionKind.UNSUBSCRIBED, SuppressionKind.REPORTED, SuppressionKind.FORGOTTEN}
)

# What is said instead of what ends sooner: by the reader's wish, with their domain, or when a provider was wrong.
TAKES_THE_PLACE_OF = {
    SuppressionKind.COMPLAINED: LIFTED_BY_THE_READER | {SuppressionKind.DOMAIN},
    SuppressionKind.OPERATOR: LIFTED_BY_THE_READER | {SuppressionKind.DOMAIN},
    SuppressionKind.REPORTED: frozenset(
        {SuppressionKind.BOUNCED, SuppressionKind.UNSUBSCRIBED, SuppressionKind.DOMAIN}
    ),
}


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that gets no mail. `address_hash` is the HMAC of its key; the address itself may be long gone."""

    address_hash: str
    kind: SuppressionKind
    reason: str
    at: datetime
    by: str = ""  # who: the desk, an import, a mailbox provider
    domain: str = ""  # suppressed because its whole domain is
    subscriber_id: int | None = None

    @property
    def is_firm(self) -> bool:
        """Whether the reader's own sign-up does not lift it."""
        return self.kind not in LIFTED_BY_THE_READER


@dataclass(frozen=True, slots=True)
class SuppressedDomain:
    """A domain that gets no mail: its readers now, and whoever comes later."""

    domain: str  # lower-case A-labels
    reason: str
    at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True)
class SuppressionChange:
    """A line of the log: suppressed, or let go again."""

    at: datetime
    subject: str  # an address's hash, or a domain
    lifted: bool
    kind: str
    reason: str
    by: str
