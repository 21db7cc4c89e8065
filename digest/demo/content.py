"""The sample site's articles and how often each was read, hour by hour, counted back from the demo's Saturday."""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from zlib import crc32

SITE_NAME = "The Vistula Post"
WEEKS = 3
# How the readers of a news site spread over a day, from midnight on; 1 is the busiest hour.
_DAY: tuple[float, ...] = (0.16, 0.09, 0.06, 0.05, 0.06, 0.14, 0.38, 0.70, 0.92, 0.85, 0.78, 0.74)
_DAY += (0.86, 0.80, 0.70, 0.66, 0.68, 0.76, 0.88, 0.98, 1.00, 0.90, 0.62, 0.32)
_VARIANTS = ("{site}{path}?utm_source=social&utm_medium=post", "{site}{bare}", "{shout}{path}", "{site}{path}#comments")


@dataclass(frozen=True, slots=True)
class SampleArticle:
    """One article of the sample site. `published_at` is local to the demo's Saturday."""

    slug: str
    title: str
    summary: str
    section: str
    author: str
    alt: str
    published_at: datetime
    peak: int
    fades: int

    @property
    def path(self) -> str:
        """Its place on the site."""
        return f"/{self.published_at:%Y/%m}/{self.slug}/"


def sample_articles(saturday: datetime) -> list[SampleArticle]:
    """Every article, newest first."""
    text = (files("digest.demo") / "articles.toml").read_text(encoding="utf-8")
    made = [
        SampleArticle(
            slug=_slug(each["title"]),
            title=each["title"],
            summary=each["summary"],
            section=each["section"],
            author=each["author"],
            alt=each["alt"],
            published_at=saturday - timedelta(hours=each["before"]),
            peak=each["peak"],
            fades=each["fades"],
        )
        for each in tomllib.loads(text)["article"]
    ]
    return sorted(made, key=lambda each: each.published_at, reverse=True)


def views_log(saturday: datetime, site_url: str) -> Iterator[tuple[str, datetime, int]]:
    """(address as the server saw it, hour, views) for three weeks; addresses come in all their spellings."""
    first = saturday - timedelta(weeks=WEEKS)
    for article in sample_articles(saturday):
        at = article.published_at.replace(minute=0, second=0, microsecond=0)
        while at < saturday + timedelta(hours=2):
            if at >= first and (views := _views(article, at)):
                yield from _spelled(article, at, views, site_url)
            at += timedelta(hours=1)
    for hour in range(WEEKS * 7 * 24):
        yield f"{site_url}/contact/", first + timedelta(hours=hour), 3
        yield "/about-us/", first + timedelta(hours=hour), 2


def _views(article: SampleArticle, at: datetime) -> int:
    age = max((at - article.published_at).total_seconds() / 3600, 0.0)
    luck = 0.85 + 0.3 * (crc32(f"{article.slug}{at:%Y%m%d%H}".encode()) % 1000) / 1000
    faded: float = 0.5 ** (age / article.fades)
    return math.floor(article.peak * faded * _DAY[at.hour] * luck)


def _spelled(article: SampleArticle, at: datetime, views: int, site_url: str) -> Iterator[tuple[str, datetime, int]]:
    """Most readers come by the plain address, some by another spelling of it."""
    other = views // 7
    yield f"{site_url}{article.path}", at, views - other
    if other:
        form = _VARIANTS[crc32(f"{at:%d%H}{article.slug}".encode()) % len(_VARIANTS)]
        shout = site_url.upper().replace("HTTP:", "http:")
        yield form.format(site=site_url, path=article.path, bare=article.path.rstrip("/"), shout=shout), at, other


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title.replace("ł", "l").replace("Ł", "L")).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-").split("-")
    return "-".join(words[:8])
