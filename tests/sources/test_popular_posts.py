"""The views of closed weeks out of a counter that always ends now, against a count of the log itself."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import WordPressSource
from digest.domain.articles import Harvest, ViewCount
from digest.domain.periods import Period, Schedule
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetcher
from digest.sources.popular_posts import comes_twice
from digest.sources.wordpress import WordPress
from tests.sources.web import Answer, Asked, Web
from tests.sources.wordpress_site import Site

WARSAW = ZoneInfo("Europe/Warsaw")
CUTOFF = Schedule.parse("sat 08:00", WARSAW)
WEEKS = {  # the Saturday that closes it
    "winter time": (datetime(2026, 11, 28, 7, tzinfo=UTC), 168),
    "clocks forward on March 29": (datetime(2026, 4, 4, 6, tzinfo=UTC), 167),
    "clocks back on October 25": (datetime(2026, 10, 31, 7, tzinfo=UTC), 169),
}
closed_weeks = pytest.mark.parametrize(("end", "hours"), WEEKS.values(), ids=WEEKS)


@dataclass
class Clock:
    """The time, for the site and for us; sleeping moves it."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def read(site: Site, clock: Clock, edges: list[datetime], remembered: dict[str, str]) -> Harvest:
    async def work() -> Harvest:
        source = WordPress(WordPressSource(name="site", kind="wordpress", url=site.web.url))
        async with Fetcher(
            "site", timedelta(seconds=30), 10_000_000, homes=("http://127.0.0.1",), sleep=clock.sleep
        ) as fetcher:
            return await source.read(fetcher, Reading(clock.now, clock.now, tuple(edges), remembered))

    return asyncio.run(work())


def news_site(web: Web, clock: Clock, end: datetime, posts: int = 40, views: int = 4000) -> Site:
    """A site with a log of three weeks before and a few hours after `end`, many views close to the cut-offs."""
    dice = random.Random(42)
    site = Site(web, WARSAW, clock)
    edges = [end, CUTOFF.before(end), CUTOFF.before(CUTOFF.before(end))]
    for number in range(1, posts + 1):
        site.publish(number, end - timedelta(hours=3 * number))
    for _ in range(views):
        post = min(int(dice.expovariate(4 / posts)), posts - 1) + 1
        near = dice.choice(edges) + timedelta(seconds=dice.randint(-7200, 7200))
        anywhere = end - timedelta(seconds=dice.randint(-10_000, 21 * 86_400))
        site.views.append((post, dice.choice([near, anywhere])))
    return site


def edges_before(now: datetime) -> list[datetime]:
    last = CUTOFF.last(now)
    return [CUTOFF.before(last), last]


def week_of(counts: list[ViewCount], week: Period) -> Counter[str]:
    """The week's views by address, as the store sums them: one count for each bucket."""
    buckets = {(each.url, each.at, each.span): each.views for each in counts}
    assert len(buckets) == len(counts), "no bucket is counted twice"
    total: Counter[str] = Counter()
    for (url, at, span), views in buckets.items():
        if week.counts(at, span):
            total[url] += views
    return total


def independent(site: Site, week: Period) -> Counter[str]:
    return Counter(f"{site.web.url}/article-{post}/" for post, at in site.views if week.start <= at < week.end)


@closed_weeks
def test_the_first_reading_counts_the_closed_week(web: Web, end: datetime, hours: int) -> None:
    clock = Clock(end + timedelta(hours=3))
    site = news_site(web, clock, end)
    week = Period(CUTOFF.before(end), end)
    assert week.hours == hours
    harvest = read(site, clock, edges_before(clock.now), {})
    assert week_of(list(harvest.views), week) == independent(site, week)


@pytest.mark.parametrize("second", [1, 29, 31, 59])
def test_a_first_reading_does_not_wait_and_is_half_a_minute_off_at_most(web: Web, second: int) -> None:
    end = WEEKS["winter time"][0]
    clock = Clock(end + timedelta(hours=3, seconds=second))
    site = news_site(web, clock, end)
    before = clock.now
    week = Period(CUTOFF.before(end), end)
    got, wanted = week_of(list(read(site, clock, edges_before(before), {}).views), week), independent(site, week)
    assert clock.now == before
    near = [at for _, at in site.views if min(abs(at - week.start), abs(at - week.end)) <= timedelta(seconds=31)]
    assert sum(abs(got[url] - wanted[url]) for url in wanted | got) <= len(near)


@closed_weeks
def test_readings_at_odd_moments_add_up_to_the_same_week(web: Web, end: datetime, hours: int) -> None:
    clock = Clock(CUTOFF.before(end) - timedelta(hours=30))
    site = news_site(web, clock, end)
    dice = random.Random(7)
    remembered: dict[str, str] = {}
    counts: list[ViewCount] = []
    while clock.now < end + timedelta(hours=2):
        harvest = read(site, clock, edges_before(clock.now), remembered)
        counts += harvest.views
        remembered = dict(harvest.remembered)
        # Hours apart, at any second; and once right at the cut-off, as the schedule reads.
        jump = clock.now + timedelta(seconds=dice.randint(3000, 40_000))
        clock.now = end + timedelta(seconds=1) if clock.now < end <= jump else jump
        clock.now = clock.now.replace(microsecond=0)
    week = Period(CUTOFF.before(end), end)
    got, wanted = week_of(counts, week), independent(site, week)
    assert wanted.total() > 500
    assert sum(abs(got[url] - wanted[url]) for url in wanted | got) <= 3  # of the seconds in which edges are asked
    assert got.most_common(3) == wanted.most_common(3)


