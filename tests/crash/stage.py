"""Where a scenario plays: a folder, perhaps a PostgreSQL, seeded chance, and towns that are all alike."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.crash.plan import Plan, Tally
from tests.crash.post_office import Manners, PostOffice
from tests.crash.town import Town
from tests.servers.postgres import Postgres

Say = Callable[[str], None]


class Stage:
    """Everything a scenario needs; at the end no process of it lives."""

    def __init__(self, plan: Plan, folder: Path, postgres: Postgres | None, say: Say) -> None:
        self.plan = plan
        self.tally = Tally(plan)
        self.chance = random.Random(f"{plan.seed} {plan.scenario} {plan.database}")
        self.say = say
        self.folder = folder
        self.postgres = postgres
        self._model: Town | None = None
        self._towns: list[Town] = []

    @contextmanager
    def town(self, manners: Manners, home: Path | None = None) -> Iterator[tuple[Town, PostOffice]]:
        """The next town, with a post office that is open. `home`: where a SQLite database is to lie."""
        folder = self.folder / f"town-{len(self._towns) + 1}"
        folder.mkdir()
        with ExitStack() as leaving:
            office = PostOffice(folder, manners)
            leaving.callback(office.close)
            office.start()
            model = self._model = self._model or self._founded()
            town = self._town(folder, home or folder, office.port)
            self._towns.append(town)
            leaving.callback(town.kill_all)
            town.become_like(model)
            yield town, office

    def progress(self, words: str) -> None:
        """One calm line about the round that is over."""
        plan = self.plan
        self.say(f"{plan.scenario:<8} {plan.database:<10} {self.tally.rounds:>4}/{plan.rounds}  {words}")

    def goes_on(self) -> bool:
        """Whether there are rounds left, and nothing is wrong so far."""
        return self.tally.rounds < self.plan.rounds and not self.tally.wrongs

    def _founded(self) -> Town:
        """The model of all towns, with its readers in it."""
        folder = self.folder / "model"
        folder.mkdir()
        model = self._town(folder, folder, port=25)
        model.found(self.plan.readers)
        return model

    def _town(self, folder: Path, home: Path, port: int) -> Town:
        url = self.postgres.new_database() if self.postgres else f"sqlite:///{home}/digest.db"
        return Town(folder, url, self.plan.connections, port, self.postgres)


@contextmanager
def staged(plan: Plan, postgres: Postgres | None, say: Say) -> Iterator[Stage]:
    """A stage in a temporary folder, which is kept when something went wrong on it."""
    folder = Path(tempfile.mkdtemp(prefix="digest-crash-"))
    stage = Stage(plan, folder, postgres if plan.database == "postgresql" else None, say)
    try:
        yield stage
    finally:
        if stage.tally.wrongs:
            say(f"What is left of it is kept in {folder}")
        else:
            shutil.rmtree(folder)
