"""`digest serve` itself: started late, twice, killed and stopped in the middle of a Saturday."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from digest.domain.editions import EditionState
from digest.store import editions
from tests.servers import free_port
from tests.servers.smtpd import RecordingServer
from tests.service import Service

CONNECTIONS = 3


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


class Town:
    """A database whose edition fell due a few minutes ago, and processes that serve it."""

    def __init__(self, folder: Path, store_url: str, smtpd: RecordingServer) -> None:
        now = datetime.now(UTC)
        self.due = now.replace(second=0, microsecond=0) - timedelta(minutes=3)
        newsletters = {
            "weekly": {"title": "The Weekly Recap", "schedule": f"daily {self.due:%H:%M}", "timezone": "UTC"}
        }
        self.service = Service(folder, store_url, smtpd.port, connections=CONNECTIONS, newsletters=newsletters)
        self.service.add_articles(
            {f"today-{n}": n + 1 for n in range(5)}, published=self.due - timedelta(hours=5), until=self.due
        )
        self.folder, self.store_url, self.smtpd = folder, store_url, smtpd
        self.processes: list[subprocess.Popen] = []
        (folder / "config.toml").write_text(self._config())

    def _config(self) -> str:
        return f"""
[site]
name = "The Vistula Post"
url = "https://news.example.com"
[web]
base_url = "https://recap.example.com"
secret = "a secret of at least thirty-two characters"
[database]
url = "{self.store_url}"
[smtp]
host = "127.0.0.1"
port = {self.smtpd.port}
connections = {CONNECTIONS}
[mail]
from = "recap@news.example.com"
[newsletters.weekly]
title = "The Weekly Recap"
schedule = "daily {self.due:%H:%M}"
timezone = "UTC"
"""

    def serve(self, *words: str) -> subprocess.Popen:
        """Start a process of the service."""
        command = [sys.executable, "-m", "digest", "serve", "--port", str(free_port()), *words]
        root = str(Path(__file__).parents[1])
        environ = {**os.environ, "DIGEST_CONFIG": str(self.folder / "config.toml"), "PYTHONPATH": root}
        process = subprocess.Popen(command, cwd=self.folder, env=environ, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def edition(self):
        """Today's edition."""
        with self.service.app.store.read() as tx:
            return editions.latest(tx)

    def wait(self, for_what, seconds: float = 40) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not for_what():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.02)

    def is_sent(self) -> bool:
        """Whether the edition is settled."""
        edition = self.edition()
        return edition is not None and edition.state is EditionState.SENT

    def stop_all(self) -> None:
        """End every process that was started."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(20)

    def recipients(self) -> Counter[str]:
        """How many copies each address got."""
        return Counter(message.recipients[0] for message in self.smtpd.received)


@pytest.fixture
def town(store_url, tmp_path, smtpd):
    made = Town(tmp_path, store_url, smtpd)
    yield made
    made.stop_all()
    made.service.close()


def test_two_services_on_one_database_send_one_edition_and_one_mail_each(town):
    town.service.add_readers(40)
    town.serve()
    town.serve()
    town.wait(town.is_sent)
    time.sleep(1)  # were there a second edition, it would begin now
    assert town.recipients() == Counter({f"reader{n}@example.com": 1 for n in range(40)})
    with town.service.app.store.read() as tx:
        assert len(editions.listed(tx)) == 1


@pytest.mark.parametrize("when", [15, 60])
def test_killed_in_mid_send_and_started_again_everybody_has_one_copy(town, when):
    town.service.add_readers(150)
    town.smtpd.delay = 0.01
    killed = town.serve()
    town.wait(lambda: len(town.smtpd.received) >= when)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    town.smtpd.delay = 0
    town.serve()
    town.wait(town.is_sent)
    got = town.recipients()
    unknown = {each.address for each in town.service.listed(town.edition(), "uncertain")}
    assert max(got.values()) == 1
    assert {f"reader{n}@example.com" for n in range(150)} - set(got) <= unknown
    assert len(unknown) <= 3 * CONNECTIONS


def test_told_to_stop_it_leaves_nothing_uncertain(town):
    town.service.add_readers(150)
    town.smtpd.delay = 0.01
    process = town.serve()
    town.wait(lambda: len(town.smtpd.received) >= 30)
    process.terminate()
    assert process.wait(20) == 0
    counted = town.service.counts(town.edition())
    assert set(counted) == {"sent", "queued"}
    assert counted["sent"] == len(town.smtpd.received)


def test_it_answers_and_says_that_it_is_ready(town):
    port = free_port()
    town.serve("--port", str(port), "--without", "sender,scheduler")

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    town.wait(answers)
    for path in ("healthz", "readyz", ""):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as reply:
            assert reply.status == 200


def test_no_reply_waits_for_the_client_to_acknowledge_half_of_it():
    from digest.cli.serve import _listen

    with (
        _listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