@closed_weeks
def test_no_view_is_counted_twice_or_lost_over_all_readings(web: Web, end: datetime, hours: int) -> None:
    start = CUTOFF.before(end) - timedelta(days=1)
    clock = Clock(start)
    site = news_site(web, clock, end)
    remembered = {"counted_until": start.isoformat()}
    counts: list[ViewCount] = []
    while clock.now < end + timedelta(hours=1):
        clock.now += timedelta(hours=5)  # always on the minute: then nothing at all may be off
        harvest = read(site, clock, edges_before(clock.now), remembered)
        counts += harvest.views
        remembered = dict(harvest.remembered)
    until = datetime.fromisoformat(remembered["counted_until"])
    assert sum(each.views for each in counts) == sum(start <= at < until for _, at in site.views)
    spans = sorted({(each.at, each.at + each.span) for each in counts})
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_a_window_of_many_pages_is_read_to_its_end(web: Web) -> None:
    end = WEEKS["winter time"][0]
    clock = Clock(end + timedelta(hours=1))
    site = news_site(web, clock, end, posts=1200, views=8000)
    week = Period(CUTOFF.before(end), end)
    harvest = read(site, clock, edges_before(clock.now), {})
    assert week_of(list(harvest.views), week) == independent(site, week)


def test_a_server_that_gives_less_than_asked_is_asked_on(web: Web) -> None:
    end = WEEKS["winter time"][0]
    clock = Clock(end + timedelta(hours=1))
    site = news_site(web, clock, end, posts=300, views=4000)
    path = "/wp-json/wordpress-popular-posts/v1/popular-posts"

    def at_most_a_hundred(asked: Asked) -> Answer:
        return site.answer_popular(replace(asked, query={**asked.query, "limit": "100"}))

    web.routes[path] = at_most_a_hundred
    week = Period(CUTOFF.before(end), end)
    assert week_of(list(read(site, clock, edges_before(clock.now), {}).views), week) == independent(site, week)


def test_within_the_hour_nothing_is_asked_twice(web: Web) -> None:
    end = WEEKS["winter time"][0]
    clock = Clock(end + timedelta(hours=1, minutes=20))
    site = news_site(web, clock, end)
    first = read(site, clock, edges_before(clock.now), {})
    web.asked.clear()
    clock.now += timedelta(minutes=15)
    again = read(site, clock, edges_before(clock.now), dict(first.remembered))
    assert again.views == () and again.remembered == first.remembered
    assert not [asked for asked in web.asked if "popular" in asked.path]


def test_no_answer_kept_by_a_cache_can_be_taken_for_a_new_one(web: Web) -> None:
    end = WEEKS["winter time"][0]
    clock = Clock(end + timedelta(hours=1))
    site = news_site(web, clock, end)
    remembered: dict[str, str] = {}
    for _ in range(3):
        remembered = dict(read(site, clock, edges_before(clock.now), remembered).remembered)
        clock.now += timedelta(hours=1)
    queries = [tuple(sorted(asked.query.items())) for asked in web.asked if "popular" in asked.path]
    assert len(set(queries)) == len(queries)


def test_during_the_hour_that_comes_twice_views_wait(web: Web) -> None:
    clock = Clock(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))  # 02:30 for the second time
    end = WEEKS["clocks back on October 25"][0]
    site = news_site(web, clock, end)
    remembered = {"counted_until": "2026-10-24T22:00:00+00:00"}
    harvest = read(site, clock, edges_before(clock.now), remembered)
    assert harvest.views == () and "comes twice" in harvest.notes[-1]
    assert harvest.remembered["counted_until"] == remembered["counted_until"]
    clock.now = datetime(2026, 10, 25, 3, 0, tzinfo=UTC)
    later = read(site, clock, edges_before(clock.now), dict(harvest.remembered))
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert sum(each.views for each in later.views) == sum(start <= at < clock.now for _, at in site.views)


@pytest.mark.parametrize(
    ("utc", "twice"),
    [("00:59:59", True), ("00:00:00", False), ("00:00:01", True), ("01:00:00", True), ("02:00:00", False)],
)
def test_only_moments_the_wall_clock_cannot_tell_come_twice(utc: str, twice: bool) -> None:
    assert comes_twice(datetime.fromisoformat(f"2026-10-25T{utc}+00:00"), WARSAW) is twice
    assert not comes_twice(datetime.fromisoformat(f"2026-03-29T{utc}+00:00"), WARSAW)
    assert not comes_twice(datetime.fromisoformat(f"2026-10-25T{utc}+00:00"), UTC)


def test_counts_that_cannot_be_read_are_refused(web: Web) -> None:
    clock = Clock(WEEKS["winter time"][0])
    site = Site(web, WARSAW, clock)
    web.says("/wp-json/wordpress-popular-posts/v1/popular-posts", [{"id": 1, "link": "/a"}])
    with pytest.raises(SourceError, match="counts cannot be read.*pageviews"):
        read(site, clock, edges_before(clock.now), {})


def test_an_old_article_that_is_read_again_becomes_known(web: Web) -> None:
    clock = Clock(WEEKS["winter time"][0])
    site = news_site(web, clock, clock.now)
    site.publish(5000, clock.now - timedelta(days=900))
    site.views += [(5000, clock.now - timedelta(hours=1))] * 9
    assert "Article 5000" in {each.title for each in read(site, clock, edges_before(clock.now), {}).articles}
