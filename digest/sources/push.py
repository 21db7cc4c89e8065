"""What the publisher's own system sends us: articles, views, lifetime counters; what a body may hold, how it is read.

`POST /api/v1/articles` and `POST /api/v1/views` take {"articles": [...]} and {"views": [...]}, or one row a line
(NDJSON), with the columns of the files of source kind `files`. Views are put, not added: a row says how often a page
was read in its hour or its day, and replaces what was said of them before, so the same again does no harm. Rows of one
page and hour in one body are added up; so those of all its spellings (/a, /a/amp) have to come in one body. Whoever
says hours and the whole day of a page says two things, and both count.

`POST /api/v1/totals` takes {"totals": [...]}: how often pages were ever read. What one grew by since it was sent last
is what was read in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.config.sources import PushSource
from digest.domain.articles import Harvest, ViewCount
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.files import ARTICLES, TOTALS, VIEWS
from digest.sources.plain import too_far_ahead
from digest.sources.rows import Row, RowReader
from digest.sources.tables import Table

TABLES = {table.name: table for table in (ARTICLES, VIEWS, TOTALS)}
_PUSHED_AT = "pushed_at"
_SILENT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Push:
    """A source that comes by itself; there is nothing to read."""

    section: PushSource

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Nothing, but a note when nobody has sent anything for long."""
        last = reading.remembered.get(_PUSHED_AT, "")
        notes: tuple[str, ...] = ()
        if not last:
            notes = ("nothing was ever sent to /api/v1/articles, /api/v1/views or /api/v1/totals",)
        elif datetime.fromisoformat(last) < reading.now - _SILENT:
            notes = (f"nothing was sent to it since {last[:10]}",)
        return Harvest(remembered=dict(reading.remembered), notes=notes)


def read_push(reader: RowReader, table: Table, body: bytes, *, by_lines: bool, now: datetime) -> Harvest:
    """What a body holds: JSON, or NDJSON when `by_lines`. Raises SourceError, whose place is the first bad row."""
    place = f"{table.name}.{'ndjson' if by_lines else 'json'}"
    remembered = {_PUSHED_AT: now.isoformat()}
    try:
        rows = table.rows(reader.source, place, body, len(body))
        if table is VIEWS:
            return Harvest(views=tuple(_counts(reader, rows, now)), remembered=remembered)
        if table is TOTALS:
            return Harvest(totals=reader.totals(rows), remembered=remembered)
        articles, notes = reader.articles(((_row(where, place), values) for where, values in rows), now)
        return Harvest(articles, remembered=remembered, notes=notes)
    except SourceError as error:
        raise SourceError(error.source, _row(error.place, place), error.reason, error.remedy) from None


def _counts(reader: RowReader, rows: Iterable[Row], now: datetime) -> Iterable[ViewCount]:
    for row in rows:
        (count,) = reader.views([row])
        if too_far_ahead(count.at, now):
            reason = f"at is {str(row[1]['at'])[:60]!r}, which is still to come"
            raise SourceError(reader.source, row[0], reason, "Send what was counted, when it was counted")
        yield count


def _row(where: str, place: str) -> str:
    """Where in the body: there is no file to name."""
    return where.removeprefix(f"{place}, ") if where != place else "the body"
