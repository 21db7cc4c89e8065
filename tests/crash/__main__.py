"""The crash test at length: python -m tests.crash [--scenario NAME] [--database KIND] [--rounds N] [--readers N] ..."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from rich.console import Console

from tests.crash.plan import WINDOW, Plan, Tally
from tests.crash.report import report
from tests.crash.scenarios import SCENARIOS, play
from tests.servers import postgres

LEAST_WINDOWS = 10
console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run what was asked for; 1 when anything went wrong."""
    given = _given()
    console.print(f"seed {given.seed}")
    began = time.monotonic()
    plans, tallies = list(_plans(given)), []
    with ExitStack() as leaving:
        wanted = any(plan.database == "postgresql" for plan in plans)
        server = leaving.enter_context(postgres.running()) if wanted else None
        for plan in plans:
            tallies.append(play(plan, server, console.print))
            for wrong in tallies[-1].wrongs:
                console.print(f"WRONG: {wrong}", style="red", markup=False)
    report(console, tallies, time.monotonic() - began)
    return int(any(_failed(each) for each in tallies))


def _failed(tally: Tally) -> bool:
    return bool(tally.wrongs) or tally.rounds < tally.plan.rounds


def _plans(given: argparse.Namespace) -> Iterator[Plan]:
    for name, scenario in SCENARIOS.items():
        if given.scenario in (name, "all"):
            for database in scenario.databases:
                if given.database in (database, "both"):
                    rounds = given.rounds or scenario.rounds
                    yield Plan(name, database, rounds, given.readers, given.connections, given.seed)


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Nobody lost, nobody mailed twice.")
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="all", help="default: all of them")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--rounds", type=int, help="default: kill 100, term 20, the others 10")
    parser.add_argument("--readers", type=int, default=10_000, help="default: 10,000")
    parser.add_argument("--connections", type=int, default=10, help="default: 10")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="default: another each time")
    given = parser.parse_args()
    if given.readers < (least := LEAST_WINDOWS * WINDOW * given.connections):
        parser.error(f"so many connections need at least {least} readers, or there is no middle to kill in")
    return given


if __name__ == "__main__":
    sys.exit(main())
