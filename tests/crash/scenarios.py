"""All scenarios by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from tests.crash import clock, disk, kill, postgres, smtp, term, worker
from tests.crash.plan import Plan, Tally
from tests.crash.stage import Say, Stage, staged
from tests.servers.postgres import Postgres

BOTH = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Scenario:
    """How to run it, on which databases, and how many rounds make a long run."""

    run: Callable[[Stage], None]
    databases: tuple[str, ...] = BOTH
    rounds: int = 10


SCENARIOS = {
    "kill": Scenario(kill.run, rounds=100),
    "worker": Scenario(worker.run, ("postgresql",)),
    "postgres": Scenario(postgres.run, ("postgresql",)),
    "smtp": Scenario(smtp.run),
    "disk": Scenario(disk.run, ("sqlite",)),
    "clock": Scenario(clock.run),
    "term": Scenario(term.run, rounds=20),
}


def play(plan: Plan, server: Postgres | None, say: Say) -> Tally:
    """Run one scenario on one database; `server` is not hurt."""
    own = postgres.durable() if plan.scenario == "postgres" else nullcontext(server)
    with own as server, staged(plan, server, say) as stage:
        SCENARIOS[plan.scenario].run(stage)
    return stage.tally
