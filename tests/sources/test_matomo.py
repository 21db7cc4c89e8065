"""Matomo's days, read from a server that answers as its Reporting API does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import MatomoSource
from digest.domain.articles import Harvest, ViewCount
from digest.domain.periods import day_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.matomo import PAGE, Matomo
from tests.sources.conftest import NOW
from tests.sources.web import Answer, Asked, Web

WARSAW = ZoneInfo("Europe/Warsaw")
SITE = "https://news.example.com"
TOKEN = "0123456789abcdef0123456789abcdef"
TODAY = date(2026, 11, 28)
FRIDAY = date(2026, 11, 27)
NO_ACCESS = "You can&#039;t access this resource as it requires &#039;view&#039; access for the website id = 1."


def row(label: str, views: Any = 1, url: str | None = None, **more: Any) -> dict[str, Any]:
    """A row as flat=1 shows it; a page's address is in its metadata."""
    address = {"url": SITE + label} if url is None else {"url": url} if url else {}
    return {"label": label, "nb_hits": views, **address, "segment": "pageUrl==x", **more}


@dataclass
class Service:
    """A Matomo with one site and its rows by day."""

    days: dict[date, list[Any]] = field(default_factory=dict)
    zone: Any = "Europe/Warsaw"
    most_rows: int = 10**9
    refuses_with: int = 401

    def __call__(self, asked: Asked) -> Answer:
        form = asked.form
        assert asked.method == "POST" and not asked.query
        assert (form["module"], form["format"], form["language"]) == ("API", "JSON", "en")
        if form["token_auth"] != TOKEN or form["idSite"] != "1":
            return Answer({"result": "error", "message": NO_ACCESS}, self.refuses_with)
        if form["method"] == "SitesManager.getSiteFromId":
            site = {"idsite": 1, "name": "News", "main_url": SITE, "timezone": self.zone, "currency": "EUR"}
            return self.zone if isinstance(self.zone, Answer) else Answer(site)
        assert form["method"] == "Actions.getPageUrls" and form["period"] == "day" and form["flat"] == "1"
        assert (form["filter_sort_column"], form["filter_sort_order"]) == ("label", "asc")
        rows = self.days.get(date.fromisoformat(form["date"]), [])
        offset, limit = int(form["filter_offset"]), min(int(form["filter_limit"]), self.most_rows)
        return Answer(rows[offset : offset + limit])


def collect(web: Web, token: str = TOKEN, site_id: int = 1, path: str = "", **reading: Any) -> Harvest:
    section = MatomoSource(name="stats", kind="matomo", url=web.url + path, site_id=site_id, token=token)

    async def sleep(seconds: float) -> None:
        """No waiting."""

    now = reading.pop("now", NOW)
    reading.setdefault("since", now)
    return asyncio.run(Matomo(section, SITE, WARSAW, sleep).collect(Reading(now, **reading)))


def serve(web: Web, service: Any, path: str = "/index.php") -> Web:
    web.routes[path] = service
    return web


