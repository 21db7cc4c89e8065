"""FLOW: a due delivery, its message, the transport, the recorded outcome.

One bookkeeper turns in a circle: it records what came back and claims the next few deliveries, both in one
transaction. Connections take what was claimed and put it on the wire. So no message leaves before its row
durably says `sending`, and whenever the process dies, at most WINDOW rows a connection have an unknown fate.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from digest.domain.deliveries import Delivery, DeliveryState, Outcome, Receipt, Verdict, judge, retry_wait
from digest.domain.editions import EditionState
from digest.errors import DigestError, StoreUnavailable, TransportError
from digest.mail.letters import Message
from digest.mail.smtp import Answer, ConnectionLost, SmtpSession
from digest.store import Store, editions, outbox, workers
from digest.store.engine import SenderLock

WINDOW = 2  # deliveries claimed at one time, a connection
HEARTBEAT = timedelta(seconds=2)
_TURN_PAUSE = 0.02  # seconds a bookkeeper waits for outcomes to gather
_LAST_TRIES = 20  # to record the last outcomes, when the database is away as we stop
_IDLE_PAUSE = 0.5  # seconds between looks at an empty outbox

NO_RECEIPT = Receipt(0)

log = logging.getLogger("digest.delivering")


@dataclass(frozen=True, slots=True)
class Patience:
    """How much the sender bears before it gives up on a reader, or on the server."""

    give_up_after: timedelta = timedelta(hours=24)
    refusals_in_a_row: int = 5
    first_retry: timedelta = timedelta(minutes=5)
    connect_tries: int = 5
    connect_wait: float = 0.5  # seconds before the second try; doubles


class SenderBusy(DigestError):
    """Another process sends from this database, and SQLite has one sender at a time."""

    def __init__(self) -> None:
        super().__init__("another process is already sending from this database; with SQLite there is one sender")


@dataclass(slots=True)
class Sender:
    """Sends what is due until told to stop. `write` makes the message of a delivery, `connect` opens a session."""

    store: Store
    write: Callable[[Delivery], Message]
    connect: Callable[[], Awaitable[SmtpSession]]
    clock: Callable[[], datetime]
    connections: int
    patience: Patience
    tell_desk: Callable[[int, str, str], None]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _worker_id: int = 0
    _lock: SenderLock | None = None
    _to_send: asyncio.Queue[Delivery | None] = field(default_factory=asyncio.Queue)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _outcomes: list[Outcome] = field(default_factory=list)  # not yet recorded
    _held: set[int] = field(default_factory=set)  # claimed, and not yet recorded
    _lost_track: bool = False  # a transaction's end was not heard
    _refusals: int = 0  # about us, in a row
    _refused_us: Counter[int] = field(default_factory=Counter)
    _in_trouble: bool = False
    _sent_some: bool = False
    _beaten_at: datetime | None = None

    async def run(self, is_done: Callable[[], bool] = lambda: False) -> None:
        """Send until `stopping` is set, or `is_done` says so while nothing is held. Raises SenderBusy."""
        await asyncio.to_thread(self._start)
        lines = [asyncio.create_task(self._line()) for _ in range(self.connections)]
        try:
            await self._keep_books(is_done)
        finally:
            await self._drain(lines)

    # --- the bookkeeper -------------------------------------------------------------------------

    def _start(self) -> None:
        now = self.clock()
        if self.store.is_sqlite and (lock := self.store.lock_sender(0)) is None:
            raise SenderBusy
        with self.store.begin() as tx:
            self._worker_id = workers.register(tx, socket.gethostname(), os.getpid(), now)
        self._lock = lock if self.store.is_sqlite else self.store.lock_sender(self._worker_id)
        self._bury_the_dead(now)
        self._beaten_at = now

    def _bury_the_dead(self, now: datetime) -> None:
        if unknown := outbox.bury_the_dead(self.store, self._worker_id, now):
            log.warning("a sender died; the fate of %d messages is unknown", unknown)
            self.tell_desk(0, "A sender stopped in the middle", _UNCERTAIN.format(number=unknown))

    async def _keep_books(self, is_done: Callable[[], bool]) -> None:
        while not self.stopping.is_set():
            await self._gather()
            try:
                claimed = await asyncio.to_thread(self._turn)
            except StoreUnavailable as error:
                log.warning("%s; trying again", error)
                self._lost_track = True
                await _at_most(self.stopping.wait(), _IDLE_PAUSE)
                continue
            for delivery in claimed:
                self._to_send.put_nowait(delivery)
            if not self._held:
                if await asyncio.to_thread(is_done):
                    return
                await _at_most(self.stopping.wait(), _IDLE_PAUSE)

    async def _gather(self) -> None:
        """Wait a moment for the lines to finish something, so that one transaction records several."""
        if self._held and not self._outcomes:
            await _at_most(self._arrived.wait(), 1.0)
        if len(self._outcomes) < len(self._held):
            await _at_most(self.stopping.wait(), _TURN_PAUSE)
        self._arrived.clear()

    def _turn(self, *, claiming: bool = True) -> list[Delivery]:
        """Record outcomes, finish editions, claim the next few: one transaction."""
        now = self.clock()
        outcomes = list(self._outcomes)
        with self.store.begin() as tx:
            if self._lost_track:
                outbox.release_unknown(tx, self._worker_id, self._held)
            outbox.settle(tx, self._worker_id, outcomes, now)
            room = self.connections * WINDOW - (len(self._held) - len(outcomes))
            claimed = outbox.claim(tx, self._worker_id, now, room) if claiming and room > 0 else []
            for edition_id in outbox.settled_editions(tx):
                editions.move(tx, edition_id, EditionState.SENT, sent_at=now)
        del self._outcomes[: len(outcomes)]
        self._held.difference_update(each.delivery_id for each in outcomes)
        self._held.update(each.id for each in claimed)
        self._lost_track = False
        self._beat(now)
        return claimed

    def _beat(self, now: datetime) -> None:
        """Say that we live, and look whether the others do."""
        if self._beaten_at is not None and timedelta(0) <= now - self._beaten_at < HEARTBEAT:
            return
        self._beaten_at = now
        if self._lock is None or not self._lock.is_held():
            self._lock = self.store.lock_sender(self._worker_id)
        with self.store.begin() as tx:
            workers.beat(tx, self._worker_id, now)
        self._bury_the_dead(now)

    async def _drain(self, lines: list[asyncio.Task[None]]) -> None:
        """Give back what is not on the wire, let the rest finish, record it, and leave."""
        while not self._to_send.empty():
            if delivery := self._to_send.get_nowait():
                self._outcomes.append(_give_back(delivery))
        for _ in lines:
            self._to_send.put_nowait(None)
        await asyncio.gather(*lines, return_exceptions=True)
        for tries_left in reversed(range(_LAST_TRIES)):
            try:
                await asyncio.to_thread(self._turn, claiming=False)
                await asyncio.to_thread(self._leave)
                return
            except StoreUnavailable:
                self._lost_track = True
                if not tries_left:
                    raise
                await asyncio.sleep(_IDLE_PAUSE)

    def _leave(self) -> None:
        with self.store.begin() as tx:
            workers.stop(tx, self._worker_id, self.clock())
        if self._lock is not None:
            self._lock.release()

    # --- a line to the server -------------------------------------------------------------------

    async def _line(self) -> None:
        """Take deliveries one by one and put them on the wire over a session kept open."""
        session: SmtpSession | None = None
        while delivery := await self._to_send.get():
            outcome, session = await self._see_to(delivery, session)
            self._outcomes.append(outcome)
            self._arrived.set()
        if session is not None:
            await session.close()

    async def _see_to(self, delivery: Delivery, session: SmtpSession | None) -> tuple[Outcome, SmtpSession | None]:
        """One delivery to its outcome, whatever happens; a held delivery without one would wait for ever."""
        try:
            message = await asyncio.to_thread(self.write, delivery)
            return await self._attempt(delivery, message, session)
        except TransportError as error:
            return await asyncio.to_thread(self._server_trouble, delivery, error), None
        except StoreUnavailable as error:
            return _give_back(delivery, Receipt(0, str(error)), self._soon()), session
        except Exception as error:  # a defect of ours, before anything went out
            log.exception("delivery %d failed here, not at the server", delivery.id)
            words = Receipt(0, f"{type(error).__name__}: {error}")
            return Outcome(delivery.id, DeliveryState.FAILED, words), session

    async def _open(self) -> SmtpSession:
        """A new session; tries a few times, as a server that restarts deserves."""
        wait = self.patience.connect_wait
        for tries_left in reversed(range(self.patience.connect_tries)):
            try:
                session = await self.connect()
                self._in_trouble = False
                return session
            except TransportError:
                if not tries_left or self.stopping.is_set() or self._in_trouble:
                    raise
                await _at_most(self.stopping.wait(), wait)
                wait *= 2
        raise AssertionError("unreachable: the last try returns or raises")

    async def _attempt(
        self, delivery: Delivery, message: Message, session: SmtpSession | None
    ) -> tuple[Outcome, SmtpSession | None]:
        """Send the message. A line the server closed between two messages is no fault of the reader: try anew once."""
        for is_last_try in (False, True):
            if session is None or not session.is_open:
                session = await self._open()
            try:
                answer = await session.send(message.sender, message.recipient, message.content)
                return await self._judged(delivery, answer), session
            except ConnectionLost as lost:
                session = None
                if lost.after_data:
                    return Outcome(delivery.id, DeliveryState.UNCERTAIN, Receipt(0, str(lost))), None
                if is_last_try:
                    return self._later(delivery, Receipt(0, str(lost))), None
        raise AssertionError("unreachable: the last try returns or raises")

    async def _judged(self, delivery: Delivery, answer: Answer) -> Outcome:
        verdict = judge(answer.receipt, command=answer.command)
        if verdict is Verdict.ABOUT_US:
            return await asyncio.to_thread(self._refused_by_policy, delivery, answer.receipt)
        if verdict is Verdict.DEFERRED:
            return self._later(delivery, answer.receipt)
        self._refusals = 0
        self._sent_some = self._sent_some or verdict is Verdict.SENT
        return Outcome(delivery.id, DeliveryState(verdict.value), answer.receipt)

    def _later(self, delivery: Delivery, receipt: Receipt) -> Outcome:
        """Another try, after a wait that grows; or the end of our patience."""
        now = self.clock()
        if now - delivery.queued_at >= self.patience.give_up_after:
            return Outcome(delivery.id, DeliveryState.FAILED, receipt)
        wait = retry_wait(delivery.attempts, self.patience.first_retry, random.random())  # noqa: S311 - jitter
        return Outcome(delivery.id, DeliveryState.DEFERRED, receipt, now + wait)

    # --- trouble that is about us, not about a reader --------------------------------------------

    def _refused_by_policy(self, delivery: Delivery, receipt: Receipt) -> Outcome:
        """A 5.7.x and its like. The reader keeps the place; many in a row pause the run."""
        self._refusals += 1
        self._refused_us[delivery.id] += 1
        alone = self._refused_us[delivery.id]
        if self._sent_some and alone >= max(self.patience.refusals_in_a_row, self._refusals):
            self._refusals = 0
            return Outcome(delivery.id, DeliveryState.FAILED, receipt)  # others get through: it is this one
        if self._refusals >= self.patience.refusals_in_a_row:
            self._pause(delivery, str(receipt))
        return _give_back(delivery, receipt, None if delivery.edition_id else self._soon())

    def _server_trouble(self, delivery: Delivery, error: TransportError) -> Outcome:
        """The server cannot be used: the edition pauses; other mail waits a little."""
        if not self.stopping.is_set():
            self._pause(delivery, str(error))
        return _give_back(delivery, Receipt(error.code, error.reply), None if delivery.edition_id else self._soon())

    def _soon(self) -> datetime:
        return self.clock() + self.patience.first_retry / 10

    def _pause(self, delivery: Delivery, words: str) -> None:
        self._in_trouble = True
        self._refusals = 0
        if not delivery.edition_id:
            log.warning("mail waits: %s", words)
            return
        try:
            with self.store.begin() as tx:
                paused = editions.move(tx, delivery.edition_id, EditionState.PAUSED, reason=words)
            if paused:
                log.error("edition %d is paused: %s", delivery.edition_id, words)
                text = _PAUSED.format(words=words, id=delivery.edition_id)
                self.tell_desk(delivery.edition_id, "Sending is paused", text)
        except StoreUnavailable as error:
            log.warning("%s; the edition is paused at the next refusal", error)


_UNCERTAIN = (
    "A sending process ended without a word. Of {number} messages nobody can know whether they arrived; they are "
    "marked uncertain and are not sent again by themselves.\n\nSee them:        digest edition deliveries --state "
    "uncertain\nSend them again: digest edition resend --uncertain"
)
_PAUSED = (
    "The mail server will not take our mail, so sending has stopped. No reader is lost: everyone who has not "
    "had the edition yet is still in the queue.\n\nWhat was said: {words}\n\n"
    "When it is mended, run: digest edition resume {id}"
)


def _give_back(delivery: Delivery, receipt: Receipt = NO_RECEIPT, due_at: datetime | None = None) -> Outcome:
    return Outcome(delivery.id, DeliveryState.QUEUED, receipt, due_at)


async def _at_most(waiting: Awaitable[object], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)
