"""The beacon of real processes: stopped, killed, without their database for a while; every view once, in its hour."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest import collecting
from digest.collecting import Batch
from digest.config.sources import BeaconSource
from digest.domain.articles import Pages
from digest.sources.beacon import Beacon
from digest.store import Store
from digest.store.migrate import migrate
from digest.store.schema import pages, sources, views
from digest.web.beacon import Tally
from tests.servers import free_port
from tests.servers import postgres as postgres_server
from tests.service import SetClock

ROOT = Path(__file__).parents[2]
SITE = "https://news.example.com"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"
CONFIG = """
[site]
name = "The Vistula Post"
url = "https://news.example.com"
[web]
base_url = "https://recap.example.com"
secret = "a secret of at least thirty-two characters"
[database]
url = "{url}"
[smtp]
host = "127.0.0.1"
[mail]
from = "recap@news.example.com"
[newsletters.weekly]
title = "The Weekly Recap"
[[sources]]
name = "beacon"
kind = "beacon"
"""


class Site:
    """A database, processes that serve it, and what they have stored."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.store = Store(url)
        migrate(self.store)
        (folder / "config.toml").write_text(CONFIG.format(url=url))
        self.ports: list[int] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def serve(self, *words: str) -> subprocess.Popen[bytes]:
        """Start one and wait until it listens."""
        port = free_port()
        command = [sys.executable, "-m", "digest", "serve", "--port", str(port), *words]
        environ = {**os.environ, "DIGEST_CONFIG": str(self.folder / "config.toml"), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=self.folder, env=environ, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        wait(lambda: listens(port))
        self.ports.append(port)
        return process

    def stored(self) -> int:
        """All views in the database."""
        with self.store.read() as tx:
            return int(tx.scalar(sa.select(sa.func.sum(views.c.views))) or 0)

    def close(self) -> None:
        """End every process that was started."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(30)
        self.store.close()


class Crowd:
    """Readers who report views side by side, each over a connection of its own, until they are told to stop."""

    def __init__(self, ports: list[int], size: int = 8) -> None:
        self.sent = self.answered = 0
        self._counting = threading.Lock()
        self._going = threading.Event()
        self._going.set()
        chosen = itertools.islice(itertools.cycle(ports), size)
        self._threads = [threading.Thread(target=self._read, args=(port,)) for port in chosen]
        for each in self._threads:
            each.start()

    def _read(self, port: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for number in itertools.count():
                if not self._going.is_set():
                    return
                with self._counting:
                    self.sent += 1
                try:
                    connection.request("POST", "/beacon", report(number % 300), {"User-Agent": BROWSER})
                    if connection.getresponse().read():
                        return  # an apology
                except (OSError, http.client.HTTPException):
                    return  # the service has stopped
                with self._counting:
                    self.answered += 1

    def more(self, count: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.answered + count
        wait(lambda: self.answered >= wanted)

    def leave(self) -> None:
        """Until the last answer is in."""
        self._going.clear()
        for each in self._threads:
            each.join(30)


def report(number: int) -> bytes:
    return json.dumps({"url": f"{SITE}/story-{number}"}).encode()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait(for_what: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not for_what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@contextmanager
def crowd_at(site: Site) -> Iterator[Crowd]:
    crowd = Crowd(site.ports)
    try:
        yield crowd
    finally:
        crowd.leave()


@pytest.fixture
def site(tmp_path: Path, store_url: str) -> Iterator[Site]:
    made = Site(tmp_path, store_url)
    yield made
    made.close()


def test_stopped_under_load_two_services_keep_every_view_they_have_answered(site):
    for _ in range(2):
        site.serve()
    with crowd_at(site) as crowd:
        crowd.more(1500)
        for process in site.processes:
            process.terminate()
        assert [process.wait(30) for process in site.processes] == [0, 0]
    # A view may be counted and its answer not heard; it is never the other way round.
    assert crowd.answered <= site.stored() <= crowd.sent


def test_killed_under_load_it_has_kept_what_came_before_the_last_moment(site):
    killed = site.serve()
    with crowd_at(site) as crowd:
        crowd.more(500)
        before = crowd.answered
        wait(lambda: site.stored() >= before)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    kept = site.stored()
    assert before <= kept <= crowd.sent
    site.ports.clear()
    started_again = site.serve()
    with crowd_at(site) as crowd:
        crowd.more(100)
    started_again.terminate()
    assert started_again.wait(30) == 0
    assert site.stored() == kept + crowd.answered


def test_a_database_that_stops_and_is_killed_and_comes_back_has_every_view_once(tmp_path):
    with postgres_server.running() as server, ExitStack() as stack:
        site = Site(tmp_path, server.new_database())
        stack.callback(site.close)
        process = site.serve("--without", "sender,scheduler")
        with crowd_at(site) as crowd:
            for end in (server.kill, server.stop, server.kill):
                crowd.more(700)
                end()
                crowd.more(700)  # nobody is sent away meanwhile
                before = crowd.answered
                server.start()
                site.store.engine.dispose()
                wait(lambda: site.stored() >= before)  # noqa: B023
        server.stop()
        process.terminate()  # and it is away when the service has to stop: it is waited for, for a while
        server.start()
        assert process.wait(30) == 0
        site.store.engine.dispose()
        assert site.stored() == crowd.answered == crowd.sent


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else writes inside."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_a_database_that_is_locked_for_a_while_gets_every_view_once(tmp_path):
    with closing(Site(tmp_path, f"sqlite:///{tmp_path}/digest.db")) as site:
        process = site.serve()
        with crowd_at(site) as crowd:
            crowd.more(200)
            with locked(tmp_path / "digest.db"):
                crowd.more(2000)
            crowd.more(200)
        process.terminate()
        assert process.wait(30) == 0
        assert site.stored() == crowd.answered == crowd.sent


def test_no_reader_waits_while_the_reading_of_a_source_waits_for_the_database(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/digest.db")
    migrate(store)
    source = Beacon(BeaconSource(name="beacon", kind="beacon"))

    async def collect_and_serve() -> collecting.Collected:
        with locked(tmp_path / "digest.db"):
            reading = asyncio.create_task(collecting.collect(store, source, Pages(SITE), [], MORNING))
            for _ in range(100):
                await asyncio.sleep(0)  # others have their turn
            assert not reading.done()
        return await reading

    assert not asyncio.run(collect_and_serve()).error
    store.close()


# --- hours, and many pages ------------------------------------------------------------------------

MORNING = datetime(2026, 11, 28, 6, 59, 59, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Counted:
    """A tally over a store, and what it has stored."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = SetClock(MORNING - timedelta(seconds=30))
        self.tally = Tally(store, [BeaconSource(name="beacon", kind="beacon")], Pages(SITE), self.clock)

    def flush(self) -> bool:
        return asyncio.run(self.tally.flush())

    def by_hour(self) -> dict[datetime, int]:
        """Views by the end of their hour."""
        query = sa.select(views.c.until, sa.func.sum(views.c.views)).group_by(views.c.until)
        with self.store.read() as tx:
            return {until: int(number) for until, number in tx.execute(query)}

    def rows(self) -> int:
        with self.store.read() as tx:
            return int(tx.scalar(sa.select(sa.func.count()).select_from(views)))


@pytest.fixture
def counted(store: Store) -> Counted:
    return Counted(store)


def test_a_view_counts_in_its_own_hour_however_late_it_is_stored(counted):
    counted.tally.count(report(1), BROWSER)
    counted.clock.forward(timedelta(minutes=1))
    counted.tally.count(report(1), BROWSER)
    counted.clock.forward(3 * HOUR)
    assert counted.flush()
    at_seven = MORNING + timedelta(seconds=1)
    assert counted.by_hour() == {at_seven: 1, at_seven + HOUR: 1}


def test_views_of_several_hours_wait_for_a_database_that_is_away(tmp_path):
    folder = tmp_path / "not mounted yet"
    counted = Counted(Store(f"sqlite:///{folder}/digest.db"))
    for _ in range(3):
        for number in (1, 2, 2):
            counted.tally.count(report(number), BROWSER)
        assert not counted.flush()
        counted.clock.forward(HOUR)
    assert counted.tally.kept == 9
    folder.mkdir()
    migrate(counted.store)
    assert not counted.flush()  # what was tried first goes first
    assert counted.flush()
    assert list(counted.by_hour().values()) == [3, 3, 3]
    counted.store.close()


def test_a_batch_that_was_stored_without_our_hearing_of_it_is_not_counted_again(counted):
    views_of_one = {("news.example.com/story-1", MORNING.replace(minute=0, second=0)): 5}
    first, second = (Batch("one process", number, MORNING) for number in (1, 2))
    for batch in (first, first, second, second, Batch("another process", 2, MORNING)):
        collecting.count_views(counted.store, "beacon", views_of_one, batch)
    assert set(counted.by_hour().values()) == {15}


def test_fifty_thousand_pages_an_hour_are_counted_and_then_only_those(counted):
    hour = counted.clock().replace(minute=0, second=0, microsecond=0)
    for number in range(50_001):
        counted.tally.count(report(number), BROWSER)
    assert counted.flush()
    counted.tally.count(report(60_000), BROWSER)  # one too many
    counted.tally.count(report(7), BROWSER)  # known in this hour
    assert counted.flush()
    assert (counted.rows(), counted.by_hour()) == (50_000, {hour + HOUR: 50_001})
    counted.clock.forward(HOUR)
    counted.tally.count(report(60_000), BROWSER)
    assert counted.flush()
    assert counted.by_hour()[hour + 2 * HOUR] == 1


def test_campaigns_make_no_pages(counted):
    for number in range(1000):
        body = json.dumps({"url": f"{SITE}/story?utm_source=x&fbclid={number}"}).encode()
        counted.tally.count(body, BROWSER)
    assert counted.flush()
    assert counted.rows() == 1


def test_two_sources_each_count_their_own_hosts(counted):
    sections = [BeaconSource(name=name, kind="beacon", hosts=[f"{name}.example.com"]) for name in ("news", "sport")]
    counted.tally = Tally(counted.store, sections, Pages(SITE), counted.clock)
    for host in ("news", "sport", "sport", "evil"):
        counted.tally.count(f"https://{host}.example.com/a".encode(), BROWSER)
    assert counted.flush()
    query = (
        sa.select(sources.c.name, pages.c.canonical, views.c.views)
        .join_from(views, sources, sources.c.id == views.c.source_id)
        .join(pages, pages.c.id == views.c.page_id)
    )
    with counted.store.read() as tx:
        found = sorted(tuple(row) for row in tx.execute(query))
    assert found == [("news", "news.example.com/a", 1), ("sport", "sport.example.com/a", 2)]
