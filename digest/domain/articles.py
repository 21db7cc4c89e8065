"""Articles, the address they are known by, and how often they were read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

_TRACKING = re.compile(
    r"(?:utm_.*|fbclid|gclid|dclid|gbraid|wbraid|gad_source|gad_campaignid|srsltid|msclkid|ttclid|twclid|li_fat_id"
    r"|yclid|_openstat|mc_cid|mc_eid|_ga|_gl|igshid|ref_src)",
    re.I,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SAFE_IN_PATH = "/:@!$&'()*+,;=~-._"
_HOST = re.compile(r"[a-z0-9_.-]+")
_IPV6 = re.compile(r"[0-9a-f:.]+")
_LONGEST = 2000  # characters of a key; PostgreSQL's index takes 2704 bytes
_SAME_BY_ENDING = frozenset({"", "amp", "index.html", "index.htm", "index.php"})
# Of WordPress's AMP plugins and of Arc.
_SAME_BY_QUERY = frozenset({("amp", ""), ("amp", "1"), ("amp", "true"), ("outputtype", "amp")})


@dataclass(frozen=True, slots=True)
class Image:
    """A picture of an article: absolute https or http URL, the source's own alt text, size in pixels if known."""

    url: str
    alt: str = ""
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class FoundArticle:
    """An article as a source reports it. `url` is absolute; `published_at` is aware UTC."""

    url: str
    title: str
    published_at: datetime
    summary: str = ""
    image: Image | None = None
    section: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    shares: int | None = None  # how often it was shared, where the source says so
    words: int | None = None  # of its text, where the source gives it


@dataclass(frozen=True, slots=True)
class Article:
    """An article we know: a found one with our id, when we first saw it, and the desk's wishes for it."""

    id: int
    url: str
    title: str
    published_at: datetime
    first_seen_at: datetime
    summary: str = ""
    image: Image | None = None
    section: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    source: str = ""
    pinned_at: datetime | None = None
    banned_at: datetime | None = None
    pinned_position: int | None = None  # the place the desk wants it at, from 1
    gone_at: datetime | None = None  # when its page was found to be no more
    shares: int | None = None
    words: int | None = None


@dataclass(frozen=True, slots=True)
class ViewCount:
    """How often the page at `url` was read in the bucket [at, at + span); `at` is aware UTC."""

    url: str
    at: datetime
    span: timedelta
    views: int


@dataclass(frozen=True, slots=True)
class LifetimeTotal:
    """How often the page at `url` was ever read, as a counter without periods shows it."""

    url: str
    total: int


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one reading of a source brought, whole or not at all."""

    articles: tuple[FoundArticle, ...] = ()
    views: tuple[ViewCount, ...] = ()
    totals: tuple[LifetimeTotal, ...] = ()
    remembered: dict[str, str] = field(default_factory=dict)  # for the source's next reading: ETag, last hour
    notes: tuple[str, ...] = ()  # items left out and why, for the operator


def canonical_url(url: str, site: str = "", prefixes: Collection[str] = ()) -> str:
    """The key by which views find their article: host and path, without what does not name the page.

    Scheme, host case, default port, trailing slash, fragment, campaign parameters, order of parameters and the way of
    percent-encoding do not matter; nor do doubled slashes, and dots that stand for a folder. Nor does a leading `www.`:
    all but no site shows another paper there, while search engines, counters and feeds often name the two by turns;
    told apart, an article would lose half its readers. Nor do endings that show the same article another way: `/amp`,
    `?amp=1`, `?outputType=amp`, `/page/2`, `/index.php`.
    Of `prefixes`, such as "/m", the longest that begins the path is taken off, once.

    `url` may be a path; `site` then gives the host. The key is ASCII, and "https://" before it gives the key again.
    Raises ValueError when there is no host to be had, or the key would be longer than a database's index takes.
    """
    try:
        parts = urlsplit(urljoin(site, url.strip()) if site else url.strip())
        is_page = parts.scheme in _DEFAULT_PORTS and "\\" not in parts.netloc  # which browsers take for a slash
        host = _host(parts.hostname or "") if is_page else ""
        port = "" if parts.port in (None, *_DEFAULT_PORTS.values()) else f":{parts.port}"
        query = urlencode(sorted(_naming(parse_qsl(parts.query, keep_blank_values=True))))
        path = _without_prefix(_without_endings(_segments(parts.path)), prefixes)
    except ValueError:  # of the many kinds that a port, a bracket or half a surrogate pair raises
        host = ""
    if not host:
        raise ValueError(f"{url[:200]!r} is not a web address")
    key = f"{host}{port}{'/'.join(path)}" + (f"?{query}" if query else "")
    if len(key) > _LONGEST:
        raise ValueError(f"{url[:100]!r}... is longer than a web address can be")
    return key


def _host(name: str) -> str:
    """The host in ASCII, an IPv6 address in its brackets; empty when it can be none."""
    if ":" in name:
        return f"[{name}]" if _IPV6.fullmatch(name) else ""
    host = (name if name.isascii() else name.encode("idna").decode()).lower().strip(".")
    while host.startswith("www.") and "." in host[4:]:
        host = host[4:].lstrip(".")
    return host if _HOST.fullmatch(host) else ""


def _naming(query: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parameters that name the page."""
    return [(k, v) for k, v in query if not _TRACKING.fullmatch(k) and (k.lower(), v.lower()) not in _SAME_BY_QUERY]


