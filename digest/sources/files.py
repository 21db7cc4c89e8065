"""Articles and views from files: CSV, JSON or NDJSON, plain or gzipped; a path or a web address each."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from zoneinfo import ZoneInfo

from digest.config import FilesSource
from digest.domain.articles import FoundArticle, Harvest, Image, ViewCount
from digest.domain.periods import day_bucket, hour_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetcher
from digest.sources.plain import parse_utc, storable, title_of, too_far_ahead

MOST_VIEWS = 1_000_000_000  # of one page in one hour: more is a mistake
_ARTICLE_COLUMNS = ("url", "title", "published_at")
_VIEW_COLUMNS = ("url", "at", "views")

Row = tuple[str, dict[str, Any]]  # where it stands, and its values


@dataclass(frozen=True, slots=True)
class Files:
    """Reads the two files of one source; either may be left out."""

    section: FilesSource
    site_url: str
    zone: ZoneInfo
    folder: Path

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """All rows of both files. One bad row refuses the whole reading. Raises SourceError."""
        if not self.section.articles and not self.section.views:
            raise SourceError(self.name, "config.toml", "it names no file", "Set articles, views, or both")
        found = [self._article(row, reading.now) for row in await self._rows(self.section.articles, _ARTICLE_COLUMNS)]
        counts = [self._count(row) for row in await self._rows(self.section.views, _VIEW_COLUMNS)]
        notes = tuple(f"article left out: {each}" for each in found if isinstance(each, str))
        return Harvest(tuple(each for each in found if isinstance(each, FoundArticle)), tuple(counts), notes=notes)

    async def _rows(self, place: str, columns: tuple[str, ...]) -> list[Row]:
        if not place:
            return []
        content = await self._read(place)
        name = urlsplit(place).path.lower() if "://" in place else place.lower()
        if name.endswith(".gz"):
            content, name = self._unpacked(place, content), name.removesuffix(".gz")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._bad(place, f"byte {error.start} is not UTF-8", "Save it as UTF-8") from None
        if name.endswith((".ndjson", ".jsonl")):
            rows = self._ndjson(place, text)
        elif name.endswith(".json"):
            rows = self._json(place, text)
        else:
            return list(self._csv(place, text, columns))
        return [self._complete(row, columns) for row in rows]

    async def _read(self, place: str) -> bytes:
        if "://" in place:
            async with Fetcher(self.name, self.section.timeout, self.section.max_bytes) as fetcher:
                return (await fetcher.get(place)).content or b""
        path = self.folder / place
        try:
            if path.stat().st_size > self.section.max_bytes:
                raise self._bad(place, f"it is larger than {self.section.max_bytes:,} bytes", "Raise max_bytes")
            return path.read_bytes()
        except OSError as error:
            raise self._bad(
                str(path), f"it cannot be read: {error.strerror}", "Check the path in config.toml"
            ) from None

    def _unpacked(self, place: str, content: bytes) -> bytes:
        try:
            with gzip.open(io.BytesIO(content)) as packed:
                unpacked = packed.read(self.section.max_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise self._bad(place, f"it is not gzip: {error}") from None
        if len(unpacked) > self.section.max_bytes:
            raise self._bad(place, f"unpacked it is larger than {self.section.max_bytes:,} bytes", "Raise max_bytes")
        return unpacked

    def _csv(self, place: str, text: str, columns: tuple[str, ...]) -> Iterator[Row]:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            names = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
            if missing := [column for column in columns if column not in names]:
                has = ", ".join(names) or "nothing"
                raise self._bad(f"{place}, line 1", f"the column {missing[0]!r} is missing; it has {has}")
            for row in reader:
                where = f"{place}, line {reader.line_num}"
                if None in row or any(value is None for value in row.values()):
                    raise self._bad(where, f"it has {'more' if None in row else 'fewer'} values than the first line")
                yield where, {name: row[original] for name, original in names.items()}
        except csv.Error as error:
            raise self._bad(f"{place}, line {reader.line_num}", f"it is not CSV: {error}") from None

    def _json(self, place: str, text: str) -> list[Row]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._bad(place, f"it is not JSON: {error}") from None
        if isinstance(value, dict):
            value = value.get("articles", value.get("views"))
        if not isinstance(value, list):
            raise self._bad(place, "it should hold a list, or an object with `articles` or `views`")
        return [(f"{place}, item {number}", each) for number, each in enumerate(value, start=1)]

    def _ndjson(self, place: str, text: str) -> list[Row]:
        rows: list[Row] = []
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    rows.append((f"{place}, line {number}", json.loads(line)))
                except (ValueError, RecursionError) as error:
                    raise self._bad(f"{place}, line {number}", f"it is not JSON: {error}") from None
        return rows

    def _complete(self, row: Row, columns: tuple[str, ...]) -> Row:
        where, values = row
        if not isinstance(values, dict):
            raise self._bad(where, f"it should be an object, not {type(values).__name__}")
        if missing := [column for column in columns if column not in values]:
            raise self._bad(where, f"{missing[0]!r} is missing; it has {', '.join(values) or 'nothing'}")
        return row

    def _article(self, row: Row, now: datetime) -> FoundArticle | str:
        where, values = row
        title = title_of(str(values["title"]))
        if not title or not str(values["url"]).strip():
            raise self._bad(where, "an article needs a title and a url")
        try:
            published_at = self._moment(str(values["published_at"]))
        except ValueError:
            raise self._bad(
                where,
                f"published_at is {values['published_at']!r}",
                "Write a date and time, such as 2026-11-27T18:30+01:00",
            ) from None
        if too_far_ahead(published_at, now):
            return f"{where}: {title[:60]!r} claims to be published in the future"
        return FoundArticle(
            url=urljoin(self.site_url, storable(str(values["url"]).strip())),
            title=title,
            published_at=published_at,
            summary=" ".join(storable(str(values.get("summary") or "")).split()),
            image=self._image(values.get("image")),
            section=storable(str(values.get("section") or "")),
            author=storable(str(values.get("author") or "")),
            tags=_tags(values.get("tags")),
        )

    def _moment(self, text: str) -> datetime:
        """A time with offset; without one, or a bare date, it is in the site's zone."""
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC)

    def _image(self, value: Any) -> Image | None:
        if isinstance(value, dict):
            size = [value.get(name) if isinstance(value.get(name), int) else None for name in ("width", "height")]
            return Image(
                urljoin(self.site_url, str(value.get("url") or "")), storable(str(value.get("alt") or "")), *size
            )
        return Image(urljoin(self.site_url, storable(str(value)))) if value else None

    def _count(self, row: Row) -> ViewCount:
        where, values = row
        at = str(values["at"]).strip()
        try:
            day = date.fromisoformat(at) if len(at) <= 10 else None
            bucket = day_bucket(day, self.zone) if day else hour_bucket(parse_utc_in_zone(at))
        except ValueError as error:
            hint = "Write an hour with its offset, 2026-11-27T18:00+01:00, or a date, 2026-11-27"
            raise self._bad(where, f"at is {at!r}: {error}", hint) from None
        url = str(values["url"]).strip()
        if not url:
            raise self._bad(where, "the url is empty")
        return ViewCount(storable(url), *bucket, self._number(where, values["views"]))

    def _number(self, where: str, value: Any) -> int:
        text = str(value).strip()
        if isinstance(value, bool) or not text.isascii() or not text.removeprefix("-").isdecimal():
            raise self._bad(where, f"views is {value!r}", "Write a whole number")
        if not 0 <= int(text[:20]) <= MOST_VIEWS:
            raise self._bad(where, f"views is {text[:40]}, which cannot be", f"Write 0 to {MOST_VIEWS:,}")
        return int(text)

    def _bad(self, where: str, reason: str, remedy: str = "") -> SourceError:
        return SourceError(self.name, where, reason, remedy)


def parse_utc_in_zone(text: str) -> datetime:
    """A time that knows its offset, kept in that offset so that the hour is the local one."""
    parse_utc(text)  # refuses a time without offset
    return datetime.fromisoformat(text)


def _tags(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(storable(str(each)) for each in value)
    return tuple(storable(each.strip()) for each in str(value or "").split(";") if each.strip())