def refused(web: Web, **details: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        collect(web, **details)
    assert TOKEN not in str(caught.value)
    assert caught.value.place.startswith(web.url)
    return caught.value


def days_asked(web: Web) -> list[str]:
    return sorted({asked.form["date"] for asked in web.asked if "date" in asked.form})


def test_views_are_counted_by_day(web: Web) -> None:
    days = {FRIDAY: [row("/2026/tea", 40), row("/2026/rain", 2)], TODAY: [row("/2026/tea", 3)]}
    harvest = collect(serve(web, Service(days)))
    friday, today = day_bucket(FRIDAY, WARSAW), day_bucket(TODAY, WARSAW)
    assert harvest == Harvest(
        views=(
            ViewCount(f"{SITE}/2026/tea", *friday, 40),
            ViewCount(f"{SITE}/2026/rain", *friday, 2),
            ViewCount(f"{SITE}/2026/tea", *today, 3),
        ),
        remembered={"zone": "Europe/Warsaw"},
    )


def test_the_token_goes_into_the_body_and_nowhere_else(web: Web) -> None:
    collect(serve(web, Service()))
    for asked in web.asked:
        assert TOKEN not in f"{asked.path}{asked.query}{asked.headers}"


@pytest.mark.parametrize("path", ["", "/", "/index.php"])
def test_the_address_may_end_as_people_write_it(web: Web, path: str) -> None:
    serve(web, Service({TODAY: [row("/a")]}))
    assert len(collect(web, path=path).views) == 1


def test_the_first_reading_goes_back_five_weeks_and_later_ones_two_days_before_the_last(web: Web) -> None:
    serve(web, Service())
    collect(web, since=None)
    first = [str(TODAY - timedelta(days=back)) for back in range(35, -1, -1)]
    assert days_asked(web) == first
    for since, count in ((NOW, 3), (NOW - timedelta(days=4), 7), (NOW - timedelta(days=400), 36)):
        web.asked.clear()
        collect(web, since=since)
        assert days_asked(web) == first[-count:]
    web.asked.clear()
    collect(web, since=NOW + timedelta(days=9))
    assert days_asked(web) == first[-3:]


@pytest.mark.parametrize(
    ("told", "zone"),
    [
        ("Europe/Warsaw", "Europe/Warsaw"),
        ("Asia/Tokyo", "Asia/Tokyo"),
        ("UTC", "UTC"),
        ("UTC+9", "Etc/GMT-9"),
        ("UTC-11", "Etc/GMT+11"),
    ],
)
def test_days_are_those_of_the_sites_own_zone(web: Web, told: str, zone: str) -> None:
    late = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)
    today = late.astimezone(ZoneInfo(zone)).date()
    harvest = collect(serve(web, Service({today: [row("/a")]}, told)), now=late)
    assert harvest.views == (ViewCount(f"{SITE}/a", *day_bucket(today, ZoneInfo(zone)), 1),)
    assert days_asked(web)[-1] == str(today)
    assert harvest.notes == () and harvest.remembered == {"zone": zone}


def test_a_day_on_which_clocks_change_is_as_long_as_it_is(web: Web) -> None:
    sunday = date(2026, 10, 25)
    harvest = collect(serve(web, Service({sunday: [row("/a")]})), now=datetime(2026, 10, 25, 20, tzinfo=UTC))
    assert [view.span for view in harvest.views] == [timedelta(hours=25)]


@pytest.mark.parametrize(
    "zone",
    [
        "Mars/Olympus",
        "UTC+5.5",
        "UTC+99",
        "",
        "/etc/passwd",
        "../x",
        "a\x00b",
        None,
        7,
        ["UTC"],
        "x" * 5000,
        "\ud800",
        Answer([]),
        Answer({"value": False}),
        Answer("null"),
        Answer({"result": "error", "message": "nothing for you"}),
        Answer({"result": "error", "message": "nothing for you"}, 401),
        Answer("<html>", 403),
    ],
)
def test_a_zone_that_is_not_told_is_taken_as_ours_and_that_is_said(web: Web, zone: Any) -> None:
    harvest = collect(serve(web, Service({TODAY: [row("/a")]}, zone)))
    assert harvest.views == (ViewCount(f"{SITE}/a", *day_bucket(TODAY, WARSAW), 1),)
    (note,) = harvest.notes
    assert note.endswith("its days are read as Europe/Warsaw") and len(note) < 200


def test_a_zone_that_cannot_be_asked_for_is_not_guessed(web: Web) -> None:
    assert "answered 500" in refused(serve(web, Service(zone=Answer("oops", 500)))).reason


def test_a_zone_once_told_is_kept(web: Web) -> None:
    harvest = collect(serve(web, Service({TODAY: [row("/a")]}, None)), remembered={"zone": "UTC"})
    assert harvest.views[0].at == datetime(2026, 11, 28, tzinfo=UTC)
    assert harvest.remembered == {"zone": "UTC"}


def test_old_versions_tell_the_zone_in_a_list(web: Web) -> None:
    harvest = collect(serve(web, Service(zone=Answer([{"idsite": 1, "timezone": "UTC"}]))))
    assert harvest.remembered == {"zone": "UTC"}


def test_days_read_in_another_zone_are_not_read_again(web: Web) -> None:
    days = {FRIDAY: [row("/a")], TODAY: [row("/a")]}
    harvest = collect(serve(web, Service(days, "UTC")), remembered={"zone": "Europe/Warsaw"})
    assert days_asked(web) == [str(TODAY)]
    assert len(harvest.views) == 1 and "may count twice" in harvest.notes[0]


