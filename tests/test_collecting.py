"""Sources into the store: views find their article, nothing is half kept, nothing counts twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from digest import collecting
from digest.config.sources import FeedSource
from digest.domain.articles import FoundArticle, Harvest, LifetimeTotal, Pages, ViewCount
from digest.domain.periods import Period, Schedule
from digest.errors import SourceError, StoreUnavailable
from digest.sources.feed import Feed
from digest.store import Store, articles
from tests.servers import free_port
from tests.service import every_candidate
from tests.sources.web import Answer, serving

SITE = "https://news.example.com"
PAGES = Pages(SITE, ("/m", "/pl"))
HOUR = timedelta(hours=1)
END = datetime(2026, 11, 28, 7, tzinfo=UTC)
WEEK = Period(END - timedelta(days=7), END)
WARSAW = ZoneInfo("Europe/Warsaw")


@dataclass
class Given:
    """A source that gives what the test says, reading after reading."""

    harvests: list[Harvest | Exception]
    name: str = "given"
    readings: list = field(default_factory=list)

    async def collect(self, reading):
        self.readings.append(reading)
        found = self.harvests.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def collect(store, *harvests, at=END):
    source = Given(list(harvests))
    results = [asyncio.run(collecting.collect(store, source, PAGES, [], at + n * HOUR)) for n in range(len(harvests))]
    return results, source


def article(slug, published=END - timedelta(days=2)):
    return FoundArticle(f"{SITE}/{slug}", slug.upper(), published)


def views(store, period=WEEK):
    with store.read() as tx:
        return {c.title: c.views for c in every_candidate(tx, period)}


def test_spellings_of_one_page_are_added_up(store):
    spellings = ["/a", "/a/", "http://NEWS.example.com/a?utm_source=x", "https://news.example.com/a#top"]
    counts = tuple(ViewCount(url, END - 5 * HOUR, HOUR, 10) for url in spellings)
    collect(store, Harvest((article("a"),), counts))
    assert views(store) == {"A": 40}


@pytest.mark.parametrize(
    "variant",
    [
        "/a/amp/",
        "/a?amp=1",
        "/a?outputType=amp",
        "/a/page/2/",
        "/a/index.html",
        "https://www.news.example.com/a",
        "/m/a",
        "/pl/a/amp?utm_source=x",
    ],
)
def test_one_article_shown_in_several_ways_is_counted_together(store, variant):
    counts = (ViewCount("/a", END - HOUR, HOUR, 10), ViewCount(variant, END - HOUR, HOUR, 5))
    collect(store, Harvest((article("a"),), counts))
    assert views(store) == {"A": 15}
    assert collecting.unmatched(store, WEEK) == []


def test_an_article_announced_by_another_of_its_addresses_keeps_its_views(store):
    counts = Harvest(views=(ViewCount("/a", END - HOUR, HOUR, 10),))
    collect(store, counts, Harvest((FoundArticle("https://www.news.example.com/m/a/amp/", "A", END - 2 * HOUR),)))
    assert views(store) == {"A": 10}


def test_reading_the_same_again_changes_nothing(store):
    harvest = Harvest((article("a"),), (ViewCount("/a", END - 5 * HOUR, HOUR, 10),))
    collect(store, harvest, harvest, harvest)
    assert views(store) == {"A": 10}


def test_a_count_that_grew_replaces_the_old_one(store):
    first = Harvest((article("a"),), (ViewCount("/a", END - 5 * HOUR, HOUR, 10),))
    collect(store, first, Harvest(views=(ViewCount("/a", END - 5 * HOUR, HOUR, 25),)))
    assert views(store) == {"A": 25}


def test_views_that_come_before_their_article_find_it_later(store):
    collect(store, Harvest(views=(ViewCount("/a", END - 5 * HOUR, HOUR, 10),)), Harvest((article("a"),)))
    assert views(store) == {"A": 10}


def test_views_of_no_article_are_listed(store):
    collect(store, Harvest((article("a"),), (ViewCount("/contact", END - HOUR, HOUR, 7),)))
    assert [(each.page, each.views) for each in collecting.unmatched(store, WEEK)] == [("news.example.com/contact", 7)]


def test_a_lifetime_counter_counts_what_came_since_the_last_reading(store):
    readings = [Harvest((article("a"),), totals=(LifetimeTotal("/a", n),)) for n in (1000, 1030, 1030, 1100)]
    results, _ = collect(store, *readings, at=END - 10 * HOUR)
    assert [each.views for each in results] == [0, 30, 0, 70]
    assert views(store) == {"A": 100}


def test_two_services_that_read_a_counter_at_once_count_once(store):
    collect(store, Harvest((article("a"),), totals=(LifetimeTotal("/a", 1000),)), at=END - 10 * HOUR)

    def read(n):
        source = Given([Harvest(totals=(LifetimeTotal("/a", 1100),))])
        moment = END - 2 * HOUR + timedelta(seconds=n)
        return asyncio.run(collecting.collect(store, source, PAGES, [], moment)).views

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(read, range(6))) == 100
    assert views(store) == {"A": 100}


def test_a_counter_that_was_reset_counts_from_zero(store):
    readings = [Harvest((article("a"),), totals=(LifetimeTotal("/a", n),)) for n in (1000, 20, 50)]
    collect(store, *readings, at=END - 10 * HOUR)
    assert views(store) == {"A": 50}
    collect(store, Harvest(totals=(LifetimeTotal("/a", 40),)), at=END - 6 * HOUR)
    assert views(store) == {"A": 90}


def test_a_counter_of_an_article_published_since_the_last_reading_began_at_zero(store):
    start = END - 10 * HOUR
    old, fresh = article("old"), article("new", start + HOUR / 4)
    known = LifetimeTotal("/old", 10)
    first = Harvest((old,), totals=(known,))
    second = Harvest((fresh,), totals=(known, LifetimeTotal("/new", 500), LifetimeTotal("/unknown", 70)))
    third = Harvest((article("late"),), totals=(LifetimeTotal("/new", 600), LifetimeTotal("/late", 9000)))
    results, _ = collect(store, first, second, third, at=start)
    assert [each.views for each in results] == [0, 500, 100]
    assert views(store) == {"OLD": 0, "NEW": 600, "LATE": 0}


def test_a_reading_that_is_stored_after_a_later_one_takes_nothing_back(store):
    collected = [
        asyncio.run(
            collecting.collect(
                store,
                Given([Harvest((article("a"),), totals=(LifetimeTotal("/a", total),))]),
                PAGES,
                [],
                END - 10 * HOUR + timedelta(minutes=minutes),
            )
        ).views
        for minutes, total in ((0, 10), (60, 100), (59, 99), (120, 101))
    ]
    assert collected == [0, 90, 0, 1]


def test_each_spelling_of_a_page_is_a_counter_and_all_count_for_the_page(store):
    """A list of the most read names one of them at one time and both at another."""
    both = (LifetimeTotal("/a", 1000), LifetimeTotal("/a/amp", 50))
    grown = (LifetimeTotal("/a", 1010), LifetimeTotal("/a/amp", 55))
    readings = [Harvest((article("a"),), totals=each) for each in (both, grown[:1], grown, both[:0], grown)]
    results, _ = collect(store, *readings, at=END - 10 * HOUR)
    assert [each.views for each in results] == [0, 10, 5, 0, 0]
    assert views(store) == {"A": 15}


def test_what_the_database_will_not_take_is_the_failure_of_its_source_alone(store):
    absurd = Harvest((article("a"),), (ViewCount("/a", END - HOUR, HOUR, 2**70),))
    results, source = collect(store, absurd, Harvest((article("b"),)))
    assert "cannot be stored" in results[0].error and "2" * 70 not in results[0].error
    assert (results[1].error, results[1].new) == ("", 1)
    assert source.readings[1].since is None
    assert views(store) == {"B": 0}


@pytest.mark.parametrize("shares", [-1, 2**31, 2**40, 10**30])
def test_shares_that_cannot_be_are_left_out_and_the_article_kept(store, shares):
    odd = replace(article("a"), shares=shares)
    results, _ = collect(store, Harvest((odd, replace(article("b"), shares=7))))
    assert (results[0].found, results[0].error) == (2, "")
    assert "shares left out: 1" in results[0].notes[0]
    with store.read() as tx:
        assert [articles.by_page(tx, f"news.example.com/{slug}").shares for slug in "ab"] == [None, 7]


def test_a_database_that_is_away_is_no_fault_of_a_source():
    nobody = Store(f"postgresql+psycopg://digest@127.0.0.1:{free_port()}/digest")
    with pytest.raises(StoreUnavailable):
        collect(nobody, Harvest())


def test_a_reading_just_after_the_cut_off_credits_the_closed_week(store):
    first = Harvest((article("a"),), totals=(LifetimeTotal("/a", 100),))
    asyncio.run(collecting.collect(store, Given([first]), PAGES, [], END - timedelta(minutes=15)))
    second = Harvest(totals=(LifetimeTotal("/a", 160),))
    asyncio.run(collecting.collect(store, Given([second]), PAGES, [], END + timedelta(seconds=5)))
    assert views(store) == {"A": 60}


def test_a_source_that_fails_keeps_what_it_had_and_is_named(store):
    good = Harvest((article("a"),), (ViewCount("/a", END - HOUR, HOUR, 10),), remembered={"etag": "x"})
    results, source = collect(store, good, SourceError("given", "page 2", "the server answered 500"), Harvest())
    assert "page 2" in results[1].error
    assert views(store) == {"A": 10}
    assert source.readings[1].remembered == source.readings[2].remembered == {"etag": "x"}
    assert source.readings[2].since == END


def test_a_source_that_breaks_in_a_way_nobody_thought_of_is_named_too(store):
    results, source = collect(store, Harvest((article("a"),)), KeyError("\ud800 id"), Harvest())
    assert "KeyError" in results[1].error and "please report it" in results[1].error
    assert results[1].error.isprintable()
    assert results[2] == collecting.Collected("given")
    assert source.readings[2].since == END


@pytest.mark.parametrize("trouble", [Answer("oops", 500, {"Retry-After": "3600"}), Answer("<rss"), Answer("", 401)])
def test_a_page_that_fails_half_way_stores_nothing_and_costs_nothing_the_next_time(store, trouble):
    """A real feed of two pages over a real connection."""
    page = (
        '<rss version="2.0"><channel><link xmlns="http://www.w3.org/2005/Atom" rel="next" href="/2"/>{}</channel></rss>'
    )
    item = "<item><title>{0}</title><link>{1}/{0}</link><pubDate>Fri, 27 Nov 2026 18:30:00 GMT</pubDate></item>"
    with serving() as web:
        web.says("/feed", Answer(page.format(item.format("A", SITE)), headers={"ETag": '"1"'}))
        web.says("/2", trouble, Answer(page.format(item.format("B", SITE))))
        source = Feed(FeedSource(name="news", kind="feed", url=f"{web.url}/feed"))
        failed, good = [asyncio.run(collecting.collect(store, source, PAGES, [], END + n * HOUR)) for n in range(2)]
    assert f"{web.url}/2" in failed.error
    assert (good.error, good.found, good.new) == ("", 2, 2)
    assert "if-none-match" not in web.asked[-2].headers


def test_an_article_without_a_usable_address_is_noted_and_the_rest_kept(store):
    bad = FoundArticle("mailto:x@y.z", "Bad", END - HOUR)
    results, _ = collect(store, Harvest((bad, article("a")), (ViewCount("http://[", END, HOUR, 1),)))
    assert (results[0].found, len(results[0].notes)) == (1, 2)


@pytest.mark.parametrize("saturday", ["2026-03-28", "2026-04-04", "2026-10-24", "2026-10-31", "2026-11-28"])
def test_the_top_list_equals_an_independent_count_in_every_kind_of_week(store, saturday):
    """Hour by hour over three weeks, with views a second before and after each cut-off's hour."""
    end = datetime.fromisoformat(f"{saturday}T08:00").replace(tzinfo=WARSAW).astimezone(UTC)
    local_start = datetime.fromisoformat(f"{saturday}T08:00") - timedelta(days=7)
    start = local_start.replace(tzinfo=WARSAW).astimezone(UTC)
    counts = [
        ViewCount(f"/{slug}", end - timedelta(days=15) + n * HOUR, HOUR, (n * k) % 17 + (slug == "a") * (n % 5))
        for k, slug in enumerate("abcdefgh", start=3)
        for n in range(22 * 24)
    ]
    collect(store, Harvest(tuple(article(slug, end - timedelta(days=1)) for slug in "abcdefgh"), tuple(counts)), at=end)
    expected: Counter[str] = Counter()
    for each in counts:
        if start <= each.at < end:
            expected[each.url.strip("/").upper()] += each.views
    period = Schedule.parse("sat 08:00", WARSAW).period(end)
    assert (period.start, period.end) == (start, end)
    assert views(store, period) == dict(expected)
