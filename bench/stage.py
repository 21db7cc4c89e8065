"""What all benches share: how much to do, where to do it, and databases filled once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bench import town
from bench.databases import Databases, Sqlite, cluster


@dataclass(frozen=True, slots=True)
class Options:
    """How much to do."""

    readers: int = 100_000
    rounds: int = 5
    connections: tuple[int, ...] = (10, 20)
    quick: bool = False  # everything once and small, to see that it works
    full: bool = False  # the million, too

    def pick(self, quick: int, usual: int) -> int:
        """A number of something, by how thorough we are."""
        return quick if self.quick else usual


@dataclass(frozen=True, slots=True)
class Prepared:
    """A database to copy: so many readers, and an edition drafted for them or already queued to them."""

    url: str
    edition_id: int


@dataclass(slots=True)
class Stage:
    """The place. `say` tells what is going on."""

    options: Options
    folder: Path
    log: IO[bytes]
    say: Callable[[str], None]
    _stack: ExitStack = field(default_factory=ExitStack)
    _kinds: dict[str, Databases] = field(default_factory=dict)
    _prepared: dict[tuple[str, int, bool], Prepared] = field(default_factory=dict)

    def __enter__(self) -> Stage:
        town.write_config(self.folder)
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    @property
    def config(self) -> Path:
        """The configuration every bench starts from."""
        return self.folder / "config.toml"

    @property
    def said(self) -> Path:
        """What the command measured last has printed."""
        return self.folder / "said"

    @property
    def sqlite(self) -> Databases:
        """Files in our folder."""
        return self._kinds.setdefault("sqlite", Sqlite(self.folder))

    @property
    def postgresql(self) -> Databases:
        """A private cluster, started at the first call."""
        if "postgresql" not in self._kinds:
            self._kinds["postgresql"] = self._stack.enter_context(cluster())
        return self._kinds["postgresql"]

    @contextmanager
    def database(self, kind: Databases, readers: int, *, queued: bool = True) -> Iterator[tuple[str, int]]:
        """A fresh copy of the town, (URL, edition id), dropped afterwards."""
        prepared = self._prepare(kind, readers, queued)
        url = kind.copy(prepared.url)
        try:
            yield url, prepared.edition_id
        finally:
            kind.drop(url)

    def forget(self, kind: Databases, readers: int) -> None:
        """Make room: this town is not needed any more."""
        for queued in (True, False):
            if prepared := self._prepared.pop((kind.name, readers, queued), None):
                kind.drop(prepared.url)

    def _prepare(self, kind: Databases, readers: int, queued: bool) -> Prepared:
        key = (kind.name, readers, queued)
        if key not in self._prepared:
            if queued:
                drafted = self._prepare(kind, readers, False)
                url, edition_id = kind.copy(drafted.url), drafted.edition_id
                town.queue(self.config, url, edition_id)
            else:
                self.say(f"settling {readers:,} readers in {kind.name}")
                url = kind.new()
                edition_id = town.settle(self.config, url, readers)
            self._prepared[key] = Prepared(url, edition_id)
        return self._prepared[key]

    def message(self, readers: int) -> Path:
        """One of our own messages with LF ends, as smtp-source takes it."""
        path = self.folder / "message.lf"
        if not path.exists():
            with self.database(self.sqlite, readers) as (url, edition_id), town.opened(self.config, url) as app:
                path.write_bytes(town.sample(app, edition_id).replace(b"\r\n", b"\n"))
        return path
