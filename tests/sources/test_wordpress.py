"""A WordPress of paper: its pages, its errors, and what is made of them. The real one is in tests/real."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import WordPressSource
from digest.domain.articles import FoundArticle, Harvest, Image
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.fetch import Fetcher
from digest.sources.wordpress import WordPress
from tests.sources.conftest import NOW
from tests.sources.test_fetch import Naps
from tests.sources.web import Answer, Asked, Web
from tests.sources.wordpress_site import Site

WARSAW = ZoneInfo("Europe/Warsaw")


@pytest.fixture
def site(web: Web) -> Site:
    return Site(web, WARSAW, lambda: NOW, popular=False)


def collect(url: str, views: Any = "auto", **reading: Any) -> Harvest:
    async def read() -> Harvest:
        source = WordPress(WordPressSource(name="site", kind="wordpress", url=url, views=views))
        async with Fetcher(
            "site", timedelta(seconds=30), 1_000_000, homes=("http://127.0.0.1",), sleep=Naps()
        ) as fetcher:
            return await source.read(fetcher, Reading(NOW, **reading))

    return asyncio.run(read())


def only(harvest: Harvest) -> FoundArticle:
    assert harvest.notes == ()
    (article,) = harvest.articles
    return article


def term(name: str, taxonomy: str) -> dict[str, Any]:
    return {"id": 5, "name": name, "slug": name.lower(), "taxonomy": taxonomy}


def test_a_post_is_read_whole(site: Site) -> None:
    sizes = {
        "thumbnail": {"source_url": "https://cdn.example/p-150.jpg", "width": 150, "height": 150},
        "large": {"source_url": "https://cdn.example/p-1024.jpg", "width": 1024, "height": 576},
        "strip": {"source_url": "https://cdn.example/p-strip.jpg", "width": 1200, "height": 300},
    }
    media = {
        "source_url": "https://cdn.example/p.jpg",
        "alt_text": "A &amp; B",
        "media_type": "image",
        "mime_type": "image/jpeg",
        "media_details": {"width": 6000, "height": 3375, "sizes": sizes},
    }
    terms = [
        [term("Uncategorized", "category"), term("City &amp; region", "category")],
        [term("tram", "post_tag"), term("Łódź", "post_tag")],
    ]
    site.publish(
        7,
        NOW - timedelta(days=1),
        title={"rendered": "Tram &#8222;fourteen&#8221; &amp; <em>others</em>: 5 &lt; 6"},
        _embedded={"author": [{"name": "Bob"}], "wp:term": terms, "wp:featuredmedia": [media]},
    )
    assert only(collect(site.web.url)) == FoundArticle(
        url=f"{site.web.url}/article-7/",
        title="Tram „fourteen” & others: 5 < 6",
        published_at=NOW - timedelta(days=1),
        summary="Words…",
        image=Image("https://cdn.example/p-1024.jpg", "A & B", 1024, 576),
        section="City & region",
        author="Bob",
        tags=("tram", "Łódź"),
    )
    asked = site.web.asked[-1].query
    assert (asked["_embed"], asked["per_page"]) == ("author,wp:term,wp:featuredmedia", "100")
    assert "content" not in asked["_fields"]


def test_embeds_that_hold_errors_count_as_nothing(site: Site) -> None:
    error = {"code": "rest_forbidden", "message": "Sorry", "data": {"status": 401}}
    embeds = {"author": [error], "wp:featuredmedia": [error], "wp:term": [[error], error, None]}
    site.publish(1, NOW, _embedded=embeds)
    site.publish(2, NOW, _embedded=[])  # what PHP makes of an empty list of embeds
    site.publish(
        3, NOW, _embedded={"author": [], "wp:featuredmedia": [{"source_url": "/x.mp4", "mime_type": "video/mp4"}]}
    )
    for article in collect(site.web.url).articles:
        assert (article.author, article.image, article.section, article.tags) == ("", None, "", ())


def test_every_page_is_read_and_the_first_reading_goes_back_sixteen_days(site: Site) -> None:
    for number in range(1, 251):
        site.publish(number, NOW - timedelta(hours=number))
    site.publish(999, NOW - timedelta(days=30))
    assert len(collect(site.web.url).articles) == 250
    assert [asked.query.get("page") for asked in site.web.asked if "posts" in asked.path] == ["1", "2", "3"]


def test_later_readings_ask_for_new_and_for_changed_posts(site: Site) -> None:
    hour = timedelta(hours=1)
    site.publish(1, NOW - 100 * hour)
    site.publish(2, NOW - hour, modified="2026-11-01T00:00:00")  # written long ago, scheduled for now
    site.publish(3, NOW - 100 * hour, modified="2026-11-28T07:30:00")
    first = collect(site.web.url)
    later = collect(site.web.url, since=NOW - hour, remembered=first.remembered)
    assert {article.title for article in later.articles} == {"Article 2", "Article 3"}


def test_trouble_on_one_page_is_trouble_of_all(site: Site) -> None:
    for number in range(1, 251):
        site.publish(number, NOW)

    def half_way(asked: Asked) -> Answer:
        return Answer("oops", 500) if asked.query["page"] == "2" else site.answer_posts(asked)

    site.web.routes["/wp-json/wp/v2/posts"] = half_way
    with pytest.raises(SourceError, match="page=2.*answered 500"):
        collect(site.web.url)


def test_what_is_no_article_is_left_out_and_named(site: Site) -> None:
    site.publish(1, NOW, title={"rendered": " "})
    site.publish(2, NOW, link="javascript:alert(1)")
    site.publish(3, NOW, excerpt={"rendered": "", "protected": True})
    site.publish(4, NOW + timedelta(days=400))
    site.publish(5, NOW, date_gmt="0000-00-00T00:00:00", date="nonsense past all")
    site.publish(6, NOW)
    harvest = collect(site.web.url)
    assert [article.title for article in harvest.articles] == ["Article 6"]
    words = ["no title", "not a web address", "password", "future", "cannot be read"]
    assert all(word in note for word, note in zip(words, harvest.notes, strict=True))


def test_a_post_without_gmt_date_is_dated_in_the_sites_zone(site: Site) -> None:
    site.publish(1, NOW, date_gmt="0000-00-00T00:00:00", date="2026-11-27T10:00:00")
    assert only(collect(site.web.url)).published_at == datetime(2026, 11, 27, 9, tzinfo=UTC)


def test_the_api_is_found_without_being_announced_and_without_pretty_addresses(site: Site) -> None:
    site.publish(1, NOW)
    site.web.says("/", "<html>")
    assert only(collect(site.web.url)).title == "Article 1"
    del site.web.routes["/wp-json/"]

    def plain(asked: Asked) -> Answer:
        route = asked.query.get("rest_route")
        return {"/": Answer(site.index()), "/wp/v2/posts": site.answer_posts(asked)}.get(route or "", Answer("<html>"))

    site.web.routes["/"] = plain
    harvest = collect(site.web.url)
    assert only(harvest).title == "Article 1"
    site.web.asked.clear()
    assert only(collect(site.web.url, remembered=harvest.remembered)).title == "Article 1"
    assert len(site.web.asked) == 2  # it knows the way now


def test_a_remembered_api_that_moved_is_found_again(site: Site) -> None:
    site.publish(1, NOW)
    assert only(collect(site.web.url, remembered={"rest_root": f"{site.web.url}/old/wp-json/"})).title == "Article 1"


def test_a_site_that_is_no_wordpress_says_so(web: Web) -> None:
    web.says("/", "<html>")
    with pytest.raises(SourceError, match='no WordPress REST API found.*kind = "feed"'):
        collect(web.url)


def test_a_list_that_is_none_is_refused(site: Site) -> None:
    site.web.says("/wp-json/wp/v2/posts", {"code": "rest_disabled", "message": "No"})
    with pytest.raises(SourceError, match="rest_disabled"):
        collect(site.web.url)


def test_views_are_read_when_the_site_counts_them_or_when_they_must_be(site: Site) -> None:
    assert collect(site.web.url).views == ()
    with pytest.raises(SourceError, match="WP Popular Posts does not answer"):
        collect(site.web.url, views="popular-posts")


def test_a_counter_that_vanished_is_an_error_not_an_empty_week(site: Site) -> None:
    counted = {"counted_until": "2026-11-28T05:00:00+00:00"}
    with pytest.raises(SourceError, match="nobody would be counted"):
        collect(site.web.url, remembered=counted)
    assert collect(site.web.url, views="none", remembered=counted).views == ()
