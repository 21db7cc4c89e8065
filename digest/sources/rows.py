"""Rows of articles and of views, whoever sends them: a file, a query's answer, a push.

One bad row refuses all: half a list is a wrong list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

from digest.domain.articles import FoundArticle, Image, LifetimeTotal, ViewCount
from digest.domain.periods import day_bucket, hour_bucket
from digest.errors import SourceError
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

Row = tuple[str, Mapping[str, Any]]  # (where it stands, its values by column)

MOST_WORDS = 1_000_000  # of an article
MOST_VIEWS = 1_000_000_000  # of one page in one hour: more is a mistake
MOST_EVER = 1000 * MOST_VIEWS  # of one page since it is there
_WRITE_AT = "Write an hour with its offset, such as 2026-11-27T18:00+01:00, or a date, such as 2026-11-27"
_WRITE_PUBLISHED = "Write a time with its offset, such as 2026-11-27T18:30+01:00"


@dataclass(frozen=True, slots=True)
class RowReader:
    """Makes articles and counts of rows. Paths belong to `site_url`, dates to `zone`; `source` is named in errors."""

    source: str
    site_url: str
    zone: ZoneInfo

    def articles(self, rows: Iterable[Row], now: datetime) -> tuple[tuple[FoundArticle, ...], tuple[str, ...]]:
        """(articles, notes on those left out) of rows with url, title, published_at and more. Raises SourceError."""
        articles: list[FoundArticle] = []
        notes: list[str] = []
        for where, values in rows:
            article = self._article(where, values)
            if too_far_ahead(article.published_at, now):
                notes.append(f"{where} left out: {article.title[:60]!r} claims to be published in the future")
            else:
                articles.append(article)
        return tuple(articles), tuple(notes)

    def views(self, rows: Iterable[Row]) -> tuple[ViewCount, ...]:
        """The counts in rows with url, at, views. Raises SourceError."""
        return tuple(self._count(where, values) for where, values in rows)

    def totals(self, rows: Iterable[Row]) -> tuple[LifetimeTotal, ...]:
        """The lifetime counters in rows with url, total. Raises SourceError."""
        return tuple(
            LifetimeTotal(self._url(where, values["url"]), self._number(where, values["total"], "total", MOST_EVER))
            for where, values in rows
        )

    def _article(self, where: str, values: Mapping[str, Any]) -> FoundArticle:
        title = title_of(str(values["title"] or ""))
        if not title:
            raise self._bad(where, "the title is empty", "Give every article a title")
        return FoundArticle(
            url=self._url(where, values["url"]),
            title=title,
            published_at=self._published_at(where, str(values["published_at"] or "")),
            summary=folded(unescape(str(values.get("summary") or "")), MAX_SUMMARY),
            image=self._image(where, values.get("image"), str(values.get("alt") or "")),
            section=folded(str(values.get("section") or ""), MAX_WORD),
            author=folded(str(values.get("author") or ""), MAX_WORD),
            tags=_tags(values.get("tags")),
            shares=self._shares(where, values.get("shares")),
            words=self._words(where, values.get("words")),
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

    def _image(self, where: str, value: Any, alt: str) -> Image | None:
        values = value if isinstance(value, dict) else {"url": value}
        if not values.get("url"):
            return None
        alt = str(values.get("alt") or alt)
        return image_of(self._url(where, values["url"]), "", alt, values.get("width"), values.get("height"))

    def _count(self, where: str, values: Mapping[str, Any]) -> ViewCount:
        text = str(values["at"] or "")
        try:
            bucket = _bucket(text, self.zone)
        except (ValueError, OverflowError) as error:
            raise self._bad(where, f"at is {text[:60]!r}: {error}", _WRITE_AT) from None
        return ViewCount(self._url(where, values["url"]), *bucket, self._number(where, values["views"]))

    def _words(self, where: str, value: Any) -> int | None:
        return None if value is None or value == "" else min(self._number(where, value, "words"), MOST_WORDS)

    def _shares(self, where: str, value: Any) -> int | None:
        return None if value is None or value == "" else self._number(where, value, "shares")

    def _number(self, where: str, value: Any, name: str = "views", most: int = MOST_VIEWS) -> int:
        text = "" if isinstance(value, bool) else str(value).strip()
        if not text.isascii() or not text.removeprefix("-").isdecimal():
            raise self._bad(where, f"{name} is {str(value)[:40]!r}", "Write a whole number, such as 1234")
        number = int(text[:20])
        if not 0 <= number <= most:
            raise self._bad(where, f"{name} is {text[:40]}, which cannot be", f"Write a number from 0 to {most:,}")
        return number

    def _bad(self, where: str, reason: str, remedy: str = "") -> SourceError:
        return SourceError(self.source, where, reason, remedy)


# A log names the same few thousand pages and hours a million times.
_absolute = lru_cache(100_000)(web_url)


@lru_cache(10_000)
def _bucket(text: str, zone: ZoneInfo) -> tuple[datetime, timedelta]:
    at = parse_moment(text)
    return hour_bucket(at) if isinstance(at, datetime) else day_bucket(at, zone)


def _tags(value: Any) -> tuple[str, ...]:
    return words_of(str(each) for each in (value if isinstance(value, list) else str(value or "").split(";")))
