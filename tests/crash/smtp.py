"""SCENARIO smtp: the mail server is killed in mid-send and started again on its port.

Whether the run pauses or goes on by itself: after `digest edition resume` everybody has one copy, but for those
whose message was on the line.
"""

from __future__ import annotations

import time

from tests.crash.books import Books
from tests.crash.sending import Sending, finish, unhurried
from tests.crash.stage import Stage

_LONGEST_DOWN = 3.0  # seconds


def run(stage: Stage) -> None:
    """Edition after edition until there were enough kills."""
    while stage.goes_on():
        with stage.town(unhurried(stage.plan)) as (town, office):
            sending = Sending(stage, town, office, Books(town, office, stage.tally))
            while stage.goes_on() and sending.has_room():
                _kill_server(stage, sending)
            sending.stop()
            finish(stage, sending.books, town, office)


def _kill_server(stage: Stage, sending: Sending) -> None:
    books, office = sending.books, sending.office
    books.place = f"round {stage.tally.rounds + 1} ({sending.sender.words})"
    sending.wait_a_while()
    before = books.look().readers("uncertain")
    office.kill()
    down = stage.chance.uniform(0, _LONGEST_DOWN)
    time.sleep(down)
    office.start()
    took = sending.wait_for(1)
    unknown = len(books.look().readers("uncertain") - before)
    books.unknown(unknown)
    stage.tally.rounds += 1
    stage.tally.slowest = max(stage.tally.slowest, took or 0)
    again = f"goes on after {took:.1f} s" if took is not None else "all sent"
    stage.progress(f"{office.taken:>7,} taken {unknown:>3} unknown  down for {down:.1f} s, {again}")
