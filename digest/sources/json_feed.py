"""JSON Feed 1 and 1.1 (jsonfeed.org): articles as sites announce them, in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from digest.domain.articles import FoundArticle, Image
from digest.errors import SourceError
from digest.sources.paging import Page
from digest.sources.plain import (
    MAX_SUMMARY,
    MAX_WORD,
    Markup,
    folded,
    image_of,
    parse_moment,
    text_of,
    title_of,
    too_far_ahead,
    web_url,
    words_in,
    words_of,
)

_VERSION = re.compile(r"https?://(?:www\.)?jsonfeed\.org/version/1(?:\.\d+)?/?")
_VALIDATE = "Check it with a JSON Feed validator, or open it in a browser"


def is_json(content: bytes) -> bool:
    """Whether a reply is JSON, whatever its Content-Type says: XML begins with a tag."""
    return content.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1] in (b"{", b"[")


@dataclass(frozen=True, slots=True)
class JsonFeed:
    """Reads the pages of a JSON Feed for the source named `source`; a date without offset is one in `zone`."""

    source: str
    zone: tzinfo

    def page(self, content: bytes, place: str, now: datetime) -> Page:
        """The page at `place`. Raises SourceError."""
        feed = self._value(content, place)
        version = feed.get("version") if isinstance(feed, dict) else None
        if not _VERSION.fullmatch(str(version)):
            raise SourceError(self.source, place, "it is JSON, but no JSON Feed", _VALIDATE)
        items = feed.get("items")
        if not isinstance(items, list):
            raise SourceError(self.source, place, "it has no list of items", _VALIDATE)
        articles: list[FoundArticle] = []
        notes: list[str] = []
        for number, item in enumerate(items, start=1):
            try:
                articles.append(self._article(item, feed, place, now))
            except ValueError as error:
                notes.append(f"item {number} left out: {error}")
        following = ""
        try:
            following = _following(feed, place)
        except ValueError as error:
            notes.append(f"older items were not read: next_url: {error}")
        return Page(tuple(articles), tuple(notes), following)

    def _value(self, content: bytes, place: str) -> Any:
        try:
            return json.loads(content)
        except UnicodeDecodeError as error:
            where = f"{place}, line {content.count(10, 0, error.start) + 1}"
            reason = f"it is not UTF-8 (byte {content[error.start]:#04x})"
            raise SourceError(self.source, where, reason, "JSON is always UTF-8: send it so") from None
        except json.JSONDecodeError as error:
            reason = f"it is not JSON: {error.msg} at column {error.colno}"
            raise SourceError(self.source, f"{place}, line {error.lineno}", reason, _VALIDATE) from None
        except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists in lists
            raise SourceError(self.source, place, "it is not JSON that anybody would write", _VALIDATE) from None

    def _article(self, item: Any, feed: Mapping[str, Any], base: str, now: datetime) -> FoundArticle:
        """The article of an item. Raises ValueError that says why it is none."""
        if not isinstance(item, dict):
            raise ValueError(f"{str(item)[:60]!r} is no object")
        title = title_of(_text(item, "title"))
        if not title:
            raise ValueError("it has no title")
        link = _text(item, "url") or _text(item, "external_url")
        if not link:
            raise ValueError(f"{title[:60]!r} has no link")
        published_at = self._published_at(item, title)
        if too_far_ahead(published_at, now):
            raise ValueError(
                f"{title[:60]!r} claims to be published in the future, at {published_at:%Y-%m-%d %H:%M} UTC"
            )
        url, tags = web_url(link, base), words_of(_texts(item.get("tags")))
        return FoundArticle(
            url=url,
            title=title,
            published_at=published_at,
            summary=_summary(item),
            image=_image(item, url),
            section=tags[0] if tags else "",
            author=_author(item) or _author(feed),
            tags=tags,
            words=words_in(_text(item, "content_html") or _text(item, "content_text")),
        )

    def _published_at(self, item: Mapping[str, Any], title: str) -> datetime:
        text = _text(item, "date_published") or _text(item, "date_modified")
        try:
            moment = parse_moment(text, self.zone)
        except (ValueError, OverflowError):
            raise ValueError(f"{title[:60]!r} has no date we can read") from None
        if not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day, tzinfo=self.zone)
        return moment.astimezone(UTC)


def _following(feed: Mapping[str, Any], base: str) -> str:
    """The address of the next page, or "". Raises ValueError."""
    if not feed.get("next_url"):
        return ""
    if not isinstance(feed["next_url"], str):
        raise ValueError(f"{str(feed['next_url'])[:60]!r} is not a web address")
    return web_url(feed["next_url"], base)


def _text(values: Mapping[str, Any], name: str) -> str:
    """A value that should be text; anything else counts as nothing."""
    value = values.get(name)
    return value.strip() if isinstance(value, str) else ""


def _texts(values: Any) -> list[str]:
    return [each for each in values if isinstance(each, str)] if isinstance(values, list) else []


def _summary(item: Mapping[str, Any]) -> str:
    """The summary, which many fill with HTML; else the beginning of the text."""
    markup = _text(item, "summary") or _text(item, "content_html")
    return text_of(markup) if markup else folded(_text(item, "content_text"), MAX_SUMMARY)


def _image(item: Mapping[str, Any], base: str) -> Image | None:
    """The picture: `image`, `banner_image`, an attachment, or the first <img> of the text."""
    attached = item.get("attachments")
    pictures = [
        _text(each, "url")
        for each in (attached if isinstance(attached, list) else ())
        if isinstance(each, dict) and _text(each, "mime_type").startswith("image/")
    ]
    for link in (_text(item, "image"), _text(item, "banner_image"), *pictures):
        if image := image_of(link, base):
            return image
    found = Markup(_text(item, "content_html")).picture
    return image_of(found.get("src", ""), base, found.get("alt", ""), found.get("width"), found.get("height"))


def _author(values: Mapping[str, Any]) -> str:
    """The names in `authors`, or in `author` as version 1.0 had it."""
    authors = values.get("authors")
    people = authors if isinstance(authors, list) else [values.get("author")]
    names = [_text(each, "name") for each in people if isinstance(each, dict)]
    return folded(", ".join(name for name in names if name), MAX_WORD)
