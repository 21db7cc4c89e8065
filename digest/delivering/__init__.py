"""FLOW: a due delivery, its message, the transport, the recorded outcome.

A sender turns in a circle: its books record what came back and claim the next few deliveries, in a thread of their
own; relays put what was claimed on the wire. No message leaves before its row durably says `sending`, and whenever
the process dies, at most WINDOW rows a connection have an unknown fate.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar, cast

from digest.delivering.bookkeeping import Books, Held, Turned
from digest.delivering.telling import Letters
from digest.domain.attempts import Judge, Ruling
from digest.domain.deliveries import DeliveryState, Outcome, Receipt, Verdict, asks_for_patience
from digest.errors import StoreUnavailable
from digest.mail.envelope import Answer, Loss, Parcel
from digest.mail.relay import Relay
from digest.mail.smtp import Server

WINDOW = 3  # deliveries claimed at one time, a connection: one on the wire, one's envelope, one being recorded
HEARTBEAT = 1.0  # seconds
_TICK = 0.25  # seconds between turns while nothing comes back: a pause must be seen
_GATHER = 0.004  # seconds a turn waits for more outcomes
_IDLE = 0.5  # seconds between looks at an empty outbox
_STALE = 1.5  # seconds a claimed delivery may wait before its reader's standing is read anew
_LAST_TRIES = 20  # to record the last outcomes, when the database is away as we stop

NO_RECEIPT = Receipt(0)
T = TypeVar("T")
log = logging.getLogger("digest.delivering")


@dataclass(slots=True)
class Sender:
    """Sends what is due until told to stop."""

    books: Books
    judge: Judge
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)  # it is the sender, and known as a worker
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "books"))
    _relays: list[Relay] = field(default_factory=list)
    _outcomes: list[Outcome] = field(default_factory=list)  # not yet recorded
    _held: dict[int, Held] = field(default_factory=dict)  # claimed, and not yet recorded
    _letters: Letters = field(default_factory=Letters)
    _wanted: frozenset[int] = frozenset()  # editions being sent
    _to_pause: dict[int, str] = field(default_factory=dict)
    _sent: int = 0  # since the last heartbeat
    _bell: asyncio.Future[None] | None = None
    _enough: int = 1

    async def run(self, is_done: Callable[[], bool] = lambda: False) -> None:
        """Send until `stopping` is set, or `is_done` says so while nothing is held. Raises SenderBusy."""
        watching = asyncio.create_task(self._watch_stopping())
        try:
            await self._in_books(self.books.open)
            self.started.set()
            self._relays = [self._relay(server) for server in self.books.servers]
            try:
                await self._keep_books(is_done)
            finally:
                await self._drain()
        finally:
            watching.cancel()
            await self.books.let_go()
            self._thread.shutdown()
            self.books.store.close()

    def _relay(self, server: Server) -> Relay:
        relay = Relay(
            server,
            answered=self._answered,
            lost=self._lost,
            is_wanted=self._wants,
            connect_tries=self.judge.patience.connect_tries,
            first_wait=self.judge.patience.connect_wait,
        )
        relay.start()
        relay.set_share(self.books.pace.share)
        return relay

    # --- the circle ------------------------------------------------------------------------------------

    async def _keep_books(self, is_done: Callable[[], bool]) -> None:
        wait = 0.0
        while not self.stopping.is_set():
            await self._gather(wait)
            try:
                await self._turn(claiming=True)
                if time.monotonic() - self.books.beaten_at >= HEARTBEAT:
                    await self._beat()
                wait = _TICK if self._held else _IDLE
                if not self._held and not self._outcomes and await self._in_books(is_done):
                    return
            except StoreUnavailable as error:
                log.warning("%s; trying again", error)
                self.books.lost_track = True
                await self._wait(_IDLE)

    async def _gather(self, seconds: float) -> None:
        """Wait a moment for outcomes, so that one transaction records several."""
        if not self._outcomes:
            self._enough = 1
            await self._wait(seconds)
        self._enough = max(1, len(self._held) // (3 if self.books.store.is_sqlite else 2))
        if self._held and len(self._outcomes) < self._enough:
            await self._wait(_GATHER)

    async def _turn(self, *, claiming: bool) -> None:
        """One turn of the books, and what follows from it once its transaction is through."""
        outcomes = list(self._outcomes)
        rooms = self._rooms(outcomes) if claiming else {}
        if self.books.is_steady(outcomes, self._to_pause, rooms):
            turned = await self.books.sweep(outcomes, rooms)
        else:
            turned = await self._in_books(self.books.turn, outcomes, dict(self._to_pause), self._held, rooms)
        del self._outcomes[: len(turned.outcomes)]
        for outcome in turned.outcomes:
            if held := self._held.pop(outcome.delivery_id, None):
                self._letters.note(held.delivery, outcome.state)
        for edition_id in turned.paused:
            self._to_pause.pop(edition_id, None)
        if turned.sending - self._wanted:
            for relay in self._relays:  # somebody began or resumed an edition: what was broken may be mended
                relay.try_again()
        self._wanted = turned.sending
        self._hand_out(turned)
        self._take_back()

    async def _beat(self) -> None:
        sent, self._sent = self._sent, 0
        self._letters.tell()
        await self._in_books(self.books.beat, sent, self._held)
        for relay in self._relays:
            relay.set_share(self.books.pace.share)

    async def _in_books(self, work: Callable[..., T], *values: object) -> T:
        """SQLite's transactions take less time than a thread takes to wake; PostgreSQL's are mostly waiting."""
        if self.books.store.is_sqlite:
            return work(*values)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    async def _wait(self, seconds: float) -> None:
        """Until there are enough outcomes, we are told to stop, or the time is up."""
        if seconds <= 0.0 or self.stopping.is_set():
            return
        loop = asyncio.get_running_loop()
        self._bell = bell = loop.create_future()
        timer = loop.call_later(seconds, self._ring)
        await bell
        timer.cancel()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def _watch_stopping(self) -> None:
        await self.stopping.wait()
        self._ring()

    # --- what the relays get, and give back ---------------------------------------------------------------

    def _rooms(self, outcomes: list[Outcome]) -> dict[int, int]:
        """How many more messages each relay can be given. Those with weight 0 stand by for the others.

        What is recorded in the same transaction is not held any more.
        """
        held = Counter(each.relay for each in self._held.values())
        held.subtract(self._held[each.delivery_id].relay for each in outcomes if each.delivery_id in self._held)
        usable = [number for number, relay in enumerate(self._relays) if relay.is_usable]
        first = [number for number in usable if self.books.servers[number].weight] or usable
        heaviest = max((self.books.servers[number].weight for number in first), default=1) or 1
        # A server's window is as wide as its weight: so it gets its share also while all are busy.
        shares = {number: (self.books.servers[number].weight or 1) / heaviest for number in first}
        return {number: self._relays[number].room(held[number], WINDOW * shares[number]) for number in first}

    def _hand_out(self, turned: Turned) -> None:
        self._held.update((held.delivery.id, held) for held in turned.claimed)
        self._outcomes += turned.failed
        for is_letter in (True, False):  # what belongs to no edition overtakes what waits
            chosen = [held for held in turned.claimed if (not held.delivery.edition_id) is is_letter]
            for number, relay in enumerate(self._relays):
                relay.put([held.parcel for held in chosen if held.relay == number and held.parcel], first=is_letter)
        for held in turned.claimed:
            held.parcel = None  # each names the other: kept so, every message would wait for the collector of circles

    def _take_back(self) -> None:
        """Give back what waits too long, is no longer wanted, or lies with a server that cannot be used."""
        stale = time.monotonic() - _STALE
        is_any_usable = any(relay.is_usable for relay in self._relays)
        for relay in self._relays:
            trouble = None if relay.is_usable else relay.trouble
            back = (
                relay.withdraw()
                if trouble
                else relay.withdraw(lambda p: not self._wants(p) or _held(p).is_stale(stale))
            )
            for parcel in back:
                self._give_back(_held(parcel), is_waiting=bool(trouble) and not is_any_usable)
            if trouble and not is_any_usable and not self.books.others_send:
                self._to_pause.update(dict.fromkeys(self._wanted, str(trouble)))

    def _wants(self, parcel: Parcel) -> bool:
        edition_id = _held(parcel).delivery.edition_id
        return not edition_id or (edition_id in self._wanted and edition_id not in self._to_pause)

    # --- what came back from the wire --------------------------------------------------------------------

    def _answered(self, parcel: Parcel, answer: Answer) -> None:
        held = _held(parcel)
        luck = random.random()  # noqa: S311 - jitter
        ruling = self.judge.answered(held.delivery, *answer, held.lines + 1, self.books.clock(), luck)
        if answer.command in ("RCPT", "END"):
            wants_patience = ruling.verdict is Verdict.DEFERRED and asks_for_patience(answer.receipt)
            if wants_patience or self.books.pace.is_learning:
                self.books.answers.append((held.delivery.domain, wants_patience, time.monotonic()))
        self._follow(held, parcel, ruling)

    def _lost(self, parcel: Parcel, words: str, loss: Loss) -> None:
        held = _held(parcel)
        if loss is not Loss.UNKNOWN and (not words or not self._wants(parcel)):  # we broke off ourselves
            self._give_back(held)
            return
        if loss is Loss.FAREWELL:  # no try of this message's: each one has cost the server another's answer
            self._relays[held.relay].put([parcel], first=True)
            return
        luck, lines = random.random(), held.lines + 1  # noqa: S311 - jitter
        ruling = self.judge.lost(held.delivery, words, lines, self.books.clock(), luck, after_data=loss is Loss.UNKNOWN)
        self._follow(held, parcel, ruling)

    def _follow(self, held: Held, parcel: Parcel, ruling: Ruling) -> None:
        edition_id = held.delivery.edition_id
        if ruling.pause and edition_id:
            self._to_pause[edition_id] = ruling.pause
        elif ruling.pause:
            log.warning("mail waits: %s", ruling.pause)
        if ruling.outcome is None:
            held.lines += 1
            self._relays[held.relay].put([parcel], first=True)
            return
        self._sent += ruling.outcome.state is DeliveryState.SENT
        self._outcomes.append(ruling.outcome)
        if len(self._outcomes) >= self._enough:
            self._ring()

    def _give_back(self, held: Held, *, is_waiting: bool = False) -> None:
        """Untried: it goes back into the outbox, and its place in the server's hour is free again.

        `is_waiting`: for the server to be mended. An edition pauses meanwhile; other mail is looked at again soon.
        """
        soon = self.books.clock() + self.judge.patience.soon
        due_at = soon if is_waiting and not held.delivery.edition_id else None
        server = self.books.servers[held.relay].name
        self._outcomes.append(
            Outcome(held.delivery.id, DeliveryState.QUEUED, NO_RECEIPT, due_at, server, held.counted_at)
        )

    # --- the end ------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Give back what is not on the wire, let the rest finish, record it, and leave."""
        for relay in self._relays:
            for parcel in relay.withdraw():
                self._give_back(_held(parcel))
        closing = asyncio.gather(*(relay.close() for relay in self._relays))
        while not closing.done():  # the slowest answer may take minutes: what is known by now is recorded by now
            await asyncio.wait([closing], timeout=_TICK)
            try:
                await self._turn(claiming=False)
                if time.monotonic() - self.books.beaten_at >= HEARTBEAT:
                    await self._beat()
            except StoreUnavailable:
                self.books.lost_track = True
        for relay in self._relays:
            for parcel in relay.withdraw():  # put back while it closed
                self._give_back(_held(parcel))
        for tries_left in reversed(range(_LAST_TRIES)):
            try:
                await self._turn(claiming=False)
                await self._beat()
                await self._in_books(self.books.close)
                return
            except StoreUnavailable:
                self.books.lost_track = True
                if not tries_left:
                    raise
                await asyncio.sleep(_IDLE)


def _held(parcel: Parcel) -> Held:
    return cast("Held", parcel.key)
