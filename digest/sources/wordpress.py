"""WordPress: articles by its REST API (4.7 and later), views by our own plugin or by WP Popular Posts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urljoin

from digest.config.sources import WordPressSource
from digest.domain.articles import FoundArticle, Harvest, Image
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources import wordpress_plugin as plugin
from digest.sources.counters import site_zone
from digest.sources.fetch import Fetched, Fetcher, without_password
from digest.sources.plain import MAX_WORD, folded, image_of, pixels, text_of, title_of, too_far_ahead, web_url, words_of
from digest.sources.popular_posts import NAMESPACE, PopularPosts
from digest.sources.wordpress_plugin import PluginCounts

BACK = timedelta(days=16)  # how far back posts are read: two weeks, and a little for a late first edition
_WIDER = timedelta(days=1)  # `after` compares the site's local time; so we ask for a day more
_PAGE = 100  # the most WordPress gives at once
_NOT_TOLD = 99_999  # pixels: more than any size that is told
_BEST_WIDTH = 1200  # pixels: sharp on a phone, and no original of five megabytes
_FIELDS = "id,date,date_gmt,link,title,excerpt,_links,_embedded"
_LINK = re.compile(r'<([^<>]+)>\s*;\s*rel="?https://api\.w\.org/"?')
NO_SECTION = frozenset({"uncategorized", "uncategorised", "bez kategorii", "без категорії"})


@dataclass(frozen=True, slots=True)
class Site:
    """A site's REST API: its address, what else it speaks, and the zone of its local times."""

    root: str
    namespaces: frozenset[str]
    zone: tzinfo

    def route(self, path: str) -> str:
        """The address of a route such as `wp/v2/posts`; without pretty permalinks it is a parameter."""
        return f"{self.root}{path}" if "rest_route=" in self.root else urljoin(f"{self.root.rstrip('/')}/", path)


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
        async with Fetcher.of(self.section, self.section.url) as fetcher:
            return await self.read(fetcher, reading)

    async def read(self, fetcher: Fetcher, reading: Reading) -> Harvest:
        """`collect` with a reader of one's own."""
        site = await self._site(fetcher, reading.remembered.get("rest_root", ""))
        counter = self._counter(fetcher, site, reading)
        counted = await counter.since_last(reading) if counter else None  # first: the minutes tick
        posts, odd = await self._posts(fetcher, site, *_queries(reading))
        if counted and (strangers := [each for each in counted.most_read if each not in posts][:_PAGE]):
            # What is read most may be older than the posts we read: without it, its views would match no article.
            query = {"include": ",".join(map(str, strangers))}
            posts |= (await self._posts(fetcher, site, query))[0]
        articles, notes = _articles(posts, site, reading.now)
        remembered = {"rest_root": site.root, **(counted.remembered if counted else {})}
        return Harvest(
            articles,
            counted.views if counted else (),
            remembered=remembered,
            notes=(*odd, *notes, *(counted.notes if counted else ())),
        )

    async def _site(self, fetcher: Fetcher, remembered: str) -> Site:
        """The site's API: where it was, or where the site says it is, or where it mostly is."""
        trouble: SourceError | None = None
        async for root in self._roots(fetcher, remembered):
            try:
                index, reply = await fetcher.get_json(root, params={"_fields": "namespaces,timezone_string,gmt_offset"})
            except SourceError as error:
                trouble = trouble or error
                continue
            if isinstance(index, dict) and "wp/v2" in (index.get("namespaces") or ()):
                return Site(root, frozenset(map(str, index["namespaces"])), site_zone(index))
            trouble = trouble or SourceError(self.name, reply.url, "it is not the index of a WordPress REST API")
        raise SourceError(
            self.name,
            self.section.url,
            f"no WordPress REST API found ({trouble.reason if trouble else 'nothing answered'})",
            'Is it WordPress, and the API not switched off by a security plugin? Else use kind = "feed"',
        )

    async def _roots(self, fetcher: Fetcher, remembered: str) -> AsyncIterator[str]:
        if remembered:
            yield remembered
        home = await fetcher.get(self.section.url)
        if announced := _LINK.search(home.headers.get("link", "")):
            yield urljoin(home.url, announced[1])
        yield f"{self.section.url}/wp-json/"
        yield f"{self.section.url}/?rest_route=/"

    def _counter(self, fetcher: Fetcher, site: Site, reading: Reading) -> PopularPosts | PluginCounts | None:
        """What counts the views. One that did so before and is gone is an error, not an empty week."""
        views, secret = self.section.views, self.section.secret.get_secret_value()
        if views == "none":
            return None
        by_plugin = views == "plugin" or (views == "auto" and PluginCounts.counted_before(reading))
        if by_plugin and not secret:
            remedy = "Set secret to what the plugin's settings page shows (Settings > Digest)"
            raise SourceError(self.name, "config.toml", "our plugin is to be asked, and there is no secret", remedy)
        if plugin.NAMESPACE in site.namespaces and secret and views != "popular-posts":
            return PluginCounts(fetcher, site.route(plugin.ROUTE.lstrip("/")), site.zone, secret)
        if by_plugin:
            raise self._nobody_counted(site, "our plugin", "Activate Digest Newsletter")
        if NAMESPACE in site.namespaces:
            return PopularPosts(fetcher, site.route(f"{NAMESPACE}/popular-posts"), site.zone)
        if views == "popular-posts" or PopularPosts.counted_before(reading):
            raise self._nobody_counted(site, "WP Popular Posts", "Activate the plugin")
        return None

    def _nobody_counted(self, site: Site, counter: str, remedy: str) -> SourceError:
        reason = f"{counter} does not answer there, so nobody would be counted"
        return SourceError(self.name, site.root, reason, f'{remedy}, or set views = "none"')

    async def _posts(
        self, fetcher: Fetcher, site: Site, *queries: Mapping[str, Any]
    ) -> tuple[dict[int, dict[str, Any]], list[str]]:
        """(posts by id, notes on what is none) of every page; a trouble on any page is a trouble of all."""
        posts: dict[int, dict[str, Any]] = {}
        odd: list[str] = []
        for query in queries:
            async for batch in self._batches(fetcher, site, query):
                posts |= {each["id"]: each for each in batch if _is_post(each)}
                odd += [f"left out, as it is no post: {str(each)[:60]!r}" for each in batch if not _is_post(each)]
        return posts, odd

    async def _batches(self, fetcher: Fetcher, site: Site, query: Mapping[str, Any]) -> AsyncIterator[list[Any]]:
        seen: set[int] = set()
        page = pages = 1
        while page <= pages:
            # By id, not date: a post published while we turn the pages then moves none of the others.
            paging = {"per_page": _PAGE, "page": page, "orderby": "id", "order": "asc"}
            extent = {"_fields": _FIELDS, "_embed": "author,wp:term,wp:featuredmedia"}
            batch, reply = await fetcher.get_json(site.route("wp/v2/posts"), params={**paging, **extent, **query})
            place = without_password(reply.url)
            if not isinstance(batch, list):
                raise SourceError(self.name, place, f"not a list of posts but {str(batch)[:120]}")
            ids = {each["id"] for each in batch if _is_post(each)}
            if page > 1 and batch and ids <= seen:
                remedy = "A cache or a plugin may leave out the page number: let it keep away from /wp-json/"
                raise SourceError(self.name, place, f"page {page} of {pages} only repeats earlier ones", remedy)
            yield batch
            seen |= ids
            pages = _pages(reply) if batch else 0
            page += 1


