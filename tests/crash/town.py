"""A town: a configuration, a database with readers, and an edition for them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from digest import publishing
from digest.app import App, build
from digest.config.reading import read_config
from digest.domain.addresses import Address
from digest.domain.subscribers import Evidence, Way
from digest.store import Store, deliveries
from digest.store.migrate import migrate
from digest.subscribing import importing
from tests.crash.process import PATIENCE, Sender
from tests.servers.postgres import Postgres

_CONFIG = """\
[site]
name = "The Vistula Post"
url = "https://news.example.com"
timezone = "Europe/Warsaw"
postal_address = "ul. Prosta 1, Warszawa"
[web]
base_url = "https://recap.example.com"
secret = "a secret of at least thirty-two characters"
port = 0
[database]
url = "{url}"
[smtp]
host = "127.0.0.1"
port = {port}
security = "none"
connections = {connections}
command_timeout = "20s"
[mail]
from = "recap@news.example.com"
[delivering]
first_retry = "1s"
[newsletters.weekly]
title = "The Weekly Recap"
[[sources]]
name = "desk"
kind = "files"
articles = "articles.csv"
views = "views.csv"
"""


@dataclass(frozen=True, slots=True)
class Sight:
    """What Digest believes at one moment: the edition's state, and each reader's."""

    state: str
    rows: dict[str, str]
    counts: Counter[str]
    counted: int = 0  # as Digest itself counts

    def readers(self, *states: str) -> set[str]:
        """Who is in one of those states."""
        return {reader for reader, state in self.rows.items() if state in states}


class Town:
    """Found it with `found`, or as a copy with `like`. `digest` is run in its `folder`."""

    def __init__(self, folder: Path, url: str, connections: int, port: int, postgres: Postgres | None) -> None:
        self.folder = folder
        self.url = url
        self.edition = 1
        self.senders: list[Sender] = []
        self._connections = connections
        self._postgres = postgres
        folder.mkdir(exist_ok=True)
        self.configure(port)

    def configure(self, port: int) -> None:
        """Write config.toml."""
        text = _CONFIG.format(url=self.url, port=port, connections=self._connections)
        (self.folder / "config.toml").write_text(text)

    def found(self, readers: int) -> None:
        """Create the database: a week's articles, so many readers, and an edition drafted for them."""
        now = datetime.now(UTC)
        _write_articles(self.folder)
        store = Store(self.url)
        migrate(store)
        store.close()
        app = self._open()
        asyncio.run(app.collect(now))
        entries = [importing.Entry(address) for address in everybody(readers)]
        evidence = Evidence(Way.IMPORT, form="by letter")
        importing.bring_in(app.store, app.links, entries, "weekly", "en", evidence, now - timedelta(days=30))
        edition = publishing.draft(app.store, app.press, app.newsletters["weekly"], now, now)
        app.close()
        assert edition.id == self.edition, "the town's first edition is its only one"

    def become_like(self, model: Town) -> None:
        """Take over the database of a town nobody works in."""
        if self._postgres is None:
            shutil.copy(_sqlite_file(model.url), _sqlite_file(self.url))
            return
        here, there = (each.rpartition("/")[2] for each in (self.url, model.url))
        with _connected(self._postgres) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {here}")
            connection.execute(f"CREATE DATABASE {here} TEMPLATE {there}")

    def release(self) -> None:
        """Freeze the edition and queue it, without sending."""
        app = self._open()
        newsletter = app.newsletters["weekly"]
        publishing.release(app.store, app.press, newsletter, self.edition, datetime.now(UTC))
        app.close()

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> Sender:
        """A new sender: `digest` with these words."""
        sender = Sender(self.folder, words, len(self.senders) + 1, env)
        self.senders.append(sender)
        return sender

    def send(self, env: Mapping[str, str] | None = None) -> Sender:
        """A new sender in the foreground."""
        return self.start("edition", "send", str(self.edition), "--json", env=env)

    def worker(self, env: Mapping[str, str] | None = None) -> Sender:
        """A new sender as a service."""
        return self.start("worker", env=env)

    def serve(self, env: Mapping[str, str] | None = None) -> Sender:
        """A new sender beside the pages and the schedule."""
        return self.start("serve", "--host", "127.0.0.1", env=env)

    def run(self, *words: str, patience: float = PATIENCE) -> Sender:
        """Run a `digest` command to its end."""
        done = self.start(*words)
        done.wait(patience)
        return done

    def kill_all(self) -> None:
        """Leave no process behind."""
        for sender in self.senders:
            if sender.is_running():
                sender.kill()

    def look(self, *, at_rest: bool = False) -> Sight:
        """What the database says. `at_rest`: after a kill, when nobody else works in it.

        A SQLite file nobody works in is not touched, only copied: what a start has to mend, it finds as it was left.
        """
        if self._postgres is not None:
            if at_rest:
                self._wait_until_alone(self._postgres)
            return _sight(self.url, self.edition)
        if any(sender.is_running() for sender in self.senders):
            return _sight(self.url, self.edition)
        file, copy = _sqlite_file(self.url), self.folder / "seen.db"
        for suffix in ("", "-wal"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
            if Path(f"{file}{suffix}").exists():
                shutil.copy(f"{file}{suffix}", f"{copy}{suffix}")
        return _sight(f"sqlite:///{copy}", self.edition)

    def _wait_until_alone(self, postgres: Postgres) -> None:
        """Wait until PostgreSQL has noticed that its client died: its last words may still be on the way."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        deadline = time.monotonic() + PATIENCE
        with _connected(postgres) as connection:
            while connection.execute(query, [self.url.rpartition("/")[2]]).fetchone() != (0,):
                assert time.monotonic() < deadline, "PostgreSQL keeps a dead client's session"
                time.sleep(0.01)

    def _open(self) -> App:
        return build(read_config(self.folder / "config.toml"))


def everybody(readers: int) -> list[Address]:
    """The readers of a town of that size."""
    return [Address(f"reader{number}", "example.com") for number in range(readers)]


def _sight(url: str, edition_id: int) -> Sight:
    store = Store(url)
    try:
        edition = publishing.get(store, edition_id)
        listed = list(publishing.deliveries_of(store, edition_id))
        with store.read() as tx:
            counted = sum(deliveries.counts(tx, edition_id).values())
    finally:
        store.close()
    rows = {each.address: each.state.value for each in listed}
    assert len(rows) == len(listed), "a reader has two rows in one edition"
    return Sight(edition.state.value, rows, Counter(rows.values()), counted)


def _sqlite_file(url: str) -> str:
    return url.removeprefix("sqlite:///")


def _connected(postgres: Postgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host="127.0.0.1", port=postgres.port, user="postgres", dbname="postgres", autocommit=True)


def _write_articles(folder: Path) -> None:
    """A dozen stories of the week that closed last, whenever that was: eight days hold its last seven."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    articles, views = ["url,title,published_at"], ["url,at,views"]
    for day in range(1, 13):
        url = f"https://news.example.com/story-{day}"
        at = now - timedelta(days=day)
        articles.append(f"{url},Story {day},{at.isoformat()}")
        views.append(f"{url},{at.isoformat()},{100 + day}")
    (folder / "articles.csv").write_text("\n".join(articles) + "\n")
    (folder / "views.csv").write_text("\n".join(views) + "\n")
