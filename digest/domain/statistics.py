"""The numbers of a newsletter's readers: who is there, who comes and goes, what came back. No person is in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Day:
    """One local day. `readers` is how many were confirmed when it ended."""

    day: date
    asked: int
    confirmed: int
    left: int
    readers: int


@dataclass(frozen=True, slots=True)
class EditionLeft:
    """Who left after an edition, until the next one went out. Rates are shares of those it was sent to, 0 to 1."""

    number: int
    sent_at: datetime
    sent: int
    left: int
    complained: int
    bounced: int

    @property
    def leaving_rate(self) -> float:
        """The share of its readers that left."""
        return self.left / self.sent if self.sent else 0.0


@dataclass(frozen=True, slots=True)
class ProviderBounces:
    """What came back from one mailbox provider. `readers` is how many confirmed readers have a mailbox there."""

    provider: str
    readers: int
    hard: int
    soft: int
    policy: int
    complaints: int


@dataclass(frozen=True, slots=True)
class ReaderStatistics:
    """All of it, for one newsletter, as of one moment.

    `asked` and `answered` are the sign-ups old enough to have been answered, and those that were confirmed.
    """

    newsletter: str
    at: datetime
    states: dict[str, int]
    suppressed: int
    paused: int
    monthly: int
    asked: int
    answered: int
    days: tuple[Day, ...]
    editions: tuple[EditionLeft, ...]
    providers: tuple[ProviderBounces, ...]
    farewells: dict[str, int]

    @property
    def confirm_rate(self) -> float | None:
        """The share of sign-ups that were confirmed; None when there were none."""
        return self.answered / self.asked if self.asked else None
