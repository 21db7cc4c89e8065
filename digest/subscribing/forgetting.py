"""FLOW, subscribing's part: what is known of a reader, shown to them; and forgetting them.

Both are asked for once more by mail, and the mail's link is good for a day. Who is forgotten leaves a fingerprint
behind, so that no import ever brings them back, and for a while the proof that they had agreed; neither names them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from digest.domain.addresses import Address
from digest.domain.links import Links, Purpose
from digest.domain.proofs import Proof, wording_id
from digest.domain.subscribers import ConsentEvent, EventKind, Evidence, Subscription, Way
from digest.domain.suppressions import Suppression, SuppressionChange, SuppressionKind
from digest.errors import InvalidToken, NotFound
from digest.store import Store, Transaction, consent, erasure, known, subscribers, suppressions
from digest.store.erasure import Erased
from digest.store.scrubbing import scrub, truncate_log

GOOD_FOR = timedelta(hours=24)  # a link that shows or forgets
_MOMENT = 2.0  # seconds a page waits for those who read the database; the daily job has more time

__all__ = ["Erased", "forget", "forget_address", "look_up", "own_data", "tidy"]


def look_up(store: Store, links: Links, purpose: Purpose, token: str, now: datetime) -> Subscription:
    """Whom an OWN_DATA or ERASURE link is for; nothing changes. Raises InvalidToken: late, void or not ours."""
    with store.read() as tx:
        return _whose(tx, links, purpose, token, now)


def own_data(store: Store, links: Links, token: str, now: datetime) -> dict[str, object]:
    """Everything we know of a reader (GDPR art. 15 and 20), ready for JSON; times are ISO 8601 in UTC.

    Raises InvalidToken.
    """
    with store.read() as tx:
        found = _whose(tx, links, Purpose.OWN_DATA, token, now)
        subscriber_id = found.subscriber_id
        address_hash = links.address_hash(found.address.key)
        suppression = suppressions.of(tx, address_hash)
        return {
            "as_of": _time(now),
            "address": found.address.text,
            "name": found.name,
            "known_since": _time(known.since(tx, subscriber_id)),
            "subscriptions": [_subscription(each) for each in subscribers.everything_of(tx, subscriber_id)],
            "events": [_event(each) for each in consent.trail(tx, subscriber_id)],
            "mails": [_mail(each) for each in known.mails(tx, subscriber_id)],
            "returned": [_report(each) for each in known.reports(tx, subscriber_id)],
            "suppressed": _suppressed(suppression) if suppression else None,
            "suppressions": [_change(each) for each in suppressions.changes(tx, address_hash)],
            "consents_before_erasure": [_proof(*each) for each in consent.proofs_of(tx, address_hash)],
        }


def forget(store: Store, links: Links, token: str, evidence: Evidence, now: datetime) -> Erased:
    """The reader wishes to be forgotten, by the link in their mail. Raises InvalidToken, also the second time."""
    with store.begin() as tx:
        found = _whose(tx, links, Purpose.ERASURE, token, now)
        erased = _erase(tx, links, found.address, evidence, now)
    if erased is None:  # another press of the same button was first
        raise InvalidToken(Purpose.ERASURE, expired=True)
    truncate_log(store, _MOMENT)
    return erased


def forget_address(store: Store, links: Links, address: Address, evidence: Evidence, now: datetime) -> Erased:
    """The operator forgets a reader who asked for it, by letter for instance. Raises NotFound for a stranger."""
    with store.begin() as tx:
        erased = _erase(tx, links, address, evidence, now)
    if erased is None:
        hint = "there is nothing to forget; `digest suppressions add` keeps an address out for good"
        raise NotFound("subscriber", address.text, hint)
    scrub(store)
    return erased


def tidy(store: Store, keep_ip: timedelta, keep_proof: timedelta, now: datetime) -> tuple[int, int]:
    """What is kept for a while only goes: (events without their network now, proofs deleted).

    What a forgetting could not clean up at once, as somebody was reading, is cleaned up now.
    """
    blanked = after = 0
    while True:
        with store.read() as tx:
            found = consent.with_network(tx, now - keep_ip, after)
        if not found:
            break
        with store.begin() as tx:
            consent.blank_network(tx, found)
        after, blanked = found[-1], blanked + len(found)
    with store.begin() as tx:
        purged = consent.purge_proofs(tx, now - keep_proof)
    scrub(store)
    return blanked, purged


def _whose(tx: Transaction, links: Links, purpose: Purpose, token: str, now: datetime) -> Subscription:
    subscription_id, _ = links.read_timed(purpose, token, now, GOOD_FOR)
    found = subscribers.subscription(tx, subscription_id)
    if found is None:
        raise InvalidToken(purpose, expired=True)
    return found


def _erase(tx: Transaction, links: Links, address: Address, evidence: Evidence, now: datetime) -> Erased | None:
    found = erasure.lock(tx, address)
    if found is None:
        return None
    by = "the operator" if evidence.way is Way.OPERATOR else "the reader"
    forgotten = Suppression(
        links.address_hash(address.key), SuppressionKind.FORGOTTEN, "asked to be forgotten", now, by=by
    )
    return erasure.erase(tx, *found, forgotten)


# --- for JSON -------------------------------------------------------------------------------------


def _subscription(each: Subscription) -> dict[str, object]:
    return {
        "newsletter": each.newsletter,
        "state": str(each.state),
        "language": each.language,
        "rhythm": str(each.rhythm) or "every edition",
        "requested_at": _time(each.requested_at),
        "reminded_at": _time(each.reminded_at),
        "confirmed_at": _time(each.confirmed_at),
        "unsubscribed_at": _time(each.unsubscribed_at),
        "paused_until": _time(each.paused_until),
    }


def _event(each: ConsentEvent) -> dict[str, object]:
    evidence = each.evidence
    return {
        "at": _time(each.at),
        "kind": str(each.kind),
        "newsletter": each.newsletter,
        "way": str(evidence.way),
        "address_as_typed": evidence.address_as_typed,
        "language": evidence.language,
        "wording": {"text": evidence.wording, "sha256": wording_id(evidence.wording)} if evidence.wording else None,
        "source": evidence.form,
        "network": evidence.ip,
        "user_agent": evidence.user_agent,
        "asked_by_mail": evidence.delivery_id,
        "token_sha256": evidence.token_hash,
    }


def _mail(each: known.KnownMail) -> dict[str, object]:
    return {
        "id": each.id,
        "mail": each.mail,
        "newsletter": each.newsletter,
        "edition": each.edition_id,
        "state": each.state,
        "queued_at": _time(each.queued_at),
        "settled_at": _time(each.settled_at),
        "server_said": each.said,
    }


def _report(each: known.KnownReport) -> dict[str, object]:
    return {
        "at": _time(each.at),
        "mail": each.mail_id,
        "kind": each.kind,
        "status": each.status,
        "words": each.words,
    }


def _suppressed(each: Suppression) -> dict[str, object]:
    return {"since": _time(each.at), "kind": str(each.kind), "reason": each.reason, "by": each.by}


def _change(each: SuppressionChange) -> dict[str, object]:
    what = EventKind.LIFTED if each.lifted else EventKind.SUPPRESSED
    return {"at": _time(each.at), "what": str(what), "kind": each.kind, "reason": each.reason, "by": each.by}


def _proof(kept: Proof, wording: str) -> dict[str, object]:
    """Of who was forgotten and came back."""
    return {
        "newsletter": kept.newsletter,
        "way": kept.way,
        "wording": wording,
        "requested_at": _time(kept.requested_at),
        "confirmed_at": _time(kept.confirmed_at),
        "withdrawn_at": _time(kept.withdrawn_at),
        "forgotten_at": _time(kept.forgotten_at),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
