"""FLOW, delivering's part: how far an edition is, and the closing of its accounts when nothing is left to send."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from digest.domain.bouncing import Bounce, Outcome, is_unbelievable, kept_words
from digest.domain.deliveries import UNSETTLED, Progress
from digest.domain.editions import EditionState
from digest.domain.pace import provider
from digest.domain.reports import ReportKind
from digest.domain.subscribers import EventKind, Evidence, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.store import Store, Transaction, bounces, consent, deliveries, editions, outbox, suppressions, workers

Hash = Callable[[str], str]  # an address key as suppressions keep it
Note = tuple[int, str, str]  # edition id, subject, text: for the desk

LIVE = timedelta(seconds=20)  # since the last heartbeat
log = logging.getLogger("digest.delivering")


def close(tx: Transaction, hash_address: Hash, edition_id: int, now: datetime) -> list[Note] | None:
    """If nothing of the edition is left, it is sent: None when something is. Returns what the desk must hear.

    Readers whose mailbox the server said does not exist are suppressed now, as a bounce would: by now the whole
    run has shown whether the server can be believed.
    """
    editions.required(tx, edition_id, lock=True)  # whoever queues a copy of it again waits for us, or we for them
    if not outbox.is_settled(tx, edition_id) or not editions.move(tx, edition_id, EditionState.SENT, sent_at=now):
        return None
    counts = deliveries.counts(tx, edition_id)
    log.info("edition %d: sent to %s", edition_id, f"{counts['sent']:,}")
    notes: list[Note] = []
    if words := _disagreement(tx, edition_id, counts):
        notes.append((edition_id, "The numbers of an edition do not add up", words))
    if counts["refused"] and (words := _follow_refusals(tx, hash_address, edition_id, counts, now)):
        notes.append((edition_id, "Too many readers were refused", words))
    return notes


def _disagreement(tx: Transaction, edition_id: int, counts: dict[str, int]) -> str:
    """Every reader of the audience was prepared or excluded, and nobody appeared or vanished since."""
    edition = editions.required(tx, edition_id)
    prepared = sum(counts.values())
    if prepared + edition.excluded == edition.audience:
        return ""
    return _DISAGREES.format(id=edition_id, prepared=prepared, excluded=edition.excluded, audience=edition.audience)


def _follow_refusals(
    tx: Transaction, hash_address: Hash, edition_id: int, counts: dict[str, int], now: datetime
) -> str:
    refused, tried = counts["refused"], counts["refused"] + counts["sent"]
    if is_unbelievable(refused, tried):
        return _UNBELIEVABLE.format(id=edition_id, refused=refused, tried=tried)
    for refusal in list(deliveries.hard_refusals(tx, edition_id)):
        words = kept_words(refusal.words, refusal.address_key)
        known = (now, refusal.delivery_id, refusal.subscriber_id, ReportKind.HARD, refusal.status)
        at_provider = provider(refusal.address_key.rpartition("@")[2])
        bounces.record(tx, Bounce(*known, at_provider, words, "smtp", Outcome.SUPPRESSED))
        _suppress(tx, hash_address(refusal.address_key), refusal.subscriber_id, f"{ReportKind.HARD}: {words}", now)
    return ""


def _suppress(tx: Transaction, address_hash: str, subscriber_id: int, reason: str, now: datetime) -> None:
    kind = SuppressionKind.BOUNCED
    bounced = Suppression(address_hash, kind, reason, now, by="mail server", subscriber_id=subscriber_id)
    if suppressions.suppress(tx, bounced):
        consent.record(tx, subscriber_id, "", EventKind.SUPPRESSED, Evidence(Way.BOUNCE, form=reason), now)


_DISAGREES = (
    "Edition {id} is finished, but {prepared:,} deliveries and {excluded:,} excluded readers are not the audience of "
    "{audience:,} it was frozen with. No mail went out twice for it, but somebody may have been left out, or rows "
    "were changed by hand.\n\nSee them: digest edition deliveries {id} --json"
)
_UNBELIEVABLE = (
    "The mail server refused {refused:,} of {tried:,} readers of edition {id}, as if their mailboxes did not exist. So "
    "many do not vanish in a week: most likely the server is wrong. So none of them was suppressed.\n\n"
    "See why:         digest edition deliveries {id} --state refused\n"
    "When it is mended: digest edition resend {id} --failed"
)


def progress(store: Store, edition_id: int, now: datetime) -> Progress:
    """How far an edition is, with the pace of all workers. Raises NotFound."""
    with store.read() as tx:
        edition = editions.required(tx, edition_id)
        counts = deliveries.counts(tx, edition_id)
        alive = [each for each in workers.not_stopped(tx) if now - each.heartbeat_at < LIVE]
        due_at = deliveries.next_due(tx, edition_id) if edition.state is EditionState.SENDING else None
    total = sum(counts.values())
    left = sum(counts[state] for state in UNSETTLED)
    rate = sum(each.rate for each in alive) if edition.state is EditionState.SENDING else 0.0
    waits_until = due_at if due_at is not None and due_at > now and not counts["sending"] else None
    eta = left / rate if rate > 0.0 else (0.0 if not left else None)
    return Progress(edition_id, edition.state, total, total - left, counts, round(rate, 1), eta, waits_until)


def fold(store: Store, before: datetime) -> int:
    """Turn rows sent before that moment into a number an edition, in small transactions; returns how many."""
    total = 0
    while True:
        with store.begin() as tx:
            folded = deliveries.fold(tx, before)
        total += folded
        if not folded:
            return total
