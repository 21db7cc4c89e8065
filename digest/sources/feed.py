"""RSS 2.0 and Atom (RFC 4287): articles as sites announce them. Feeds know no views."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import feedparser

from digest.config import FeedSource
from digest.domain.articles import FoundArticle, Harvest, Image
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetcher
from digest.sources.plain import storable, text_of, title_of, too_far_ahead

_IMG = re.compile(r"<img\b[^>]*>", re.I)
_ATTRIBUTE = re.compile(r"""\b(src|alt|width|height)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", re.I)
_FEED_TYPES = ("rss", "atom", "cdf")


@dataclass(frozen=True, slots=True)
class Feed:
    """Reads one feed."""

    section: FeedSource

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Every entry of the feed as it is now; nothing when it has not changed. Raises SourceError."""
        async with Fetcher(self.name, self.section.timeout, self.section.max_bytes) as fetcher:
            reply = await fetcher.get(self.section.url, remembered=reading.remembered)
        if reply.content is None:
            return Harvest(remembered=dict(reading.remembered))
        parsed = self._parse(reply.content, reply.headers.get("content-type", ""))
        base = parsed.feed.get("link") or self.section.url
        articles: list[FoundArticle] = []
        notes: list[str] = []
        for number, entry in enumerate(parsed.entries, start=1):
            found = _article(entry, urljoin(self.section.url, base), reading.now)
            if isinstance(found, FoundArticle):
                articles.append(found)
            else:
                notes.append(f"item {number} left out: {found}")
        return Harvest(tuple(articles), remembered=reply.validators(), notes=tuple(notes))

    def _parse(self, content: bytes, content_type: str) -> Any:
        parsed = feedparser.parse(
            content, response_headers={"content-type": content_type}, sanitize_html=False, resolve_relative_uris=False
        )
        if not parsed.version.startswith(_FEED_TYPES) or (parsed.bozo and not parsed.entries):
            error = parsed.get("bozo_exception")
            line = getattr(error, "getLineNumber", lambda: None)()
            where = f"{self.section.url}, line {line}" if line else self.section.url
            words = getattr(error, "getMessage", lambda: str(error or "no feed in it"))()
            raise SourceError(self.name, where, f"it is not a feed we can read: {words}", "Open it in a browser")
        return parsed


def _article(entry: Any, base: str, now: datetime) -> FoundArticle | str:
    """The article of an entry, or why there is none."""
    title, link = title_of(entry.get("title", "")), entry.get("link", "")
    if not title:
        return "it has no title"
    if not link:
        return f"{title[:60]!r} has no link"
    published = entry.get("published_parsed") or entry.get("updated_parsed")
    if published is None:
        return f"{title[:60]!r} has no date we can read"
    published_at = datetime.fromtimestamp(calendar.timegm(published), UTC)
    if too_far_ahead(published_at, now):
        return f"{title[:60]!r} claims to be published in the future"
    tags = tuple(dict.fromkeys(storable(tag.get("term") or "") for tag in entry.get("tags", []) if tag.get("term")))
    return FoundArticle(
        url=urljoin(base, storable(link)),
        title=title,
        published_at=published_at,
        summary=text_of(entry.get("summary", "") or _content(entry))[:1000],
        image=_image(entry, base),
        section=tags[0] if tags else "",
        author=storable(entry.get("author", "")),
        tags=tags,
    )


def _content(entry: Any) -> str:
    return str(next((each.get("value", "") for each in entry.get("content", [])), ""))


def _image(entry: Any, base: str) -> Image | None:
    """The picture: media:content, an enclosure, media:thumbnail, or the first <img> of the text."""
    for media in [*entry.get("media_content", []), *entry.get("enclosures", []), *entry.get("media_thumbnail", [])]:
        url = media.get("url") or media.get("href") or ""
        kind = media.get("type", "") or media.get("medium", "")
        if url and (not kind or kind.startswith("image")):
            alt = media.get("alt") or (entry.get("media_description") or entry.get("media_title") or "")
            return Image(
                urljoin(base, storable(url)), text_of(str(alt)), _number(media, "width"), _number(media, "height")
            )
    if tag := _IMG.search(_content(entry) or entry.get("summary", "")):
        found = {name.lower(): text_of(value.strip("\"'")) for name, value in _ATTRIBUTE.findall(tag[0])}
        if found.get("src", "").startswith(("http", "/")):
            return Image(
                urljoin(base, found["src"]), found.get("alt", ""), _number(found, "width"), _number(found, "height")
            )
    return None


def _number(values: Any, name: str) -> int | None:
    value = str(values.get(name) or "")
    return int(value) if value.isdecimal() and 0 < int(value) < 100_000 else None
