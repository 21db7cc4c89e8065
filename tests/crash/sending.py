"""A sender that is kept going, as an operator and systemd would: started again, resumed when it paused."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.crash.books import UNSETTLED, Books
from tests.crash.plan import Plan
from tests.crash.post_office import Manners, PostOffice
from tests.crash.process import Sender
from tests.crash.stage import Stage
from tests.crash.town import Town

_SECONDS_A_ROUND = 3
_MOST_ROUNDS = 6  # an edition
_LONGEST = 60.0  # seconds without a copy, whatever we do
_LOOK_EVERY = 1.0


def unhurried(plan: Plan, greylist: int = 0) -> Manners:
    """A server so slow that one sender is busy for some rounds."""
    seconds = _SECONDS_A_ROUND * min(plan.rounds, _MOST_ROUNDS)
    return Manners(delay=seconds * plan.connections / plan.readers, greylist=greylist)


class Sending:
    """`digest edition send`, or `digest worker` when the edition is released: one at a time."""

    def __init__(
        self, stage: Stage, town: Town, office: PostOffice, books: Books, env: Mapping[str, str] | None = None
    ) -> None:
        self.stage = stage
        self.town = town
        self.office = office
        self.books = books
        self._env = env
        self.sender = self.start()

    def start(self) -> Sender:
        """Another process; a worker can only be the sender of an edition that is frozen."""
        ways = [self.town.send, self.town.worker] if self.books.last.rows else [self.town.send]
        self.sender = self.stage.chance.choice(ways)(self._env)
        return self.sender

    def has_room(self) -> bool:
        """Whether enough is left to be disturbed in the middle of it. Gets the first process going, too."""
        sight = self.books.look()
        left = sum(sight.counts[state] for state in UNSETTLED)
        return not sight.rows or left > self.stage.plan.readers // (2 * _MOST_ROUNDS)

    def wait_a_while(self) -> None:
        """Let it send a random number of copies, and a little more."""
        plan = self.stage.plan
        share = plan.readers // (2 * min(plan.rounds, _MOST_ROUNDS) + 2)
        self.wait_for(self.stage.chance.randint(1, max(1, share)))
        time.sleep(self.stage.chance.uniform(0, 0.01))

    def wait_for(self, more: int, patience: float = _LONGEST) -> float | None:
        """Wait for more copies, whatever that takes; the seconds it took, or None when all is sent."""
        target, began = self.office.look() + more, time.monotonic()
        while not self.office.wait_for(target, self.sender.is_running, _LOOK_EVERY):
            if self.is_finished():
                return None
            if time.monotonic() - began > patience:
                self.books.complain(f"{self.sender.words} stands still:\n{self.sender.said()[-1000:]}")
                return None
            self.mend()
        return time.monotonic() - began

    def mend(self) -> None:
        """Start it again when it ended; resume the edition when it is paused."""
        if not self.sender.is_running():
            if "Traceback" in self.sender.said():
                self.books.complain(f"{self.sender.words} broke:\n{self.sender.said()[-1500:]}")
            self.start()
        elif self.town.look().state == "paused":
            self.town.run("edition", "resume", str(self.town.edition))

    def is_finished(self) -> bool:
        """Whether every copy has an end."""
        sight = self.town.look()
        return bool(sight.rows) and not sight.readers(*UNSETTLED)

    def stop(self) -> None:
        """End it without ado."""
        if self.sender.is_running():
            self.sender.kill()


def finish(stage: Stage, books: Books, town: Town, office: PostOffice, env: Mapping[str, str] | None = None) -> None:
    """Let a sender come to its end, close the books, send the uncertain copies again, and look once more."""
    books.place = f"edition {stage.tally.editions + 1}, at its end"
    office.hurry()
    _send(books, town, env)
    uncertain = books.close().readers("uncertain")
    if uncertain and stage.plan.resend and not stage.tally.wrongs:
        books.resent = True
        again = town.run("edition", "resend", str(town.edition), "--uncertain")
        if again.status:
            books.complain(f"`{again.words}` ended with {again.status}: {again.said()[-500:]}")
        _send(books, town, env)
        books.close_again(uncertain)


def _send(books: Books, town: Town, env: Mapping[str, str] | None) -> None:
    sender = town.send(env)
    status = sender.wait(60 + books.tally.plan.readers / 50)
    if status:
        books.complain(f"`{sender.words}` ended with {status}: {sender.said()[-1000:]}")
