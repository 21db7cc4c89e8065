"""A GoatCounter of paper: hours in its user's zone at today's offset, a hundred pages at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import GoatCounterSource
from digest.domain.articles import Harvest
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.goatcounter import LONGEST_LIST, GoatCounter
from tests.sources.conftest import NOW
from tests.sources.test_fetch import Naps
from tests.sources.web import Answer, Asked, Web

WARSAW = ZoneInfo("Europe/Warsaw")
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
SITE = "https://news.example.com"


@dataclass
class Site:
    """Answers as GoatCounter does. `visits`: by (path, event) and hour in UTC."""

    web: Web
    zone: str = "PL.Europe/Warsaw"
    old: bool = False  # 2.5 and before: whole days of UTC, moved by the offset
    now: datetime = NOW
    visits: dict[tuple[str, bool], Counter[datetime]] = field(default_factory=dict)
    first_id: int = 1

    def __post_init__(self) -> None:
        self.web.routes["/api/v0/me"] = lambda asked: self.if_known(asked, self.me)
        self.web.routes["/api/v0/stats/hits"] = lambda asked: self.if_known(asked, self.hits)

    def visit(self, path: str, at: datetime, times: int = 1, event: bool = False) -> None:
        hour = at.replace(minute=0, second=0, microsecond=0)
        self.visits.setdefault((path, event), Counter())[hour] += times

    def if_known(self, asked: Asked, answer: Any) -> Answer:
        if asked.headers.get("authorization") != "Bearer sesame":
            return Answer({"error": "unknown token"}, 401)
        if unknown := set(asked.query) - {"start", "end", "limit", "exclude_paths"}:
            return Answer({"error": f'unknown parameter: "{unknown.pop()}"'}, 400)
        return Answer(answer(asked))

    def me(self, asked: Asked) -> Any:
        return {"user": {"id": 1, "settings": {"timezone": self.zone, "language": "en"}}, "token": {"name": "digest"}}

    @property
    def offset(self) -> int:
        """Minutes, as they are now."""
        zone = ZoneInfo(self.zone.partition(".")[2])
        return round((self.now.astimezone(zone).utcoffset() or timedelta()) / MINUTE)

    def hits(self, asked: Asked) -> Any:
        start, end = (datetime.fromisoformat(asked.query[name]) for name in ("start", "end"))
        excluded = {int(each) for each in asked.query.get("exclude_paths", "").split(",") if each}
        found = []
        for number, ((path, event), hours) in enumerate(self.visits.items(), start=self.first_id):
            total = sum(count for hour, count in hours.items() if start <= hour <= end)
            if total and number not in excluded:
                found.append((total, number, path, event, hours))
        found.sort(key=lambda each: (-each[0], -each[1]))
        limit = int(asked.query["limit"])
        hits = [self.hit(*each, start, end) for each in found[:limit]]
        return {"hits": hits, "total": sum(hit["count"] for hit in hits), "more": len(found) > limit}

    def hit(
        self, total: int, number: int, path: str, event: bool, hours: Counter[datetime], start: datetime, end: datetime
    ) -> Any:
        days = self.old_days(hours, start, end) if self.old else self.new_days(hours, start, end)
        stats = [{"day": f"{day}", "hourly": hourly, "daily": sum(hourly)} for day, hourly in days.items()]
        count = sum(stat["daily"] for stat in stats) if self.old else total
        return {
            "count": count, "path_id": number, "path": path, "event": event, "title": path, "max": 1, "stats": stats
        }  # fmt: skip

    def new_days(self, hours: Counter[datetime], start: datetime, end: datetime) -> dict[date, list[int]]:
        days: dict[date, list[int]] = {}
        day = (start + self.offset * MINUTE).date()
        while day <= (end + self.offset * MINUTE).date():
            days[day], day = [0] * 24, day + DAY
        for hour, count in hours.items():
            if start <= hour <= end:
                local = hour + self.offset * MINUTE
                days[local.date()][local.hour] += count
        return days

    def old_days(self, hours: Counter[datetime], start: datetime, end: datetime) -> dict[date, list[int]]:
        days: dict[date, list[int]] = {}
        shift = (self.offset + 30 * bool(self.offset % 60)) // 60
        day = start.date()
        while day <= end.date():
            days[day], day = [0] * 24, day + DAY
        for hour, count in hours.items():
            local = hour + shift * HOUR
            if start.date() <= hour.date() <= end.date() and local.date() in days:
                days[local.date()][local.hour] += count
        if shift > 0 and len(days) > 1:
            del days[min(days)]
        if shift < 0:
            del days[max(days)]
        return days


@pytest.fixture(params=[False, True], ids=["new", "old"])
def site(web: Web, request: pytest.FixtureRequest) -> Site:
    return Site(web, old=request.param)


def collect(
    web: Web, now: datetime = NOW, token: str = "sesame", path: str = "", naps: Naps | None = None, **reading: Any
) -> Harvest:
    section = GoatCounterSource(name="goat", kind="goatcounter", url=web.url + path, token=token)
    source = GoatCounter(section, SITE, WARSAW, naps or Naps())
    assert source.name == "goat" and token not in repr(source)
    return asyncio.run(source.collect(Reading(now, **reading)))


def refused(web: Web, **details: Any) -> str:
    with pytest.raises(SourceError) as caught:
        collect(web, **details)
    assert caught.value.source == "goat"
    assert "sesame" not in str(caught.value)
    return str(caught.value)


def counts(*harvests: Harvest) -> dict[tuple[str, datetime], int]:
    assert {view.span for harvest in harvests for view in harvest.views} <= {HOUR}
    return {(v.url.removeprefix(SITE), v.at): v.views for harvest in harvests for v in harvest.views}


ZONES = ["PL.Europe/Warsaw", "US.America/Los_Angeles", ".UTC", "NZ.Pacific/Auckland", "BR.America/Sao_Paulo"]


@pytest.mark.parametrize("zone", ZONES)
def test_every_hour_keeps_its_place_whatever_zone_the_user_is_in(site: Site, zone: str) -> None:
    site.zone = zone
    hours = [NOW - number * HOUR for number in range(5 * 7 * 24)]
    for number, hour in enumerate(hours):
        site.visit("/a", hour, times=number % 9 + 1)
    assert counts(collect(site.web, now=NOW + MINUTE)) == {("/a", hour): n % 9 + 1 for n, hour in enumerate(hours)}


def test_an_hour_read_before_and_after_the_clocks_change_is_the_same_hour(site: Site) -> None:
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)
    for number in range(-6, 6):
        site.visit("/a", change + number * HOUR, times=10 + number)
    readings = []
    for site.now, since in ((change - MINUTE, None), (change + 5 * HOUR, change - MINUTE)):
        readings.append(collect(site.web, now=site.now, since=since))
    assert counts(*readings) == {("/a", change + number * HOUR): 10 + number for number in range(-6, 6)}


def test_hours_of_zones_of_half_an_hour_are_found_and_doubted(web: Web) -> None:
    site = Site(web, zone="IN.Asia/Kolkata")
    hours = [NOW - number * HOUR for number in range(72)]
    for number, hour in enumerate(hours):
        site.visit("/a", hour, times=number + 1)
    harvest = collect(web)
    assert counts(harvest) == {("/a", hour): number + 1 for number, hour in enumerate(hours)}
    assert any("Asia/Kolkata" in note and "UTC" in note for note in harvest.notes)


def test_a_later_reading_starts_an_hour_before_the_last_one(site: Site) -> None:
    for number in range(100):
        site.visit("/a", NOW - number * HOUR)
    harvest = collect(site.web, now=NOW + 30 * MINUTE, since=NOW + 10 * MINUTE)
    assert counts(harvest) == {("/a", NOW - HOUR): 1, ("/a", NOW): 1}
    assert len([asked for asked in site.web.asked if asked.path.endswith("/hits")]) == 1
    assert harvest.notes == ()


def test_a_first_reading_goes_back_five_weeks_and_says_that_visitors_are_counted(site: Site) -> None:
    site.visit("/old", NOW - 36 * DAY)
    site.visit("/new", NOW - 34 * DAY)
    harvest = collect(site.web)
    assert counts(harvest) == {("/new", NOW - 34 * DAY): 1}
    assert harvest.notes == ("GoatCounter counts visitors, not views",)


def test_events_are_no_pages(site: Site) -> None:
    site.visit("newsletter-signup", NOW - HOUR, event=True)
    site.visit("/a", NOW - HOUR)
    harvest = collect(site.web, since=NOW)
    assert counts(harvest) == {("/a", NOW - HOUR): 1} and harvest.notes == ()


def test_a_day_is_read_to_its_last_page(site: Site) -> None:
    for number in range(350):
        site.visit(f"/{number}", NOW - HOUR, times=number + 1)
    assert counts(collect(site.web, since=NOW)) == {(f"/{number}", NOW - HOUR): number + 1 for number in range(350)}
    excluded = [asked.query.get("exclude_paths", "") for asked in site.web.asked if asked.path.endswith("/hits")]
    assert [len(each.split(",")) if each else 0 for each in excluded] == [0, 100, 200, 300]


def test_what_an_address_cannot_ask_for_is_said(site: Site) -> None:
    site.first_id = 10_000_001
    for number in range(1000):
        site.visit(f"/{number}", NOW - HOUR, times=number + 1)
    harvest = collect(site.web, since=NOW)
    assert len(harvest.views) == 700
    assert harvest.notes == (
        "on 1 day more pages were read than can be asked for; not counted are those with 301 or less",
    )
    assert all(len(asked.query.get("exclude_paths", "")) <= LONGEST_LIST for asked in site.web.asked)


def test_a_page_that_fails_half_way_stores_nothing(site: Site) -> None:
    for number in range(150):
        site.visit(f"/{number}", NOW - HOUR)
    whole = site.web.routes["/api/v0/stats/hits"]
    site.web.routes["/api/v0/stats/hits"] = lambda asked: (
        Answer({"error": "oh no"}, 500) if "exclude_paths" in asked.query else whole(asked)
    )
    assert "the server answered 500" in refused(site.web, since=NOW)


def test_a_server_that_repeats_itself_for_ever_is_stopped(site: Site) -> None:
    site.visit("/a", NOW - HOUR)
    whole = site.web.routes["/api/v0/stats/hits"]

    def again(asked: Asked) -> Answer:
        fresh = Asked(asked.path, {**asked.query, "exclude_paths": ""}, asked.headers)
        return Answer({**whole(fresh).body, "more": True})

    site.web.routes["/api/v0/stats/hits"] = again
    assert "gives the same pages again" in refused(site.web, since=NOW)


def test_a_busy_server_is_left_alone_as_long_as_it_asks(site: Site) -> None:
    site.visit("/a", NOW - HOUR)
    whole, naps, turns = site.web.routes["/api/v0/stats/hits"], Naps(), iter((True, False, False))
    limits = {"X-Rate-Limit-Limit": "4", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "7"}
    site.web.routes["/api/v0/stats/hits"] = lambda asked: (
        Answer("rate limited exceeded", 429, limits) if next(turns) else whole(asked)
    )
    assert counts(collect(site.web, since=NOW, naps=naps)) == {("/a", NOW - HOUR): 1}
    assert max(naps.taken) == 7


@pytest.mark.parametrize("reset", ["1764313200", "soon", "-1", ""])
def test_a_reset_that_is_no_wait_does_not_stop_us_for_years(site: Site, reset: str) -> None:
    naps = Naps()
    site.web.says("/api/v0/stats/hits", Answer("", 429, {"X-Rate-Limit-Reset": reset}))
    assert "the server answered 429" in refused(site.web, since=NOW, naps=naps)
    assert [seconds for seconds in naps.taken if seconds >= 1] == [1, 2, 4]


def test_a_wrong_token_a_weak_token_a_wrong_host_and_an_empty_site_read_differently(site: Site) -> None:
    lines = [refused(site.web, token="rusty"), refused(site.web, path="/elsewhere"), *collect(site.web).notes[1:]]
    site.web.says("/api/v0/stats/hits", Answer({"error": "requires 'stats' permissions"}, 403))
    lines.append(refused(site.web))
    assert "it answered 401: unknown token. It does not know this token" in lines[0]
    assert "it answered 404. Check url" in lines[1]
    assert "the service counted nothing from 2026-10-24 09:00 to 2026-11-28 08:00" in lines[2]
    assert "it answered 403: requires 'stats' permissions. Make a token" in lines[3]
    assert len(lines) == 4


def hit(**changes: Any) -> dict[str, Any]:
    hourly = [0] * 23 + [1]
    stats = [{"day": "2026-11-28", "hourly": hourly, "daily": 1}]
    return {"count": 1, "path_id": 1, "path": "/a", "event": False, "title": "A", "max": 1, "stats": stats, **changes}


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"hits": [hit()]},
        {"hits": ["/a"], "more": False},
        {"hits": 7, "more": False},
        {"hits": [hit(count=-1)], "more": False},
        {"hits": [hit(count=None)], "more": False},
        {"hits": [hit(path_id="x")], "more": False},
        {"hits": [hit(path_id=1e400)], "more": False},
        {"hits": [hit(stats=[{"day": "2026-11-28", "hourly": [1] * 23}])], "more": False},
        {"hits": [hit(stats=[{"day": "2026-11-28", "hourly": ["many"] * 24}])], "more": False},
        {"hits": [hit(stats=[{"day": "2026-11-28", "hourly": [10**12] * 24}])], "more": False},
        {"hits": [hit(stats=[{"day": "yesterday", "hourly": [1] * 24}])], "more": False},
        {"hits": [hit(stats=[{"day": 20261128, "hourly": [1] * 24}])], "more": False},
        {"hits": [{"path": "/a"}], "more": False},
    ],
)
def test_an_answer_of_another_shape_is_refused(site: Site, answer: Any) -> None:
    site.web.says("/api/v0/stats/hits", answer)
    assert "its counts cannot be read" in refused(site.web, since=NOW)


def test_hours_that_do_not_add_up_are_mentioned(site: Site) -> None:
    site.web.says("/api/v0/stats/hits", {"hits": [hit(count=5)], "more": False, "total": 5})
    assert "the hours of 1 pages do not add up to their count" in collect(site.web, since=NOW).notes


def test_an_empty_list_may_be_written_as_null(site: Site) -> None:
    site.web.says("/api/v0/stats/hits", {"hits": None, "more": False, "total": 0})
    assert collect(site.web, since=NOW).views == ()


@pytest.mark.parametrize(
    "me",
    [[], {}, {"user": None}, {"user": {"settings": {"timezone": 5}}}, {"user": {"settings": {"timezone": "XX.No"}}}],
)
def test_a_user_without_a_zone_we_know_is_refused(site: Site, me: Any) -> None:
    site.web.says("/api/v0/me", me)
    assert "time zone" in refused(site.web)


@pytest.mark.parametrize("zone", [None, "", "UTC", ".UTC"])
def test_no_zone_is_utc(site: Site, zone: str | None) -> None:
    site.web.says("/api/v0/me", {"user": {"settings": {"timezone": zone}}})
    site.zone = ".UTC"
    site.visit("/a", NOW - HOUR)
    assert counts(collect(site.web, since=NOW)) == {("/a", NOW - HOUR): 1}


def test_what_is_no_page_is_left_out_and_named(site: Site) -> None:
    for path in ("/half\ud83d", "app://x"):
        site.visit(path, NOW - HOUR)
    site.visit('/<b>"quoted"</b>', NOW - HOUR)
    harvest = collect(site.web, since=NOW)
    assert counts(harvest) == {('/<b>"quoted"</b>', NOW - HOUR): 1}
    assert harvest.notes == ("no pages, so not counted: 'app://x', '/half'",)
