"""Several processes that send as one: everybody once, and whichever of them is killed, nobody lost or mailed twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.process import Sender
from tests.crash.town import Town
from tests.servers.smtpd import RecordingServer

READERS = 100
CONNECTIONS = 4
MOST_UNKNOWN = 3  # a connection


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def town(request, tmp_path, smtpd):
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    url = server.new_database() if server else f"sqlite:///{tmp_path}/digest.db"
    made = Town(tmp_path, url, CONNECTIONS, smtpd.port, server)
    made.found(READERS)
    yield made
    made.kill_all()


def recipients(smtpd) -> Counter[str]:
    return Counter(message.recipients[0] for message in smtpd.received)


def everybody() -> Counter[str]:
    return Counter({f"reader{n}@example.com": 1 for n in range(READERS)})


def members(sender: Sender) -> list[int]:
    """The processes it started, while it lives."""
    children = Path(f"/proc/{sender.pid}/task/{sender.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def is_running(pid: int) -> bool:
    """Whether the process has not ended; one that nobody has waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def both_send(town: Town, smtpd: RecordingServer) -> tuple[Sender, int]:
    """`edition send --processes 2` in full swing; the first process, and the other's id."""
    sender = town.start("edition", "send", "--processes", "2")
    wait_until(lambda: sender.is_running() and members(sender))
    (member,) = members(sender)
    each = CONNECTIONS // 2
    wait_until(lambda: smtpd.connections > each)  # the first has half of them, so the other is there
    smtpd.wait_for(len(smtpd.received) + 6)
    return sender, member


def check_the_books(town: Town, smtpd: RecordingServer) -> None:
    """At the end: each reader once or, of those few on a line at the kill, perhaps not."""
    sight, got = town.look(), recipients(smtpd)
    unknown = sight.readers("uncertain")
    assert max(got.values()) == 1, "somebody was mailed twice"
    assert set(everybody()) - set(got) <= unknown, "somebody was lost"
    assert len(unknown) <= MOST_UNKNOWN * CONNECTIONS // 2, "one process had half of the connections"
    assert sight.counts["sent"] + len(unknown) == READERS
    assert sight.state == "sent"


def test_two_processes_mail_everybody_once_and_leave_together(town, smtpd):
    smtpd.delay = 0.04  # so long that a busy machine has started the second one before the first is done
    sender, member = both_send(town, smtpd)
    assert sender.wait() == 0, sender.said()
    assert recipients(smtpd) == everybody()
    sight = town.look()
    assert (sight.state, sight.counts) == ("sent", Counter(sent=READERS))
    assert smtpd.max_open <= CONNECTIONS, "they share the connections"
    wait_until(lambda: not is_running(member))
    assert f"Done: {READERS} sent." in sender.said()
    assert "Traceback" not in sender.said()


def test_when_a_member_is_killed_the_first_goes_on_and_nobody_is_mailed_twice(town, smtpd):
    smtpd.delay = 0.05
    sender, member = both_send(town, smtpd)
    os.kill(member, signal.SIGKILL)
    smtpd.delay = 0.01
    sender.wait()
    assert "Traceback" not in sender.said()
    assert town.run("edition", "send").status == 0  # were anything left, it would finish it
    check_the_books(town, smtpd)


def test_when_the_first_is_killed_its_member_leaves_and_a_later_send_finishes(town, smtpd):
    smtpd.delay = 0.05
    sender, member = both_send(town, smtpd)
    sender.kill()
    wait_until(lambda: not is_running(member))
    assert len(smtpd.received) < READERS, "the member was to leave, not to send it all"
    smtpd.delay = 0
    last = town.run("edition", "send", "--processes", "2")
    assert last.status == 0, last.said()
    check_the_books(town, smtpd)


def test_told_to_stop_both_leave_and_nothing_is_uncertain(town, smtpd):
    smtpd.delay = 0.05
    sender, member = both_send(town, smtpd)
    sender.ask_to_stop(signal.SIGTERM)
    wait_until(lambda: not is_running(member))
    sight = town.look()
    assert set(sight.counts) == {"sent", "queued"}
    assert sight.counts["sent"] == len(smtpd.received)
    smtpd.delay = 0
    assert town.run("edition", "send").status == 0
    assert recipients(smtpd) == everybody()