@pytest.mark.parametrize("most_rows", [10**9, 700])
def test_all_pages_of_rows_are_read(web: Web, most_rows: int) -> None:
    rows = [row(f"/{number:05}", 2) for number in range(PAGE + 10)]
    harvest = collect(serve(web, Service({FRIDAY: rows}, most_rows=most_rows)))
    assert len({view.url for view in harvest.views}) == len(harvest.views) == PAGE + 10
    assert sum(view.views for view in harvest.views) == 2 * (PAGE + 10)


def test_a_row_that_two_pages_show_counts_once(web: Web) -> None:
    rows = [row("/b", 5), row("/c", 6)]

    def growing(asked: Asked) -> Answer:
        if asked.form.get("date") == str(TODAY) and asked.form["filter_offset"] == "2" and len(rows) == 2:
            rows.insert(0, row("/a", 1))  # somebody read /a between two questions
        return Service({TODAY: rows})(asked)

    harvest = collect(serve(web, growing))
    assert [(view.url[-1], view.views) for view in harvest.views] == [("b", 5), ("c", 6)]


def test_a_page_that_fails_half_way_stores_nothing(web: Web) -> None:
    service = Service({FRIDAY: [row("/a")], TODAY: [row("/b")]})
    breaks = Answer({"result": "error", "message": "MySQL server has gone away"})
    serve(web, lambda asked: breaks if asked.form.get("date") == str(TODAY) else service(asked))
    assert refused(web).reason == "Matomo says: MySQL server has gone away"


def test_the_same_rows_for_ever_are_an_error(web: Web) -> None:
    site = Service()
    serve(web, lambda asked: Answer([row("/a")]) if "date" in asked.form else site(asked))
    assert "same rows for ever" in refused(web).reason


def test_a_reading_without_end_is_ended(web: Web) -> None:
    serve(web, lambda _: Answer([row(f"/{len(web.asked)}")]))
    assert "no end" in refused(web).reason
    assert len(web.asked) == 500


@pytest.mark.parametrize(
    "others",
    [
        row("/Others", 30, ""),
        row("Others", 30, ""),
        row("/news/ - Others", 30, ""),
        row("/news/ - Andere", 30, ""),
        row("/news/ - Others", 30, f"{SITE}/news/"),
        row("/news/Others", 30, ""),
        row("-1", 30, ""),
        row("x", 30, "") | {"label": -1},
    ],
)
def test_others_are_no_page_and_are_told_with_the_remedy(web: Web, others: dict[str, Any]) -> None:
    harvest = collect(serve(web, Service({FRIDAY: [row("/a", 70), others]})))
    assert [view.url for view in harvest.views] == [f"{SITE}/a"]
    (note,) = harvest.notes
    assert note.startswith("30 of 100 views") and "datatable_archiving_maximum_rows_subtable_actions" in note


def test_a_page_that_is_called_others_is_a_page(web: Web) -> None:
    harvest = collect(serve(web, Service({FRIDAY: [row("/Others", 7), row("/news/a - b", 2)]})))
    assert [view.url for view in harvest.views] == [f"{SITE}/Others", f"{SITE}/news/a - b".replace(" ", "%20")]
    assert harvest.notes == ()


def test_views_without_an_address_are_told(web: Web) -> None:
    harvest = collect(serve(web, Service({FRIDAY: [row("Page URL not defined", 5, ""), row("/a", 1)]})))
    assert len(harvest.views) == 1
    assert harvest.notes == ("5 views have no address in Matomo (Page URL not defined) and are left out",)


@pytest.mark.parametrize(
    ("shown", "url"),
    [
        (row("/news/index", url="https://news.example.com/news/"), f"{SITE}/news/"),
        (row("/a", url="http://www.example.com/a?x=1&amp;copy=2"), "http://www.example.com/a?x=1&copy=2"),
        (row("/2026/a-very-long-la…", url=f"{SITE}/2026/a-very-long-label"), f"{SITE}/2026/a-very-long-label"),
        (row("2026/tea", url=""), f"{SITE}/2026/tea"),
        (row("/2026/tea", url=""), f"{SITE}/2026/tea"),
        (row("/2026/index", url=""), f"{SITE}/2026/"),
        (row("//evil.example/x", url=""), f"{SITE}/evil.example/x"),
    ],
)
def test_the_address_is_believed_before_the_label(web: Web, shown: dict[str, Any], url: str) -> None:
    harvest = collect(serve(web, Service({FRIDAY: [shown]})))
    assert [view.url for view in harvest.views] == [url]


