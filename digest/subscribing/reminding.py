"""FLOW, subscribing's part: who has not answered is reminded once, and forgotten when they never do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.domain.deliveries import Mail
from digest.domain.subscribers import ASKING, ConfirmationLimits, may_ask
from digest.store import Store, deliveries, pending

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long an answer is waited for. `remind_after` zero: nobody is reminded."""

    remind_after: timedelta
    confirm_within: timedelta
    purge_after: timedelta


def remind(store: Store, waiting: Waiting, limits: ConfirmationLimits, now: datetime) -> int:
    """Ask once more who was asked `remind_after` ago and has not answered; returns how many.

    Their link is then good for the whole time again. A mailbox is reminded once a day at most and never beyond its
    cap, in whatever spelling its address was typed: somebody else may have typed it.
    """
    if not waiting.remind_after:
        return 0
    newest = now - waiting.remind_after
    oldest = newest - waiting.confirm_within  # later than that a reminder would come out of the blue
    reminded = after = 0
    while True:
        with store.read() as tx:
            found = pending.unanswered(tx, oldest, newest, after, _BATCH)
        for each in found:
            after = each.subscription_id
            reminded += _remind_one(store, each, limits, now)
        if len(found) < _BATCH:
            return reminded


def _remind_one(store: Store, each: pending.Unanswered, limits: ConfirmationLimits, now: datetime) -> bool:
    a_day_ago = now - timedelta(days=1)
    with store.begin() as tx:
        deliveries.lock_mailbox(tx, each.variant_key)
        asked = deliveries.asked_at(tx, each.variant_key, a_day_ago, ASKING)
        if deliveries.asked_at(tx, each.variant_key, a_day_ago, Mail.REMINDER) or not may_ask(asked, now, limits):
            return False
        if not pending.mark_reminded(tx, each.subscription_id, each.requested_at, now):
            return False  # answered meanwhile
        deliveries.queue_letter(tx, Mail.REMINDER, each.subscription_id, now)
        return True


def purge(store: Store, waiting: Waiting, now: datetime) -> int:
    """Delete who never answered, with all that is known of them; returns how many requests that were.

    Who had been a reader before is again what they were, such as one who left: their proof and their wish stay.
    """
    before = now - max(waiting.purge_after, waiting.confirm_within + waiting.remind_after)
    total = 0
    while True:
        with store.begin() as tx:
            gone = pending.purge(tx, before, _BATCH)
        total += gone
        if gone < _BATCH:
            return total
