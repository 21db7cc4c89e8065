"""WordPress: articles by its REST API, and the counts of WP Popular Posts where the site has that plugin.

The plugin can only say how often a post was read in the last so many minutes. So the views between two moments
are the difference of two such windows, asked one after the other. A window begins on a whole minute before
now: views within half a minute of an edge may fall on its other side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urljoin

from digest.config import WordPressSource
from digest.domain.articles import FoundArticle, Harvest, Image, ViewCount
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetcher
from digest.sources.plain import storable, text_of, too_far_ahead

FIRST_READING = timedelta(days=16)  # how far back the first reading goes: two weeks and a little
_PAGE = 100  # the most WordPress gives at once
_WIDE = 1200  # pixels: a picture this wide is enough for a mail
_API = re.compile(r'<([^>]+)>\s*;[^,]*rel="https://api\.w\.org/"')
_FIELDS = "id,date_gmt,modified_gmt,link,title,excerpt,_links,_embedded"
_POPULAR = "wordpress-popular-posts/v1"


@dataclass(frozen=True, slots=True)
class WordPress:
    """Reads one WordPress site."""

    section: WordPressSource

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Posts published or changed since the last reading, and the views since then. Raises SourceError."""
        async with Fetcher(self.name, self.section.timeout, self.section.max_bytes) as fetcher:
            api = _Api(fetcher, await self._find_api(fetcher))
            posts = await api.posts(reading.since - timedelta(days=1) if reading.since else reading.now - FIRST_READING)
            found = [_article(post, reading.now) for post in posts]
            views, until = await self._views(api, reading)
        articles = tuple(each for each in found if isinstance(each, FoundArticle))
        notes = tuple(f"post left out: {each}" for each in found if isinstance(each, str))
        return Harvest(articles, views, remembered={"counted_until": until.isoformat()} if until else {}, notes=notes)

    async def _find_api(self, fetcher: Fetcher) -> str:
        """The API's address, as the site announces it."""
        reply = await fetcher.get(self.section.url)
        if announced := _API.search(reply.headers.get("link", "")):
            return urljoin(reply.url, announced[1])
        for path in ("wp-json/", "?rest_route=/"):
            try:
                value, _ = await fetcher.get_json(urljoin(reply.url.rstrip("/") + "/", path))
            except SourceError:
                continue
            if isinstance(value, dict) and "namespaces" in value:
                return urljoin(reply.url.rstrip("/") + "/", path)
        raise SourceError(
            self.name,
            self.section.url,
            "no WordPress API is announced there",
            'Check the address, or use kind = "feed"',
        )

    async def _views(self, api: _Api, reading: Reading) -> tuple[tuple[ViewCount, ...], datetime | None]:
        if self.section.views == "none":
            return (), None
        if not await api.has(_POPULAR):
            if self.section.views == "popular-posts":
                raise SourceError(self.name, api.root, "WP Popular Posts is not active there", 'Set views = "none"')
            return (), None
        edges = _edges(reading)
        windows = [await api.popular_since(edge, reading.now) for edge in edges]
        counts = [
            ViewCount(link, start, end - start, views)
            for (start, wide), (end, narrow) in pairwise(zip(edges, windows, strict=True))
            for link, views in _difference(wide, narrow)
        ]
        return tuple(counts), edges[-1]


def _edges(reading: Reading) -> list[datetime]:
    """The moments between which views are counted: from the last one counted, over cut-offs, to the last whole hour."""
    last_hour = reading.now.replace(minute=0, second=0, microsecond=0)
    counted = reading.remembered.get("counted_until")
    first = datetime.fromisoformat(counted) if counted else None
    if first is None:
        first = min(reading.edges, default=last_hour - timedelta(days=7))
    between = {edge for edge in (*reading.edges, last_hour) if first < edge <= reading.now}
    return sorted({first, *between})


