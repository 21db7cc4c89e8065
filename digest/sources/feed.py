"""RSS 2.0 and Atom (RFC 4287): articles as sites announce them. Feeds know no views."""

from __future__ import annotations

import asyncio
import calendar
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html.entities import name2codepoint
from typing import Any

import feedparser

from digest.config import FeedSource
from digest.domain.articles import FoundArticle, Harvest, Image
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetched, Fetcher
from digest.sources.plain import Markup, folded, image_of, text_of, title_of, too_far_ahead, web_url, words_of

_KINDS = ("rss", "atom", "cdf")
_BEST_WIDTH = 1200  # pixels: sharp on a phone, and no original of five megabytes
# Characters no XML may hold but sites send all the same, and HTML's entities, which XML does not know.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")  # as UTF-8 may not spell them
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]+)", re.I)
_ENCODING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w-]+)", re.I)
_REFERENCE = re.compile(rb"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,8}));")
_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,10});")
_DECLARATION = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml\b|[\xfe\xff\x00]|.\x00", re.S)
_KNOWN_TO_XML = frozenset({b"amp", b"lt", b"gt", b"quot", b"apos"})


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
        # A long feed takes a second to parse: meanwhile the loop serves readers.
        return await asyncio.to_thread(self._read, reply, reading.now)

    def _read(self, reply: Fetched, now: datetime) -> Harvest:
        articles: list[FoundArticle] = []
        notes: list[str] = []
        for number, entry in enumerate(self._parse(reply).entries, start=1):
            try:
                articles.append(_article(entry, reply.url, now))
            except ValueError as error:
                notes.append(f"item {number} left out: {error}")
        return Harvest(tuple(articles), remembered=reply.validators(), notes=tuple(notes))

    def _parse(self, reply: Fetched) -> Any:
        content_type = reply.headers.get("content-type", "")
        content = readable(reply.content or b"", content_type)
        parsed = feedparser.parse(
            # A stream: given plain bytes, feedparser would first try to open a file of that name.
            io.BytesIO(content),
            response_headers={"content-type": content_type},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
        validate = "Check it with the W3C feed validator, or open it in a browser"
        if not parsed.version.startswith(_KINDS):
            raise SourceError(self.name, self.section.url, "it is neither RSS nor Atom", validate)
        error = parsed.get("bozo_exception")
        if hasattr(error, "getLineNumber"):  # other complaints, of encodings, were overcome
            # feedparser puts a line of its own before a feed that does not begin with an XML declaration.
            line = error.getLineNumber() - (not _DECLARATION.match(content))
            reason = f"it is not well-formed XML: {error.getMessage()}"
            raise SourceError(self.name, f"{self.section.url}, line {line}", reason, validate)
        return parsed


def readable(content: bytes, content_type: str) -> bytes:
    """The feed without characters and entities that no XML parser takes; the rest is left to the parser."""
    if b"\x00" in content[:4]:  # UTF-16 or UTF-32, where bytes are not characters
        return content
    declared = _CHARSET.search(content_type.encode()) or _ENCODING.match(content)
    if declared and declared[1].lower() in (b"utf-8", b"utf8"):
        # One wrong byte, and feedparser would read all the rest as Windows-1252.
        content = _SURROGATE.sub(b"", content).decode("utf-8", "replace").encode()
    content = _REFERENCE.sub(_reference, _CONTROL.sub(b"", content))
    return _ENTITY.sub(_entity, content)


def _reference(match: re.Match[bytes]) -> bytes:
    number = int(match[1], 16) if match[1] else int(match[2])
    allowed = (
        number in (9, 10, 13) or 0x20 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0x10000 <= number < 0x110000
    )
    return match[0] if allowed else b""


def _entity(match: re.Match[bytes]) -> bytes:
    number = None if match[1] in _KNOWN_TO_XML else name2codepoint.get(match[1].decode())
    return b"&#%d;" % number if number else match[0]


def _article(entry: Any, base: str, now: datetime) -> FoundArticle:
    """The article of an entry. Raises ValueError that says why it is none."""
    title = _title(entry)
    if not title:
        raise ValueError("it has no title")
    if not entry.get("link"):
        raise ValueError(f"{title[:60]!r} has no link")
    # dict.get: feedparser's own would warn, and give the other of the two.
    published = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    if published is None:
        raise ValueError(f"{title[:60]!r} has no date we can read")
    published_at = datetime.fromtimestamp(calendar.timegm(published), UTC)
    if too_far_ahead(published_at, now):
        raise ValueError(f"{title[:60]!r} claims to be published in the future, at {published_at:%Y-%m-%d %H:%M} UTC")
    tags = words_of(str(tag.get("label") or tag.get("term") or "") for tag in entry.get("tags", []))
    url = web_url(entry["link"], base)
    return FoundArticle(
        url=url,
        title=title,
        published_at=published_at,
        summary=text_of(entry.get("summary") or _content(entry)),
        image=_image(entry, url),
        section=tags[0] if tags else "",
        author=folded(entry.get("author") or "", 200),
        tags=tags,
    )


def _title(entry: Any) -> str:
    """Atom says whether its title is text or HTML; of RSS feedparser makes a good guess."""
    if entry.get("title_detail", {}).get("type") == "text/plain" and "&" not in entry.get("title", ""):
        return title_of(entry.get("title", "").replace("&", "&amp;"))
    return title_of(entry.get("title", ""))


def _content(entry: Any) -> str:
    return str(next((each.get("value", "") for each in entry.get("content", [])), ""))


def _image(entry: Any, base: str) -> Image | None:
    """The picture: media:content, media:thumbnail, an enclosure, or the first <img> of the text."""
    alt = str(entry.get("media_description") or entry.get("media_title") or "")
    media = [each for each in entry.get("media_content", []) if _is_picture(each)]
    media.sort(key=lambda each: abs(int(str(each.get("width") or 0).partition(".")[0] or 0) - _BEST_WIDTH))
    enclosures = [each for each in entry.get("enclosures", []) if str(each.get("type", "")).startswith("image/")]
    for each in [*media, *entry.get("media_thumbnail", []), *enclosures]:
        link = str(each.get("url") or each.get("href") or "")
        if image := image_of(link, base, alt, each.get("width"), each.get("height")):
            return image
    for markup in (_content(entry), entry.get("summary", "")):
        found = Markup(markup).picture
        if image := image_of(found.get("src", ""), base, found.get("alt", ""), found.get("width"), found.get("height")):
            return image
    return None


def _is_picture(media: Any) -> bool:
    kind = str(media.get("medium") or media.get("type") or "")
    if kind:
        return kind.startswith("image")
    path = str(media.get("url", "")).partition("?")[0].lower()
    return path.endswith((".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif"))
