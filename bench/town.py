"""A made-up town full of readers, a week of articles, and an edition for them, put straight into a database."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from digest import publishing
from digest.app import App, build
from digest.config.reading import read_config
from digest.domain.addresses import Address
from digest.domain.articles import FoundArticle, Image
from digest.store import Store, articles, readership
from digest.store.migrate import migrate
from digest.store.schema import subscribers, subscriptions

_CONFIG = """\
[site]
name = "The Vistula Post"
url = "https://news.example.com"
timezone = "Europe/Warsaw"
postal_address = "ul. Prosta 1, 00-001 Warszawa"
[web]
base_url = "https://recap.news.example.com"
secret = "only ever used on loopback, for measuring"
[smtp]
host = "127.0.0.1"
[mail]
from = "The Weekly Recap <recap@news.example.com>"
confirmation_from = "hello@news.example.com"
bounce_address = "bounces@news.example.com"
[newsletters.weekly]
title = "The Weekly Recap"
selection.count = 7
"""
# Where readers of a Polish site have their mailboxes, the common ones first; as many in a hundred.
_DOMAINS = {
    "gmail.com": 34, "wp.pl": 12, "onet.pl": 8, "o2.pl": 6, "interia.pl": 5, "outlook.com": 5, "yahoo.com": 4,
    "icloud.com": 3, "hotmail.com": 3, "op.pl": 2, "poczta.fm": 1, "gazeta.pl": 1, "tlen.pl": 1, "vp.pl": 1,
    "proton.me": 1, "gmx.net": 1, "gmx.de": 1, "web.de": 1, "mail.example.com": 1, "uw.example.edu": 1,
    "agh.example.edu": 1, "pk.example.edu": 1, "city.example.org": 1, "library.example.org": 1,
    "post.example.net": 1, "rail.example.net": 1, "bakery.example.com": 1, "works.example.com": 1,
    "seznam.cz": 1, "free.fr": 1,
}  # fmt: skip
_FIRST = ("anna", "piotr", "maria", "jan", "ewa", "tomasz", "zofia", "marek", "olena", "jakub", "hanna", "igor")
_LAST = ("nowak", "kowalska", "wilk", "sowa", "lis", "zielinska", "wojcik", "mazur", "krol", "shevchenko", "dudek")
_SENTENCE = (
    "the river market opened again on Monday after a winter of repairs that nobody in the quarter believed would end "
    "before summer and the first to come back were the bakers then the bookbinder and a school choir"
)
_WORDS = _SENTENCE.split()
_BATCH = 10_000


def write_config(folder: Path) -> Path:
    """The configuration every bench starts from; what differs comes by environment variables."""
    path = folder / "config.toml"
    path.write_text(_CONFIG)
    return path


@contextmanager
def opened(config: Path, url: str) -> Iterator[App]:
    """The service over one database, in this process."""
    app = build(read_config(config, {"DIGEST_DATABASE__URL": url}))
    try:
        yield app
    finally:
        app.close()


def settle(config: Path, url: str, readers: int) -> int:
    """Fill an empty database with readers and draft an edition for them; returns its id."""
    store = Store(url)
    migrate(store)
    with store.begin() as tx:
        _add_readers(tx, readers)
    store.close()
    with opened(config, url) as app:
        newsletter = app.newsletters["weekly"]
        now = datetime.now(UTC)
        _add_articles(app, newsletter.period(now).end)
        _gather_statistics(app.store)
        return publishing.draft(app.store, app.press, newsletter, now, now).id


def queue(config: Path, url: str, edition_id: int) -> None:
    """Freeze the edition and queue it to every reader, as the schedule does."""
    with opened(config, url) as app:
        publishing.release(app.store, app.press, app.newsletters["weekly"], edition_id, datetime.now(UTC))


def _add_readers(tx: sa.Connection, count: int) -> None:
    """Confirmed a while ago; what they agreed to is not recorded, as sending never looks at it."""
    signed_up = datetime.now(UTC) - timedelta(days=90)
    made = _readers(count, signed_up)
    while batch := list(islice(made, _BATCH)):
        tx.execute(sa.insert(subscribers), batch)
    values = {
        "newsletter": "weekly",
        "state": "confirmed",
        "language": "en",
        "requested_at": signed_up,
        "confirmed_at": signed_up,
    }
    columns = [sa.literal(value, subscriptions.c[name].type).label(name) for name, value in values.items()]
    rows = sa.select(subscribers.c.id, *columns).order_by(subscribers.c.id)
    tx.execute(sa.insert(subscriptions).inline().from_select(["subscriber_id", *values], rows))


def _readers(count: int, signed_up: datetime) -> Iterator[dict[str, Any]]:
    luck = random.Random(count)
    domains = luck.choices(list(_DOMAINS), weights=list(_DOMAINS.values()), k=1000)
    for number in range(count):
        first, last = luck.choice(_FIRST), luck.choice(_LAST)
        local = f"{first}.{last}{number}" if number % 3 else f"{last}{number}{'+news' * (number % 5 == 0)}"
        address = Address(local, domains[number % 1000])
        yield {
            "address": address.text,
            "address_key": address.key,
            "variant_key": address.variant_key,
            "name": f"{first.title()} {last.title()}" if number % 4 else "",
            "created_at": signed_up,
        }


def _add_articles(app: App, period_end: datetime) -> None:
    """Twelve stories with titles and summaries as long as real ones, each read."""
    luck = random.Random(12)
    slugs = [f"2026/11/{'-'.join(luck.sample(_WORDS, 6))}-{number}" for number in range(12)]
    hour = timedelta(hours=1)
    at = period_end.replace(minute=0, second=0, microsecond=0) - 20 * hour
    with app.store.begin() as tx:
        source = articles.source(tx, "site").id
        pages = articles.page_ids(tx, [f"news.example.com/{slug}" for slug in slugs])
        ids = [pages[f"news.example.com/{slug}"] for slug in slugs]
        found = {page: _article(slug, at, luck) for page, slug in zip(ids, slugs, strict=True)}
        articles.save(tx, source, found, at)
        views = {(page, at, hour): 4000 - 150 * place for place, page in enumerate(ids)}
        readership.put_views(tx, source, views)


def _article(slug: str, at: datetime, luck: random.Random) -> FoundArticle:
    picture = Image(f"https://news.example.com/pictures/{slug}.jpg", "A street in the morning", 1200, 630)
    title = " ".join(luck.choices(_WORDS, k=9)).capitalize()
    summary = " ".join(luck.choices(_WORDS, k=26)).capitalize() + "."
    return FoundArticle(f"https://news.example.com/{slug}", title, at, summary, picture, "Cities")


def _gather_statistics(store: Store) -> None:
    """As the database has done long before an edition, for readers who have been there for long.

    Nothing is gathered after the queueing: a sender begins with the numbers of the day before.
    """
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.exec_driver_sql("ANALYZE")


def sample(app: App, edition_id: int) -> bytes:
    """The edition's message as one reader gets it."""
    edition = publishing.get(app.store, edition_id)
    return app.sample(edition, "maria.kowalska2024@gmail.com", datetime.now(UTC))[1].content
