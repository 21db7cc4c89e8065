"""SCENARIO clock: the wall clock jumps by hours and days, also to before the edition's own hour, in mid-send.

The sender runs under Debian's faketime, which reads the jump from a file. Only the wall clock jumps: on Linux the
monotonic clock never does. With PostgreSQL there is a second worker whose clock is right.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from tests.crash.books import Books
from tests.crash.sending import Sending, finish, unhurried
from tests.crash.stage import Stage
from tests.servers import require

AHEAD = (1 / 60, 3, 26, 9 * 24)  # hours
BEHIND = (-1 / 60, -3, -26, -9 * 24, -400 * 24)
_STILL_AFTER = 4.0  # seconds without a copy
_GREYLIST = 25


class Clock:
    """The wall clock of a process started with `env`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.latest = 0.0
        self.set(0)
        self.env = {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, hours: float) -> None:
        """So many hours ahead of the true time."""
        self.latest = max(self.latest, hours)
        new = self._file.with_suffix(".new")
        new.write_text(f"{round(hours * 3600):+d}\n")
        new.rename(self._file)  # at once: half a number would be a third time


def run(stage: Stage) -> None:
    """Edition after edition until there were enough jumps."""
    jumps = _jumps(stage.chance)
    while stage.goes_on():
        with stage.town(unhurried(stage.plan, greylist=_GREYLIST)) as (town, office):
            clock = Clock(town.folder)
            second = stage.plan.database == "postgresql"
            books = Books(town, office, stage.tally, senders=1 + second, may_learn=second)
            sending = Sending(stage, town, office, books, clock.env)
            sending.wait_for(1)
            steady = town.worker() if second else None
            while stage.goes_on() and sending.has_room():
                _jump(stage, sending, clock, next(jumps))
            sending.stop()
            if steady is not None:
                steady.kill()
            clock.set(clock.latest + 1)  # what was put off on a clock that ran ahead is due then
            finish(stage, books, town, office, clock.env)


def _jumps(chance: random.Random) -> Iterator[float]:
    """Ahead and back in turns, so that the clock runs backwards every other time."""
    while True:
        yield chance.choice(AHEAD)
        yield chance.choice(BEHIND)


def _jump(stage: Stage, sending: Sending, clock: Clock, hours: float) -> None:
    books, tally = sending.books, stage.tally
    name = f"{hours:+.0f} h" if abs(hours) >= 1 else f"{hours * 60:+.0f} min"
    books.place = f"round {tally.rounds + 1} ({sending.sender.words}, clock {name})"
    sending.wait_a_while()
    before = books.look().readers("uncertain")
    clock.set(hours)
    took = _until_it_sends(sending)
    if not sending.sender.is_running() and not sending.is_finished():
        books.complain(f"it ended with {sending.sender.status}: {sending.sender.said()[-1000:]}")
    unknown = len(books.look().readers("uncertain") - before)
    books.unknown(unknown)
    tally.rounds += 1
    if took is None and not sending.is_finished():
        tally.remark(f"with the clock {name} off nothing is sent")
        clock.set(0)
    tally.slowest = max(tally.slowest, took or 0)
    then = "waits" if took is None else f"goes on after {took:.1f} s"
    stage.progress(f"{sending.office.taken:>7,} taken {unknown:>3} unknown  clock {name}, {then}")


def _until_it_sends(sending: Sending) -> float | None:
    """The seconds until more is taken than was on the lines; None when nothing is for a while."""
    office, began = sending.office, time.monotonic()
    target = office.look() + sending.stage.plan.most_unknown
    sends = office.wait_for(target, sending.sender.is_running, _STILL_AFTER)
    return time.monotonic() - began if sends else None


def _library() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        require("faketime", "clocks jump in the middle of a run")
    return found[0]
