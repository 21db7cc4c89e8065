"""The crash test in short: a few rounds of every scenario. `make crash` runs it at length."""

from __future__ import annotations

import pytest

from tests.crash.plan import Plan
from tests.crash.scenarios import play

CONNECTIONS = 4
SEED = 1


@pytest.fixture
def play_short(request):
    """Play a scenario over a few hundred readers; nothing may go wrong in it."""

    def play_it(scenario: str, database: str, *, rounds: int = 2, readers: int = 400, resend: bool = False) -> None:
        server = request.getfixturevalue("postgres") if database == "postgresql" else None
        tally = play(Plan(scenario, database, rounds, readers, CONNECTIONS, SEED, resend), server, print)
        assert tally.wrongs == []
        assert tally.rounds == rounds

    return play_it


both = pytest.mark.parametrize("database", ["sqlite", "postgresql"])


@both
def test_kills_in_mid_send_lose_nobody_and_repeat_nobody(play_short, database):
    play_short("kill", database, rounds=3, readers=600, resend=database == "sqlite")


def test_of_two_workers_the_survivor_takes_over_from_the_dead(play_short):
    play_short("worker", "postgresql")


def test_a_killed_postgresql_loses_nobody(play_short):
    play_short("postgres", "postgresql")


def test_a_killed_mail_server_loses_nobody(play_short):
    play_short("smtp", "sqlite")


def test_a_full_disk_is_named_and_survived(play_short):
    play_short("disk", "sqlite")


@both
def test_jumps_of_the_clock_lose_nobody(play_short, database):
    play_short("clock", database)


def test_who_is_asked_politely_leaves_nothing_uncertain(play_short):
    play_short("term", "postgresql")
