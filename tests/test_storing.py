"""What the store keeps of sources that disagree: words have an owner, and no hour and no period counts twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from digest import collecting
from digest.domain.articles import Article, FoundArticle, Harvest, Image, LifetimeTotal, Pages, ViewCount
from digest.domain.periods import Period, day_bucket
from digest.store import Store, articles, readership
from digest.store.migrate import _alembic, migrate
from digest.store.schema import period_totals, sources
from tests.service import every_candidate

SITE = "https://news.example.com"
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
NOW = datetime(2026, 11, 28, 7, tzinfo=UTC)
WARSAW = ZoneInfo("Europe/Warsaw")
THIN = FoundArticle(f"{SITE}/tea", "Tea", NOW - 2 * DAY)
RICH = FoundArticle(
    f"{SITE}/tea/", "Tea!", NOW - 3 * DAY, "Why tea", Image(f"{SITE}/t.jpg"), "Food", "Anna", ("advert",), 5
)
WORDS = ("summary", "image", "section", "author", "tags", "shares")


@dataclass
class Given:
    """A source of this name that gives what the test says."""

    name: str
    harvest: Harvest

    async def collect(self, reading):
        return self.harvest


def report(store: Store, source: str, *found: FoundArticle, at: datetime = NOW, **more) -> collecting.Collected:
    given = Given(source, Harvest(found, **more))
    return asyncio.run(collecting.collect(store, given, Pages(SITE), [], at))


def tea(store: Store) -> Article:
    with store.read() as tx:
        found = articles.by_page(tx, "news.example.com/tea")
    assert found is not None
    return found


def words(article: Article | FoundArticle) -> tuple:
    return tuple(getattr(article, name) for name in WORDS)


def views(store: Store, period: Period) -> dict[str, int]:
    with store.read() as tx:
        return {each.title: each.views for each in every_candidate(tx, period)}


# --- the owner of an article's words --------------------------------------------------------------------


def test_a_second_source_with_less_takes_nothing_away(store):
    report(store, "wordpress", RICH)
    report(store, "feed", THIN)
    found = tea(store)
    assert words(found) == words(RICH)
    assert (found.source, found.title, found.url, found.published_at) == (
        "wordpress",
        RICH.title,
        RICH.url,
        RICH.published_at,
    )


def test_a_second_source_with_more_fills_in_what_is_missing_and_stays_second(store):
    report(store, "feed", THIN)
    report(store, "wordpress", RICH)
    found = tea(store)
    assert words(found) == words(RICH)
    assert (found.source, found.title, found.url, found.published_at) == (
        "feed",
        THIN.title,
        THIN.url,
        THIN.published_at,
    )


def test_what_was_filled_in_outlives_the_next_reading_of_the_owner(store):
    """The one that fills in may never say it again: it only reads what has changed."""
    report(store, "feed", THIN)
    report(store, "wordpress", RICH)
    report(store, "feed", replace(THIN, title="Green tea"))
    assert (tea(store).title, words(tea(store))) == ("Green tea", words(RICH))


def test_what_was_filled_in_follows_the_one_who_knows_it_and_yields_to_the_owner(store):
    report(store, "feed", THIN)
    report(store, "wordpress", RICH)
    report(store, "wordpress", replace(RICH, section="Drinks"))
    assert tea(store).section == "Drinks"
    report(store, "feed", replace(THIN, section="Kitchen"))
    report(store, "wordpress", RICH)
    assert tea(store).section == "Kitchen"


def test_the_owner_may_take_back_what_it_said_itself(store):
    report(store, "wordpress", RICH)
    report(store, "wordpress", THIN)
    assert words(tea(store)) == words(THIN)
    report(store, "feed", replace(THIN, section="Food"))
    report(store, "wordpress", THIN)
    assert tea(store).section == "Food"


def test_the_articles_of_a_silent_source_go_to_the_next_that_reports_them(store):
    report(store, "import", RICH)
    report(store, "feed", replace(THIN, title="Green tea"), at=NOW + 13 * DAY)
    assert (tea(store).source, tea(store).title) == ("import", "Tea!")
    report(store, "feed", replace(THIN, title="Green tea", section="Drinks"), at=NOW + 15 * DAY)
    report(store, "feed", replace(THIN, title="Green tea", section="Drinks"), at=NOW + 16 * DAY)
    assert (tea(store).source, tea(store).title, tea(store).section) == ("feed", "Green tea", "Drinks")
    assert (tea(store).tags, tea(store).image) == (RICH.tags, RICH.image)


@pytest.mark.parametrize("source", ["wordpress", "feed"])
def test_an_article_that_is_reported_again_is_there_after_all(store, source):
    report(store, "wordpress", RICH)
    gone = tea(store).id
    with store.begin() as tx:
        articles.mark_gone(tx, [gone], NOW)
    assert tea(store).gone_at == NOW
    report(store, source, THIN)
    assert tea(store).gone_at is None


# --- counts ---------------------------------------------------------------------------------------------

OLD = datetime(2026, 6, 3, 10, tzinfo=UTC)
OLD_DAY, OLD_SPAN = day_bucket(OLD.date(), WARSAW)
OLD_WEEK = Period(OLD_DAY - 3 * DAY, OLD_DAY + 4 * DAY)


def count(url: str, at: datetime, number: int, span: timedelta = HOUR) -> ViewCount:
    return ViewCount(url, at, span, number)


def test_an_hour_that_is_sent_again_after_its_day_was_folded_counts_once(store):
    report(store, "log", THIN, views=(count("/tea", OLD, 5), count("/tea", OLD + HOUR, 6)))
    collecting.fold_hours(store, WARSAW, NOW - 90 * DAY)
    again = report(store, "log", views=(count("/tea", OLD, 5), count("/tea", NOW - HOUR, 1)))
    assert views(store, OLD_WEEK) == {"Tea": 11}
    assert again.views == 1 and "counts left out: 1" in again.notes[0]
    collecting.fold_hours(store, WARSAW, NOW - 90 * DAY)
    assert views(store, OLD_WEEK) == {"Tea": 11}


def test_an_old_hour_that_no_day_holds_is_taken(store):
    """Of another page, of another source, of another day; and the day itself, which is put in full."""
    report(store, "log", THIN, replace(THIN, url=f"{SITE}/milk", title="Milk"), views=(count("/tea", OLD, 5),))
    collecting.fold_hours(store, WARSAW, NOW - 90 * DAY)
    late = report(store, "log", views=(count("/milk", OLD, 7), count("/tea", OLD + DAY, 1)))
    assert (late.views, late.notes) == (8, ())
    assert report(store, "other", views=(count("/tea", OLD, 2),)).notes == ()
    assert report(store, "log", views=(count("/tea", OLD_DAY, 9, OLD_SPAN),)).notes == ()
    assert views(store, OLD_WEEK) == {"Tea": 9 + 1, "Milk": 7}


def test_hours_beside_a_day_count_both_as_long_as_they_are_young(store):
    day, span = day_bucket((NOW - 2 * DAY).date(), WARSAW)
    report(store, "log", THIN, views=(count("/tea", day, 100, span), count("/tea", day + 10 * HOUR, 7)))
    report(store, "log", views=(count("/tea", day + 10 * HOUR, 8),))
    assert views(store, Period(NOW - WEEK, NOW)) == {"Tea": 108}


def kept(store: Store) -> set[datetime]:
    with store.read() as tx:
        return set(tx.scalars(sa.select(period_totals.c.end)))


@pytest.mark.parametrize("writer", ["put", "add"])
def test_what_is_kept_of_a_period_is_forgotten_when_a_count_of_it_comes_late(store, writer):
    weeks = [Period(NOW - n * WEEK, NOW - (n - 1) * WEEK) for n in (1, 2, 3, 4)]
    report(store, "log", THIN, views=tuple(count("/tea", each.end - 5 * HOUR, 10) for each in weeks))
    with store.begin() as tx:
        readership.totals_of(tx, weeks)
    assert kept(store) == {each.end for each in weeks}
    with store.begin() as tx:
        source, page = articles.source(tx, "log").id, articles.page_ids(tx, ["news.example.com/tea"])
        write = readership.put_views if writer == "put" else readership.add_views
        write(tx, source, {(page["news.example.com/tea"], weeks[2].start, HOUR): 990})
    assert kept(store) == {weeks[0].end, weeks[1].end, weeks[3].end}
    with store.begin() as tx:
        assert [sum(each.values()) for each in readership.totals_of(tx, weeks).values()] == [10, 10, 1000, 10]


def test_a_count_that_ends_with_a_period_is_of_that_period(store):
    weeks = [Period(NOW - n * WEEK, NOW - (n - 1) * WEEK) for n in (1, 2)]
    report(store, "log", THIN, views=tuple(count("/tea", each.end - 5 * HOUR, 10) for each in weeks))
    with store.begin() as tx:
        readership.totals_of(tx, weeks)
    report(store, "log", views=(count("/tea", weeks[1].end - HOUR, 10),))
    assert kept(store) == {weeks[0].end}


# --- lifetime counters ----------------------------------------------------------------------------------


def first_total_at(store: Store, name: str) -> datetime | None:
    with store.read() as tx:
        return tx.scalar(sa.select(sources.c.first_total_at).where(sources.c.name == name))


def test_the_first_reading_of_counters_is_dated_though_it_tells_no_views(store):
    assert report(store, "counter", THIN, totals=(LifetimeTotal("/tea", 500),)).views == 0
    assert first_total_at(store, "counter") == NOW
    report(store, "counter", totals=(LifetimeTotal("/tea", 501),), at=NOW + HOUR)
    assert first_total_at(store, "counter") == NOW


def test_counters_of_an_earlier_build_are_dated_by_their_oldest_reading(store_url):
    from alembic import command

    made = Store(store_url)
    with made.begin() as tx:
        config = _alembic()
        config.attributes["connection"] = tx
        command.upgrade(config, "0002")
        for n in (1, 2):
            tx.execute(sa.text(f"INSERT INTO pages (id, canonical) VALUES ({n}, 'x/{n}')"))
            tx.execute(sa.text(f"INSERT INTO sources (id, name, remembered) VALUES ({n}, 's{n}', '{{}}')"))
            at = f"2026-11-2{n} 07:00:00.000000" + ("" if made.is_sqlite else "+00")
            tx.execute(sa.text("INSERT INTO totals VALUES (1, :n, 9, :at)"), {"n": n, "at": at})
    migrate(made)
    assert first_total_at(made, "s1") == datetime(2026, 11, 21, 7, tzinfo=UTC)
    assert first_total_at(made, "s2") is None
    made.close()