def _difference(wide: Mapping[str, int], narrow: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    for link, views in wide.items():
        if (between := views - narrow.get(link, 0)) > 0:
            yield link, between


@dataclass(frozen=True, slots=True)
class _Api:
    """The REST API of one site; `root` may be a path or carry `?rest_route=`."""

    fetcher: Fetcher
    root: str

    async def has(self, namespace: str) -> bool:
        """Whether a plugin's part of the API is there."""
        index, _ = await self.fetcher.get_json(self.root, params=self._params({"_fields": "namespaces"}))
        return isinstance(index, dict) and namespace in (index.get("namespaces") or [])

    async def posts(self, since: datetime) -> list[dict[str, Any]]:
        """Posts published or changed since; a day wider, as WordPress compares its own local time."""
        wide = (since - timedelta(days=1)).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
        found: dict[int, dict[str, Any]] = {}
        for field in ("after", "modified_after"):
            for post in await self._all_pages(field, wide):
                found[int(post.get("id") or 0)] = post
        return [post for _, post in sorted(found.items())]

    async def _all_pages(self, field: str, since: str) -> list[dict[str, Any]]:
        posts: list[dict[str, Any]] = []
        page = pages = 1
        while page <= pages:
            params = {
                "per_page": _PAGE,
                "page": page,
                "orderby": "id",
                "order": "asc",
                field: since,
                "_embed": "author,wp:term,wp:featuredmedia",
                "_fields": _FIELDS,
            }
            batch, headers = await self._get("wp/v2/posts", params)
            posts += [post for post in batch if isinstance(post, dict)]
            total = headers.get("x-wp-totalpages", "1")
            pages = int(total) if total.isdecimal() else 1
            page += 1
        return posts

    async def popular_since(self, edge: datetime, now: datetime) -> dict[str, int]:
        """Views by link since `edge`, to the minute."""
        minutes = round((now - edge).total_seconds() / 60)
        found: dict[int, tuple[str, int]] = {}
        offset = 0
        while minutes > 0:
            params = {
                "range": "custom",
                "time_unit": "minute",
                "time_quantity": minutes,
                "limit": _PAGE,
                "offset": offset,
                "_fields": "id,link,pageviews",
            }
            batch, _ = await self._get(f"{_POPULAR}/popular-posts", params)
            for post in batch:
                found[int(post["id"])] = (str(post["link"]), int(post["pageviews"]))
            offset += len(batch)
            if len(batch) < _PAGE:
                break
        return dict(found.values())

    async def _get(self, route: str, params: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
        url, _, query = self.root.partition("?")
        if query:
            value, headers = await self.fetcher.get_json(url, params={"rest_route": f"/{route}", **params})
        else:
            value, headers = await self.fetcher.get_json(urljoin(url.rstrip("/") + "/", route), params=params)
        if not isinstance(value, list):
            raise SourceError(self.fetcher.source, f"{self.root}{route}", f"it answered {str(value)[:120]}, not a list")
        return value, headers

    def _params(self, params: dict[str, str]) -> dict[str, str]:
        return {"rest_route": "/", **params} if "?" in self.root else params


def _article(post: Mapping[str, Any], now: datetime) -> FoundArticle | str:
    """The article of a post, or why there is none."""
    title = text_of(_rendered(post.get("title")))
    link, date_gmt = str(post.get("link") or ""), str(post.get("date_gmt") or "")
    if not title or not link:
        return f"post {post.get('id')} has no {'link' if title else 'title'}"
    try:
        published_at = datetime.fromisoformat(date_gmt).replace(tzinfo=UTC)
    except ValueError:
        return f"{title[:60]!r} has the date {date_gmt!r}"
    if too_far_ahead(published_at, now):
        return f"{title[:60]!r} claims to be published in the future"
    embedded = post.get("_embedded") if isinstance(post.get("_embedded"), dict) else {}
    assert isinstance(embedded, dict)
    sections, tags = _terms(embedded)
    return FoundArticle(
        url=storable(link),
        title=title,
        published_at=published_at,
        summary=text_of(_rendered(post.get("excerpt")))[:1000],
        image=_image(embedded),
        section=sections[0] if sections else "",
        author=_author(embedded),
        tags=(*sections[1:], *tags),
    )


def _rendered(value: Any) -> str:
    return str(value.get("rendered") or "") if isinstance(value, dict) else str(value or "")


def _first(embedded: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The first embedded thing; a security plugin may put an error in its place, which counts as nothing."""
    values = embedded.get(name)
    first = values[0] if isinstance(values, list) and values else None
    return first if isinstance(first, dict) and "code" not in first else {}


def _author(embedded: Mapping[str, Any]) -> str:
    return text_of(str(_first(embedded, "author").get("name") or ""))


def _terms(embedded: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(categories, tags) by name; "Uncategorized" is no section."""
    sections: list[str] = []
    tags: list[str] = []
    for group in embedded.get("wp:term") or []:
        for term in group if isinstance(group, list) else []:
            if isinstance(term, dict) and term.get("name") and "code" not in term:
                name = text_of(str(term["name"]))
                if term.get("taxonomy") == "category" and term.get("slug") != "uncategorized":
                    sections.append(name)
                elif term.get("taxonomy") == "post_tag":
                    tags.append(name)
    return sections, tags


def _image(embedded: Mapping[str, Any]) -> Image | None:
    """The featured picture, in the smallest size that is wide enough."""
    media = _first(embedded, "wp:featuredmedia")
    if not media.get("source_url") or media.get("media_type", "image") != "image":
        return None
    details = media.get("media_details") if isinstance(media.get("media_details"), dict) else {}
    assert isinstance(details, dict)
    sizes = details.get("sizes") if isinstance(details.get("sizes"), dict) else {}
    assert isinstance(sizes, dict)
    ratio = _ratio(details)
    offered = [
        (size["width"], size["height"], size["source_url"])
        for size in sizes.values()
        if isinstance(size, dict) and size.get("source_url") and _same_shape(size, ratio)
    ]
    offered.append((_pixels(details, "width") or 0, _pixels(details, "height") or 0, media["source_url"]))
    wide_enough = [each for each in offered if each[0] >= _WIDE]
    width, height, url = min(wide_enough) if wide_enough else max(offered)
    return Image(storable(str(url)), text_of(str(media.get("alt_text") or "")), width or None, height or None)


def _ratio(details: Mapping[str, Any]) -> float:
    width, height = _pixels(details, "width"), _pixels(details, "height")
    return width / height if width and height else 0.0


def _same_shape(size: Mapping[str, Any], ratio: float) -> bool:
    """Thumbnails are cropped to a square; only sizes of the picture's own shape show all of it."""
    own = _ratio(size)
    return bool(own and ratio and abs(own - ratio) < 0.05)


def _pixels(values: Mapping[str, Any], name: str) -> int | None:
    value = values.get(name)
    return value if isinstance(value, int) and 0 < value < 100_000 else None
