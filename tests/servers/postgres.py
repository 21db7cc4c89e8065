"""A private PostgreSQL cluster: started for one test run, killed and restarted at will, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import free_port, require

_PATIENCE = 30.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",  # a killed process loses nothing that way, only a machine that loses its power does
    "max_connections": "200",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class Postgres:
    """One cluster in `folder`, reached over loopback and over a socket in the same folder; nobody needs a password."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries = binaries
        self.folder = folder
        self.port = 0
        self._server: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        folder.chmod(0o755)  # the socket lies in it
        shutil.chown(folder, *_owner())
        self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8")

    def url(self, database: str = "postgres") -> str:
        """The address of a database, as SQLAlchemy reads it."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database; returns its URL."""
        name = f"test_{next(self._numbers)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    @property
    def pid(self) -> int:
        """The process to kill."""
        assert self._server is not None, "PostgreSQL is not running"
        return self._server.pid

    def start(self) -> None:
        """Start the server and wait until it answers. It keeps its port over restarts."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            self.port = self.port or free_port()
            self._server = self._spawn()
            if self._answers(deadline):
                return
            # The port was taken in between, or a killed server's children still hold its memory: once more.
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log()[-2000:]}")
            self.port = 0 if "could not bind" in self.log()[-1000:] else self.port
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop as an operator would: open transactions are rolled back, then it ends."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it and every session as `kill -9` and the out-of-memory killer do: nobody has time for anything."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        sessions = children.read_text().split() if children.exists() else []
        self._end(signal.SIGKILL)
        for pid in sessions:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start: every open connection is lost."""
        self.stop()
        self.start()

    def log(self) -> str:
        """What the server said."""
        return (self.folder / "log").read_text(errors="replace")

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {**_SETTINGS, "port": self.port, "unix_socket_directories": self.folder}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self.binaries / "postgres", "-D", self.folder / "cluster", *options],
                stdout=log,
                stderr=log,
                **self._as_owner(),
            )

    def _answers(self, deadline: float) -> bool:
        assert self._server is not None
        while self._server.poll() is None:
            with suppress(psycopg.OperationalError):
                self._connect().close()
                return True
            if time.monotonic() > deadline:
                self._end(signal.SIGKILL)
                return False
            time.sleep(0.05)
        return False

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True, connect_timeout=10
        )

    def _end(self, how: signal.Signals) -> None:
        if self._server is None or self._server.poll() is not None:
            return
        self._server.send_signal(how)
        self._server.wait(_PATIENCE)

    def _run(self, program: str, *arguments: str) -> None:
        command = [self.binaries / program, "-D", self.folder / "cluster", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, **self._as_owner())
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _as_owner(self) -> dict[str, Any]:
        place = {"cwd": self.folder, "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}}
        user, group = _owner()
        return place if os.geteuid() else {**place, "user": user, "group": group, "extra_groups": ()}


@contextmanager
def running() -> Iterator[Postgres]:
    """A started cluster, stopped and removed at the end. Skips the test when PostgreSQL is not installed."""
    binaries = find_binaries()
    if binaries is None:
        require("postgresql", "the store is tested on a real PostgreSQL too")
    # Not pytest's own folder: that is closed to other users, and PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="digest-postgres-") as folder:
        server = Postgres(binaries, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def find_binaries() -> Path | None:
    """The folder with initdb and postgres, or None. Debian keeps them out of PATH, one folder a version."""
    found = [Path(path).resolve() for path in (shutil.which("initdb"), "/usr/local/bin/initdb") if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: -int(path.parts[-3]))
    return next((path.parent for path in found if path.exists() and (path.parent / "postgres").exists()), None)


def _owner() -> tuple[int, int]:
    """Whose cluster it is: ours, or for root, whom PostgreSQL refuses, that of Debian's `postgres` or of `nobody`."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            person = pwd.getpwnam(name)
            return person.pw_uid, person.pw_gid
    raise RuntimeError("there is neither a user `postgres` nor `nobody` to run PostgreSQL as")
