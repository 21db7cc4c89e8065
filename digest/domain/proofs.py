"""What a trail of consent proves: who agreed to what, how, and when it ended (GDPR art. 7(1))."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from digest.domain.subscribers import ConsentEvent, EventKind, Way

_CLOCKS = timedelta(hours=1)  # by which those of several machines may differ


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent to one newsletter: the lines of the trail that began it, gave it, and ended it."""

    newsletter: str
    requested: ConsentEvent | None = None
    confirmed: ConsentEvent | None = None
    withdrawn: ConsentEvent | None = None

    @property
    def shown(self) -> ConsentEvent | None:
        """The event that has the words agreed to: those beside the button that confirms, or else those of the form."""
        if self.confirmed and self.confirmed.evidence.wording:
            return self.confirmed
        return self.requested or self.confirmed

    @property
    def result(self) -> str:
        """What became of it."""
        if self.withdrawn:
            return "withdrawn"
        return "confirmed" if self.confirmed else "never confirmed"


@dataclass(frozen=True, slots=True)
class Proof:
    """What is kept of a consent whose giver was forgotten: no address, no name, no network."""

    address_hash: str
    newsletter: str
    language: str
    wording_id: str | None  # SHA-256 of the words agreed to
    way: str  # how consent was given
    requested_at: datetime | None
    confirmed_at: datetime | None
    withdrawn_at: datetime | None
    forgotten_at: datetime


def consents(trail: Sequence[ConsentEvent]) -> list[Consent]:
    """The consents in a trail, oldest first. A new request begins a new one; taking leaving back goes on with the old.

    A suppression that a bounce or a complaint brought is of the address: it withdraws nothing.
    """
    found: list[Consent] = []
    at: dict[str, int] = {}  # newsletter -> its last one
    for event in trail:
        number = at.get(event.newsletter)
        if _begins(found[number] if number is not None else None, event):
            at[event.newsletter] = len(found)
            is_request = event.kind is EventKind.REQUESTED
            found.append(Consent(event.newsletter, event if is_request else None, None if is_request else event))
        elif event.kind is EventKind.CONFIRMED and number is not None:
            found[number] = replace(found[number], confirmed=event)
        elif number is not None:
            before = found[number].withdrawn
            found = [_went_on(each, before, event) if each.newsletter == event.newsletter else each for each in found]
    return found


def _begins(last: Consent | None, event: ConsentEvent) -> bool:
    """Whether this is a consent of its own; one without a request was brought in by the operator."""
    if event.kind is EventKind.CONFIRMED:
        is_over = last is None or last.confirmed is not None or last.withdrawn is not None
        return is_over or _is_brought_beside(last.requested if last else None, event)
    return event.kind is EventKind.REQUESTED


def _is_brought_beside(requested: ConsentEvent | None, event: ConsentEvent) -> bool:
    """Whether the operator brought this consent from elsewhere, while one that was asked for here was never given.

    It rests on other words than ours, so it must not take those of the request. One we asked for by mail is given by
    the reader, and no import.
    """
    if requested is None:
        return False
    asked, given = requested.evidence, event.evidence
    if (asked.way, asked.form, asked.delivery_id) == (given.way, given.form, None):  # both came with one import
        return False
    return given.way in (Way.IMPORT, Way.OPERATOR) or event.at < requested.at - _CLOCKS


def _went_on(given: Consent, last_left: ConsentEvent | None, event: ConsentEvent) -> Consent:
    """Leaving withdraws all that stands: who was asked anew after a bounce has an older consent behind that request."""
    if event.kind is EventKind.UNSUBSCRIBED and given.withdrawn is None:
        return replace(given, withdrawn=event)
    is_taken_back = event.kind is EventKind.RETURNED and given.withdrawn is last_left
    return replace(given, withdrawn=None) if is_taken_back else given


def proof_of(consent: Consent, address_hash: str, now: datetime) -> Proof | None:
    """What is kept of a consent when its giver is forgotten; None when it never was given."""
    shown = consent.shown
    if consent.confirmed is None or shown is None:
        return None
    return Proof(
        address_hash=address_hash,
        newsletter=consent.newsletter,
        language=shown.evidence.language,
        wording_id=wording_id(shown.evidence.wording) or None,
        way=(consent.requested or consent.confirmed).evidence.way,
        requested_at=consent.requested.at if consent.requested else None,
        confirmed_at=consent.confirmed.at,
        withdrawn_at=consent.withdrawn.at if consent.withdrawn else now,
        forgotten_at=now,
    )


def wording_id(text: str) -> str:
    """The name a consent text is kept under: its SHA-256; empty for no text."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def seal(record: dict[str, Any]) -> str:
    """The SHA-256 of a record in its one canonical form: keys sorted, no blanks, UTF-8. Anybody can make it again."""
    canonical = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
