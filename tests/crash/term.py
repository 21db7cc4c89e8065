"""SCENARIO term: SIGTERM and SIGINT at random moments. It leaves within seconds, and leaves nothing uncertain."""

from __future__ import annotations

import signal
import time

from tests.crash.books import Books
from tests.crash.sending import Sending, finish, unhurried
from tests.crash.stage import Stage

_LONGEST = 10.0  # seconds in which it must have left
_STARTUP = 1.5  # seconds, about


def run(stage: Stage) -> None:
    """Edition after edition until there were enough signals."""
    while stage.goes_on():
        with stage.town(unhurried(stage.plan)) as (town, office):
            sending = Sending(stage, town, office, Books(town, office, stage.tally))
            while stage.goes_on() and sending.has_room():
                _ask_to_stop(stage, sending)
            finish(stage, sending.books, town, office)


def _ask_to_stop(stage: Stage, sending: Sending) -> None:
    books, sender = sending.books, sending.sender
    if not sender.is_running():
        sender = sending.start()
    how = stage.chance.choice([signal.SIGTERM, signal.SIGINT])
    books.place = f"round {stage.tally.rounds + 1} ({sender.words}, {how.name})"
    if stage.chance.random() < 0.2:
        time.sleep(stage.chance.uniform(0, _STARTUP))
    else:
        sending.wait_a_while()
    took = sender.ask_to_stop(how)
    if took > _LONGEST:
        books.complain(f"it leaves only after {took:.0f} s")
    sight = books.look(at_rest=True)
    if left := sight.readers("sending", "uncertain"):
        books.complain(f"it was asked politely and left {len(left)} copies of unknown fate")
    stage.tally.rounds += 1
    stage.tally.slowest = max(stage.tally.slowest, took)
    words = f"{sending.office.taken:>7,} taken  {how.name:<7} left after {took:.2f} s with {sender.status}"
    stage.progress(words)
