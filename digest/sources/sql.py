"""Articles and views out of a database: by the operator's own queries, or by a preset for WordPress's counters.

Parameters a query may use, all optional:
- `:since` and `:until`, aware UTC: what is asked for is [since, until). PostgreSQL gets them as timestamptz, and reads
  a `timestamp` or a `date` beside them as one of the site's zone. MySQL, MariaDB and SQLite know no offsets and get
  UTC as 2026-11-20 23:00:00, which compares well with a TIMESTAMP column and with UTC text;
- `:since_local` and `:until_local`: the same on the site's clocks, without an offset, for columns of local times;
- `:since_day` and `:until_day`: the same as local dates, the last one included.

`since` is always a local midnight, so that no bucket is read by halves: what is read again replaces the old counts.

The views query gives url, at, views; rows of one page and one bucket are added up. `at` is an hour: a moment, where one
without an offset is the site's local time (in MySQL: of a DATETIME; a TIMESTAMP is an instant), or ISO text. Or it is a
whole local day: a date, or 2026-11-27. What began before `since` or after `until` is not taken.

The totals query gives url, total: how often a page was ever read, of a table that knows no hours.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from digest.config.sources import SqlSource
from digest.domain.articles import FoundArticle, Harvest, LifetimeTotal, ViewCount
from digest.domain.periods import day_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.counters import first_day
from digest.sources.plain import parse_moment
from digest.sources.rows import Row, RowReader
from digest.sources.sql_session import Database, Session, in_site_time
from digest.sources.wordpress_preset import harvest

ARTICLES = ("url", "title", "published_at")
VIEWS = ("url", "at", "views")
TOTALS = ("url", "total")
_NOTES = 20  # at most; more of the same helps nobody


@dataclass(frozen=True, slots=True)
class Sql:
    """Reads one database, and never writes. Paths belong to `site_url`, times without an offset to `zone`."""

    section: SqlSource
    site_url: str
    zone: ZoneInfo

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """What the preset and the queries give. Raises SourceError."""
        seconds = self.section.timeout.total_seconds()
        database = Database.at(self.name, self.section.url.get_secret_value(), seconds)
        given_up = threading.Event()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.to_thread(self._read, database, given_up, reading)
        except TimeoutError:
            reason = f"no full answer within {seconds:g} seconds"
            remedy = "Raise the source's timeout, or give the table an index on its time"
            raise SourceError(self.name, database.place, reason, remedy) from None
        finally:
            given_up.set()

    def _read(self, database: Database, given_up: threading.Event, reading: Reading) -> Harvest:
        with database.session(given_up) as session:
            session.local_zone(self.zone.key)
            found = harvest(session, self.section, self.site_url, reading) if self.section.preset else Harvest()
            asks = _Own(session, RowReader(self.name, self.site_url, self.zone), self.zone, reading)
            articles, notes = asks.articles(self.section.articles)
            views, view_notes = asks.views(self.section.views)
            totals, total_notes = asks.totals(self.section.totals)
        told = [*found.notes, *notes, *view_notes, *total_notes]
        if len(told) > _NOTES:
            told[_NOTES:] = [f"and {len(told) - _NOTES} more of this kind"]
        return Harvest(found.articles + articles, found.views + views, totals, found.remembered, tuple(told))


@dataclass(frozen=True, slots=True)
class _Own:
    """The operator's own queries."""

    session: Session
    reader: RowReader
    zone: ZoneInfo
    reading: Reading

    def articles(self, query: str) -> tuple[tuple[FoundArticle, ...], tuple[str, ...]]:
        """(articles, notes)."""
        if not query:
            return (), ()
        found, notes = self.reader.articles(self._rows("articles", query, ARTICLES), self.reading.now)
        return found, notes if found or notes else ("the query for articles gave no row",)

    def views(self, query: str) -> tuple[tuple[ViewCount, ...], tuple[str, ...]]:
        """(counts, notes)."""
        if not query:
            return (), ()
        since, until = self._span()
        counts = self.reader.views(self._rows("views", query, VIEWS))
        kept = tuple(count for count in counts if since <= count.at < until)
        notes = []
        if late := sum(count.at >= until for count in counts):
            notes.append(f"{late} counts left out: they are of the future")
        if not kept:
            shown = f"{since.astimezone(self.zone):%Y-%m-%d %H:%M} to {until.astimezone(self.zone):%Y-%m-%d %H:%M}"
            notes.append(f"the query for views counted nothing from {shown}")
        return kept, tuple(notes)

    def totals(self, query: str) -> tuple[tuple[LifetimeTotal, ...], tuple[str, ...]]:
        """(lifetime counters, notes)."""
        if not query:
            return (), ()
        found = self.reader.totals(self._rows("totals", query, TOTALS))
        return found, () if found else ("the query for totals gave no row",)

    def _span(self) -> tuple[datetime, datetime]:
        return day_bucket(first_day(self.reading, self.zone), self.zone)[0], self.reading.now.astimezone(UTC)

    def _values(self) -> dict[str, Any]:
        """What the parameters stand for."""
        values: dict[str, Any] = {}
        for name, moment in zip(("since", "until"), self._span(), strict=True):
            local = moment.astimezone(self.zone).replace(tzinfo=None, microsecond=0)
            is_aware = self.session.connection.dialect.name == "postgresql"
            values[name] = moment if is_aware else f"{moment:%Y-%m-%d %H:%M:%S}"
            values[f"{name}_local"] = local if is_aware else f"{local:%Y-%m-%d %H:%M:%S}"
            values[f"{name}_day"] = local.date() if is_aware else local.date().isoformat()
        return values

    def _rows(self, name: str, query: str, columns: tuple[str, ...]) -> Iterator[Row]:
        """Each row with the place where it stands; times as ISO text."""
        place = f"query {name}"
        rows = self.session.rows(query, self._values(), place, columns)
        for number, row in enumerate(rows, start=1):
            yield f"{place}, row {number}", {key: self._plain(key, value) for key, value in row.items()}

    def _plain(self, key: str, value: Any) -> Any:
        if isinstance(value, datetime):
            return in_site_time(value, self.zone)
        if isinstance(value, date):
            return value.isoformat()
        if key == "at" and isinstance(value, str):
            return _with_offset(value, self.zone)
        return value


def _with_offset(text: str, zone: ZoneInfo) -> str:
    """ISO text that surely has an offset, or is a date; what cannot be read stays, and is complained of later."""
    try:
        return parse_moment(text, zone).isoformat()
    except (ValueError, OverflowError):
        return text
