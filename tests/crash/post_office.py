"""The mail server's process as the test sees it: started, killed, and asked what it took."""

from __future__ import annotations

import random
import smtplib
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PATIENCE = 30.0
_LOOK_EVERY = 0.003


@dataclass(frozen=True, slots=True)
class Manners:
    """How a server behaves: how long it takes over a 250, whether it pipelines, how many it turns away once."""

    delay: float = 0
    pipelining: bool = True
    greylist: int = 0  # one recipient in so many

    def options(self) -> list[str]:
        """For its command line."""
        plain = [] if self.pipelining else ["--plain"]
        return [f"--delay={self.delay}", f"--greylist={self.greylist}", *plain]


class PostOffice:
    """One server on a port of its own. Its record is a file, so it outlives every kill."""

    def __init__(self, folder: Path, manners: Manners) -> None:
        self.manners = manners
        self.port = _quiet_port()
        self.copies: Counter[str] = Counter()  # by reader
        self.ids: dict[str, set[str]] = defaultdict(set)  # the Message-IDs each reader got
        self.taken = 0
        self._path = folder / "record"
        self._path.touch()
        self._record = self._path.open(encoding="utf-8")
        self._rest = ""
        self._server: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "tests.crash.smtp_process", str(self.port), str(self._path)]
        self._server = subprocess.Popen(
            [*command, *self.manners.options()], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "ready\n", "the test's own SMTP server does not start"

    def kill(self) -> None:
        """kill -9: whatever it was told last, it has written down or it has not."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            assert self._server.stdout is not None
            self._server.stdout.close()
            self._server = None

    def hurry(self) -> None:
        """From now on, answer at once. Nobody may be connected."""
        self.kill()
        self.manners = replace(self.manners, delay=0)
        self.start()

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._record.close()

    def look(self) -> int:
        """Read what came in since the last look; returns how many copies it took in all."""
        text = self._rest + self._record.read()
        *lines, self._rest = text.split("\n")
        for line in lines:
            message_id, _, reader = line.partition(" ")
            self.copies[reader] += 1
            self.ids[reader].add(message_id)
        self.taken += len(lines)
        return self.taken

    def wait_for(self, count: int, goes_on: Callable[[], bool], patience: float = _PATIENCE) -> bool:
        """Wait for `count` copies in all; False when `goes_on` says no, or nothing comes for too long."""
        last, at = self.look(), time.monotonic()
        while last < count:
            if not goes_on() or time.monotonic() - at > patience:
                return self.look() >= count
            time.sleep(_LOOK_EVERY)
            if (now := self.look()) > last:
                last, at = now, time.monotonic()
        return True

    def visitors(self) -> int:
        """How many are connected now."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=_PATIENCE) as visitor:
            return int(visitor.docmd("XOPEN")[1])

    def wait_until_empty(self) -> None:
        """Wait until nobody is connected: what the dead had sent before is read by then, and on record."""
        deadline = time.monotonic() + _PATIENCE
        while self.visitors():
            assert time.monotonic() < deadline, "somebody stays connected"
            time.sleep(_LOOK_EVERY)
        self.look()


def _quiet_port() -> int:
    """A free port below those the system gives to clients: it must still be free after the server was killed."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
