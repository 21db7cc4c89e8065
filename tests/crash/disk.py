"""SCENARIO disk: the disk with the SQLite database is full in mid-send, and later there is room again.

The sender says so clearly and waits, or ends. Sometimes it is killed meanwhile, and one that is started on the
full disk must do the same.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.crash.books import Books
from tests.crash.private_disk import fill, free, in_private, mount, unmount
from tests.crash.sending import Sending, finish, unhurried
from tests.crash.stage import Stage

_ROOM = 24  # megabytes beside the readers
_READERS_A_MEGABYTE = 1000
_UNTIL_NOTICED = 10.0  # seconds: for a while there is room in what the database has allocated already
_KILLED_TOO = 0.4  # how often the sender is killed on the full disk
_TRIES_A_ROUND = 4


def run(stage: Stage) -> None:
    """Play it where nobody else sees the disk."""
    in_private(lambda: _play(stage))


def _play(stage: Stage) -> None:
    tries = 0
    while stage.goes_on():
        home = stage.folder / f"disk-{stage.tally.editions + 1}"
        home.mkdir()
        mount(home, _ROOM + stage.plan.readers // _READERS_A_MEGABYTE)
        with stage.town(unhurried(stage.plan), home) as (town, office):
            sending = Sending(stage, town, office, Books(town, office, stage.tally))
            while stage.goes_on() and sending.has_room():
                _fill_up(stage, sending, home)
                tries += 1
                if tries > _TRIES_A_ROUND * stage.plan.rounds:
                    sending.books.complain("the disk is full, and it never notices")
            sending.stop()
            finish(stage, sending.books, town, office)
        unmount(home)


def _fill_up(stage: Stage, sending: Sending, home: Path) -> None:
    """One full disk. It counts when the sender noticed."""
    books = sending.books
    books.place = f"round {stage.tally.rounds + 1} ({sending.sender.words})"
    sending.wait_a_while()
    before = books.look().readers("uncertain")
    fill(home)
    noticed = _notices(sending)
    killed_too = noticed and stage.chance.random() < _KILLED_TOO
    if killed_too:
        sending.sender.kill()
        books.look(at_rest=True)
        sending.start()
        _notices(sending)
    free(home)
    took = sending.wait_for(stage.plan.most_unknown)  # what was on the lines may still have come in
    unknown = len(books.look().readers("uncertain") - before)
    books.unknown(unknown)
    if noticed:
        stage.tally.rounds += 1
        stage.tally.slowest = max(stage.tally.slowest, took or 0)
        again = f"goes on after {took:.1f} s" if took is not None else "all sent"
        fate = ", killed on it" if killed_too else ""
        stage.progress(f"{sending.office.taken:>7,} taken {unknown:>3} unknown  full{fate}, {again}")


def _notices(sending: Sending) -> bool:
    """Whether it speaks of the full disk, or ends, in time; what it says must be words for people."""
    sender, deadline = sending.sender, time.monotonic() + _UNTIL_NOTICED
    while time.monotonic() < deadline and sender.is_running() and "full" not in sender.said():
        time.sleep(0.05)
    said = sender.said()
    if "Traceback" in said:
        sending.books.complain(f"the disk is full, and it says:\n{said[-1500:]}")
    elif not sender.is_running() and "full" not in said and not sending.is_finished():
        sending.books.complain(f"the disk is full, and it ends with {sender.status} saying only:\n{said[-1000:]}")
    return "full" in said or not sender.is_running()
