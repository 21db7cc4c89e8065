"""SCENARIO worker: of two workers on one PostgreSQL, one is killed, then the other, in turns.

The survivor finds out by itself: what the dead one had on the wire becomes uncertain, the rest goes out.
"""

from __future__ import annotations

import time

from tests.crash.books import UNSETTLED, Books
from tests.crash.post_office import PostOffice
from tests.crash.sending import finish, unhurried
from tests.crash.stage import Stage
from tests.crash.town import Sight, Town

_LONGEST = 60.0  # seconds until the dead must be found
_LOOK_EVERY = 0.1


def run(stage: Stage) -> None:
    """Edition after edition, each sent by two workers, until there were enough kills."""
    while stage.goes_on():
        with stage.town(unhurried(stage.plan)) as (town, office):
            town.release()
            pair = Pair(stage, town, office)
            while stage.goes_on() and pair.kill_one():
                pass
            pair.kill_both()
            finish(stage, pair.books, town, office)


class Pair:
    """Two workers over one database."""

    def __init__(self, stage: Stage, town: Town, office: PostOffice) -> None:
        self._stage = stage
        self._town = town
        self._office = office
        self._workers = [town.worker(), town.worker()]
        self.books = Books(town, office, stage.tally, senders=2)

    def kill_one(self) -> bool:
        """Kill one of them and wait until the other has taken over. False when too little was left for that."""
        stage, plan = self._stage, self._stage.plan
        self.books.place = f"round {stage.tally.rounds + 1}"
        if not self._both_send():
            return False
        self._office.wait_for(self._office.taken + stage.chance.randint(1, plan.readers // 20), self._all_live)
        time.sleep(stage.chance.uniform(0, 0.01))
        before = self.books.look()
        if sum(before.counts[state] for state in UNSETTLED) < 2 * 2 * plan.most_unknown:
            return False
        victim = self._workers.pop(0)  # the elder of the two
        if not victim.kill():
            self.books.complain(f"a worker ended by itself: {victim.said()[-1000:]}")
            return False
        self._await_survivor(before)
        self._workers.append(self._town.worker())
        return True

    def kill_both(self) -> None:
        """At the same time: then nobody is left to find out."""
        for worker in self._workers:
            if worker.is_running():
                worker.kill()

    def _both_send(self) -> bool:
        """Wait until the post office has visitors from both."""
        deadline = time.monotonic() + _LONGEST
        while self._office.visitors() <= self._stage.plan.connections:
            if self._is_finished():
                return False
            if time.monotonic() > deadline:
                self.books.complain("one of two workers takes no part: " + self._workers[-1].said()[-1000:])
                return False
            time.sleep(_LOOK_EVERY)
        return True

    def _await_survivor(self, before: Sight) -> None:
        """Until nothing that was `sending` at the kill still is, and until the survivor sends on."""
        killed, taken = time.monotonic(), self._office.look()
        left = self.books.look().readers("sending")
        while left and not self._stage.tally.wrongs:
            if time.monotonic() - killed > _LONGEST:
                self.books.complain(f"{len(left)} copies of a dead worker are `sending` after {_LONGEST:.0f} s")
            time.sleep(_LOOK_EVERY)
            left &= self.books.look().readers("sending")
        took = time.monotonic() - killed
        unknown = len(self.books.last.readers("uncertain") - before.readers("uncertain"))
        self.books.unknown(unknown)
        more = self._stage.plan.most_unknown  # what may have been on the survivor's lines at the kill
        if not self._office.wait_for(taken + more, self._all_live) and not self._is_finished():
            self.books.complain("the survivor does not send on: " + self._workers[0].said()[-1000:])
        self._stage.tally.rounds += 1
        self._stage.tally.slowest = max(self._stage.tally.slowest, took)
        self._stage.progress(f"{self._office.taken:>7,} taken {unknown:>3} unknown  taken over after {took:.1f} s")

    def _is_finished(self) -> bool:
        return not self.books.look().readers(*UNSETTLED)

    def _all_live(self) -> bool:
        return all(worker.is_running() for worker in self._workers)
