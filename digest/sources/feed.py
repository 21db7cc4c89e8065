"""RSS 2.0, Atom (RFC 4287) and JSON Feed: articles as sites announce them. Feeds know no views.

A WordPress feed holds ten items, so a busy day runs out of it: older ones are at `?paged=2` and so on. Others name
their next page themselves, by rel="next" (RFC 5005) or `next_url`.
"""

from __future__ import annotations

import asyncio
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any

import feedparser
import httpx

from digest.config.sources import FeedSource
from digest.domain.articles import FoundArticle, Harvest, Image
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.feed_text import WrongEncoding, readable
from digest.sources.fetch import Fetched, Fetcher, with_login_of, without_password
from digest.sources.json_feed import JsonFeed, is_json
from digest.sources.paging import Page, all_pages, known_until, newest_of
from digest.sources.plain import (
    Markup,
    folded,
    image_of,
    pixels,
    text_of,
    title_of,
    too_far_ahead,
    web_url,
    words_in,
    words_of,
)

_KINDS = ("rss", "atom", "cdf")
_BEST_WIDTH = 1200  # pixels: sharp on a phone, and no original of five megabytes
_DECLARATION = re.compile(rb"\s*<\?xml\b|[\xfe\xff\x00]|.\x00", re.S)
_HTML = re.compile(rb"\s*(?:<!doctype html|<html)\b", re.I)
_OFFSET = re.compile(r"(?:[A-Za-z]\)?|[+-]\d\d:?\d\d)\s*$")  # how a date ends that tells its zone
_UTF8 = "application/xml; charset=utf-8"
_VALIDATE = "Check it with the W3C feed validator, or open it in a browser"


@dataclass(frozen=True, slots=True)
class Feed:
    """Reads one feed. A date without offset is one in `zone`."""

    section: FeedSource
    zone: tzinfo = UTC

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Every entry of the feed as it is now; nothing when it has not changed. Raises SourceError.

        The first time, and when nothing on the first page is known, older pages too: to what is known, or two weeks.
        """
        async with Fetcher.of(self.section, self.section.url) as fetcher:
            reply = await fetcher.get(self.section.url, remembered=reading.remembered)
            if reply.content is None:
                return Harvest(remembered=dict(reading.remembered))

            async def turn(page: Page) -> Page:
                try:
                    there = await fetcher.get(with_login_of(self.section.url, page.following))
                except SourceError as error:
                    if page.is_guess and error.status == 404:
                        return Page()
                    raise
                is_the_end = page.is_guess and _HTML.match(there.content or b"")
                return Page() if is_the_end else await self._page(there, reading.now)

            whole = await all_pages(await self._page(reply, reading.now), turn, known_until(reading))
        remembered = {**reply.validators(), **newest_of(whole, reading)}
        return Harvest(whole.articles, remembered=remembered, notes=whole.notes)

    async def _page(self, reply: Fetched, now: datetime) -> Page:
        # A long feed takes a second to parse: meanwhile the loop serves readers.
        return await asyncio.to_thread(self._read, reply, without_password(reply.url), now)

    def _read(self, reply: Fetched, place: str, now: datetime) -> Page:
        content = reply.content or b""
        if is_json(content):
            return JsonFeed(self.name, self.zone).page(content, place, now)
        articles: list[FoundArticle] = []
        notes: list[str] = []
        parsed = self._parse(content, reply.headers.get("content-type", ""), place)
        for number, entry in enumerate(parsed.entries, start=1):
            try:
                articles.append(_article(entry, place, self.zone, now))
            except ValueError as error:
                notes.append(f"item {number} left out: {error}")
        following = ""
        try:
            following = _announced(parsed.feed, place)
        except ValueError as error:
            notes.append(f"older items were not read: rel=next: {error}")
        is_guess = not following and _is_wordpress(parsed.feed, reply)
        return Page(tuple(articles), tuple(notes), _paged(place) if is_guess else following, is_guess)

    def _parse(self, content: bytes, content_type: str, place: str) -> Any:
        try:
            content = readable(content, content_type)
        except WrongEncoding as error:
            declare = 'Send UTF-8, or declare what it is: <?xml version="1.0" encoding="windows-1250"?>'
            raise SourceError(self.name, f"{place}, line {error.line}", str(error), declare) from None
        parsed = feedparser.parse(
            # A stream: given plain bytes, feedparser would first try to open a file of that name.
            io.BytesIO(content),
            response_headers={"content-type": "application/xml" if b"\x00" in content[:4] else _UTF8},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
        if not parsed.version.startswith(_KINDS):
            raise SourceError(self.name, place, "it is neither RSS nor Atom, nor JSON Feed", _VALIDATE)
        trouble = parsed.get("bozo_exception")
        if hasattr(trouble, "getLineNumber"):  # other complaints, of encodings, were overcome
            # feedparser puts a line of its own before a feed that does not begin with an XML declaration.
            line = trouble.getLineNumber() - (not _DECLARATION.match(content))
            reason = f"it is not well-formed XML: {trouble.getMessage()}"
            raise SourceError(self.name, f"{place}, line {line}", reason, _VALIDATE)
        return parsed


def _announced(feed: Any, base: str) -> str:
    """The next page as the feed names it, or "". Raises ValueError."""
    links = [each.get("href") for each in feed.get("links", []) if each.get("rel") == "next"]
    return web_url(links[0], base) if links and links[0] else ""


def _is_wordpress(feed: Any, reply: Fetched) -> bool:
    generator = f"{feed.get('generator', '')} {feed.get('generator_detail', {}).get('href', '')}"
    return "wordpress.org" in generator or "https://api.w.org/" in reply.headers.get("link", "")


def _paged(place: str) -> str:
    """The address of the page after this one, as WordPress numbers them."""
    url = httpx.URL(place)
    number = url.params.get("paged", "")
    return str(url.copy_set_param("paged", int(number[:6]) + 1 if number.isdecimal() else 2))


def _article(entry: Any, base: str, zone: tzinfo, now: datetime) -> FoundArticle:
    """The article of an entry. Raises ValueError that says why it is none."""
    title = _title(entry)
    if not title:
        raise ValueError("it has no title")
    if not entry.get("link"):
        raise ValueError(f"{title[:60]!r} has no link")
    published_at = _published_at(entry, zone)
    if published_at is None:
        raise ValueError(f"{title[:60]!r} has no date we can read")
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
        words=words_in(_content(entry)),
    )


def _published_at(entry: Any, zone: tzinfo) -> datetime | None:
    """When it was published; when it was changed last, if it tells no better."""
    for name in ("published", "updated"):
        # dict.get: feedparser's own would warn, and give the other of the two.
        written, parsed = str(dict.get(entry, name) or ""), dict.get(entry, f"{name}_parsed")
        try:
            if parsed is None:
                moment = parsedate_to_datetime(written)  # it knows RFC 822 without an offset, which feedparser refuses
            else:
                year, month, day, hour, minute, second = parsed[:6]  # in UTC, where there was an offset
                known = UTC if _OFFSET.search(written) else None
                moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=known)
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


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
    media.sort(key=lambda each: abs((pixels(each.get("width")) or 0) - _BEST_WIDTH))
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