def _segments(path: str) -> list[str]:
    """The parts of a path between slashes, each percent-encoded in one way; only the first is empty."""
    plain = unquote(path, errors="surrogateescape").encode("utf-8", "surrogateescape")
    segments: list[str] = []
    for each in quote(plain, safe=_SAFE_IN_PATH).split("/"):
        if each == "..":  # RFC 3986, section 5.2.4
            del segments[-1:]
        elif each not in ("", "."):
            segments.append(each)
    return ["", *segments]


def _without_endings(segments: list[str]) -> list[str]:
    while segments:
        if segments[-1].lower() in _SAME_BY_ENDING:
            segments = segments[:-1]
        elif segments[-2:-1] == ["page"] and segments[-1].isdecimal():
            segments = segments[:-2]
        else:
            break
    return segments


def _without_prefix(segments: list[str], prefixes: Collection[str]) -> list[str]:
    for prefix in sorted((_without_endings(_segments(each)) for each in prefixes), key=len, reverse=True):
        if len(prefix) > 1 and segments[: len(prefix)] == prefix:
            return ["", *segments[len(prefix) :]] if segments[len(prefix) :] else []
    return segments


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one site: `site_url` completes paths, `prefixes` are paths that only show a page another way."""

    site_url: str = ""
    prefixes: tuple[str, ...] = ()

    def key(self, url: str) -> str:
        """The canonical URL of a page. Raises ValueError."""
        return canonical_url(url, self.site_url, self.prefixes)

    def is_variant(self, url: str, key: str) -> bool:
        """Whether the page of this key has a plainer address than `url`, such as /a for /a/amp or /a?utm_source=x."""
        return _plain(urljoin(self.site_url, url)) != _plain(key)


def spelling(url: str, key: str) -> str:
    """A name for one way to write the address of the page `key`: a lifetime counter belongs to the address it is of."""
    return (
        key
        if url.partition("://")[2] == key
        else f"{key}#{hashlib.sha256(url.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    )


def _plain(url: str) -> str:
    """An address without what every site writes in a way of its own."""
    return unquote(url.partition("://")[2] or url).casefold().removeprefix("www.").rstrip("/")


def counted_since(previous: int, total: int) -> int:
    """Views between two readings of a lifetime counter that showed `previous`, then `total`.

    A counter never goes down by itself: one that fell was reset, and all that it shows now was read since.
    """
    return total - previous if total >= previous else total


def spread(views: int, since: datetime, until: datetime) -> list[tuple[datetime, timedelta, int]]:
    """Share `views` counted somewhere between two readings over the clock hours in between, by time.

    Sums to `views` exactly. A reading a few seconds after the cut-off thus credits the closed week.
    """
    hours: list[tuple[datetime, float]] = []
    start = since.replace(minute=0, second=0, microsecond=0)
    while start < until:
        end = start + timedelta(hours=1)
        hours.append((start, (min(end, until) - max(start, since)).total_seconds()))
        start = end
    length = (until - since).total_seconds()
    shares, given, passed = [], 0, 0.0
    for at, seconds in hours:
        passed += seconds
        upto = round(views * passed / length)
        if upto > given:
            shares.append((at, timedelta(hours=1), upto - given))
        given = upto
    return shares
