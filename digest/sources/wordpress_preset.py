"""Articles and views of a WordPress out of its tables, as its REST API would tell them.

Titles and excerpts are as they were typed: WordPress sets nicer quotation marks when it shows them. Addresses are
those WordPress itself makes; one that a plugin changes on the way is not known here, and the API is the better way.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import urlsplit

from digest.config.sources import SqlSource
from digest.domain.articles import FoundArticle, Harvest, Image
from digest.sources import Reading
from digest.sources.counters import Plan, whole
from digest.sources.permalinks import Permalinks, PostRow
from digest.sources.php_values import php_value, within
from digest.sources.plain import MAX_WORD, folded, text_of, title_of, too_far_ahead, web_url, words_of
from digest.sources.sql_session import Session
from digest.sources.wordpress import BACK, NO_SECTION, best_image
from digest.sources.wordpress_tables import Tables

_STRANGERS = 100  # older posts that are read again and become articles
_WORDS = 55  # of an article that stand in for an excerpt, as WordPress has it
_SHORTCODE = re.compile(r"\[/?[a-z][\w-]*(?:\s[^\]]*)?\]", re.I)
_FILE, _DETAILS, _ALT = "_wp_attached_file", "_wp_attachment_metadata", "_wp_attachment_image_alt"


def harvest(session: Session, section: SqlSource, site_url: str, reading: Reading) -> Harvest:
    """Posts of the last two weeks and those read most, and the views of the preset's counter. Raises SourceError."""
    tables = Tables(session, section.prefix)
    tables.read_settings()
    counter = tables.counter(section.preset)
    plan = Plan.of(reading, counter.name, counter.zone, counter.grain)
    counts = list(tables.counts(section.preset, plan))
    read: Tally[int] = Tally()
    for count in counts:
        read[count.post] += count.views
    posts = tables.posts(reading.now - BACK, [post for post, _ in read.most_common(_STRANGERS)])
    site = Site.of(tables, site_url, posts, set(read) - set(posts))
    articles, notes = site.articles(reading.now)
    told = [*plan.notes(counter.newest, bool(counts)), *tables.notes, *notes, *site.notes(site_url)]
    if counter.sampling > 1:
        told.append(f"{counter.name} looks at one view in {counter.sampling} only: its numbers are estimates")
    return Harvest(articles, plan.views(counts, site.links), remembered=plan.remembered, notes=tuple(told))


@dataclass(frozen=True, slots=True)
class Site:
    """What the tables say of some posts; `links` are addresses by post id, also of posts that are no articles here."""

    zone: tzinfo
    permalinks: Permalinks
    uploads: str
    posts: Mapping[int, Mapping[str, Any]]
    links: Mapping[int, str]
    terms: Mapping[int, list[dict[str, Any]]]
    authors: Mapping[int, Mapping[str, Any]]
    images: Mapping[int, Image] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Tables, site_url: str, posts: Mapping[int, Mapping[str, Any]], counted: Iterable[int]) -> Site:
        """All that belongs to `posts`, and the addresses of those that were `counted` beside them."""
        permalinks = tables.permalinks(site_url)
        rows = [*posts.values(), *tables.addresses(counted)]
        ids = [whole(row["id"]) for row in rows] if permalinks.asks_for("%category%") else list(posts)
        terms = tables.terms(ids)
        authors = tables.authors(whole(row["post_author"]) for row in rows)
        links = {
            whole(row["id"]): permalinks.of(
                PostRow(
                    whole(row["id"]),
                    str(row["post_name"]),
                    str(row["post_date"]),
                    str(authors.get(whole(row["post_author"]), {}).get("user_nicename", "")),
                    tuple(whole(term["term"]) for term in terms[whole(row["id"])] if term["taxonomy"] == "category"),
                )
            )
            for row in rows
        }
        uploads = _uploads(tables, site_url)
        return cls(tables.zone, permalinks, uploads, posts, links, terms, authors, _images(tables, posts, uploads))

    def articles(self, now: datetime) -> tuple[tuple[FoundArticle, ...], list[str]]:
        """(articles, notes on those left out)."""
        articles: list[FoundArticle] = []
        notes: list[str] = []
        for number, post in sorted(self.posts.items()):
            try:
                articles.append(self._article(number, post, now))
            except ValueError as error:
                notes.append(f"post {number} left out: {error}")
        return tuple(articles), notes

    def notes(self, site_url: str) -> list[str]:
        """A site that calls itself by another name than config.toml does."""
        here, there = urlsplit(self.permalinks.home).hostname, urlsplit(site_url).hostname
        if here == there:
            return []
        return [f"WordPress calls itself {self.permalinks.home}, and [site] url is {site_url}: counts from elsewhere "
                "will not match its addresses"]  # fmt: skip

    def _article(self, number: int, post: Mapping[str, Any], now: datetime) -> FoundArticle:
        """The article of a post. Raises ValueError that says why it is none."""
        title = title_of(str(post["post_title"] or ""))
        if not title:
            raise ValueError("it has no title")
        published_at = _published_at(post, self.zone)
        if too_far_ahead(published_at, now):
            raise ValueError(f"{title[:60]!r} claims to be published in the future")
        sections = [each for each in self._named(number, "category") if each.lower() not in NO_SECTION]
        author = self.authors.get(whole(post["post_author"]), {}).get("display_name")
        return FoundArticle(
            url=web_url(self.links[number], self.permalinks.home),
            title=title,
            published_at=published_at,
            summary=_summary(post),
            image=self.images.get(number),
            section=sections[0] if sections else "",
            author=folded(text_of(str(author or "")), MAX_WORD),
            tags=words_of(self._named(number, "post_tag")),
        )

    def _named(self, number: int, taxonomy: str) -> list[str]:
        return [title_of(str(term["name"])) for term in self.terms[number] if term["taxonomy"] == taxonomy]


