"""Articles and views out of a real WordPress: its own REST API, its own feed, its own local time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import FeedSource, WordPressSource
from digest.domain.articles import FoundArticle, Harvest
from digest.domain.periods import Period, Schedule
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.feed import Feed
from digest.sources.wordpress import WordPress
from tests.real.wordpress_server import WordPressServer, running

WARSAW = ZoneInfo("Europe/Warsaw")
MANY = 130  # articles: more than WordPress gives on one page


@dataclass
class Filled:
    """The site, what was put into it, and when."""

    server: WordPressServer
    now: datetime
    edges: list[datetime]
    urls: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    views: list[tuple[int, datetime]] = field(default_factory=list)

    def add(self, *posts: dict[str, Any], views: list[tuple[int, datetime]] = []) -> list[str]:  # noqa: B006
        """Publish posts and log views; returns the new posts' addresses."""
        local = [[post, f"{at.astimezone(WARSAW):%Y-%m-%d %H:%M:%S}"] for post, at in views]
        said = self.server.fill({"posts": posts, "views": local, "ids": self.ids, "first": len(self.ids)})
        new = said["urls"][len(self.ids) :]
        self.urls, self.ids = said["urls"], said["ids"]
        self.views += views
        return new


@pytest.fixture(scope="module")
def site() -> Iterator[Filled]:
    """A WordPress with 130 articles over eleven days, three odd ones, an old one, and a log of views."""
    now = datetime.now(UTC)
    schedule = Schedule.parse("sat 08:00", WARSAW)
    last = schedule.last(now)
    with running() as server:
        site = Filled(server, now, [schedule.before(last), last])
        posts = [_post(f"Article {n}", now - timedelta(hours=2 * n + 1)) for n in range(MANY)]
        posts[0] |= {
            "title": "Tea &amp; “coffee” < 5 zł",
            "section": "Food",
            "tags": ["tea", "zażółć"],
            "image": "A cup",
        }
        posts[0] |= {"excerpt": "<p>Why <b>tea</b> &#8211; and not coffee &hellip;</p>"}
        posts.append({**_post("Secret", now - timedelta(hours=3)), "password": "sesame"})
        posts.append({**_post("Unfinished", now - timedelta(hours=3)), "status": "draft"})
        posts.append(_post("An old story everybody reads again", now - timedelta(days=400)))
        site.add(*posts, views=_views(random.Random(7), len(posts), site.edges, now))
        yield site


def _post(title: str, at: datetime) -> dict[str, Any]:
    return {"title": title, "date_gmt": f"{at:%Y-%m-%d %H:%M:%S}"}


def _views(dice: random.Random, posts: int, edges: list[datetime], now: datetime) -> list[tuple[int, datetime]]:
    """Views since a day before the first cut-off; none within a minute of an edge, see popular_posts."""
    start = edges[0] - timedelta(days=1)
    length = (now - start).total_seconds() - 300
    views = []
    for _ in range(6000):
        post = posts - 1 if dice.random() < 0.05 else min(int(dice.expovariate(0.05)), MANY - 1)
        at = start + timedelta(seconds=int(dice.random() * length))
        if abs((at - at.replace(minute=0, second=0)).total_seconds() - 1800) < 1700:
            views.append((post, at.replace(microsecond=0)))
    return views


def _read(site: Filled, now: datetime | None = None, **reading: Any) -> Harvest:
    source = WordPress(WordPressSource(name="site", kind="wordpress", url=site.server.url))
    return asyncio.run(source.collect(Reading(now or datetime.now(UTC), edges=tuple(site.edges), **reading)))


def _by_title(harvest: Harvest) -> dict[str, FoundArticle]:
    return {article.title: article for article in harvest.articles}


def test_every_page_of_articles_is_read_with_all_that_belongs_to_them(site: Filled) -> None:
    found = _by_title(_read(site))
    assert {f"Article {n}" for n in range(1, MANY)} <= set(found)
    tea = found["Tea & “coffee” < 5 zł"]
    assert (tea.section, tea.author, set(tea.tags)) == ("Food", "Anna Nowak", {"tea", "zażółć"})
    assert tea.summary == "Why tea – and not coffee …"
    assert tea.url == site.urls[0]
    assert tea.published_at == (site.now - timedelta(hours=1)).replace(microsecond=0)
    assert tea.image is not None
    assert (tea.image.width, tea.image.height, tea.image.alt) == (1024, 576, "A cup")
    assert tea.image.url.endswith("-1024x576.jpg")


def test_what_nobody_can_read_is_left_out_and_no_section_is_made_up(site: Filled) -> None:
    harvest = _read(site)
    found = _by_title(harvest)
    assert not [title for title in found if "Secret" in title or "Unfinished" in title]
    assert any("password" in note for note in harvest.notes)
    assert found["Article 1"].section == ""  # WordPress files it under "Uncategorized"


def test_the_views_of_the_closed_week_are_those_of_an_independent_count(site: Filled) -> None:
    harvest = _read(site)
    week = Period(site.edges[0], site.edges[1])
    counted: Counter[str] = Counter()
    for each in harvest.views:
        if week.counts(each.at, each.span):
            counted[each.url] += each.views
    expected = Counter(site.urls[post] for post, at in site.views if at in week)
    assert len(counted) > 50
    assert counted == expected


def test_an_old_article_that_is_read_again_becomes_known(site: Filled) -> None:
    assert "An old story everybody reads again" in _by_title(_read(site))


def test_a_later_reading_asks_for_what_is_new_or_changed_only(site: Filled) -> None:
    read_at = datetime.now(UTC)
    first = _read(site, read_at)
    site.add(_post("Breaking", read_at - timedelta(minutes=1)))
    site.server.fill({"renames": {site.ids[110]: "Article 110, corrected"}})
    later = _read(site, read_at, since=read_at, remembered=first.remembered)
    assert {"Breaking", "Article 110, corrected"} <= set(_by_title(later))
    assert "Article 100" not in _by_title(later)
    assert later.views == ()  # no hour has ended since
    assert later.remembered == first.remembered


def test_the_feed_of_the_same_site_tells_the_same(site: Filled) -> None:
    harvest = asyncio.run(
        Feed(FeedSource(name="feed", kind="feed", url=f"{site.server.url}/feed/")).collect(Reading(datetime.now(UTC)))
    )
    assert not harvest.notes
    rest = {article.url: article for article in _read(site).articles}
    assert len(harvest.articles) >= 8  # ten, less those with a password
    for article in harvest.articles:
        if article.url in rest:
            assert (article.title, article.published_at) == (rest[article.url].title, rest[article.url].published_at)


def test_an_address_that_is_no_wordpress_says_so(site: Filled) -> None:
    source = WordPress(WordPressSource(name="site", kind="wordpress", url=f"{site.server.url}/wp-includes/css"))
    with pytest.raises(SourceError, match="source 'site'"):
        asyncio.run(source.collect(Reading(datetime.now(UTC))))
