"""FLOW, delivering's part: a worker's books. Everything a sender writes into the database is written here.

A turn records what came back and claims the next few deliveries, both in one transaction; a message may go out only
after that transaction. Once a second a beat tells the other workers that we live, and what we have learned.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from digest.delivering import accounting
from digest.domain.deliveries import UNSETTLED, Delivery, DeliveryState, Outcome, Receipt
from digest.domain.editions import EditionState
from digest.domain.pace import DomainPace
from digest.errors import DigestError, StoreUnavailable
from digest.mail.envelope import Parcel
from digest.mail.smtp import Server
from digest.store import Store, Transaction, claims, editions, outbox, usage, workers
from digest.store.engine import together
from digest.store.locks import SenderLock
from digest.store.sweeping import Sweeper

SILENT_FOR = 20  # beats of ours without one of theirs: its machine has vanished

_BEATS_MISSED = 3  # then a free lock means that its worker is dead
_HOUSEKEEPING = 60  # beats between looks at what hardly ever needs one

log = logging.getLogger("digest.delivering")


class SenderBusy(DigestError):
    """Another process sends from this database, and SQLite has one sender at a time."""

    def __init__(self) -> None:
        super().__init__("another process is already sending from this database; with SQLite there is one sender")


@dataclass(slots=True, eq=False)
class Held:
    """A delivery this worker has claimed and not yet settled; the key of its parcel."""

    delivery: Delivery
    relay: int  # which of the servers gets it
    at: float  # when it was claimed, on the monotonic clock
    counted_at: datetime  # when it took a place in its server's hour
    lines: int = 0  # connections that broke under it
    parcel: Parcel | None = None

    def is_stale(self, before: float) -> bool:
        """Whether it has waited since then. Those whose line broke stay, so that their tries are counted."""
        return self.at < before and not self.lines


class Turned(NamedTuple):
    """What a turn of the books came to, once its transaction was through.

    `failed` are claimed ones whose message could not be written; they were never on the wire.
    """

    outcomes: list[Outcome]
    paused: frozenset[int]
    sending: frozenset[int]  # the editions that are
    claimed: list[Held]
    failed: list[Outcome]


@dataclass(slots=True)
class Books:
    """One worker's books. `write` makes the parcel of a delivery: (delivery, key) -> Parcel."""

    store: Store
    write: Callable[[Delivery, object], Parcel]
    servers: Sequence[Server]
    clock: Callable[[], datetime]
    pace: DomainPace
    hash_address: accounting.Hash
    tell_desk: Callable[[int, str, str], None]
    is_member: bool = False  # of a group of processes whose first holds the lock on sending
    lost_track: bool = False  # a transaction's end was not heard
    beaten_at: float = -1e9
    _worker_id: int = 0
    others_send: bool = False  # another worker has sent something lately
    answers: deque[tuple[str, bool, float]] = field(default_factory=deque)  # for the pace: (domain, patience?, when)
    _sending_lock: SenderLock | None = None  # of the whole installation, on SQLite
    _lock: SenderLock | None = None  # that we are this worker
    _given: Counter[int] = field(default_factory=Counter)  # messages each server was given
    _walk: claims.Walk = field(default_factory=claims.Walk)
    _notes: list[accounting.Note] = field(default_factory=list)  # the desk has not been told yet
    _sweeper: Sweeper | None = None
    _beats: int = 0
    _heartbeats: dict[int, tuple[datetime, int]] = field(default_factory=dict)

    @property
    def _capped(self) -> set[str]:
        return {server.name for server in self.servers if server.caps}

    def open(self) -> None:
        """Become a worker. Raises SenderBusy."""
        self._sweeper = None if self.store.is_sqlite else Sweeper(self.store)
        if self.store.is_sqlite and not self.is_member:
            if (lock := self.store.lock_sending()) is None:
                raise SenderBusy
            self._sending_lock = lock
        with self.store.begin() as tx:
            self._worker_id = workers.register(tx, socket.gethostname(), os.getpid(), self.clock())
        self._lock = self.store.lock_sender(self._worker_id)
        self.beat(0, {})

    async def let_go(self) -> None:
        """Close what lives in the event loop."""
        if self._sweeper is not None:
            await self._sweeper.close()

    def close(self) -> None:
        """Leave nothing behind."""
        with self.store.begin() as tx:
            workers.stop(tx, self._worker_id, self.clock())
        for lock in (self._lock, self._sending_lock):
            if lock is not None:
                lock.release()

    # --- a turn ---------------------------------------------------------------------------------------

    def turn(
        self, outcomes: list[Outcome], pausing: Mapping[int, str], held: Mapping[int, Held], rooms: dict[int, int]
    ) -> Turned:
        """Record outcomes, finish editions, claim the next few: one transaction. Raises StoreUnavailable.

        `held` is all this worker has, `rooms` how many more each server can be given; nothing else may change them
        meanwhile.
        """
        now = self.clock()
        self._learn()
        walk, self._walk = self._walk, claims.Walk()  # should the transaction fail, claims begin anew
        with self.store.begin() as tx:
            if self._capped:
                usage.lock(tx)
            notes = self._prepare(tx, outcomes, pausing, held, now)
            if pausing:
                walk.looked_at = -1.0
            self._limit(tx, rooms, now)
            with together(tx):
                outbox.settle(tx, self._worker_id, outcomes, now)
                turn = None if self.pace.is_idle else self._turn_of
                found = claims.claim(tx, self._worker_id, walk, now, sum(rooms.values()), turn)
            claimed = self._share_out(found.deliveries, rooms, now)
            self._count(tx, [(self.servers[each.relay].name, now, 1) for each in claimed])
            # Without room, as when a cap is used up, nothing was looked for: an edition may be at its end all the same.
            if perhaps_over := set(found.exhausted) or (set() if claimed or sum(rooms.values()) else found.editions):
                still_held = held.keys() - {each.delivery_id for each in outcomes}
                busy = {held[id_].delivery.edition_id for id_ in still_held}
                busy |= {each.edition_id for each in found.deliveries}
                closed = {
                    number: accounting.close(tx, self.hash_address, number, now) for number in perhaps_over - busy
                }
                notes += [note for said in closed.values() for note in said or []]
        self.lost_track, self._walk = False, walk
        self._notes += notes
        failed = [outcome for each in claimed if (outcome := self._write(each))]
        return Turned(outcomes, frozenset(pausing), found.editions, claimed, failed)

    def is_steady(self, outcomes: Sequence[Outcome], pausing: Mapping[int, str], rooms: Mapping[int, int]) -> bool:
        """Whether the next turn only records what is settled and takes fresh ones of one edition; PostgreSQL's way."""
        return (
            self._sweeper is not None
            and not (pausing or self.lost_track or self._capped)
            and self.pace.is_idle
            and sum(rooms.values()) > 0
            and not self.answers
            and claims.is_steady(self._walk)
            and not any(each.state in UNSETTLED or each.server for each in outcomes)
        )

    async def sweep(self, outcomes: list[Outcome], rooms: dict[int, int]) -> Turned:
        """Such a turn, awaited. Raises StoreUnavailable."""
        assert self._sweeper is not None
        walk, self._walk = self._walk, claims.Walk()
        room = sum(rooms.values())
        now = self.clock()
        found = await self._sweeper.settle_and_claim(self._worker_id, walk, outcomes, now, room)
        self._walk = walk
        claimed = self._share_out(found.deliveries, rooms, now)
        failed = [outcome for each in claimed if (outcome := self._write(each))]
        return Turned(outcomes, frozenset(), found.editions, claimed, failed)

    def _prepare(
        self,
        tx: Transaction,
        outcomes: list[Outcome],
        pausing: Mapping[int, str],
        held: Mapping[int, Held],
        now: datetime,
    ) -> list[accounting.Note]:
        """What has to be done before outcomes are recorded; in nearly every turn that is nothing."""
        if self.lost_track:
            outbox.release_unknown(tx, self._worker_id, list(held), now)
        # We may have been taken for dead, and the edition for settled, while one of its readers was to wait.
        unsettled = {each.delivery_id for each in outcomes if each.state in UNSETTLED} & held.keys()
        editions.reopen(tx, {held[id_].delivery.edition_id for id_ in unsettled})
        self._count(tx, [(each.server, each.counted_at or now, -1) for each in outcomes if each.server])
        return self._pause(tx, pausing)

    def _limit(self, tx: Transaction, rooms: dict[int, int], now: datetime) -> None:
        """No server gets more than its caps an hour and a day allow, whichever worker asks."""
        for number, server in enumerate(self.servers):
            if server.caps and rooms.get(number):
                left = usage.left(tx, server.name, server.caps, now)
                rooms[number] = rooms[number] if left is None else min(rooms[number], left)

    def _turn_of(self, domain: str, again: bool) -> float:
        return self.pace.admit(domain, time.monotonic(), again=again)

    def _share_out(self, found: Sequence[Delivery], rooms: dict[int, int], now: datetime) -> list[Held]:
        """Which server gets which message: the one that is furthest behind its weight and has room."""
        at, shared = time.monotonic(), []
        for delivery in found:
            open_ones = (number for number, room in rooms.items() if room > 0)
            number = min(open_ones, key=lambda n: self._given[n] / max(self.servers[n].weight, 1))
            rooms[number] -= 1
            self._given[number] += 1
            shared.append(Held(delivery, number, at, now))
        return shared

    def _count(self, tx: Transaction, given: list[tuple[str, datetime, int]]) -> None:
        """Hold messages against the caps of the servers that have any, in the minute they were given."""
        totals: Counter[tuple[str, datetime]] = Counter()
        for name, at, number in given:
            if name in self._capped:
                totals[name, at] += number
        for (name, at), number in totals.items():
            usage.add(tx, name, number, at)

    def _learn(self) -> None:
        """What the answers say of the pace; here, so that only one thread has to do with it."""
        while self.answers:
            self.pace.answered(*self.answers.popleft())

    def _pause(self, tx: Transaction, pausing: Mapping[int, str]) -> list[accounting.Note]:
        notes: list[accounting.Note] = []
        for edition_id, words in pausing.items():
            if editions.move(tx, edition_id, EditionState.PAUSED, reason=words):
                log.error("edition %d is paused: %s", edition_id, words)
                notes.append((edition_id, "Sending is paused", _PAUSED.format(words=words, id=edition_id)))
        return notes

    def _write(self, held: Held) -> Outcome | None:
        """Write the message of what is claimed by now; the outcome if it cannot be written."""
        try:
            held.parcel = self.write(held.delivery, held)
        except StoreUnavailable as error:
            back = Receipt(0, str(error))
            server = self.servers[held.relay].name
            return Outcome(held.delivery.id, DeliveryState.QUEUED, back, None, server, held.counted_at)
        except Exception as error:  # a defect of ours, before anything went out
            log.exception("delivery %d failed here, not at the server", held.delivery.id)
            return Outcome(held.delivery.id, DeliveryState.FAILED, Receipt(0, f"{type(error).__name__}: {error}"))
        return None

    # --- once a second ----------------------------------------------------------------------------------

    def beat(self, sent: int, held: Mapping[int, Held]) -> None:
        """Say that we live and sent so many since the last beat; look whether the others do; share what was learned."""
        now, at = self.clock(), time.monotonic()
        rate = sent / (at - self.beaten_at)
        self.beaten_at = at
        self._walk.rewind()
        self._learn()
        if self._lock is None or not self._lock.is_held():
            self._lock = self.store.lock_sender(self._worker_id)
        with self.store.begin() as tx:
            workers.beat(tx, self._worker_id, now, rate)
            # A statement whose end was never heard may have come through later than we looked.
            outbox.release_unknown(tx, self._worker_id, list(held), now)
            usage.slow_down(tx, self.pace.take_changes(), now)
            slowed = usage.slowed(tx)
            others = [each for each in workers.not_stopped(tx) if each.id != self._worker_id]
            self._keep_house(tx, now)
        while self._notes:
            self.tell_desk(*self._notes[0])
            del self._notes[0]
        alive, silent = self._look_at(others)
        self.others_send = any(each.rate > 0 and each.id not in silent for each in others)
        self.pace.hear(slowed, 1 / (1 + len(others) - len(silent)))
        if unknown := outbox.bury_the_dead(self.store, self._worker_id, alive, silent, now):
            log.warning("a sender died; the fate of %d messages is unknown", unknown)
            self._notes.append((0, "A sender stopped in the middle", _UNCERTAIN.format(number=unknown)))

    def _keep_house(self, tx: Transaction, now: datetime) -> None:
        outbox.cancel_some(tx, now)
        self._beats += 1
        if self._beats % _HOUSEKEEPING == 1:
            outbox.mend_due_times(tx, now)
            usage.forget_old(tx, now)

    def _look_at(self, others: Sequence[workers.Worker]) -> tuple[set[int], set[int]]:
        """Workers that are alive whatever their lock says, and those long silent. No clock is believed.

        When PostgreSQL starts anew all locks are free for a moment; so one that still beats is not dead. On one machine
        the operating system knows better.
        """
        before = self._heartbeats
        self._heartbeats = {}
        for each in others:
            moment, beats = before.get(each.id, (each.heartbeat_at, 0))
            self._heartbeats[each.id] = (each.heartbeat_at, beats + 1 if moment == each.heartbeat_at else 0)
        unmoved = {worker_id: beats for worker_id, (_, beats) in self._heartbeats.items()}
        alive = set() if self.store.is_sqlite else {id_ for id_, beats in unmoved.items() if beats < _BEATS_MISSED}
        return alive, {id_ for id_, beats in unmoved.items() if beats > SILENT_FOR}


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
