"""The rows that a batch of an import comes to, as the store writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from digest.domain.subscribers import EventKind, Way
from digest.domain.suppressions import SuppressionKind


class NewReader(NamedTuple):
    """A row for `subscribers`."""

    id: int
    address: str
    key: str
    variant: str
    name: str


class Placed(NamedTuple):
    """A row for `subscriptions`; `was` is its state before, empty for a new one. Who leaves keeps their dates."""

    id: int
    subscriber_id: int
    newsletter: str
    state: str
    language: str
    requested_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    paused_until: datetime | None
    rhythm: str
    was: str = ""


class Carried(NamedTuple):
    """What our own export says of a consent: it is kept as it was given, and not replaced by the import's own."""

    way: Way
    form: str
    wording_id: str = ""  # SHA-256 of the words agreed to


class Noted(NamedTuple):
    """A row for `events`; `asks` is the subscription that is to be asked by mail."""

    at: datetime
    subscriber_id: int
    newsletter: str
    kind: EventKind
    typed: str
    language: str
    ip: str
    asks: int = 0
    carried: Carried | None = None


class KeptOut(NamedTuple):
    """A row for `suppressions`; `replaces` when a milder one stands already."""

    address_hash: str
    kind: SuppressionKind
    subscriber_id: int | None
    replaces: bool


@dataclass(slots=True)
class Writes:
    """What a batch comes to."""

    readers: list[NewReader] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    changed: list[Placed] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    kept_out: dict[str, KeptOut] = field(default_factory=dict)
