"""FLOW: a report came back: whose is it, and what follows.

Nothing acts without a token of ours in the report: a forged one changes nothing (RFC 3464, RFC 5965).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from digest.domain.links import Links
from digest.domain.reports import Report, ReportKind
from digest.domain.subscribers import EventKind, Evidence, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.errors import InvalidToken
from digest.store import Store, Transaction, consent, deliveries, subscribers, suppressions


@dataclass(frozen=True, slots=True)
class Followed:
    """What a report was and what followed from it."""

    kind: ReportKind
    delivery_id: int = 0
    consequence: str = "nothing changes"


def receive(store: Store, links: Links, report: Report, now: datetime) -> Followed:
    """Act on a report: a hard bounce or a complaint suppresses its reader, everything else is only noted."""
    delivery_id = _whose(links, report)
    if not delivery_id or report.kind not in (ReportKind.HARD, ReportKind.COMPLAINT):
        return Followed(report.kind, delivery_id)
    with store.begin() as tx:
        subscription_id = deliveries.subscription_of(tx, delivery_id)
        subscription = subscribers.subscription(tx, subscription_id) if subscription_id else None
        if subscription is None:
            return Followed(report.kind, delivery_id, "the reader is gone already")
        way = Way.COMPLAINT if report.kind is ReportKind.COMPLAINT else Way.BOUNCE
        address_hash = links.address_hash(subscription.address.key)
        reason = f"{report.kind}: {report.words}"[:300]
        kind = SuppressionKind.COMPLAINED if report.kind is ReportKind.COMPLAINT else SuppressionKind.BOUNCED
        suppression = Suppression(address_hash, kind, reason, now, subscriber_id=subscription.subscriber_id)
        new = suppressions.suppress(tx, suppression)
        if new:
            _record(tx, subscription.subscriber_id, Evidence(way, form=reason), now)
        return Followed(report.kind, delivery_id, "suppressed" if new else "was suppressed already")


def _record(tx: Transaction, subscriber_id: int, evidence: Evidence, now: datetime) -> None:
    consent.record(tx, subscriber_id, "", EventKind.SUPPRESSED, evidence, now)


def _whose(links: Links, report: Report) -> int:
    """The delivery a report is about, by the first valid token in it; 0 when there is none."""
    for address in report.envelope_senders:
        try:
            return links.read_envelope_sender(address)
        except InvalidToken:
            continue
    for message_id in report.message_ids:
        if delivery_id := links.read_message_id(message_id):
            return delivery_id
    return 0
