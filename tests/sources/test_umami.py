"""An Umami of paper: it counts page views to the millisecond, sorts by visitors, and asks who we are."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import UmamiSource
from digest.domain.articles import Harvest
from digest.domain.periods import Schedule
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.umami import LATE, ROWS, Umami, buckets_since
from tests.sources.conftest import NOW
from tests.sources.test_fetch import Naps
from tests.sources.web import Answer, Asked, Web

WARSAW = ZoneInfo("Europe/Warsaw")
SITE_ID = "86d4095c-a2a8-4fc8-9521-103e858e2b41"
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
EDGES = (NOW - 14 * DAY, NOW - 7 * DAY, NOW)


@dataclass
class Site:
    """Answers as Umami does, from `events`: (path, moment, visitor)."""

    web: Web
    prefix: str = "/api"
    events: list[tuple[str, datetime, str]] = field(default_factory=list)
    kind: str = "path"
    most: int = 1_000_000
    password: str = "correct horse"

    def __post_init__(self) -> None:
        place = f"{self.prefix}/websites/{SITE_ID}"
        self.web.routes["/api/auth/login"] = self.login
        self.web.routes[place] = lambda asked: self.if_known(asked, {"id": SITE_ID, "domain": "news.example.com"})
        self.web.routes[f"{place}/metrics/expanded"] = lambda asked: self.if_known(asked, None)

    def read(self, path: str, at: datetime, times: int = 1, visitors: int = 1) -> None:
        self.events += [(path, at, f"{path} {number % visitors}") for number in range(times)]

    def login(self, asked: Asked) -> Answer:
        if asked.json == {"username": "digest", "password": self.password}:
            return Answer({"token": "sesame", "user": {"id": "1"}})
        return refusal(401, "Unauthorized", "incorrect-username-password")

    def if_known(self, asked: Asked, answer: Any) -> Answer:
        if "sesame" not in (asked.headers.get("authorization", "")[7:], asked.headers.get("x-umami-api-key")):
            return refusal(401, "Unauthorized", "unauthorized")
        return Answer(answer) if answer else self.expanded(asked)

    def expanded(self, asked: Asked) -> Answer:
        if asked.query["type"] != self.kind:
            return refusal(400, "Bad request", "bad-request")
        start, end = (datetime.fromtimestamp(int(asked.query[name]) / 1000, UTC) for name in ("startAt", "endAt"))
        inside = [(path, visitor) for path, at, visitor in self.events if start <= at <= end]
        views = Counter(path for path, _ in inside)
        visitors = Counter(path for path, _ in set(inside))
        offset, limit = int(asked.query["offset"]), min(int(asked.query["limit"]), self.most)
        rows = sorted(views, key=lambda path: -visitors[path])[offset : offset + limit]
        # PostgreSQL sums to a decimal, which arrives as text.
        return Answer([{"name": p, "pageviews": str(views[p]), "visitors": visitors[p], "visits": 1} for p in rows])

    @property
    def spans(self) -> list[tuple[datetime, timedelta]]:
        """The spans asked for, each once, in order."""
        asked = [each.query for each in self.web.asked if each.path.endswith("/expanded")]
        pairs = dict.fromkeys((int(query["startAt"]), int(query["endAt"]) + 1) for query in asked)
        return [
            (datetime.fromtimestamp(start / 1000, UTC), timedelta(milliseconds=end - start)) for start, end in pairs
        ]


def refusal(status: int, message: str, code: str) -> Answer:
    return Answer({"error": {"message": message, "code": code, "status": status}}, status)


@pytest.fixture
def site(web: Web) -> Site:
    return Site(web)


def collect(web: Web, now: datetime = NOW, **details: Any) -> Harvest:
    keys = {name: details.pop(name) for name in ("website_id", "password", "token", "url") if name in details}
    section: Any = {"url": web.url, "website_id": SITE_ID, "username": "digest", "password": "correct horse", **keys}

    source = Umami(UmamiSource(name="umami", kind="umami", **section), "https://news.example.com/blog", WARSAW, Naps())
    assert source.name == "umami" and "correct" not in repr(source)
    return asyncio.run(source.collect(Reading(now, edges=EDGES, **details)))


def refused(web: Web, **details: Any) -> str:
    with pytest.raises(SourceError) as caught:
        collect(web, **details)
    assert caught.value.source == "umami"
    assert "correct horse" not in str(caught.value) and "sesame" not in str(caught.value)
    return str(caught.value)


def counts(*harvests: Harvest) -> dict[tuple[str, datetime, timedelta], int]:
    """What is stored after these readings: a bucket that is read again is replaced."""
    return {
        (view.url.removeprefix("https://news.example.com"), view.at, view.span): view.views
        for harvest in harvests
        for view in harvest.views
    }


def total(*harvests: Harvest) -> int:
    return sum(counts(*harvests).values())


def test_views_are_counted_not_visitors(site: Site) -> None:
    site.read("/loved", NOW - 3 * HOUR, times=2, visitors=2)
    site.read("/reloaded", NOW - 3 * HOUR, times=50)
    assert counts(collect(site.web)) == {
        ("/loved", NOW - 3 * HOUR, HOUR): 2,
        ("/reloaded", NOW - 3 * HOUR, HOUR): 50,
    }


def test_a_first_reading_asks_for_whole_days_and_splits_those_with_a_cut_off(site: Site) -> None:
    collect(site.web, now=NOW + 2 * HOUR + MINUTE)
    spans = site.spans
    assert spans[0] == (datetime(2026, 10, 23, 22, tzinfo=UTC), DAY)  # five weeks back, at midnight in Warsaw
    assert (datetime(2026, 10, 24, 22, tzinfo=UTC), 25 * HOUR) in spans  # the clocks went back
    last_week = datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert (last_week, 8 * HOUR) in spans and (last_week + 8 * HOUR, 16 * HOUR) in spans
    assert spans[-11:] == [(NOW + number * HOUR, HOUR) for number in range(-8, 3)]  # today
    assert len(spans) == 35 + 2 + 11
    assert all(one[0] + one[1] == other[0] for one, other in pairwise(spans))


def test_each_view_counts_once_whenever_it_is_read(site: Site) -> None:
    readings: list[Harvest] = []
    remembered: dict[str, str] = {}
    moment = NOW - 2 * DAY
    for minutes in (0, 17, 20, 40, 55, 8 * 60, 26 * 60, 15, 3, 2 * 24 * 60 + 7, 11):
        earlier, moment = moment, moment + minutes * MINUTE
        for step in range(minutes):
            site.read("/a", earlier + step * MINUTE)
        readings.append(collect(site.web, now=moment, remembered=remembered))
        remembered = readings[-1].remembered
    assert total(*readings) == len(site.events)
    spans = sorted({(view.at, view.span) for harvest in readings for view in harvest.views})
    assert all(one[0] + one[1] <= other[0] for one, other in pairwise(spans))


def test_a_long_gap_is_read_in_days_with_the_cut_offs_in_it(site: Site) -> None:
    first = collect(site.web, now=NOW - 3 * DAY + 10 * MINUTE)
    site.web.asked.clear()
    site.read("/before", NOW - MINUTE)
    site.read("/after", NOW + MINUTE)
    later = NOW + DAY + 5 * HOUR + 20 * MINUTE
    again = collect(site.web, now=later, remembered=first.remembered)
    schedule = Schedule.parse("sat 08:00", WARSAW)
    closed = schedule.period(NOW + HOUR)
    inside = {url for (url, at, span) in counts(again) if closed.counts(at, span)}
    assert inside == {"/before"}
    assert len(site.spans) < 50


def test_the_running_hour_is_read_again_under_the_same_name(site: Site) -> None:
    site.read("/a", NOW + 5 * MINUTE)
    first = collect(site.web, now=NOW + 10 * MINUTE)
    site.read("/a", NOW + 20 * MINUTE)
    site.web.asked.clear()
    second = collect(site.web, now=NOW + 30 * MINUTE, remembered=first.remembered)
    assert counts(first, second) == {("/a", NOW, HOUR): 2}
    assert site.spans == [(NOW - HOUR, HOUR), (NOW, HOUR)]


def test_a_late_view_is_still_counted_and_then_the_hour_is_final(site: Site) -> None:
    first = collect(site.web, now=NOW + MINUTE)
    site.read("/late", NOW - MINUTE)
    second = collect(site.web, now=NOW + LATE, remembered=first.remembered)
    assert ("/late", NOW - HOUR, HOUR) in counts(second)
    site.web.asked.clear()
    collect(site.web, now=NOW + LATE + MINUTE, remembered=second.remembered)
    assert site.spans == [(NOW, HOUR)]


def test_nothing_is_read_when_the_clock_was_set_back(site: Site) -> None:
    first = collect(site.web)
    assert collect(site.web, now=NOW - 3 * DAY, remembered=first.remembered) == Harvest(remembered=first.remembered)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "UTC"])
def test_zones_of_half_an_hour_leave_no_gap(zone: str) -> None:
    buckets = list(buckets_since(None, Reading(NOW + 20 * MINUTE), ZoneInfo(zone)))
    assert all(at + span == later for (at, span), (later, _) in pairwise(buckets))
    assert buckets[-1][0] < NOW + 20 * MINUTE <= buckets[-1][0] + buckets[-1][1]


def test_the_first_day_after_a_stop_at_midnight_is_read_in_hours() -> None:
    midnight = datetime(2026, 11, 25, 23, tzinfo=UTC)
    # At 00:10 the hour from 23 to 24 is not final, and the one after it has begun: both are stored.
    buckets = list(buckets_since(midnight - HOUR, Reading(NOW), WARSAW))
    assert buckets[:3] == [(midnight - HOUR, HOUR), (midnight, HOUR), (midnight + HOUR, HOUR)]
    assert (midnight + DAY, DAY) in buckets


def test_an_old_server_calls_the_type_url(site: Site) -> None:
    site.kind = "url"
    site.read("/a", NOW - HOUR)
    assert total(collect(site.web)) == 1
    kinds = [asked.query["type"] for asked in site.web.asked if asked.path.endswith("/expanded")]
    assert kinds.count("path") == 1


def test_a_server_that_counts_sessions_only_is_refused(site: Site) -> None:
    del site.web.routes[f"/api/websites/{SITE_ID}/metrics/expanded"]
    assert "Upgrade it to Umami 3: this version counts sessions only" in refused(site.web)


def test_an_answer_of_sessions_is_refused(site: Site) -> None:
    site.web.says(f"/api/websites/{SITE_ID}/metrics/expanded", [{"x": "/a", "y": 9}])
    assert "counts sessions only" in refused(site.web)


def test_a_list_is_read_to_its_end(site: Site) -> None:
    site.most = 100
    for number in range(250):
        site.read(f"/{number}", NOW - HOUR, times=number % 7 + 1)
    harvest = collect(site.web)
    assert len(harvest.views) == 250 and harvest.notes == ()
    assert total(harvest) == len(site.events)
    assert max(int(asked.query.get("offset", 0)) for asked in site.web.asked) == 200
    assert {int(asked.query["limit"]) for asked in site.web.asked if "limit" in asked.query} == {ROWS}


def test_a_page_that_fails_half_way_stores_nothing(site: Site) -> None:
    whole = site.web.routes[f"/api/websites/{SITE_ID}/metrics/expanded"]
    site.most = 100
    for number in range(150):
        site.read(f"/{number}", NOW - HOUR)
    site.web.routes[f"/api/websites/{SITE_ID}/metrics/expanded"] = lambda asked: (
        Answer("gone", 500) if asked.query["offset"] == "100" else whole(asked)
    )
    assert "the server answered 500" in refused(site.web)


def rows(*paths: str) -> list[dict[str, Any]]:
    return [{"name": path, "pageviews": 1, "visitors": 1} for path in paths]


def test_rows_that_come_twice_are_counted_once_and_mentioned(site: Site) -> None:
    first, second = rows(*(f"/{n}" for n in range(100))), rows("/99", *(f"/{n}" for n in range(100, 120)))
    site.web.routes[f"/api/websites/{SITE_ID}/metrics/expanded"] = lambda asked: Answer(
        first if asked.query["offset"] == "0" else second
    )
    harvest = collect(site.web, now=NOW, remembered={"counted_until": (NOW - HOUR).isoformat()})
    assert total(harvest) == 120
    assert harvest.notes == ("Umami listed 1 pages twice, and may have left out as many of the least read",)


def test_a_server_that_repeats_itself_for_ever_is_stopped(site: Site) -> None:
    site.web.says(f"/api/websites/{SITE_ID}/metrics/expanded", rows(*(f"/{n}" for n in range(100))))
    assert "again and again" in refused(site.web)


def test_a_server_whose_list_never_ends_is_stopped(site: Site) -> None:
    site.web.routes[f"/api/websites/{SITE_ID}/metrics/expanded"] = lambda asked: Answer(
        rows(*(f"/{asked.query['offset']}/{n}" for n in range(100)))
    )
    assert "more than 10,000 pages" in refused(site.web)


def test_a_wrong_password_a_wrong_website_a_wrong_host_and_an_empty_site_read_differently(site: Site) -> None:
    lines = [
        refused(site.web, password="wrong"),
        refused(site.web, website_id="00000000-0000-0000-0000-000000000000"),
        refused(site.web, website_id="news.example.com"),
        refused(site.web, url=f"{site.web.url}/elsewhere"),
        *collect(site.web).notes,
    ]
    assert "does not know this username and password" in lines[0]
    assert "the server answered 404" in lines[1]
    assert "config.toml: website_id is 'news.example.com'" in lines[2]
    assert "/elsewhere/api/auth/login: the server answered 404" in lines[3]
    assert "the service counted nothing from 2026-10-24 00:00 to 2026-11-28 08:00" in lines[4]
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("answer", "words"),
    [(refusal(401, "Unauthorized", "unauthorized"), "refuses us (401)"), (Answer("null"), "no such website")],
)
def test_a_website_one_may_not_see_is_named(site: Site, answer: Answer, words: str) -> None:
    site.web.says(f"/api/websites/{SITE_ID}", answer)
    assert words in (line := refused(site.web)) and "Check website_id" in line


def test_the_cloud_is_asked_with_its_key(web: Web) -> None:
    site = Site(web, prefix="/v1")
    site.read("/a", NOW - HOUR)
    cloud = {"url": f"{web.url}/v1", "token": "sesame"}
    assert total(collect(web, **cloud)) == 1
    assert all("authorization" not in asked.headers for asked in web.asked)
    assert "check token" in refused(web, url=f"{web.url}/v1", token="rusty")


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "x"},
        [["/a", 1]],
        [{"pageviews": 1}],
        [{"name": "/a", "pageviews": -1}],
        [{"name": "/a", "pageviews": "many"}],
        [{"name": "/a", "pageviews": 1.5}],
        [{"name": "/a", "pageviews": True}],
        [{"name": "/a", "pageviews": 10**12}],
        None,
        "<html>",
    ],
)
def test_an_answer_of_another_shape_is_refused(site: Site, answer: Any) -> None:
    site.web.says(f"/api/websites/{SITE_ID}/metrics/expanded", "null" if answer is None else answer)
    assert "cannot be read" in (line := refused(site.web)) or "not JSON" in line


def test_what_is_no_page_is_left_out_and_named(site: Site) -> None:
    odd: list[Any] = ["(none)", "/half\ud83d", "/turned\u202e", None, "https://evil.example/a"]
    good = ["//evil.example/a", '/<b>"quoted"</b>']
    site.web.says(f"/api/websites/{SITE_ID}/metrics/expanded", rows(*odd, *good))
    harvest = collect(site.web, remembered={"counted_until": (NOW - LATE).isoformat()})
    assert {view.url for view in harvest.views} == {f"https://news.example.com{path}" for path in good}
    assert harvest.notes == ("no pages, so not counted: '(none)', '/half', '/turned', ...",)


def test_a_token_nobody_can_use_is_refused(site: Site) -> None:
    site.web.says("/api/auth/login", {"token": "two\r\nlines"})
    assert "it gave no token" in refused(site.web)
