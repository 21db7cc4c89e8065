"""FLOW, subscribing's part: the proof of one person's consent, as it is shown to whoever may ask (GDPR art. 7(1))."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from digest.domain.addresses import Address
from digest.domain.links import Links
from digest.domain.proofs import Consent, Proof, consents, seal, wording_id
from digest.domain.subscribers import ConsentEvent, EventKind
from digest.domain.suppressions import Suppression, SuppressionChange
from digest.errors import NotFound
from digest.store import Store, consent, known, subscribers, suppressions

Mails = dict[int, known.KnownMail]


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who asked for the consents: what a proof says of us. `titles`: newsletter -> its title."""

    name: str
    postal_address: str
    sender: str  # the address that asks to confirm; its domain is that of the Message-IDs
    titles: dict[str, str]


def prove(store: Store, links: Links, publisher: Publisher, address: Address, now: datetime) -> dict[str, Any]:
    """The record of one person's consents, with its SHA-256, which stays the same as long as nothing happens.

    For somebody who was forgotten it is what is left. Times are ISO 8601 in UTC. Raises NotFound for a stranger.
    """
    with store.read() as tx:
        address_hash = links.address_hash(address.key)
        subscriber_id = suppressions.ids_of(tx, [address.key]).get(address.key)
        trail = consent.trail(tx, subscriber_id) if subscriber_id is not None else []
        mails = known.mails_by_id(tx, {each.evidence.delivery_id for each in trail if each.evidence.delivery_id})
        kept = consent.proofs_of(tx, address_hash)
        suppression, changes = suppressions.of(tx, address_hash), suppressions.changes(tx, address_hash)
        here = subscribers.everything_of(tx, subscriber_id) if subscriber_id is not None else []
    if subscriber_id is None and not kept and not changes:
        raise NotFound("subscriber", address.text, "neither a reader, nor one who was forgotten and is remembered")
    writer = _Writer(links, publisher, mails)
    record: dict[str, Any] = {
        "publisher": {"name": publisher.name, "postal_address": publisher.postal_address, "sender": publisher.sender},
        "person": {
            "subscriber": subscriber_id,
            "address": here[0].address.text if here else address.text,
            "normalised": address.key,
            "fingerprint": address_hash,
            "is_forgotten": subscriber_id is None,
        },
        "standing": [{"newsletter": each.newsletter, "state": str(each.state)} for each in here],
        "consents": [writer.consent(each) for each in consents(trail)],
        "consents_before_erasure": [writer.proof(*each) for each in kept],
        "suppressed": _suppressed(suppression),
        "suppressions": [_change(each) for each in changes],
        "events": [writer.event(each) for each in trail],
    }
    return {"record": record, "sha256": seal(record), "issued_at": _time(now)}


class _Writer:
    """Writes events as a stranger can read them."""

    def __init__(self, links: Links, publisher: Publisher, mails: Mails) -> None:
        self._links, self._publisher, self._mails = links, publisher, mails

    def consent(self, given: Consent) -> dict[str, Any]:
        """One consent from its request to its end."""
        shown = given.shown
        return {
            **self._what(given.newsletter),
            "result": given.result,
            "requested": self.event(given.requested),
            "asked_by_mail": self._mail(given.requested),
            "confirmed": self.event(given.confirmed),
            "wording": _wording(shown.evidence.wording, shown.evidence.language) if shown else None,
            "withdrawn": self._withdrawn(given.withdrawn),
        }

    def proof(self, kept: Proof, wording: str) -> dict[str, Any]:
        """What is left of a consent."""
        return {
            **self._what(kept.newsletter),
            "way": kept.way,
            "wording": _wording(wording, kept.language),
            "requested_at": _time(kept.requested_at),
            "confirmed_at": _time(kept.confirmed_at),
            "withdrawn_at": _time(kept.withdrawn_at),
            "forgotten_at": _time(kept.forgotten_at),
        }

    def event(self, event: ConsentEvent | None) -> dict[str, Any] | None:
        """One line of the trail."""
        if event is None:
            return None
        evidence = event.evidence
        return {
            "at": _time(event.at),
            "kind": str(event.kind),
            "newsletter": event.newsletter,
            "way": str(evidence.way),
            "address_as_typed": evidence.address_as_typed,
            "source": evidence.form,
            "network": evidence.ip,
            "user_agent": evidence.user_agent,
            "wording": _wording(evidence.wording, evidence.language),
            "token_sha256": evidence.token_hash,
        }

    def _what(self, newsletter: str) -> dict[str, Any]:
        title = self._publisher.titles.get(newsletter, newsletter)
        return {"newsletter": newsletter, "title": title, "purpose": f"to receive {title!r} by e-mail"}

    def _mail(self, event: ConsentEvent | None) -> dict[str, Any] | None:
        number = event.evidence.delivery_id if event else None
        if not number:
            return None
        mail = self._mails.get(number)
        return {
            "message_id": self._links.message_id(number, self._publisher.sender.rpartition("@")[2]),
            "state": mail.state if mail else "no longer recorded",
            "queued_at": _time(mail.queued_at) if mail else None,
            "settled_at": _time(mail.settled_at) if mail else None,
            "server_said": mail.said if mail else "",
        }

    def _withdrawn(self, event: ConsentEvent | None) -> dict[str, Any] | None:
        # Done in the transaction that took the wish: it was in force at once for all that was not yet on the wire.
        return {**(self.event(event) or {}), "in_force_at": _time(event.at)} if event else None


def _wording(text: str, language: str) -> dict[str, Any] | None:
    return {"text": text, "sha256": wording_id(text), "language": language} if text else None


def _suppressed(found: Suppression | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"since": _time(found.at), "kind": str(found.kind), "reason": found.reason, "by": found.by}


def _change(each: SuppressionChange) -> dict[str, Any]:
    kind = EventKind.LIFTED if each.lifted else EventKind.SUPPRESSED
    return {"at": _time(each.at), "what": str(kind), "kind": each.kind, "reason": each.reason, "by": each.by}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
