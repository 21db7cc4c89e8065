"""Articles, the address they are known by, and how often they were read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

_TRACKING = re.compile(r"(?:utm_.*|fbclid|gclid|dclid|msclkid|mc_cid|mc_eid|_ga|_gl|igshid)", re.I)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SAFE_IN_PATH = "/:@!$&'()*+,;=~-._"


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


def canonical_url(url: str, site: str = "") -> str:
    """The key by which views find their article: host and path, without what does not name the page.

    Scheme, host case, default port, trailing slash, fragment, campaign parameters, order of parameters and
    the way of percent-encoding do not matter. `url` may be a path; `site` then gives the host.
    Raises ValueError when there is no host to be had.
    """
    parts = urlsplit(urljoin(site, url.strip()) if site else url.strip())
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ValueError(f"{url[:200]!r} is not a web address")
    host = host if host.isascii() else host.encode("idna").decode()
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    path = quote(unquote(parts.path, errors="surrogateescape").encode("utf-8", "surrogateescape"), safe=_SAFE_IN_PATH)
    query = urlencode(
        sorted((k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.fullmatch(k))
    )
    return f"{host}{port}{path.rstrip('/')}" + (f"?{query}" if query else "")


def counted_since(previous: int, total: int) -> int:
    """Views between two readings of a lifetime counter that showed `previous`, then `total`.

    A counter that lost more than half was reset and counts from zero again. One that fell a little was
    corrected, or read from a stale cache: nobody read anything, and counting all of `total` would be wrong.
    """
    if total >= previous:
        return total - previous
    return total if total < previous / 2 else 0


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
