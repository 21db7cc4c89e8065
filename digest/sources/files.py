"""Articles and views from files: CSV, JSON or NDJSON, plain or gzipped; a path or a web address each.

One bad row refuses the whole reading: half a list is a wrong list. What is read again replaces what it said before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from digest.config import FilesSource, is_loopback
from digest.domain.articles import FoundArticle, Harvest, Image, ViewCount
from digest.domain.periods import day_bucket, hour_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetcher
from digest.sources.plain import (
    MAX_SUMMARY,
    MAX_WORD,
    folded,
    image_of,
    parse_moment,
    title_of,
    too_far_ahead,
    web_url,
    words_of,
)
from digest.sources.tables import Row, Table

MOST_VIEWS = 1_000_000_000  # of one page in one hour: more is a mistake
ARTICLES = Table("articles", ("url", "title", "published_at"))
VIEWS = Table("views", ("url", "at", "views"))
_WRITE_AT = "Write an hour with its offset, such as 2026-11-27T18:00+01:00, or a date, such as 2026-11-27"
_WRITE_PUBLISHED = "Write a time with its offset, such as 2026-11-27T18:30+01:00"


@dataclass(frozen=True, slots=True)
class Files:
    """Reads the two files of one source; either may be left out. Paths in `section` are relative to `folder`."""

    section: FilesSource
    site_url: str
    zone: ZoneInfo
    folder: Path

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """All rows of both files; of one on the web only when it has changed. Raises SourceError."""
        if not self.section.articles and not self.section.views:
            raise SourceError(self.name, "config.toml", "it names no file", "Set articles, views, or both")
        remembered = dict(reading.remembered)
        listed = await self._content(ARTICLES, self.section.articles, remembered)
        counted = await self._content(VIEWS, self.section.views, remembered)
        # A long file takes seconds: meanwhile the loop serves readers.
        articles, notes = await asyncio.to_thread(self._articles, listed, reading.now)
        views = await asyncio.to_thread(self._views, counted)
        return Harvest(articles, views, remembered=remembered, notes=notes)

    async def _content(self, table: Table, place: str, remembered: dict[str, str]) -> bytes | None:
        """The bytes of a file, or None when there is nothing new; takes note of its ETag in `remembered`."""
        if not place:
            return None
        if "://" not in place:
            return await asyncio.to_thread(self._read, place)
        parts = urlsplit(place)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise SourceError(self.name, place, "only https is read from other machines", "Write https://, or a path")
        async with Fetcher(self.name, self.section.timeout, self.section.max_bytes) as fetcher:
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

    def _articles(self, content: bytes | None, now: datetime) -> tuple[tuple[FoundArticle, ...], tuple[str, ...]]:
        articles: list[FoundArticle] = []
        notes: list[str] = []
        for where, values in self._rows(ARTICLES, self.section.articles, content):
            article = self._article(where, values)
            if too_far_ahead(article.published_at, now):
                notes.append(f"{where} left out: {article.title[:60]!r} claims to be published in the future")
            else:
                articles.append(article)
        return tuple(articles), tuple(notes)

    def _article(self, where: str, values: Mapping[str, Any]) -> FoundArticle:
        title = title_of(str(values["title"] or ""))
        if not title:
            raise self._bad(where, "the title is empty", "Give every article a title")
        return FoundArticle(
            url=self._url(where, values["url"]),
            title=title,
            published_at=self._published_at(where, str(values["published_at"] or "")),
            summary=folded(unescape(str(values.get("summary") or "")), MAX_SUMMARY),
            image=self._image(where, values.get("image")),
            section=folded(str(values.get("section") or ""), MAX_WORD),
            author=folded(str(values.get("author") or ""), MAX_WORD),
            tags=_tags(values.get("tags")),
        )

    def _url(self, where: str, value: Any) -> str:
        link = str(value or "").strip()
        try:
            return _absolute(link, f"{self.site_url}/" if link else "")
        except ValueError as error:
            reason = str(error) if link else "the url is empty"
            raise self._bad(where, reason, "Write a web address, or a path of your site such as /news/1") from None

    def _published_at(self, where: str, text: str) -> datetime:
        """A time without offset is one in the site's zone, and a plain date its midnight: an hour does no harm here."""
        try:
            moment = parse_moment(text, self.zone)
            return moment.astimezone(UTC) if isinstance(moment, datetime) else day_bucket(moment, self.zone)[0]
        except (ValueError, OverflowError) as error:
            raise self._bad(where, f"published_at is {text[:60]!r}: {error}", _WRITE_PUBLISHED) from None

    def _image(self, where: str, value: Any) -> Image | None:
        values = value if isinstance(value, dict) else {"url": value}
        if not values.get("url"):
            return None
        alt = str(values.get("alt") or "")
        return image_of(self._url(where, values["url"]), "", alt, values.get("width"), values.get("height"))

    def _views(self, content: bytes | None) -> tuple[ViewCount, ...]:
        return tuple(self._count(*row) for row in self._rows(VIEWS, self.section.views, content))

    def _count(self, where: str, values: Mapping[str, Any]) -> ViewCount:
        text = str(values["at"] or "")
        try:
            bucket = _bucket(text, self.zone)
        except (ValueError, OverflowError) as error:
            raise self._bad(where, f"at is {text[:60]!r}: {error}", _WRITE_AT) from None
        return ViewCount(self._url(where, values["url"]), *bucket, self._number(where, values["views"]))

    def _number(self, where: str, value: Any) -> int:
        text = "" if isinstance(value, bool) else str(value).strip()
        if not text.isascii() or not text.removeprefix("-").isdecimal():
            raise self._bad(where, f"views is {str(value)[:40]!r}", "Write a whole number, such as 1234")
        number = int(text[:20])
        if not 0 <= number <= MOST_VIEWS:
            raise self._bad(where, f"views is {text[:40]}, which cannot be", f"Write a number from 0 to {MOST_VIEWS:,}")
        return number

    def _bad(self, where: str, reason: str, remedy: str = "") -> SourceError:
        return SourceError(self.name, where, reason, remedy)


# A log names the same few thousand pages and hours a million times.
_absolute = lru_cache(100_000)(web_url)


@lru_cache(10_000)
def _bucket(text: str, zone: ZoneInfo) -> tuple[datetime, timedelta]:
    at = parse_moment(text)
    return hour_bucket(at) if isinstance(at, datetime) else day_bucket(at, zone)


def _tags(value: Any) -> tuple[str, ...]:
    return words_of(str(each) for each in (value if isinstance(value, list) else str(value or "").split(";")))
