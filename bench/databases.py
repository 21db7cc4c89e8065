"""Databases of both kinds, filled once and copied for every round."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Protocol

from bench.errors import BenchBroken
from tests.servers import postgres


class Databases(Protocol):
    """Where databases of one kind are made."""

    name: str

    def new(self) -> str:
        """The URL of an empty database."""
        ...

    def copy(self, url: str) -> str:
        """The URL of an exact copy, all of it on the disk."""
        ...

    def drop(self, url: str) -> None:
        """Make room."""
        ...


class Sqlite:
    """Files in a folder."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def new(self) -> str:
        """The file comes into being at the first connection."""
        return f"sqlite:///{self._folder}/town-{next(self._numbers)}.db"

    def copy(self, url: str) -> str:
        """The file alone: whoever filled it has closed it, so there is no log beside it."""
        copied = self.new()
        shutil.copyfile(_file(url), _file(copied))
        with _file(copied).open("rb+") as file:
            os.fsync(file.fileno())
        return copied

    def drop(self, url: str) -> None:
        """With what SQLite and the sender leave beside it."""
        for path in _file(url).parent.glob(f"{_file(url).name}*"):
            path.unlink()


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


class Cluster(postgres.Postgres):
    """The tests' private cluster as Debian ships it: they switch fsync off, a measurement must not."""

    name = "PostgreSQL"

    def new(self) -> str:
        """An empty database."""
        return self.new_database()

    def copy(self, url: str) -> str:
        """By CREATE DATABASE ... TEMPLATE; then everything is written out, so that no round pays for the last."""
        name = f"copy_{next(self._numbers)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {_database(url)}")
            connection.execute("CHECKPOINT")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Whoever still looks at it is sent away."""
        with self._connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {_database(url)} WITH (FORCE)")

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {"port": self.port, "unix_socket_directories": self.folder, "listen_addresses": "127.0.0.1"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            command: list[str | Path] = [self.binaries / "postgres", "-D", self.folder / "cluster", *options]
            return subprocess.Popen(command, stdout=log, stderr=log, **self._as_owner())


def _database(url: str) -> str:
    return url.rpartition("/")[2]


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL of our own, gone afterwards."""
    binaries = postgres.find_binaries()
    if binaries is None:
        raise BenchBroken("PostgreSQL is missing: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="digest-bench-", ignore_cleanup_errors=True) as folder:
        server = Cluster(binaries, Path(folder))
        try:
            server.start()
            yield server
        finally:
            with suppress(ProcessLookupError):
                server.stop()