def _is_post(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("id")) is int


def _pages(reply: Fetched) -> int:
    value = reply.headers.get("x-wp-totalpages", "")
    return int(value[:6]) if value.isdecimal() else 1


def _queries(reading: Reading) -> Iterator[dict[str, Any]]:
    """What to ask for: the first time all of two weeks; later what is new, and what was changed.

    Both are needed: a scheduled post appears with an old time of change. What was changed is asked for within
    the two weeks only, as a WordPress before 5.7 does not know `modified_after` and would send all it has.
    """
    start = _asked(reading.now - BACK)
    if reading.since is None:
        yield {"after": start}
    else:
        yield {"after": _asked(reading.since - _WIDER)}
        yield {"after": start, "modified_after": _asked(reading.since - _WIDER)}


def _asked(moment: datetime) -> str:
    return (moment - _WIDER).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _articles(
    posts: Mapping[int, Mapping[str, Any]], site: Site, now: datetime
) -> tuple[tuple[FoundArticle, ...], tuple[str, ...]]:
    articles: list[FoundArticle] = []
    notes: list[str] = []
    for number, post in sorted(posts.items()):
        try:
            articles.append(_article(post, site, now))
        except ValueError as error:
            notes.append(f"post {number} left out: {error}")
    return tuple(articles), tuple(notes)


