"""Readers who come with a list from elsewhere, and what becomes of each: the rules of an import.

A batch is decided one after the other, as if each were written before the next; then it is written in one go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from digest.domain.addresses import Address
from digest.domain.intake_rows import Carried, KeptOut, NewReader, Noted, Placed, Writes
from digest.domain.subscribers import EventKind, SubscriptionState
from digest.domain.suppressions import LIFTED_BY_THE_READER, TAKES_THE_PLACE_OF, SuppressionKind


class Standing(StrEnum):
    """Where somebody stood with the list they come from, from the mildest to the strictest."""

    CONFIRMED = "confirmed"
    PENDING = "pending"
    NEVER = "never"  # known there, but nobody ever asked them for mail
    LEFT_LIST = "left the list"  # this one; they may read others there
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    BLOCKED = "blocked"


STRICTNESS = {standing: place for place, standing in enumerate(Standing)}


class Outcome(StrEnum):
    """What became of one row. The numbers of all outcomes add up to the rows."""

    ADDED = "added"
    ASKED = "asked"  # by mail, whether they want it; no reader yet
    UPDATED = "updated"  # was waiting to confirm here, and the list says they have
    ALREADY = "already"
    UNSUBSCRIBED = "unsubscribed"  # left, here or there
    SUPPRESSED = "suppressed"
    REFUSED = "refused"
    DUPLICATES = "duplicates"  # an earlier row said as much


class Arrival(NamedTuple):
    """One row of a list, understood. Moments are UTC and never in the future; networks are shortened."""

    line: int
    address: Address
    key: str
    typed: str
    standing: Standing
    newsletter: str
    name: str = ""
    language: str = ""
    requested_at: datetime | None = None
    requested_ip: str = ""
    confirmed_at: datetime | None = None
    confirmed_ip: str = ""
    left_at: datetime | None = None
    rhythm: str = ""
    paused_until: datetime | None = None
    suppressed: SuppressionKind | None = None  # beside the standing, in our own exports
    carried: Carried | None = None  # the consent itself, out of our own exports
    is_ours: bool = False  # from our own export: who left is brought back as one who left


class Stand(NamedTuple):
    """A subscription as it is, or will be when the batch is written."""

    id: int
    state: str
    confirmed_at: datetime | None
    had_left: bool = False  # or has: while somebody is asked to come back, too


@dataclass(slots=True)
class Held:
    """A reader we hold, or will when the batch is written."""

    id: int
    subscriptions: dict[str, Stand] = field(default_factory=dict)


_KIND = {
    Standing.LEFT_LIST: SuppressionKind.UNSUBSCRIBED,
    Standing.UNSUBSCRIBED: SuppressionKind.UNSUBSCRIBED,
    Standing.BOUNCED: SuppressionKind.BOUNCED,
    Standing.COMPLAINED: SuppressionKind.COMPLAINED,
    Standing.BLOCKED: SuppressionKind.OPERATOR,
}
_CONFIRMED, _PENDING, _UNSUBSCRIBED = (
    each.value for each in (SubscriptionState.CONFIRMED, SubscriptionState.PENDING, SubscriptionState.UNSUBSCRIBED)
)


@dataclass(slots=True)
class Intake:
    """A batch being decided. `held`, `suppressed` and `domains` are what is known of its addresses, kept up to date.

    `ids` gives the numbers of new readers, `places` those of new subscriptions; `may_ask` says whether a mailbox may
    be asked once more to confirm. `gone` has who left the list, by their hash: nothing else is kept of them.
    """

    now: datetime
    held: dict[str, Held]
    suppressed: dict[str, SuppressionKind]
    domains: frozenset[str]
    ids: Callable[[], int]
    places: Callable[[], int]
    may_ask: Callable[[str], bool]
    gone: set[int] = field(default_factory=set)
    writes: Writes = field(default_factory=Writes)

    def place(self, arrival: Arrival, address_hash: str) -> tuple[Outcome, bool, str]:
        """(what becomes of the row, whether it changes anything, why it is refused)."""
        if arrival.is_ours and arrival.standing is Standing.UNSUBSCRIBED:
            outcome, changes, why = self._bring_back(arrival, address_hash)
        elif arrival.standing in (Standing.CONFIRMED, Standing.PENDING):
            outcome, changes, why = self._welcome(arrival, address_hash)
        else:
            return *self._keep_out(arrival, address_hash), ""
        if arrival.suppressed is not None:
            held = self.held.get(arrival.key)
            changes |= self._suppress(address_hash, arrival.suppressed, held.id if held else None)
            outcome = Outcome.SUPPRESSED
        return outcome, changes, why

    def _welcome(self, arrival: Arrival, address_hash: str) -> tuple[Outcome, bool, str]:
        if address_hash in self.suppressed or arrival.address.domain in self.domains:
            return Outcome.SUPPRESSED, False, ""
        if short(address_hash) in self.gone:
            return Outcome.UNSUBSCRIBED, False, ""
        held = self.held.get(arrival.key)
        stand = held.subscriptions.get(arrival.newsletter) if held else None
        if stand is not None and (stand.state == _UNSUBSCRIBED or stand.had_left):
            return Outcome.UNSUBSCRIBED, False, ""
        if stand is not None and stand.state == _CONFIRMED:
            return Outcome.ALREADY, False, ""
        if arrival.standing is Standing.PENDING and not self.may_ask(arrival.address.variant_key):
            if stand is not None:
                return Outcome.ALREADY, False, ""
            return Outcome.REFUSED, False, "this mailbox was asked often enough; try again tomorrow"
        self._subscribe(held or self._take_in(arrival), arrival, stand)
        if arrival.standing is Standing.PENDING:
            return Outcome.ASKED, True, ""
        return Outcome.ADDED if stand is None else Outcome.UPDATED, True, ""

    def _take_in(self, arrival: Arrival) -> Held:
        address = arrival.address
        held = Held(self.ids())
        self.held[arrival.key] = held
        self.writes.readers.append(NewReader(held.id, address.text, arrival.key, address.variant_key, arrival.name))
        return held

    def _subscribe(self, held: Held, arrival: Arrival, stand: Stand | None) -> None:
        is_confirmed = arrival.standing is Standing.CONFIRMED
        confirmed_at = (arrival.confirmed_at or arrival.requested_at or self.now) if is_confirmed else None
        requested_at = (arrival.requested_at or confirmed_at or self.now) if is_confirmed else self.now
        state = _CONFIRMED if is_confirmed else _PENDING
        made = self._set(held, arrival, stand, state, requested_at, confirmed_at, None)
        to, said, asked_ip = (held.id, arrival.newsletter), (arrival.typed, arrival.language), arrival.requested_ip
        if confirmed_at is None:
            self.writes.noted.append(Noted(self.now, *to, EventKind.REQUESTED, *said, asked_ip, made))
            return
        ip, carried = arrival.confirmed_ip or asked_ip, arrival.carried
        if arrival.requested_at and (arrival.requested_at != confirmed_at or asked_ip not in ("", ip)):
            self.writes.noted.append(Noted(requested_at, *to, EventKind.REQUESTED, *said, asked_ip, 0, carried))
        self.writes.noted.append(Noted(confirmed_at, *to, EventKind.CONFIRMED, *said, ip, 0, carried))

    def _set(
        self,
        held: Held,
        arrival: Arrival,
        stand: Stand | None,
        state: str,
        requested_at: datetime,
        confirmed_at: datetime | None,
        unsubscribed_at: datetime | None,
    ) -> int:
        placed = Placed(
            stand.id if stand else self.places(),
            held.id,
            arrival.newsletter,
            state,
            arrival.language,
            requested_at,
            confirmed_at,
            unsubscribed_at,
            arrival.paused_until,
            arrival.rhythm,
            stand.state if stand else "",
        )
        (self.writes.changed if stand else self.writes.placed).append(placed)
        held.subscriptions[arrival.newsletter] = Stand(placed.id, state, confirmed_at)
        return placed.id

    def _bring_back(self, arrival: Arrival, address_hash: str) -> tuple[Outcome, bool, str]:
        """One who left, out of our own export: as they were. What we know of them here is newer, and stays."""
        held = self.held.get(arrival.key)
        stand = held.subscriptions.get(arrival.newsletter) if held else None
        if stand is not None or address_hash in self.suppressed or arrival.address.domain in self.domains:
            return *self._keep_out(arrival, address_hash), ""
        held = held or self._take_in(arrival)
        if arrival.carried and arrival.confirmed_at:
            said = (arrival.typed, arrival.language, arrival.confirmed_ip, 0, arrival.carried)
            self.writes.noted.append(
                Noted(arrival.confirmed_at, held.id, arrival.newsletter, EventKind.CONFIRMED, *said)
            )
        self._leave(held, arrival, None)
        return Outcome.UNSUBSCRIBED, True, ""

    def _keep_out(self, arrival: Arrival, address_hash: str) -> tuple[Outcome, bool]:
        """Who left, or must not be mailed, there. A consent given here after that is newer, and holds."""
        held = self.held.get(arrival.key)
        stand = held.subscriptions.get(arrival.newsletter) if held else None
        kind = _KIND[arrival.standing]
        if kind in LIFTED_BY_THE_READER and _came_after(stand, arrival.left_at):
            return Outcome.ALREADY, False
        if kind is not SuppressionKind.UNSUBSCRIBED:
            return Outcome.SUPPRESSED, self._suppress(address_hash, kind, held.id if held else None)
        changes = held is not None and (stand is None or stand.state != _UNSUBSCRIBED)
        if held and changes:
            self._leave(held, arrival, stand)
        if arrival.standing is Standing.LEFT_LIST:
            self.gone.add(short(address_hash))
            return Outcome.UNSUBSCRIBED, changes
        reads_another = held is not None and any(each.state == _CONFIRMED for each in held.subscriptions.values())
        if not reads_another:
            changes |= self._suppress(address_hash, kind, held.id if held else None)
        return Outcome.UNSUBSCRIBED, changes

    def _leave(self, held: Held, arrival: Arrival, stand: Stand | None) -> None:
        left_at = arrival.left_at or self.now
        requested_at = arrival.requested_at or arrival.confirmed_at or left_at
        self._set(held, arrival, stand, _UNSUBSCRIBED, requested_at, arrival.confirmed_at, left_at)
        said = (arrival.typed, arrival.language, "")
        self.writes.noted.append(Noted(left_at, held.id, arrival.newsletter, EventKind.UNSUBSCRIBED, *said))

    def _suppress(self, address_hash: str, kind: SuppressionKind, subscriber_id: int | None) -> bool:
        stands = self.suppressed.get(address_hash)
        if stands and stands not in TAKES_THE_PLACE_OF.get(kind, ()):
            return False
        earlier = self.writes.kept_out.get(address_hash)
        replaces = stands is not None and (earlier is None or earlier.replaces)
        self.suppressed[address_hash] = kind
        self.writes.kept_out[address_hash] = KeptOut(address_hash, kind, subscriber_id, replaces)
        if subscriber_id is not None:
            self.writes.noted.append(Noted(self.now, subscriber_id, "", EventKind.SUPPRESSED, "", "", ""))
        return True


def short(address_hash: str) -> int:
    """A hash in few bytes, to hold many."""
    return int(address_hash[:16], 16)


def _came_after(stand: Stand | None, left_at: datetime | None) -> bool:
    if stand is None or left_at is None or stand.confirmed_at is None:
        return False
    return stand.state == _CONFIRMED and stand.confirmed_at > left_at
