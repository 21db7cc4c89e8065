"""Our own plugin on paper: its replies, its refusals, its pages. The real one is in tests/real."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import WordPressSource
from digest.domain.articles import Harvest, ViewCount
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetcher
from digest.sources.wordpress import WordPress
from tests.sources.conftest import NOW
from tests.sources.test_fetch import Naps
from tests.sources.web import Answer, Asked, Web
from tests.sources.wordpress_site import Site

WARSAW = ZoneInfo("Europe/Warsaw")
SECRET = "a secret of the settings page"
ROUTE = "/wp-json/digest/v1/views"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOTHING = {"counter": "x", "newest": None, "grain": "hour", "timezone": "UTC", "pages": 0, "total": 0, "views": []}
Row = tuple[int, str, int | None, Any]  # post, local day, hour, views


class Plugin:
    """A site with our plugin. `rows` are its counts; `details` is what else it says."""

    def __init__(self, web: Web) -> None:
        self.site = Site(web, WARSAW, lambda: NOW, popular=False)
        self.rows: list[Row] = []
        self.details: dict[str, Any] = {"timezone": "Europe/Warsaw", "grain": "hour"}
        self.installed = True
        index = self.site.index
        web.routes["/wp-json/"] = lambda _: Answer(self._index(index()))
        web.routes[ROUTE] = self.answer

    def answer(self, asked: Asked) -> Answer:
        """What the route says, as its source documents it."""
        timestamp = asked.headers.get("x-digest-timestamp", "")
        query = "&".join(f"{name}={quote(asked.query[name], safe='')}" for name in sorted(asked.query))
        signed = f"{timestamp}\nGET\n/digest/v1/views\n{query}".encode()
        if asked.headers.get("x-digest-signature") != hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest():
            return Answer({"code": "digest_signature", "message": "no", "data": {"status": 401}}, 401)
        if abs(NOW.timestamp() - int(timestamp)) > 300:
            return Answer({"code": "digest_time", "message": "old", "data": {"status": 412}}, 412)
        return Answer(self.reply(asked))

    def reply(self, asked: Asked) -> dict[str, Any]:
        """One page."""
        found = sorted(
            (row for row in self.rows if asked.query["from"] <= row[1] <= asked.query["to"]),
            key=lambda row: (row[1], row[2] or 0, row[0]),
        )
        page, size = int(asked.query["page"]), int(asked.query["per_page"])
        return {
            "counter": "WP Popular Posts",
            "newest": max((row[1] for row in self.rows), default=None),
            "sampling": 1,
            "page": page,
            "pages": -(-len(found) // size),
            "total": len(found),
            "views": [
                {"id": post, "url": f"{self.site.web.url}/article-{post}/", "day": day, "hour": hour, "views": views}
                for post, day, hour, views in found[(page - 1) * size : page * size]
            ],
        } | self.details

    def _index(self, index: dict[str, Any]) -> dict[str, Any]:
        return {**index, "namespaces": [*index["namespaces"], *(["digest/v1"] if self.installed else [])]}


@pytest.fixture
def plugin(web: Web) -> Plugin:
    return Plugin(web)


def collect(
    plugin: Plugin, now: datetime = NOW, *, views: Any = "auto", secret: str = SECRET, **reading: Any
) -> Harvest:
    async def read() -> Harvest:
        section = WordPressSource(name="site", kind="wordpress", url=plugin.site.web.url, views=views, secret=secret)
        url, limit = plugin.site.web.url, timedelta(seconds=30)
        async with Fetcher("site", limit, 1_000_000, homes=(url,), sleep=Naps()) as fetcher:
            return await WordPress(section).read(fetcher, Reading(now, **reading))

    return asyncio.run(read())


def refused(plugin: Plugin, **more: Any) -> str:
    with pytest.raises(SourceError) as caught:
        collect(plugin, **more)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def said(plugin: Plugin, change: Callable[[dict[str, Any]], Any]) -> None:
    """Let each reply be changed."""
    plugin.site.web.routes[ROUTE] = lambda asked: Answer(change(plugin.reply(asked)))


def test_hours_are_read_in_the_sites_zone(plugin: Plugin) -> None:
    plugin.rows = [
        (1, "2026-11-27", 18, 3),
        (1, "2026-11-28", 7, 1),
        (2, "2026-10-25", 2, 9),
        (1, "2026-11-26", None, 4),
    ]
    harvest = collect(plugin)
    one, two = (f"{plugin.site.web.url}/article-{n}/" for n in (1, 2))
    assert set(harvest.views) == {
        ViewCount(one, datetime(2026, 11, 27, 17, tzinfo=UTC), HOUR, 3),
        ViewCount(one, datetime(2026, 11, 28, 6, tzinfo=UTC), HOUR, 1),
        ViewCount(two, datetime(2026, 10, 25, 0, tzinfo=UTC), 2 * HOUR, 9),  # the hour that comes twice
        ViewCount(one, datetime(2026, 11, 25, 23, tzinfo=UTC), DAY, 4),
    }
    assert harvest.notes == ()


@pytest.mark.parametrize(
    ("timezone", "at"),
    [
        ("UTC", datetime(2026, 11, 27, tzinfo=UTC)),
        ("+02:00", datetime(2026, 11, 26, 22, tzinfo=UTC)),
        ("Europe/Warsaw", datetime(2026, 11, 26, 23, tzinfo=UTC)),
    ],
)
def test_days_are_those_of_the_counters_zone(plugin: Plugin, timezone: str, at: datetime) -> None:
    plugin.details = {"grain": "day", "timezone": timezone, "counter": "Post Views Counter"}
    plugin.rows = [(1, "2026-11-27", None, 30)]
    assert [(each.at, each.span, each.views) for each in collect(plugin).views] == [(at, DAY, 30)]


def test_what_is_read_most_becomes_an_article_though_it_is_old(plugin: Plugin) -> None:
    plugin.site.publish(7, NOW - timedelta(days=400))
    plugin.rows = [(7, "2026-11-27", 10, 50)]
    assert [article.title for article in collect(plugin).articles] == ["Article 7"]


def test_the_first_reading_goes_back_five_weeks_and_later_ones_two_days(plugin: Plugin) -> None:
    first = collect(plugin)
    days = [asked.query["from"] for asked in plugin.site.web.asked if asked.path == ROUTE]
    assert (days[0], days[-1], len(days)) == ("2026-10-24", "2026-11-29", 37)
    plugin.site.web.asked.clear()
    collect(plugin, since=NOW - HOUR, remembered=first.remembered)
    days = [asked.query["from"] for asked in plugin.site.web.asked if asked.path == ROUTE]
    assert days == ["2026-11-26", "2026-11-27", "2026-11-28", "2026-11-29"]


def test_every_page_is_read(plugin: Plugin) -> None:
    plugin.rows = [(n, "2026-11-27", n % 24, n) for n in range(1, 2501)]
    assert sum(each.views for each in collect(plugin).views) == sum(range(1, 2501))


def test_a_count_that_slides_to_the_next_page_counts_once(plugin: Plugin) -> None:
    plugin.rows = [(n, "2026-11-28", 7, 1) for n in range(10, 1010)]

    def growing(asked: Asked) -> Answer:
        answer = plugin.answer(asked)
        if asked.query["from"] == "2026-11-28" and len(plugin.rows) == 1000:
            plugin.rows.append((5, "2026-11-28", 7, 1))  # sorts before all others
            return Answer({**answer.body, "pages": 2})
        return answer

    plugin.site.web.routes[ROUTE] = growing
    assert sum(each.views for each in collect(plugin).views) == 1000  # and the new one the next time


def test_a_page_that_fails_half_way_is_trouble_of_all(plugin: Plugin) -> None:
    plugin.rows = [(n, "2026-11-27", 1, 1) for n in range(1, 1500)]
    plugin.site.web.routes[ROUTE] = lambda asked: (
        Answer("oops", 500) if asked.query["page"] == "2" else plugin.answer(asked)
    )
    assert "the server answered 500" in refused(plugin)


def test_counts_that_go_away_meanwhile_are_noticed(plugin: Plugin) -> None:
    plugin.rows = [(n, "2026-11-27", 1, 1) for n in range(1, 1500)]

    def shrinking(asked: Asked) -> Answer:
        if asked.query["page"] == "2":
            plugin.rows = plugin.rows[100:]
        return plugin.answer(asked)

    plugin.site.web.routes[ROUTE] = shrinking
    assert "counts went away while they were read" in refused(plugin)


def test_pages_without_end_are_bounded(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digest.sources.wordpress_plugin._MOST_PAGES", 5)
    plugin.rows = [(1, "2026-11-27", 1, 1)]
    said(plugin, lambda reply: {**reply, "pages": 10**9, "views": [{"id": 1}]})
    assert "never ends" in refused(plugin)


def test_fewer_counts_than_were_promised_are_refused(plugin: Plugin) -> None:
    plugin.rows = [(1, "2026-11-27", 1, 1)]
    said(plugin, lambda reply: {**reply, "total": reply["total"] * 3})
    assert "it told 1 of 3 counts of 2026-11-27" in refused(plugin)


def test_a_wrong_secret_and_a_wrong_clock_and_a_missing_counter_are_told_apart(plugin: Plugin) -> None:
    assert "does not accept our secret. Copy it from" in refused(plugin, secret="another")
    assert "clock and ours differ by more than five minutes" in refused(plugin, now=NOW + HOUR)
    plugin.site.web.says(ROUTE, Answer({"code": "digest_no_counter", "message": "none"}, 501))
    assert "runs no view counter that the plugin knows. Activate WP Popular Posts" in refused(plugin)


def test_an_empty_counter_and_one_that_stopped_are_told(plugin: Plugin) -> None:
    assert collect(plugin).notes == ("WP Popular Posts has not counted anything yet",)
    plugin.rows = [(1, "2026-11-20", 10, 1)]
    assert collect(plugin).notes == ("WP Popular Posts counted last on 2026-11-20: it seems to be switched off",)
    plugin.rows = [(1, "2026-11-28", 6, 1)]
    plugin.details["sampling"] = 100
    assert collect(plugin).notes == ("WP Popular Posts looks at one view in 100 only: its numbers are estimates",)


@pytest.mark.parametrize(
    "reply",
    [
        *([], {}, '"no"', None, 5),
        {**NOTHING, "timezone": "Mars/Base"},
        {**NOTHING, "newest": "soon"},
        {**NOTHING, "pages": "many"},
        {**NOTHING, "total": 1, "views": {"a": 1}},
    ],
)
def test_a_reply_of_another_shape_is_refused(plugin: Plugin, reply: Any) -> None:
    said(plugin, lambda _: reply)
    assert "its reply" in refused(plugin)


@pytest.mark.parametrize(
    "change",
    [
        {"views": -1},
        {"views": 10**12},
        {"views": "many"},
        {"views": None},
        {"views": True},
        {"hour": 24},
        {"hour": "noon"},
        {"day": "today"},
        {"id": 0},
        {"id": "\ud800"},
        {"url": ""},
        {"url": "javascript:alert(1)"},
    ],
)
def test_an_odd_count_is_left_out_and_named(plugin: Plugin, change: dict[str, Any]) -> None:
    plugin.rows = [(1, "2026-11-28", 6, 5), (2, "2026-11-28", 5, 1)]

    def spoil(reply: dict[str, Any]) -> dict[str, Any]:
        return {**reply, "views": [{**row, **change} if row["id"] == 2 else row for row in reply["views"]]}

    said(plugin, spoil)
    harvest = collect(plugin)
    assert [each.views for each in harvest.views] == [5]
    assert len(harvest.notes) == 1 and harvest.notes[0].startswith("left out: ")


def test_numbers_as_text_are_read(plugin: Plugin) -> None:
    plugin.rows = [(1, "2026-11-28", 6, "5")]
    assert [each.views for each in collect(plugin).views] == [5]


def test_without_a_secret_the_plugin_is_not_asked(plugin: Plugin) -> None:
    assert collect(plugin, secret="").views == ()
    assert "there is no secret" in refused(plugin, secret="", views="plugin")


def test_a_plugin_that_vanished_is_an_error_not_an_empty_week(plugin: Plugin) -> None:
    first = collect(plugin)
    plugin.installed = False
    assert "our plugin does not answer there" in refused(plugin, views="plugin")
    assert "our plugin does not answer there" in refused(plugin, since=NOW, remembered=first.remembered)
    assert collect(plugin, views="none", remembered=first.remembered).views == ()


def test_what_wp_popular_posts_counted_by_itself_is_not_counted_again(plugin: Plugin) -> None:
    plugin.rows = [(1, "2026-11-27", 17, 3), (1, "2026-11-27", 18, 4), (1, "2026-11-28", 7, 5)]
    before = {"counted_until": "2026-11-27T17:00:00+00:00"}  # 18:00 in Warsaw
    first = collect(plugin, since=NOW - HOUR, remembered=before)
    assert sorted(each.views for each in first.views) == [4, 5]
    later = collect(plugin, since=NOW - HOUR, remembered=first.remembered)
    assert sorted(each.views for each in later.views) == [4, 5]
    assert later.remembered["counted_until"] == "2026-11-28T07:00:00+00:00"  # where it would go on by itself


def test_another_counter_begins_the_next_day(plugin: Plugin) -> None:
    plugin.rows = [(1, "2026-11-28", 6, 5)]
    first = collect(plugin)
    plugin.details |= {"counter": "JNews View Counter", "grain": "day"}
    plugin.rows = [(1, "2026-11-27", None, 70), (1, "2026-11-28", None, 80), (1, "2026-11-29", None, 9)]
    later = collect(plugin, since=NOW, remembered=first.remembered)
    assert later.views == ()
    assert "JNews View Counter counts in another way now: by the day from 2026-11-29 on" in later.notes


def test_no_cache_can_keep_a_reply_for_others(plugin: Plugin) -> None:
    collect(plugin)
    asked = [each for each in plugin.site.web.asked if each.path == ROUTE]
    assert {each.query["t"] for each in asked} == {each.headers["x-digest-timestamp"] for each in asked}