def _article(post: Mapping[str, Any], site: Site, now: datetime) -> FoundArticle:
    """The article of a post. Raises ValueError that says why it is none."""
    title, excerpt = title_of(_rendered(post.get("title"))), post.get("excerpt")
    if not title:
        raise ValueError("it has no title")
    if isinstance(excerpt, dict) and excerpt.get("protected"):
        raise ValueError(f"{title[:60]!r} can be read with a password only")
    published_at = _published_at(post, site.zone)
    if too_far_ahead(published_at, now):
        raise ValueError(f"{title[:60]!r} claims to be published in the future, at {published_at:%Y-%m-%d %H:%M} UTC")
    url = web_url(str(post.get("link") or ""), site.root)
    embedded = post.get("_embedded")
    embeds = embedded if isinstance(embedded, dict) else {}
    sections = [each for each in _terms(embeds, "category") if each.lower() not in NO_SECTION]
    return FoundArticle(
        url=url,
        title=title,
        published_at=published_at,
        summary=text_of(_rendered(excerpt)),
        image=best_image(_first(embeds, "wp:featuredmedia"), url),
        section=sections[0] if sections else "",
        author=folded(text_of(str(_first(embeds, "author").get("name") or "")), MAX_WORD),
        tags=words_of(_terms(embeds, "post_tag")),
    )


def _published_at(post: Mapping[str, Any], zone: tzinfo) -> datetime:
    """`date_gmt`, which imported posts may lack; then `date`, in the site's zone."""
    for name, reads_in in (("date_gmt", UTC), ("date", zone)):
        try:
            return datetime.fromisoformat(str(post.get(name))).replace(tzinfo=reads_in).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    raise ValueError(f"its date {post.get('date_gmt') or post.get('date')!r} cannot be read")


def _rendered(value: Any) -> str:
    return str((value.get("rendered") if isinstance(value, dict) else value) or "")


def _first(embeds: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The first thing embedded; a security plugin may put an error object there, which counts as nothing."""
    values = embeds.get(name)
    first = values[0] if isinstance(values, list) and values else None
    return first if isinstance(first, dict) and "code" not in first else {}


def _terms(embeds: Mapping[str, Any], taxonomy: str) -> list[str]:
    groups = embeds.get("wp:term")
    lists = [group for group in groups if isinstance(group, list)] if isinstance(groups, list) else []
    terms = [term for group in lists for term in group if isinstance(term, dict) and "code" not in term]
    return [title_of(str(term["name"])) for term in terms if term.get("taxonomy") == taxonomy and term.get("name")]


def best_image(media: Mapping[str, Any], base: str) -> Image | None:
    """The featured picture in the size whose width is nearest to what a mail needs."""
    kind = str(media.get("mime_type") or "image/")
    if not media.get("source_url") or not kind.startswith("image/") or kind == "image/svg+xml":  # mail shows no SVG
        return None
    details = media.get("media_details")
    details = details if isinstance(details, dict) else {}
    whole = {"source_url": media["source_url"], "width": details.get("width"), "height": details.get("height")}
    sizes = details.get("sizes")
    offered = [size for size in (sizes.values() if isinstance(sizes, dict) else ()) if _shows_all_of(whole, size)]
    best = min([whole, *offered], key=lambda size: abs((pixels(size["width"]) or _NOT_TOLD) - _BEST_WIDTH))
    alt = title_of(str(media.get("alt_text") or ""))
    return image_of(str(best["source_url"]), base, alt, best["width"], best["height"])


def _shows_all_of(whole: Mapping[str, Any], size: Any) -> bool:
    """Whether a size is the picture made smaller; many themes also cut out squares and strips."""
    if not isinstance(size, dict) or not size.get("source_url"):
        return False
    values = [size.get("width"), size.get("height"), whole["width"], whole["height"]]
    if not all(isinstance(value, int) and value > 0 for value in values):
        return False
    return bool(abs(values[0] / values[1] - values[2] / values[3]) < 0.05)
