"""Plausible's hours, read from a server that counts as the Stats API v2 does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import PlausibleSource
from digest.domain.articles import Harvest, ViewCount
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.plausible import EVERY, PAGE, Plausible
from tests.sources.conftest import NOW
from tests.sources.web import Answer, Asked, Web

WARSAW = ZoneInfo("Europe/Warsaw")
HOUR = timedelta(hours=1)
SITE = "https://news.example.com"
KEY = "a-stats-api-key-of-alice"
WRONG = "Invalid API key or site ID. Please make sure you're using a valid API key"
NO_PLAN = "The account that owns this API key does not have access to Stats API"


@dataclass
class Service:
    """A Plausible with one site. `views` are (path, moment) of each page view; hours are labelled in `zone`."""

    zone: ZoneInfo = WARSAW
    views: list[tuple[str, datetime]] = field(default_factory=list)
    most_rows: int = PAGE

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {KEY}" or asked.json["site_id"] != "news.example.com":
            return Answer({"error": WRONG}, 401)
        query = asked.json
        assert asked.method == "POST" and asked.headers["content-type"] == "application/json"
        assert query["metrics"] == ["pageviews"] and query["dimensions"] == ["time:hour", "event:page"]
        assert query["order_by"] == [["time:hour", "asc"], ["event:page", "asc"]]
        assert query["include"] == {"total_rows": True}
        first, last = (datetime.fromisoformat(moment) for moment in query["date_range"])
        rows = sorted(Counter(self._label(view) for view in self.views if first <= view[1] <= last).items())
        limit, offset = query["pagination"]["limit"], query["pagination"]["offset"]
        assert 1 <= limit <= 10_000
        page = rows[offset : offset + min(limit, self.most_rows)]
        return Answer(
            {
                "results": [{"dimensions": list(dimensions), "metrics": [count]} for dimensions, count in page],
                "meta": {"total_rows": len(rows) if page else 0},
                "query": {**query, "date_range": [each.astimezone(self.zone).isoformat() for each in (first, last)]},
            }
        )

    def _label(self, view: tuple[str, datetime]) -> tuple[str, str]:
        path, moment = view
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:00:00}", path


def collect(web: Web, token: str = KEY, site_id: str = "news.example.com", **reading: Any) -> Harvest:
    section = PlausibleSource(name="stats", kind="plausible", url=web.url, site_id=site_id, token=token)
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    source = Plausible(section, SITE, WARSAW, sleep)
    harvest = asyncio.run(source.collect(Reading(reading.pop("now", NOW), **reading)))
    assert all(0 < seconds <= EVERY for seconds in waited) and len(waited) == len(web.asked) - 1
    return harvest


def serve(web: Web, service: Any) -> Web:
    web.routes["/api/v2/query"] = service
    return web


def answers(web: Web, *results: Any, total: Any = None, **changes: Any) -> Web:
    """A server that gives these results, whatever it is asked."""
    whole = {
        "results": list(results),
        "meta": {"total_rows": len(results) if total is None else total},
        "query": {"date_range": ["2026-11-28T06:00:00+01:00", "2026-11-28T07:59:59+01:00"]},
        **changes,
    }
    return serve(web, lambda _: Answer(whole))


def row(views: Any = 3, path: Any = "/a", label: Any = "2026-11-28 07:00:00") -> dict[str, Any]:
    return {"dimensions": [label, path], "metrics": [views]}


def truth(views: Iterable[tuple[str, datetime]], zone: ZoneInfo = WARSAW) -> dict[tuple[str, datetime], int]:
    """By the hours of the clocks in `zone`."""
    local = ((path, moment.astimezone(zone).replace(minute=0, second=0)) for path, moment in views)
    return Counter((SITE + path, hour.astimezone(UTC)) for path, hour in local)


def counted(harvest: Harvest) -> dict[tuple[str, datetime], int]:
    assert all(view.span == HOUR for view in harvest.views)
    found = {(view.url, view.at): view.views for view in harvest.views}
    assert len(found) == len(harvest.views)
    return found


def refused(web: Web, **details: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        collect(web, **details)
    assert KEY not in str(caught.value)
    assert caught.value.place.startswith(web.url)
    return caught.value


def test_each_hour_of_each_page_is_counted_in_utc(web: Web) -> None:
    moments = [NOW - timedelta(minutes=minutes) for minutes in (1, 5, 59, 61, 90, 119)]
    service = Service(views=[(path, moment) for moment in moments for path in ("/2026/tea", "/")])
    harvest = collect(serve(web, service), since=NOW - timedelta(minutes=15))
    assert counted(harvest) == truth(service.views)
    assert ViewCount(f"{SITE}/2026/tea", datetime(2026, 11, 28, 6, tzinfo=UTC), HOUR, 3) in harvest.views
    assert harvest.notes == ()


def test_the_first_reading_goes_back_five_weeks_and_later_ones_two_hours_before_the_last(web: Web) -> None:
    serve(web, Service())
    collect(web)
    assert web.asked[0].json["date_range"] == ["2026-10-24T07:00:00+00:00", "2026-11-28T06:59:59+00:00"]
    web.asked.clear()
    collect(web, since=NOW - timedelta(minutes=15))
    assert web.asked[0].json["date_range"] == ["2026-11-28T04:00:00+00:00", "2026-11-28T06:59:59+00:00"]
    web.asked.clear()
    collect(web, since=NOW - timedelta(days=400))
    assert web.asked[0].json["date_range"][0] == "2026-10-24T07:00:00+00:00"


def test_a_last_reading_in_the_future_does_no_harm(web: Web) -> None:
    service = Service(views=[("/a", NOW - HOUR)])
    assert counted(collect(serve(web, service), since=NOW + timedelta(days=3))) == truth(service.views)


@pytest.mark.parametrize("zone", ["Europe/Warsaw", "Etc/UTC", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"])
@pytest.mark.parametrize("change", [datetime(2026, 10, 25, 1), datetime(2026, 3, 29, 1), datetime(2026, 11, 1, 6)])
def test_every_view_counts_once_whatever_the_sites_zone_and_whenever_clocks_change(
    web: Web, zone: str, change: datetime
) -> None:
    change = change.replace(tzinfo=UTC)
    views = [(f"/{number % 3}", change + number * timedelta(minutes=7)) for number in range(-300, 300)]
    now = change + timedelta(days=3)
    harvest = collect(serve(web, Service(ZoneInfo(zone), views)), since=now - timedelta(days=6), now=now)
    assert counted(harvest) == truth(views, ZoneInfo(zone))


def test_no_view_is_lost_where_clocks_change_by_half_an_hour(web: Web) -> None:
    change = datetime(2026, 4, 4, 15, tzinfo=UTC)
    views = [("/a", change + number * timedelta(minutes=7)) for number in range(-100, 100)]
    service = Service(ZoneInfo("Australia/Lord_Howe"), views)
    harvest = collect(serve(web, service), since=change - timedelta(days=2), now=change + timedelta(days=2))
    assert sum(counted(harvest).values()) == len(views)


def test_the_hour_that_comes_twice_is_read_as_two(web: Web) -> None:
    twice = datetime(2026, 10, 25, 0, tzinfo=UTC)  # 02:00 in Warsaw, and an hour later 02:00 again
    service = Service(views=[("/a", twice), ("/a", twice + HOUR), ("/a", twice + HOUR + timedelta(minutes=59))])
    harvest = collect(serve(web, service), since=twice - HOUR, now=twice + 5 * HOUR)
    assert counted(harvest) == {(f"{SITE}/a", twice): 1, (f"{SITE}/a", twice + HOUR): 2}


def test_an_hour_cut_by_the_beginning_is_not_stored(web: Web) -> None:
    start = NOW - timedelta(hours=3)  # in Kathmandu a quarter to
    views = [("/a", start + timedelta(minutes=minutes)) for minutes in (1, 14, 16, 75)]
    harvest = collect(serve(web, Service(ZoneInfo("Asia/Kathmandu"), views)), since=NOW - HOUR)
    assert counted(harvest) == {(f"{SITE}/a", start + timedelta(minutes=15)): 1, (f"{SITE}/a", start + 1.25 * HOUR): 1}


@pytest.mark.parametrize("most_rows", [PAGE, 7000])
def test_all_pages_of_rows_are_read(web: Web, most_rows: int) -> None:
    service = Service(views=[(f"/{number}", NOW - HOUR) for number in range(PAGE + 500)], most_rows=most_rows)
    harvest = collect(serve(web, service), since=NOW)
    assert counted(harvest) == truth(service.views)
    assert [asked.json["pagination"]["offset"] for asked in web.asked] == [0, most_rows]


def test_a_page_that_fails_half_way_stores_nothing(web: Web) -> None:
    service = Service(views=[(f"/{number}", NOW - HOUR) for number in range(PAGE + 1)])
    serve(web, lambda asked: service(asked) if len(web.asked) == 1 else Answer({"error": NO_PLAN}, 402))
    assert NO_PLAN in refused(web).reason


def test_the_same_page_for_ever_is_an_error(web: Web) -> None:
    assert "says it has 9 rows, and gave 1" in refused(answers(web, row(), total=9)).reason
    assert len(web.asked) == 2


def test_a_reading_without_end_is_ended(web: Web) -> None:
    def endless(asked: Asked) -> Answer:
        number = len(web.asked)
        when = {"date_range": ["2026-11-28T06:00:00+01:00", "2026-11-28T07:59:59+01:00"]}
        return Answer({"results": [row(path=f"/{number}")], "meta": {"total_rows": number + 9}, "query": when})

    assert "no end" in refused(serve(web, endless), since=NOW).reason
    assert len(web.asked) == 500


def test_clocks_that_change_in_every_hour_are_ended_too(web: Web) -> None:
    when = ["2026-11-28T06:00:00+01:00", "2026-11-28T07:59:59+02:00"]
    assert "no end" in refused(answers(web, query={"date_range": when})).reason


@pytest.mark.parametrize(
    ("details", "status", "said", "remedy"),
    [
        ({"token": "wrong"}, 401, WRONG, "token"),
        ({"site_id": "other.example.com"}, 401, WRONG, "site_id"),
    ],
)
def test_a_wrong_key_or_site_is_told_in_plausibles_words(
    web: Web, details: dict[str, str], status: int, said: str, remedy: str
) -> None:
    error = refused(serve(web, Service()), **details)
    assert error.reason.startswith(f"the server answered {status}: {said}")
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("status", "body", "said", "remedy"),
    [
        (402, {"error": NO_PLAN}, NO_PLAN, "plan"),
        (400, {"error": "#/date_range: Invalid date range"}, "Invalid date range", "Update"),
        (400, {"error": f"what is {KEY} <b>?</b>"}, "what is … <b>?</b>", "Update"),
        (401, "<html>", "answered 401", "token"),
        (404, "<html>", "answered 404", "Check url"),
        (400, {"error": {"a": []}}, "answered 400", ""),
        (400, '{"error": "\\ud800 half"}', ": half", "Update"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(web: Web, status: int, body: Any, said: str, remedy: str) -> None:
    error = refused(serve(web, lambda _: Answer(body, status)))
    assert said in error.reason and remedy in error.remedy
    assert len(web.asked) == 1


def test_a_wrong_host_is_another_error() -> None:
    gone = Web("http://127.0.0.1:9")
    assert "nothing answers there" in refused(gone).reason


def test_a_site_that_nobody_read_is_no_error_but_a_note(web: Web) -> None:
    harvest = collect(serve(web, Service()), since=NOW)
    assert harvest.views == ()
    (note,) = harvest.notes
    assert note.startswith("the service counted nothing from 2026-11-28 06:00 to 2026-11-28 08:00. ")


def test_too_many_requests_are_asked_again_later(web: Web) -> None:
    service = Service(views=[("/a", NOW - HOUR)])
    busy = Answer({"error": "Too many API requests."}, 429)
    serve(web, lambda asked: service(asked) if len(web.asked) > 1 else busy)
    section = PlausibleSource(name="stats", kind="plausible", url=web.url, site_id="news.example.com", token=KEY)
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    harvest = asyncio.run(Plausible(section, SITE, WARSAW, sleep).collect(Reading(NOW)))
    assert counted(harvest) == truth(service.views)
    assert sum(waited) >= 1


def test_six_seconds_lie_between_two_requests() -> None:
    assert EVERY * 600 == 3600


@pytest.mark.parametrize(
    "changes",
    [
        {"results": None},
        {"results": {"a": 1}},
        {"results": [1]},
        {"results": [None]},
        {"results": [{}]},
        {"results": [{"dimensions": [], "metrics": []}]},
        {"results": [{"dimensions": ["2026-11-28 07:00:00", "/a", "/b"], "metrics": [1]}]},
        {"results": [{"dimensions": "ab", "metrics": [1]}]},
        {"results": [row(path=None)]},
        {"results": [row(label=7)]},
        {"meta": []},
        {"meta": {}},
        {"query": None},
        {"query": {}},
        {"query": {"date_range": "7d"}},
        {"query": {"date_range": ["2026-11-28", "2026-11-28"]}},
        {"query": {"date_range": ["2026-11-28T06:00:00", "2026-11-28T06:00:00"]}},
        {"query": {"date_range": ["2026-11-28T06:00:00Z"] * 3}},
        {"query": {"date_range": [{}, []]}},
    ],
)
def test_another_shape_is_an_error_and_no_traceback(web: Web, changes: dict[str, Any]) -> None:
    assert refused(answers(web, **changes), since=NOW).remedy


@pytest.mark.parametrize("whole", ["[]", "null", "7", '"text"', "<html>", "", "[" * 100_000, '{"results": NaN}'])
def test_what_is_no_answer_is_an_error_and_no_traceback(web: Web, whole: str) -> None:
    assert refused(serve(web, lambda _: Answer(whole))).remedy


@pytest.mark.parametrize("views", [-1, 1.5, "many", None, True, 10**12, "9" * 5000, float("nan"), float("inf"), [], {}])
def test_a_count_that_cannot_be_stores_nothing(web: Web, views: Any) -> None:
    assert refused(answers(web, row(), row(views, "/b")), since=NOW).remedy


@pytest.mark.parametrize(
    "label",
    [
        "yesterday",
        "",
        "2026-11-28",
        "2026-11-28 09:00:00",
        "2026-11-27 07:00:00",
        "0001-01-01 00:00:00",
        "9999-12-31 23:00:00",
        "2026-11-28 25:00:00",
        "\ud800",
    ],
)
def test_an_hour_nobody_asked_for_stores_nothing(web: Web, label: str) -> None:
    assert refused(answers(web, row(label=label)), since=NOW).remedy


def test_a_label_with_an_offset_means_what_it_says(web: Web) -> None:
    harvest = collect(answers(web, row(label="2026-11-28T06:00:00Z")), since=NOW)
    assert counted(harvest) == {(f"{SITE}/a", NOW - HOUR): 3}


def test_what_is_no_path_is_left_out_and_told(web: Web) -> None:
    odd = [row(path=path) for path in ("", "javascript:alert(1)", "/" + "x" * 3000)]
    harvest = collect(answers(web, *odd, row(), row(0, "/custom-event"), row("4", "//evil.example/")), since=NOW)
    assert counted(harvest) == {(f"{SITE}/a", NOW - HOUR): 3, (f"{SITE}//evil.example/", NOW - HOUR): 4}
    (note,) = harvest.notes
    assert note.startswith("no pages, so not counted: '', 'javascript:alert(1)', '/xxx")


def test_odd_paths_stay_paths_of_the_site_and_what_cannot_be_stored_is_told(web: Web) -> None:
    paths = ["/<script>alert(1)</script>", "/łódź 1", "/half\ud83d"]
    harvest = collect(answers(web, *(row(path=path) for path in paths)), since=NOW)
    assert [view.url for view in harvest.views] == [SITE + path for path in paths[:2]]
    assert harvest.notes == ("no pages, so not counted: '/half'",)