def _published_at(post: Mapping[str, Any], zone: tzinfo) -> datetime:
    """The time in UTC, which imported posts may lack; then the local one."""
    for name, reads_in in (("post_date_gmt", UTC), ("post_date", zone)):
        try:
            return datetime.fromisoformat(str(post[name])).replace(tzinfo=reads_in).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    raise ValueError(f"its date {post['post_date']!r} cannot be read")


def _summary(post: Mapping[str, Any]) -> str:
    if excerpt := text_of(str(post["post_excerpt"] or "")):
        return excerpt
    words = text_of(_SHORTCODE.sub("", str(post["content"] or "")), 20 * MAX_WORD).split()
    return " ".join(words[:_WORDS]) + ("…" if len(words) > _WORDS else "")


def _uploads(tables: Tables, site_url: str) -> str:
    """Where pictures lie (wp-includes/functions.php, _wp_upload_dir)."""
    home = (tables.settings.get("siteurl") or site_url).rstrip("/")
    path = tables.settings.get("upload_path", "").strip("/")
    relative = path if path and not tables.settings["upload_path"].startswith("/") else "wp-content/uploads"
    network = re.search(r"_(\d+)_$", tables.prefix)  # another site of a network has a folder of its own
    return (tables.settings.get("upload_url_path") or f"{home}/{relative}") + (
        f"/sites/{network[1]}" if network else ""
    )


def _images(tables: Tables, posts: Mapping[int, Any], uploads: str) -> dict[int, Image]:
    """The featured pictures by post id."""
    chosen = {
        post: int(meta["_thumbnail_id"])
        for post, meta in tables.meta(posts, "_thumbnail_id").items()
        if meta["_thumbnail_id"].isdecimal()
    }
    meta = tables.meta(chosen.values(), _FILE, _DETAILS, _ALT)
    kinds = tables.kinds(chosen.values())
    found = {post: _image(meta[picture], kinds.get(picture, ""), uploads) for post, picture in chosen.items()}
    return {post: image for post, image in found.items() if image}


def _image(meta: Mapping[str, str], kind: str, uploads: str) -> Image | None:
    """The picture in the size a mail needs, told as the REST API tells it."""
    if not meta.get(_FILE):
        return None
    whole_one = meta[_FILE] if "://" in meta[_FILE] else f"{uploads}/{meta[_FILE]}"
    details = php_value(meta.get(_DETAILS, "")) or {}
    sizes = within(details, "sizes")
    made = {
        name: {**size, "source_url": posixpath.join(posixpath.dirname(whole_one), str(size["file"]))}
        for name, size in (sizes.items() if isinstance(sizes, dict) else ())
        if isinstance(size, dict) and size.get("file")
    }
    shown = {"width": within(details, "width"), "height": within(details, "height"), "sizes": made}
    media = {"source_url": whole_one, "mime_type": kind, "alt_text": meta.get(_ALT, ""), "media_details": shown}
    return best_image(media, uploads)
