"""SCENARIO kill: the sender is killed at random moments and started again, as often as asked.

Most kills hit in mid-send. The others hit a start, the first claim, and the time in which a new process buries the
last one; as they follow a kill closely, they are two kills in a row too.
"""

from __future__ import annotations

import time

from tests.crash.books import TO_COME, Books
from tests.crash.post_office import Manners, PostOffice
from tests.crash.process import Sender
from tests.crash.sending import finish
from tests.crash.stage import Stage
from tests.crash.town import Town

KILLS_AN_EDITION = 25
MANNERS = (
    Manners(),
    Manners(delay=0.004),
    Manners(greylist=40),
    Manners(delay=0.001, pipelining=False),
)
MOMENTS = {"mid": 10, "claim": 2, "burial": 3, "start": 2}  # how often each is chosen
COMMANDS = {"send": 6, "worker": 3, "serve": 1}


def run(stage: Stage) -> None:
    """Edition after edition until there were enough kills."""
    while stage.goes_on():
        with stage.town(MANNERS[stage.tally.editions % len(MANNERS)]) as (town, office):
            killing = Killing(stage, town, office)
            while stage.goes_on() and killing.has_room():
                killing.kill_once()
            finish(stage, killing.books, town, office)


class Killing:
    """The kills of one edition."""

    def __init__(self, stage: Stage, town: Town, office: PostOffice) -> None:
        self._stage = stage
        self._chance = stage.chance
        self._town = town
        self._office = office
        self._until_open = 1.0  # seconds from the start of a process until it opens the database, as it was last
        self._until_first = 0.2  # and from there to its first copy
        self._to_go = stage.plan.readers
        self._pace = 2 * stage.plan.readers // (min(KILLS_AN_EDITION, stage.plan.rounds) + 1)  # copies, at most
        self.books = Books(town, office, stage.tally, nobody_survives=True)

    def has_room(self) -> bool:
        """Whether enough is left to be killed in the middle of it."""
        return self._to_go > self._pace + 2 * self._stage.plan.most_unknown

    def kill_once(self) -> None:
        """Start a sender, kill it at a random moment, and look. A kill after the last copy does not count."""
        moment, command = self._choose()
        sender = self._start(command)
        self.books.place = f"round {self._stage.tally.rounds + 1} ({moment}, {sender.words})"
        came_in_time = self._await(moment, sender)
        killed = sender.kill()
        unknown = self.books.look_after_kill()
        self._to_go = sum(self.books.last.counts.get(state, 0) for state in TO_COME) or self._unreleased()
        if killed and came_in_time:
            self._stage.tally.rounds += 1
            words = f"{moment:<6} {command:<6} {self._office.taken:>7,} taken {self._to_go:>7,} to go"
            self._stage.progress(f"{words} {unknown:>3} unknown")
        elif self._to_go and not killed:
            self.books.complain(f"it ended by itself with {sender.status}:\n{sender.said()[-1000:]}")

    def _choose(self) -> tuple[str, str]:
        (moment,) = self._chance.choices(list(MOMENTS), weights=MOMENTS.values())
        (command,) = self._chance.choices(list(COMMANDS), weights=COMMANDS.values())
        return moment, command if self.books.last.rows else "send"  # nothing else freezes an edition

    def _start(self, command: str) -> Sender:
        return {"send": self._town.send, "worker": self._town.worker, "serve": self._town.serve}[command]()

    def _unreleased(self) -> int:
        return 0 if self.books.last.rows else self._stage.plan.readers

    def _await(self, moment: str, sender: Sender) -> bool:
        """Wait for the moment; False when the sender had ended before."""
        if moment == "start":  # while Python still reads its files
            time.sleep(self._chance.uniform(0, self._until_open))
            return True
        if not sender.wait_until_open():
            return False
        opened = time.monotonic()
        self._until_open = opened - sender.started
        if moment == "burial":  # while it looks after the dead, and connects
            time.sleep(self._chance.uniform(0, self._until_first))
            return True
        if not self._wait_for(1, sender):
            return False
        self._until_first = min(time.monotonic() - opened, 1.0)
        if moment == "mid" and not self._wait_for(self._chance.randint(1, self._pace), sender):
            return False
        time.sleep(self._chance.uniform(0, 0.01))
        return True

    def _wait_for(self, more: int, sender: Sender) -> bool:
        came = self._office.wait_for(self._office.taken + more, sender.is_running)
        if not came and sender.is_running():
            self.books.complain(f"it stands still:\n{sender.said()[-1000:]}")
        return came
