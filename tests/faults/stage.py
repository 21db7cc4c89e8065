"""A frozen edition, a mail server that goes wrong, and the sender between them."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from digest import publishing
from digest.domain.editions import Edition, EditionState
from digest.publishing import desk
from digest.store import deliveries
from tests.servers.smtpd import OFFERS, Fault, Pipelining, RecordingServer, Script
from tests.service import Service

LONG_RUN = int(os.environ.get("DIGEST_FAULT_EXAMPLES", "0"))  # examples; also walks every byte position when set

READERS = 6
CONNECTIONS = 2
PATIENT = 5.0  # seconds the sender waits for any answer: more than a busy machine needs
HASTY = 0.4  # where a test has the server keep silent
LATE = 1.2  # seconds a late answer takes: too long for the hasty, and soon enough for the test

IN_TURNS = tuple(each for each in OFFERS if each != "PIPELINING")
CHUNKED = (*OFFERS, "CHUNKING")

_CONNECT_WAIT = 0.02  # seconds before the second try to connect: hundreds of runs would add up
_ONE_RUN = 60  # seconds; a sender that takes longer hangs
_TRIES = 8  # until all must be settled once the server is well
_LATER = timedelta(hours=3)  # longer than any wait between two tries


def reader(number: int) -> str:
    """The address of a reader."""
    return f"reader{number}@example.com"


def smtp_settings(smtpd: RecordingServer, seconds: float, **more: Any) -> dict[str, Any]:
    """[smtp] for this server, with one patience for everything."""
    return {
        "host": smtpd.host,
        "port": smtpd.port,
        "security": smtpd.security,
        "ca_file": smtpd.ca_file if smtpd.certificate else "",
        **dict.fromkeys(
            ("connect_timeout", "greeting_timeout", "command_timeout", "data_timeout", "block_timeout", "end_timeout"),
            f"{seconds}s",
        ),
        **more,
    }


class Shelf:
    """Databases with an edition frozen and queued, made once for each number of readers and articles."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, readers: int, articles: int, into: Path) -> None:
        """A fresh copy of the database in a folder."""
        original = self._folder / f"{readers}-{articles}"
        if not original.exists():
            original.mkdir(parents=True)
            weekly = {"title": "The Weekly Recap", "selection": {"count": articles, "min_articles": 1}}
            made = Service(original, f"sqlite:///{original}/digest.db", 25, newsletters={"weekly": weekly})
            made.add_readers(readers)
            made.release()
            made.close()
        for file in original.glob("digest.db*"):
            shutil.copy(file, into)


class Stage:
    """One edition on its way to readers through one server."""

    def __init__(self, service: Service, smtpd: RecordingServer) -> None:
        self.service = service
        self.smtpd = smtpd
        self._edition = publishing.find(service.app.store, "latest")

    @property
    def edition(self) -> Edition:
        """As it stands now."""
        return self.service.get(self._edition)

    @property
    def states(self) -> dict[str, str]:
        """The state of each reader's delivery."""
        return {row.address: row.state.value for row in self.service.listed(self._edition)}

    def deliver(self) -> Edition:
        """Run a sender until nothing is due or the edition is paused, and the server until it has heard it all."""

        async def bounded() -> None:
            sender = self.service.app.sender(self.service.clock, patient=False)
            sender.judge.patience = replace(sender.judge.patience, connect_wait=_CONNECT_WAIT)
            await asyncio.wait_for(sender.run(self._is_done), _ONE_RUN)

        asyncio.run(bounded())
        self.smtpd.wait_until_quiet()
        return self.edition

    def _is_done(self) -> bool:
        if self.edition.state is not EditionState.SENDING:
            return True
        if self.service.counts(self._edition).get("queued"):
            return False
        with self.service.app.store.read() as tx:
            due = deliveries.next_due(tx, self._edition.id)
        return due is None or due > self.service.clock()

    def recover(self, *, well: bool = True) -> None:
        """The server is well again: resume, and deliver now and again until the edition is settled."""
        if well:
            self.smtpd.faults.clear()
            self.smtpd.pipelining = "works"
        for _ in range(_TRIES):
            if self.edition.state is EditionState.SENT:
                return
            if self.edition.state is EditionState.PAUSED:
                desk.resume(self.service.app.store, self._edition.id, self.service.clock())
            self.service.clock.forward(_LATER)
            self.deliver()
        assert self.edition.state is EditionState.SENT, f"not settled after {_TRIES} tries: {self.states}"


@contextmanager
def staged(
    shelf: Shelf,
    *faults: Fault,
    readers: int = READERS,
    connections: int = CONNECTIONS,
    offers: Sequence[str] = OFFERS,
    pipelining: Pipelining = "works",
    security: str = "none",
    seconds: float = PATIENT,
    articles: int = 10,
    **more: Any,
) -> Iterator[Stage]:
    """The stage, set for one play; `more` is for the sender's [smtp]."""
    server = RecordingServer(Script(*faults), offers=offers, pipelining=pipelining, security=security)  # type: ignore[arg-type]
    with server as smtpd, tempfile.TemporaryDirectory(prefix="digest-faults-") as name:
        folder = Path(name)
        shelf.copy(readers, articles, folder)
        settings = smtp_settings(smtpd, seconds, connections=connections, **more)
        service = Service(folder, f"sqlite:///{folder}/digest.db", smtpd.port, fresh=False, smtp=settings)
        service.clock.forward(timedelta(minutes=1))  # past the moment the copy was queued at
        try:
            yield Stage(service, smtpd)
        finally:
            service.close()
