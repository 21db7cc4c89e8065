"""A made-up readership: a million articles, a year of hourly views, put into a database by its own SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from digest.store import Store
from digest.store.schema import sources

HOUR = timedelta(hours=1)
REACH = 20_000  # articles: the newest so many are still read at any hour, the newer the more of them
_HOURS_A_STATEMENT = 168


@dataclass(frozen=True, slots=True)
class Readership:
    """`articles` published evenly over `weeks` that end at `end`; `rows` of hourly views, as many in every hour."""

    articles: int
    weeks: int
    rows: int
    end: datetime

    @property
    def hours(self) -> int:
        """Of the whole history."""
        return self.weeks * 168

    @property
    def start(self) -> datetime:
        """When the first article was published."""
        return self.end - self.hours * HOUR


def fill(store: Store, town: Readership, weeks: int) -> int:
    """Put in the articles and the first so many weeks of views; returns how many rows of views there are."""
    with store.begin() as tx:
        if not tx.scalar(sa.text("SELECT count(*) FROM (SELECT 1 FROM articles LIMIT 1) AS any_of_them")):
            _add_articles(tx, town)
    last = _last_hour(store, town)
    for first in range(last, weeks * 168, _HOURS_A_STATEMENT):
        with store.begin() as tx:
            tx.execute(sa.text(_views(store, town, first, min(first + _HOURS_A_STATEMENT, weeks * 168))))
    with store.begin() as tx:
        span = {"counted_from": town.start + HOUR, "counted_until": town.start + weeks * 168 * HOUR}
        tx.execute(sa.update(sources).where(sources.c.id == 1).values(span))
        if store.is_sqlite:
            tx.execute(sa.text("ANALYZE"))
        return int(tx.scalar(sa.text("SELECT count(*) FROM views")) or 0)


def settle(store: Store) -> None:
    """As autovacuum would have long done by the time an edition is due."""
    if not store.is_sqlite:
        with store.begin() as tx:
            driver = tx.connection.dbapi_connection
            assert driver is not None
            tx.rollback()
            driver.autocommit = True
            driver.execute("VACUUM (ANALYZE) views, articles, pages")  # type: ignore[attr-defined]
            driver.autocommit = False


def _last_hour(store: Store, town: Readership) -> int:
    with store.read() as tx:
        newest = tx.scalar(sa.text("SELECT max(until) FROM views"))
    return round((newest - town.start.timestamp()) / 3600) if newest else 0


def _add_articles(tx: sa.Connection, town: Readership) -> None:
    sqlite = tx.dialect.name == "sqlite"
    numbers = _series("n", 1, town.articles, sqlite)
    tx.execute(sa.text("INSERT INTO sources (id, name, remembered) VALUES (1, 'site', '{}')"))
    tx.execute(sa.text(f"INSERT INTO pages (id, canonical) SELECT n, 'news.example.com/' || n FROM {numbers}"))
    seconds = f"{int(town.start.timestamp())} + n * {town.hours * 3600} / {town.articles}"
    at = f"strftime('%Y-%m-%d %H:%M:%f', {seconds}, 'unixepoch') || '000'" if sqlite else f"to_timestamp({seconds})"
    tx.execute(
        sa.text(
            "INSERT INTO articles"
            " (id, url, title, summary, section, author, tags, published_at, first_seen_at, source_id)"
            " SELECT n, 'https://news.example.com/' || n, 'What happened at place ' || n || ' and why it matters',"
            f" '{'What is known so far. ' * 8}', 'Section ' || n % 12, 'Author ' || n % 90, '[]', {at}, {at}, 1"
            f" FROM {numbers}"
        )
    )


def _views(store: Store, town: Readership, first: int, last: int) -> str:
    """Hours [first, last): in each the newest articles are read most, and those REACH articles back least.

    The page of row k is so many articles back as grows with its square, so no page comes twice in an hour.
    """
    rows = town.rows // town.hours
    back = f"(k + k * k * {max(REACH - rows, 0)} / {rows * rows})"
    newest = f"((h + 1) * {town.articles} / {town.hours})"
    hours = _series("h", first, last - 1, store.is_sqlite)
    places = _series("k", 0, rows - 1, store.is_sqlite)
    return (
        "INSERT INTO views (until, page_id, source_id, span, views)"
        f" SELECT {int(town.start.timestamp())} + (h + 1) * 3600, {newest} - {back}, 1, 3600, 1 + 400 / (k + 1)"
        f" FROM {hours} CROSS JOIN {places} WHERE {newest} - {back} > 0 ORDER BY 1, 2"
    )


def _series(name: str, first: int, last: int, sqlite: bool) -> str:
    """A table of the whole numbers from first to last."""
    if not sqlite:
        return f"(SELECT {name}::bigint FROM generate_series({first}, {last}) AS {name}) AS {name}_numbers"
    each = f"SELECT {first} AS {name} UNION ALL SELECT {name} + 1 FROM {name}_each WHERE {name} < {last}"
    return f"(WITH RECURSIVE {name}_each({name}) AS ({each}) SELECT {name} FROM {name}_each) AS {name}_numbers"
