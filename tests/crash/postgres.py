"""SCENARIO postgres: PostgreSQL is killed in mid-send, with every process of it, and started again.

The sender bears it, or is started again. Sometimes it dies in the same moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from tests.crash.books import Books
from tests.crash.sending import Sending, finish, unhurried
from tests.crash.stage import Stage
from tests.servers import postgres as servers

_LONGEST_DOWN = 2.0  # seconds
_SENDER_TOO = 0.3  # how often the sender is killed as well


@contextmanager
def durable() -> Iterator[servers.Postgres]:
    """A PostgreSQL that writes through to the disk, as in production."""
    with patch.dict(servers._SETTINGS, fsync="on"), servers.running() as server:
        yield server


def run(stage: Stage) -> None:
    """Edition after edition until there were enough kills."""
    assert stage.postgres is not None, "this scenario kills PostgreSQL"
    while stage.goes_on():
        with stage.town(unhurried(stage.plan)) as (town, office):
            sending = Sending(stage, town, office, Books(town, office, stage.tally))
            while stage.goes_on() and sending.has_room():
                _kill_database(stage, sending, stage.postgres)
            sending.stop()
            finish(stage, sending.books, town, office)


def _kill_database(stage: Stage, sending: Sending, server: servers.Postgres) -> None:
    books, office = sending.books, sending.office
    books.place = f"round {stage.tally.rounds + 1} ({sending.sender.words})"
    sending.wait_a_while()
    before = books.look().readers("uncertain")
    server.kill()
    sender_too = stage.chance.random() < _SENDER_TOO
    if sender_too:
        sending.sender.kill()
    down = stage.chance.uniform(0, _LONGEST_DOWN)
    time.sleep(down)
    server.start()
    if sender_too:
        sending.start()
    took = sending.wait_for(stage.plan.most_unknown)  # what was on the lines may still have come in
    unknown = len(books.look().readers("uncertain") - before)
    books.unknown(unknown)
    stage.tally.rounds += 1
    stage.tally.slowest = max(stage.tally.slowest, took or 0)
    again = f"goes on after {took:.1f} s" if took is not None else "all sent"
    fate = ", the sender too" if sender_too else ""
    stage.progress(f"{office.taken:>7,} taken {unknown:>3} unknown  down for {down:.1f} s{fate}, {again}")
