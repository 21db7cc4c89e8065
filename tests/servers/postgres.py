"""A private PostgreSQL cluster in a temporary folder, ended by its process id."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.servers import require


class Postgres:
    """A running cluster; `new_database` gives a fresh one."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._numbers = itertools.count(1)

    def new_database(self) -> str:
        """The SQLAlchemy URL of an empty database."""
        name = f"test{next(self._numbers)}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://bench@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=200"
        _run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-o", options, "-w", "start")

    def kill(self) -> None:
        """End the server as a power cut would: SIGKILL, by its process id."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        while _answers(self.port):
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop at once."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=bench dbname={database}"


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """A cluster for as long as the block lasts."""
    require(_binary("initdb") is not None, "PostgreSQL", "apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="digest-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        _run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "bench", "--locale=C.UTF-8", "-E", "UTF8", "--no-sync")
        server = Postgres(folder, _free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(program: str, *arguments: str) -> None:
    binary = _binary(program)
    assert binary is not None
    # PostgreSQL refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run(
        [*as_user, str(binary), *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
    )


def _binary(program: str) -> Path | None:
    found = [Path(shutil.which(program) or ""), *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))]
    return next((each.resolve() for each in reversed(found) if each.is_file()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