@pytest.mark.parametrize(
    "odd",
    [
        row("/2026/a-very-long-la…", url=""),
        row("/a", url="javascript:alert(1)"),
        row("/a", url="https://[::1"),
        row("/a", url="https://x.example/" + "x" * 3000),
    ],
)
def test_one_odd_row_is_told_and_the_others_count(web: Web, odd: dict[str, Any]) -> None:
    harvest = collect(serve(web, Service({FRIDAY: [odd, row("/b")]})))
    assert [view.url for view in harvest.views] == [f"{SITE}/b"]
    (note,) = harvest.notes
    assert note.startswith("no pages, so not counted: ") and len(note) < 200


def test_numbers_may_come_as_text_and_rows_without_views_are_nothing(web: Web) -> None:
    harvest = collect(serve(web, Service({FRIDAY: [row("/a", "12"), row("/b", 0), row("/c", 3.0)]})))
    assert [view.views for view in harvest.views] == [12, 3]


@pytest.mark.parametrize("views", [-1, 1.5, "many", None, True, 10**12, "9" * 5000, float("nan"), float("inf"), [], {}])
def test_a_count_that_cannot_be_stores_nothing(web: Web, views: Any) -> None:
    error = refused(serve(web, Service({FRIDAY: [row("/a"), row("/b<script>\ud800", views)]})))
    assert "2026-11-27, row '/b<script>" in error.place and error.remedy
    str(error).encode()


@pytest.mark.parametrize("status", [401, 200])  # Matomo 5, and those before
@pytest.mark.parametrize("details", [{"token": "wrong"}, {"site_id": 2}])
def test_a_wrong_token_or_site_is_told_in_matomos_words(web: Web, status: int, details: dict[str, Any]) -> None:
    error = refused(serve(web, Service(refuses_with=status)), **details)
    assert "You can't access this resource as it requires 'view' access for the website id = 1" in error.reason
    assert error.remedy.startswith("Check token and site_id")


def test_a_token_that_matomo_repeats_is_not_shown(web: Web) -> None:
    serve(web, lambda _: Answer({"result": "error", "message": f"no such token {TOKEN}\r\n{TOKEN}"}))
    assert refused(web).reason == "Matomo says: no such token … …"


def test_a_wrong_host_is_another_error() -> None:
    assert "nothing answers there" in refused(Web("http://127.0.0.1:9")).reason


def test_a_page_that_is_no_matomo_is_another_error(web: Web) -> None:
    assert "answered 404" in refused(web).reason
    serve(web, lambda _: Answer("<html>Log in</html>"))
    assert "not JSON" in refused(web).reason


def test_a_site_that_nobody_read_is_no_error_but_a_note(web: Web) -> None:
    harvest = collect(serve(web, Service()))
    assert harvest.views == ()
    (note,) = harvest.notes
    assert note.startswith("the service counted nothing from 2026-11-26 00:00 to 2026-11-28 08:00. ")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"2026-11-27": []},
        {"result": "success", "message": "ok"},
        [1],
        [[]],
        [None],
        "null",
        "7",
        '"text"',
        '[{"nb_hits": 1e400}]',
        "[" * 100_000,
        "[{}]",
    ],
)
def test_another_shape_is_an_error_and_no_traceback(web: Web, answer: Any) -> None:
    site = Service()
    serve(web, lambda asked: Answer(answer) if "date" in asked.form else site(asked))
    assert refused(web).remedy


@pytest.mark.parametrize("message", [None, 7, [], {"a": 1}, "<b>x</b> \ud800", "x" * 100_000])
def test_an_error_without_words_is_an_error_all_the_same(web: Web, message: Any) -> None:
    error = refused(serve(web, lambda _: Answer({"result": "error", "message": message})))
    str(error).encode()
    assert len(str(error)) < 700
