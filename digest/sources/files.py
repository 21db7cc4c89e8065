"""Articles, views and lifetime counters from files: CSV, JSON or NDJSON, plain or gzipped; by path or web address.

One bad row refuses the whole reading: half a list is a wrong list. What is read again replaces what it said before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from digest.config.sources import FilesSource
from digest.config.types import is_loopback
from digest.domain.articles import Harvest
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetcher
from digest.sources.rows import RowReader
from digest.sources.tables import Row, Table

ARTICLES = Table("articles", ("url", "title", "published_at"))
VIEWS = Table("views", ("url", "at", "views"))
TOTALS = Table("totals", ("url", "total"))


@dataclass(frozen=True, slots=True)
class Files:
    """Reads the files of one source, one to three of them. Paths in `section` are relative to `folder`."""

    section: FilesSource
    site_url: str
    zone: ZoneInfo
    folder: Path

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """All rows of the files; of one on the web only when it has changed. Raises SourceError."""
        if not (self.section.articles or self.section.views or self.section.totals):
            raise SourceError(self.name, "config.toml", "it names no file", "Set articles, views or totals")
        remembered = dict(reading.remembered)
        listed = await self._content(ARTICLES, self.section.articles, remembered)
        counted = await self._content(VIEWS, self.section.views, remembered)
        # Counters are read even when they have not changed: that nobody read anything until now is worth knowing.
        shown = await self._content(TOTALS, self.section.totals, {})
        # A long file takes seconds: meanwhile the loop serves readers.
        reader = RowReader(self.name, self.site_url, self.zone)
        listing = self._rows(ARTICLES, self.section.articles, listed)
        articles, notes = await asyncio.to_thread(reader.articles, listing, reading.now)
        views = await asyncio.to_thread(reader.views, self._rows(VIEWS, self.section.views, counted))
        totals = await asyncio.to_thread(reader.totals, self._rows(TOTALS, self.section.totals, shown))
        return Harvest(articles, views, totals, remembered, notes)

    async def _content(self, table: Table, place: str, remembered: dict[str, str]) -> bytes | None:
        """The bytes of a file, or None when there is nothing new; takes note of its ETag in `remembered`."""
        if not place:
            return None
        if "://" not in place:
            return await asyncio.to_thread(self._read, place)
        try:
            parts = urlsplit(place)
        except ValueError as error:
            raise SourceError(self.name, place, f"it is no address: {error}", "Check it in config.toml") from None
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise SourceError(self.name, place, "only https is read from other machines", "Write https://, or a path")
        async with Fetcher.of(self.section, place) as fetcher:
            reply = await fetcher.get(place, remembered=remembered, prefix=f"{table.name}.")
        if reply.content is not None:
            for name in [each for each in remembered if each.startswith(f"{table.name}.")]:
                del remembered[name]
            remembered.update(reply.validators(f"{table.name}."))
        return reply.content

    def _read(self, place: str) -> bytes:
        path = self.folder / place
        try:
            with path.open("rb") as file:
                content = file.read(self.section.max_bytes + 1)
        except OSError as error:
            remedy = "Check the path in config.toml; it is relative to that file"
            raise SourceError(self.name, str(path), f"it cannot be read: {error.strerror}", remedy) from None
        if len(content) > self.section.max_bytes:
            reason = f"it is larger than {self.section.max_bytes:,} bytes"
            raise SourceError(self.name, str(path), reason, "Raise the source's max_bytes")
        return content

    def _rows(self, table: Table, place: str, content: bytes | None) -> Iterable[Row]:
        return () if content is None else table.rows(self.name, place, content, self.section.max_bytes)
