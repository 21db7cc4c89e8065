"""A thousand reports in a mailbox, and `kill -9` again and again: each acted on once, none lost. Real processes."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.domain.bouncing import Outcome
from digest.store.schema import bounces, deliveries, events, mailboxes, suppression_log, verdicts
from tests.servers.smtpd import RecordingServer
from tests.service import Service
from tests.test_incoming import bounce, letter

READERS, LETTERS = 1_000, 60
KILLS = 5
SENDER = "bounces@news.example.com"
_FULL = ("4.2.2", "mailbox full")
SETTINGS = {
    "mail": {
        "from": "recap@news.example.com",
        "bounce_address": SENDER,
        "unsubscribe_address": "leave@news.example.com",
    }
}


class Mailbox:
    """A Maildir with a report for every reader: one in ten is gone, one in ten leaves, the others are full."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.path = folder / "post"
        for name in ("cur", "new", "tmp"):
            (self.path / name).mkdir(parents=True)
        self._names = (f"{1_800_000_000 + number}.test" for number in count())
        links, edition = service.app.links, service.release()
        with service.app.store.begin() as tx:
            tx.execute(sa.update(deliveries).values(state="sent", settled_at=deliveries.c.queued_at))
            readers = tx.execute(sa.select(deliveries.c.id, deliveries.c.subscription_id).order_by(deliveries.c.id))
            messages = [
                letter(links.leave_by_mail("leave@news.example.com", reader))
                if number % 10 == 1
                else bounce(links.envelope_sender(SENDER, delivery), *(() if number % 10 == 0 else _FULL))
                for number, (delivery, reader) in enumerate(readers)
            ]
        self.edition = edition
        self.letters = [letter(SENDER, f"Subject: letter {number}") for number in range(LETTERS)]
        messages += self.letters
        random.Random(7).shuffle(messages)
        for message in messages:
            (self.path / "new" / next(self._names)).write_bytes(message)

    def left(self) -> list[bytes]:
        return [file.read_bytes() for file in (self.path / "new").iterdir()]

    def put_away(self) -> int:
        return sum(1 for _ in (self.path / ".Digest.Processed").glob("cur/*"))


@pytest.fixture
def service(store_url, tmp_path) -> Iterator[Service]:
    with RecordingServer() as smtpd:
        made = Service(tmp_path, store_url, smtpd.port, **SETTINGS)
        made.add_readers(READERS)
        yield made
        made.close()


def _number(service: Service, what: sa.Select) -> int:
    with service.app.store.read() as tx:
        return tx.scalar(what) or 0


def _rows(service: Service, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return _number(service, sa.select(sa.func.count()).select_from(table).where(*where))


def _read(service: Service, mailbox: Mailbox, folder: Path, until: Callable[[], bool]) -> bool:
    """Read in a process, killed as soon as `until`; whether it was, before it had come to the end by itself."""
    command = [sys.executable, "-m", "tests.read_process", str(folder), service.store_url, str(mailbox.path)]
    process = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
    try:
        while process.poll() is None:
            if until():
                return True
            time.sleep(0.001)
        assert process.returncode == 0
        return False
    finally:
        process.kill()
        process.wait(30)


def test_a_thousand_reports_are_each_acted_on_once_however_often_the_reader_is_killed(service, tmp_path):
    mailbox = Mailbox(tmp_path, service)
    killed = 0
    for number in range(KILLS):
        # By turns right after a commit, before anything is moved, and in the middle of moving.
        far = partial(_rows, service, bounces) if number % 2 else mailbox.put_away
        enough = far() + (1 if number % 2 else 30)
        killed += _read(service, mailbox, tmp_path, lambda far=far, enough=enough: far() >= enough)
    assert killed == KILLS
    assert not _read(service, mailbox, tmp_path, lambda: False)

    assert sorted(mailbox.left()) == sorted(mailbox.letters)
    assert mailbox.put_away() == READERS
    assert _rows(service, bounces) == READERS * 9 // 10
    assert _rows(service, bounces, bounces.c.outcome == Outcome.SUPPRESSED) == READERS // 10
    assert _rows(service, suppression_log) == READERS // 10
    assert _number(service, sa.select(sa.func.sum(verdicts.c.bounces))) == READERS // 10
    assert _rows(service, events, events.c.kind == "unsubscribed") == READERS // 10
    with service.app.store.read() as tx:
        (remembered,) = tx.scalars(sa.select(mailboxes.c.remembered))
    assert (len(remembered["names"]), remembered["acted_on"]) == (LETTERS, [])


def test_too_many_hard_bounces_in_one_batch_are_held_as_they_are_one_by_one(service, tmp_path):
    mailbox = Mailbox(tmp_path, service)
    for file in (mailbox.path / "new").iterdir():
        file.unlink()
    with service.app.store.read() as tx:
        ids = list(tx.scalars(sa.select(deliveries.c.id).order_by(deliveries.c.id)))
    for number in ids[:300]:
        sender = service.app.links.envelope_sender(SENDER, number)
        (mailbox.path / "new" / f"{number}.x").write_bytes(bounce(sender))
    assert not _read(service, mailbox, tmp_path, lambda: False)
    # A fifth of a thousand readers, noticed at the next tenth more than the last time they were counted.
    with service.app.store.read() as tx:
        assert list(tx.scalars(sa.select(verdicts.c.outcome))) == [Outcome.HELD]
    assert _rows(service, bounces, bounces.c.outcome == Outcome.HELD) == 300
