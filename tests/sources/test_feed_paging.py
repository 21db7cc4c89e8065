"""How far back a feed's pages are turned, and when not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from digest.domain.articles import FoundArticle, Harvest
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.paging import BACK, MOST_PAGES, Page, all_pages, known_until, newest_of
from tests.sources.conftest import NOW
from tests.sources.test_feed import collect
from tests.sources.web import Answer, Asked, Web

HOUR = timedelta(hours=1)
HTML = "<!DOCTYPE html>\n<html><body>Nothing here</body></html>"


def rss(hours: list[int], inside: str = "") -> str:
    """Articles published so many hours ago."""
    items = "".join(
        f"<item><title>{n} hours ago</title><link>https://news.example.com/{n}</link>"
        f"<pubDate>{NOW - n * HOUR:%a, %d %b %Y %H:%M:%S} +0000</pubDate></item>"
        for n in hours
    )
    spaces = 'xmlns:atom="http://www.w3.org/2005/Atom"'
    return (
        f'<?xml version="1.0"?><rss version="2.0" {spaces}><channel><title>News</title>{inside}{items}</channel></rss>'
    )


class Blog:
    """A WordPress feed of ten items a page; articles are named by the hours since they were published."""

    def __init__(self, web: Web, hours: list[int]) -> None:
        self.web, self.hours = web, sorted(hours)
        self.headers: Mapping[str, str] = {"ETag": '"1"', "Last-Modified": "Sat, 28 Nov 2026 07:00:00 GMT"}
        self.beyond = Answer(HTML, 404)
        self.broken_page = 0
        self.generator = "<generator>https://wordpress.org/?v=6.8</generator>"
        web.routes["/feed"] = self.answer
        self.url = f"{web.url}/feed"

    def answer(self, asked: Asked) -> Answer:
        page = int(asked.query.get("paged", 1))
        if page == self.broken_page:
            return Answer("Error establishing a database connection", 500, {"Retry-After": "3600"})
        if asked.headers.get("if-none-match") == '"1"':
            return Answer(status=304)
        found = self.hours[10 * (page - 1) : 10 * page]
        return Answer(rss(found, self.generator), headers=self.headers) if found else self.beyond

    @property
    def pages(self) -> list[str]:
        """The pages that were asked for since the last look."""
        asked = [each.query.get("paged", "1") for each in self.web.asked]
        self.web.asked.clear()
        return asked


def hours_in(harvest: Harvest) -> list[int]:
    return sorted(int(article.title.split()[0]) for article in harvest.articles)


def test_the_first_time_a_wordpress_feed_is_read_two_weeks_back(web: Web) -> None:
    blog = Blog(web, [n * 8 for n in range(1, 60)])  # 15 articles in five days
    harvest = collect(blog.url)
    assert hours_in(harvest) == [n * 8 for n in range(1, 51)]  # to the page on which something is older than that
    assert blog.pages == ["1", "2", "3", "4", "5"]
    assert harvest.notes == ()


@pytest.mark.parametrize("beyond", [Answer(HTML, 404), Answer(HTML), Answer(rss([]))])
def test_a_young_wordpress_is_read_to_its_end(web: Web, beyond: Answer) -> None:
    blog = Blog(web, list(range(1, 21)))
    blog.beyond = beyond
    assert hours_in(collect(blog.url)) == list(range(1, 21))
    assert blog.pages == ["1", "2", "3"]


def test_later_the_first_page_is_enough_as_long_as_something_on_it_is_known(web: Web) -> None:
    blog = Blog(web, list(range(10, 40)))
    blog.headers = {}
    first = collect(blog.url)
    blog.web.asked.clear()
    blog.hours = [*range(1, 10), *blog.hours]
    assert hours_in(collect(blog.url, remembered=first.remembered, since=NOW)) == list(range(1, 11))
    assert blog.pages == ["1"]


def test_when_nothing_on_the_first_page_is_known_pages_are_turned_to_what_is(web: Web) -> None:
    blog = Blog(web, list(range(30, 60)))
    blog.headers = {}
    first = collect(blog.url)
    assert first.remembered == {"newest": (NOW - 30 * HOUR).isoformat()}
    blog.web.asked.clear()
    blog.hours = list(range(1, 60))
    later = collect(blog.url, remembered=first.remembered, since=NOW)
    assert hours_in(later) == list(range(1, 31))
    assert blog.pages == ["1", "2", "3"]
    assert later.remembered == {"newest": (NOW - HOUR).isoformat()}


def test_only_the_first_page_is_asked_for_conditionally(web: Web) -> None:
    blog = Blog(web, list(range(1, 16)))
    first = collect(blog.url)
    assert first.remembered == {
        "etag": '"1"',
        "last-modified": "Sat, 28 Nov 2026 07:00:00 GMT",
        "newest": (NOW - HOUR).isoformat(),
    }
    assert not any("if-none-match" in asked.headers for asked in web.asked)
    assert collect(blog.url, remembered=first.remembered) == Harvest(remembered=first.remembered)
    web.asked.clear()
    collect(blog.url, remembered={"etag": '"0"'})
    assert ["if-none-match" in asked.headers for asked in web.asked] == [True, False, False]


def test_a_wordpress_that_hides_itself_is_known_by_its_api(web: Web) -> None:
    blog = Blog(web, list(range(1, 16)))
    blog.generator = ""
    assert len(collect(blog.url).articles) == 10
    blog.headers = {"Link": f'<{web.url}/wp-json/>; rel="https://api.w.org/"'}
    assert len(collect(blog.url).articles) == 15


def test_a_feed_with_a_query_of_its_own_keeps_it(web: Web) -> None:
    blog = Blog(web, list(range(1, 16)))
    web.routes["/"] = blog.answer
    assert len(collect(f"{web.url}/?feed=rss2&cat=7").articles) == 15
    assert web.asked[1].query == {"feed": "rss2", "cat": "7", "paged": "2"}


def test_pages_are_turned_where_a_redirect_led(web: Web) -> None:
    Blog(web, list(range(1, 16)))
    web.says("/rss", Answer(status=301, headers={"Location": "/feed"}))
    assert len(collect(f"{web.url}/rss").articles) == 15


def test_a_site_that_answers_every_number_with_the_same_page_is_left_in_peace(web: Web) -> None:
    web.says("/feed", rss(list(range(1, 11)), "<generator>https://wordpress.org/?v=6.8</generator>"))
    assert len(collect(f"{web.url}/feed").articles) == 10
    assert len(web.asked) == 2


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_page_that_fails_half_way_fails_the_whole_reading(web: Web, page: int) -> None:
    blog = Blog(web, list(range(1, 60)))
    blog.broken_page = page
    place = "/feed" if page == 1 else rf"/feed\?paged={page}"
    with pytest.raises(SourceError, match=f"{place}: the server answered 500"):
        collect(blog.url)


def test_a_page_that_is_not_well_formed_is_named(web: Web) -> None:
    blog = Blog(web, list(range(1, 11)))
    blog.beyond = Answer(rss([20])[:-20])
    with pytest.raises(SourceError, match=r"/feed\?paged=2, line 1: it is not well-formed XML"):
        collect(blog.url)


def link_to_next(href: str) -> str:
    return f'<atom:link rel="next" href="{href}"/><atom:link rel="self" href="/feed"/>'


def test_a_feed_may_name_its_next_page_itself(web: Web) -> None:
    web.says("/feed", rss([1, 2], link_to_next("/feed/older")))
    web.says("/feed/older", rss([3, 4], link_to_next("older-still")))
    web.says("/feed/older-still", rss([5]))
    assert hours_in(collect(f"{web.url}/feed")) == [1, 2, 3, 4, 5]


def test_an_atom_feed_names_its_next_page_too(web: Web) -> None:
    entry = "<entry><title>{0} hours</title><link href='/{0}'/><updated>2026-11-27T10:00:00Z</updated></entry>"
    page = '<feed xmlns="http://www.w3.org/2005/Atom">{0}{1}</feed>'
    web.says("/feed", page.format('<link rel="next" href="/2"/>', entry.format(1)))
    web.says("/2", page.format("", entry.format(2)))
    assert hours_in(collect(f"{web.url}/feed")) == [1, 2]


def test_a_next_page_that_was_announced_must_be_there(web: Web) -> None:
    web.says("/feed", rss([1], link_to_next("/gone")))
    with pytest.raises(SourceError, match="/gone: the server answered 404"):
        collect(f"{web.url}/feed")


def test_pages_that_lead_in_a_circle_are_read_once(web: Web) -> None:
    web.says("/feed", rss([1], link_to_next("/2")))
    web.says("/2", rss([2], link_to_next("/feed")))
    assert hours_in(collect(f"{web.url}/feed")) == [1, 2]
    assert len(web.asked) == 3
    web.says("/feed", rss([1], link_to_next("/feed")))
    assert hours_in(collect(f"{web.url}/feed")) == [1]


def test_a_next_page_is_not_followed_into_a_private_network(web: Web) -> None:
    port = web.url.rpartition(":")[2]
    web.says("/inside", rss([2]))
    for there in (f"http://localhost:{port}/inside", "http://169.254.169.254/latest/"):
        web.says("/feed", rss([1], link_to_next(there)))
        with pytest.raises(SourceError, match="private network"):
            collect(f"{web.url}/feed")
    assert "/inside" not in [asked.path for asked in web.asked]


def test_a_next_page_that_is_no_address_is_noted(web: Web) -> None:
    harvest = collect(web.says("/feed", rss([1], link_to_next("file:///etc/passwd"))))
    assert hours_in(harvest) == [1] and "older items were not read" in harvest.notes[0]


def test_a_login_in_the_address_is_kept_for_the_next_page_and_out_of_everything_else(web: Web) -> None:
    web.says("/feed", rss([1], link_to_next(f"{web.url}/2")).replace("https://news.example.com", ""))
    web.says("/2", rss([2], "<").replace("https://news.example.com", ""))
    url = f"{web.url}/feed".replace("//", "//anna:hunter2@")
    with pytest.raises(SourceError, match="well-formed") as caught:
        collect(url)
    assert "hunter2" not in str(caught.value) and caught.value.place == f"{web.url}/2, line 1"
    web.says("/2", rss([2]))
    harvest = collect(url)
    assert [article.url for article in harvest.articles] == [f"{web.url}/1", "https://news.example.com/2"]
    assert all("authorization" in asked.headers for asked in web.asked)


def test_pages_without_end_are_read_up_to_a_limit_and_that_is_said() -> None:
    def page(number: int) -> Page:
        return Page((FoundArticle(f"/{number}", "T", NOW),), following=str(number + 1))

    async def turn(before: Page) -> Page:
        return page(int(before.following))

    whole = asyncio.run(all_pages(page(1), turn, NOW - BACK))
    assert len(whole.articles) == MOST_PAGES
    assert whole.notes == (f"only the first {MOST_PAGES} pages were read; there are more",)


def test_what_is_known_ends_where_the_newest_article_was_but_never_in_the_future() -> None:
    first = known_until(Reading(NOW))
    assert first == NOW - BACK
    old = {"newest": (NOW - 3 * BACK).isoformat()}
    assert known_until(Reading(NOW, remembered=old)) == NOW - BACK
    assert newest_of(Page(), Reading(NOW)) == {"newest": (NOW - BACK).isoformat()}
    assert datetime.fromisoformat(newest_of(Page(), Reading(NOW))["newest"]).tzinfo == UTC
