"""What an attempt at a delivery comes to: the rules between a server's answer and the row that records it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from digest.domain.deliveries import Delivery, DeliveryState, Outcome, Receipt, Verdict, judge, retry_wait

LINES_PER_TRY = 3  # that may break under a message before its reader waits: they say little about the reader
FEWEST_TRIES = 3  # before a reader is given up, also when the clock has jumped ahead


@dataclass(frozen=True, slots=True)
class Patience:
    """How much the sender bears before it gives up on a reader, or on the server."""

    give_up_after: timedelta = timedelta(hours=24)
    refusals_in_a_row: int = 5
    first_retry: timedelta = timedelta(minutes=5)
    connect_tries: int = 6
    connect_wait: float = 0.5  # seconds before the second try; doubles

    @property
    def soon(self) -> timedelta:
        """When mail that belongs to no edition is tried again after trouble with the server."""
        return self.first_retry / 10


class Ruling(NamedTuple):
    """What follows from an attempt. Without an outcome the message is tried again at once, on another line.

    `pause`: the run stops, for the reason given; `verdict` is what the answer meant.
    """

    outcome: Outcome | None
    verdict: Verdict
    pause: str = ""


@dataclass(slots=True)
class Judge:
    """Rules on one worker's attempts. It remembers how often in a row the server refused us, and over whom."""

    patience: Patience
    _refusals: int = 0  # about us, in a row
    _refused_over: Counter[int] = field(default_factory=Counter)
    _sent_some: bool = False

    def answered(
        self, delivery: Delivery, command: str, receipt: Receipt, lines: int, now: datetime, luck: float
    ) -> Ruling:
        """The server has decided. `lines`: how many have carried this message; `luck` in [0, 1) spreads the retries."""
        verdict = judge(receipt, command=command)
        if verdict is Verdict.ABOUT_US:
            return self._refused_us(delivery, receipt, now)
        if verdict is Verdict.DEFERRED:
            if receipt.code == 421 and command != "END" and lines < LINES_PER_TRY:
                return Ruling(None, verdict)  # the line closed before the message: another may serve
            return Ruling(self._later(delivery, receipt, now, luck), verdict)
        if verdict is Verdict.SENT:
            self._refusals, self._sent_some = 0, True
        return Ruling(Outcome(delivery.id, DeliveryState(verdict.value), receipt), verdict)

    def lost(
        self, delivery: Delivery, words: str, lines: int, now: datetime, luck: float, *, after_data: bool
    ) -> Ruling:
        """The line broke. Before the message was under way nothing has happened to the reader."""
        receipt = Receipt(0, words)
        if after_data:
            return Ruling(Outcome(delivery.id, DeliveryState.UNCERTAIN, receipt), Verdict.UNCERTAIN)
        if lines < LINES_PER_TRY:
            return Ruling(None, Verdict.DEFERRED)
        return Ruling(self._later(delivery, receipt, now, luck), Verdict.DEFERRED)

    def _later(self, delivery: Delivery, receipt: Receipt, now: datetime, luck: float) -> Outcome:
        """Another try, after a wait that grows; or the end of our patience."""
        waited = now - delivery.queued_at
        if delivery.attempts >= FEWEST_TRIES and waited >= self.patience.give_up_after:
            return Outcome(delivery.id, DeliveryState.FAILED, receipt)
        wait = retry_wait(delivery.attempts, self.patience.first_retry, luck)
        return Outcome(delivery.id, DeliveryState.DEFERRED, receipt, now + wait)

    def _refused_us(self, delivery: Delivery, receipt: Receipt, now: datetime) -> Ruling:
        """A 5.7.x and its like: the reader keeps the place. Many in a row pause the run.

        One over whom we alone are refused, again and again while others get their mail, is the reason for it.
        """
        self._refusals += 1
        self._refused_over[delivery.id] += 1
        alone = self._refused_over[delivery.id]
        limit = self.patience.refusals_in_a_row
        if self._sent_some and alone >= max(limit, self._refusals):
            self._refusals = 0
            return Ruling(Outcome(delivery.id, DeliveryState.FAILED, receipt), Verdict.FAILED)
        pause = ""
        if self._refusals >= limit:
            self._refusals, pause = 0, str(receipt)
        due_at = None if delivery.edition_id else now + self.patience.soon
        return Ruling(Outcome(delivery.id, DeliveryState.QUEUED, receipt, due_at), Verdict.ABOUT_US, pause)
