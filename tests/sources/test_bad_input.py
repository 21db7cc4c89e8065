"""What sites send when they are broken: each is told in one line, stores nothing, and stops no other source."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import FeedSource, FilesSource, WordPressSource
from digest.domain.articles import Harvest
from digest.errors import SourceError
from digest.sources import Reading, Source
from digest.sources.feed import Feed
from digest.sources.files import Files
from digest.sources.wordpress import WordPress
from tests.sources.conftest import NOW
from tests.sources.test_feed import ITEM, collect, only
from tests.sources.web import Answer, Asked, Web
from tests.sources.wordpress_site import POPULAR, Site

WARSAW = ZoneInfo("Europe/Warsaw")
POLISH = "Zażółć gęślą jaźń"


def rss(head: str = "", title: str = POLISH) -> str:
    item = ITEM.replace("A title", title)
    return f'{head}<rss version="2.0"><channel>\n<title>News</title>\n<item>{item}</item></channel></rss>'


def served(web: Web, content: bytes, content_type: str = "") -> str:
    return web.says("/feed", Answer(content, headers={"Content-Type": content_type} if content_type else {}))


def declared(encoding: str) -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?>\n'


@pytest.mark.parametrize(
    ("head", "encoding", "content_type"),
    [
        ("windows-1250", "cp1250", ""),
        ("windows-1250", "cp1250", "text/xml"),
        ("windows-1250", "cp1250", "application/rss+xml"),
        ("windows-1250", "cp1250", "text/xml; charset=UTF-8"),
        ("windows-1250", "cp1250", "text/xml; charset=iso-8859-1"),
        ("", "cp1250", "text/xml; charset=windows-1250"),
        ("utf-8", "iso-8859-2", 'application/xml; charset="ISO-8859-2"'),
        ("utf-8", "utf-8", "text/xml"),
        ("utf-8", "utf-8", "text/xml; charset=iso-8859-1"),
        ("windows-1250", "utf-8", ""),
        ("us-ascii", "utf-8", ""),
        ("utf-16", "utf-8", ""),
        ("nonsense", "utf-8", ""),
        ("idna", "utf-8", ""),
        ("", "utf-8", "text/plain"),
        ("", "utf-8-sig", ""),
        ("utf-8", "utf-8-sig", "text/xml"),
        ("utf-16", "utf-16", ""),
        ("", "utf-16", ""),
        ("utf-16", "utf-16", "text/xml; charset=utf-16"),
    ],
)
def test_a_feed_is_read_in_the_encoding_it_is_really_in(web: Web, head: str, encoding: str, content_type: str) -> None:
    text = rss(declared(head) if head else "")
    assert only(collect(served(web, text.encode(encoding), content_type))).title == POLISH


@pytest.mark.parametrize(
    "head", ["", declared("utf-8"), declared("idna"), declared("undefined"), declared("hex"), "<?xml ?>"]
)
def test_a_feed_in_an_encoding_nobody_names_is_refused_with_its_line(web: Web, head: str) -> None:
    url = served(web, rss(head).encode("cp1250"), "text/xml; charset=utf-8")
    with pytest.raises(SourceError, match="not UTF-8 .*declares no other.*Send UTF-8, or declare") as caught:
        collect(url)
    assert caught.value.place == f"{url}, line {3 + head.count(chr(10))}"


def test_a_letter_cut_in_two_spoils_no_others(web: Web) -> None:
    cut = rss(title=f"{POLISH} ż").encode().replace("ż</".encode(), b"\xc5</")
    assert only(collect(served(web, cut))).title == f"{POLISH} \ufffd"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Fri, 27 Nov 2026 18:30:00", datetime(2026, 11, 27, 17, 30, tzinfo=UTC)),
        ("27 Nov 2026", datetime(2026, 11, 26, 23, tzinfo=UTC)),
        ("2026-11-27 18:30:00", datetime(2026, 11, 27, 17, 30, tzinfo=UTC)),
        ("2026-11-27T18:30:00", datetime(2026, 11, 27, 17, 30, tzinfo=UTC)),
        ("2026-07-27", datetime(2026, 7, 26, 22, tzinfo=UTC)),
        ("Fri, 27 Nov 2026 18:30:00 GMT", datetime(2026, 11, 27, 18, 30, tzinfo=UTC)),
        ("Fri, 27 Nov 2026 18:30:00 +0000", datetime(2026, 11, 27, 18, 30, tzinfo=UTC)),
        ("Fri, 27 Nov 2026 18:30:00 EST", datetime(2026, 11, 27, 23, 30, tzinfo=UTC)),
        ("2026-11-27T18:30:00Z", datetime(2026, 11, 27, 18, 30, tzinfo=UTC)),
        ("2026-11-27T18:30:00-08:00", datetime(2026, 11, 28, 2, 30, tzinfo=UTC)),
    ],
)
def test_a_date_without_offset_is_one_of_the_site(web: Web, written: str, read: datetime) -> None:
    text = rss().replace("Fri, 27 Nov 2026 18:30:00 +0100", written)
    assert only(collect(served(web, text.encode()))).published_at == read


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00+14:00", "Mon, 32 Foo 2026", "0000-00-00 00:00:00", "1e9"])
def test_a_date_that_is_none_costs_only_its_item(web: Web, written: str) -> None:
    bad = f"<item>{ITEM.replace('Fri, 27 Nov 2026 18:30:00 +0100', written)}</item></channel>"
    harvest = collect(served(web, rss().replace("</channel>", bad).encode()))
    assert len(harvest.articles) == 1
    assert "item 2 left out: 'A title' has no date we can read" in harvest.notes


@pytest.mark.parametrize("width", ["100%", "-1", "wide", "1200.5", "9" * 5000])
def test_an_odd_picture_costs_no_article(web: Web, width: str) -> None:
    media = f'<media:content xmlns:media="http://search.yahoo.com/mrss/" url="/p.jpg" medium="image" width="{width}"/>'
    article = only(collect(served(web, rss().replace("</item>", f"{media}</item>").encode())))
    assert article.image is not None and article.image.url == "https://news.example.com/p.jpg"


def test_ten_thousand_items_are_read(web: Web) -> None:
    items = "".join(f"<item>{ITEM.replace('com/a', f'com/{n}')}</item>" for n in range(10_000))
    text = f'<rss version="2.0"><channel>{items}<item><title>No link</title></item></channel></rss>'
    harvest = collect(served(web, text.encode()))
    assert len(harvest.articles) == 10_000
    assert harvest.notes == ("item 10001 left out: 'No link' has no link",)


# --- every kind of source, and what its server may do ---------------------------------------------


def feed(url: str, **more: Any) -> Source:
    return Feed(FeedSource(name="news", kind="feed", url=f"{url}/feed", **more), WARSAW)


def wordpress(url: str, **more: Any) -> Source:
    return WordPress(WordPressSource(name="news", kind="wordpress", url=url, **more))


def files(url: str, **more: Any) -> Source:
    return Files(FilesSource(name="news", kind="files", views=f"{url}/v.csv", **more), url, WARSAW, Path())


KINDS = pytest.mark.parametrize("make", [feed, wordpress, files])


def read(source: Source) -> Harvest:
    return asyncio.run(source.collect(Reading(NOW)))


def refused(source: Source) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(source)
    error = caught.value
    assert error.source == "news" and error.place and error.reason
    return error


def everywhere(web: Web, answer: Answer) -> str:
    for path in ("/", "/feed", "/v.csv", "/wp-json/", "/wp-json/wp/v2/posts"):
        web.routes[path] = lambda _: answer
    return web.url


@KINDS
def test_a_source_that_hangs_is_given_up(web: Web, make: Any) -> None:
    error = refused(make(everywhere(web, Answer(hangs=True)), timeout="0.2s"))
    assert "0.2 seconds" in error.reason and "timeout" in error.remedy


@KINDS
def test_a_source_that_leads_into_a_private_network_is_not_followed(web: Web, make: Any) -> None:
    there = {"Location": "http://169.254.169.254/latest/meta-data/"}
    error = refused(make(everywhere(web, Answer(status=302, headers=there))))
    assert "169.254.169.254, which lies in a private network" in error.reason and "private_hosts" in error.remedy


@KINDS
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_source_that_turns_us_away_says_so_and_what_to_do(web: Web, make: Any, status: int) -> None:
    error = refused(make(everywhere(web, Answer(status=status))))
    assert str(status) in error.reason and error.remedy


@KINDS
def test_a_reply_larger_than_any_is_not_read(web: Web, make: Any) -> None:
    error = refused(make(everywhere(web, Answer(b"x" * 5000)), max_bytes=4000))
    assert "4,000 bytes" in error.reason and "max_bytes" in error.remedy


@pytest.mark.parametrize("place", ["https://[bad/v.csv", "https:///v.csv", "http://"])
def test_a_place_that_is_no_address_is_told_like_any_other_mistake(place: str) -> None:
    source = Files(FilesSource(name="news", kind="files", views=place), "https://news.example.com", WARSAW, Path())
    assert refused(source).place == place


def test_one_of_two_files_that_fails_fails_both(web: Web, tmp_path: Path) -> None:
    articles = web.says("/a.csv", Answer("url,title,published_at\n/a,A,2026-11-27\n", headers={"ETag": '"1"'}))
    views = web.says("/v.csv", Answer(status=500, headers={"Retry-After": "3600"}))
    source = Files(FilesSource(name="news", kind="files", articles=articles, views=views), web.url, WARSAW, tmp_path)
    assert refused(source).place == views


def test_ten_thousand_rows_are_read_and_what_no_database_takes_is_left_out(tmp_path: Path) -> None:
    odd = {"title": "T\ud800\x00", "url": "/a\ud800", "summary": "S\udfff", "author": "A\x07", "tags": ["t\ud83d"]}
    rows = [{"published_at": "2026-11-27", **odd, "url": f"/{n}\ud800"} for n in range(10_000)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    source = Files(FilesSource(name="news", kind="files", articles="a.json"), "https://x.example", WARSAW, tmp_path)
    first, *others = read(source).articles
    assert (first.title, first.url, first.summary) == ("T", "https://x.example/0", "S")
    assert (first.author, first.tags, len(others)) == ("A", ("t",), 9_999)


# --- WordPress ------------------------------------------------------------------------------------


@pytest.fixture
def site(web: Web) -> Site:
    return Site(web, WARSAW, lambda: NOW, popular=False)


@pytest.mark.parametrize(
    "change",
    [
        {"title": {"rendered": ["x"]}},
        {"title": 7},
        {"excerpt": ["x"]},
        {"date_gmt": 7},
        {"_embedded": {"author": [{"name": {"a": 1}}], "wp:term": [[{"name": ["x"], "taxonomy": "category"}]]}},
        {"_embedded": {"wp:featuredmedia": [{"source_url": {"a": 1}, "alt_text": 3}]}},
        {
            "_embedded": {
                "wp:featuredmedia": [{"source_url": "/p.jpg", "media_details": {"width": "wide", "height": {}}}]
            }
        },
        {
            "_embedded": {
                "wp:featuredmedia": [{"source_url": "/p.jpg", "media_details": {"width": {"a": 1}, "sizes": [1]}}]
            }
        },
        {"_embedded": {"wp:featuredmedia": [{"source_url": "/p.jpg", "mime_type": ["image/png"]}]}},
        {
            "_embedded": {
                "wp:featuredmedia": [
                    {"source_url": "/p.jpg", "media_details": {"sizes": {"a": {"source_url": "/q.jpg"}}}}
                ]
            }
        },
    ],
)
def test_a_post_with_odd_values_costs_at_most_itself(site: Site, change: dict[str, Any]) -> None:
    site.publish(1, NOW, **change)
    site.publish(2, NOW)
    harvest = read(wordpress(site.web.url))
    assert "Article 2" in [article.title for article in harvest.articles]
    assert len(harvest.articles) + len(harvest.notes) == 2


def test_what_is_no_post_is_left_out_and_named(site: Site) -> None:
    site.web.says(
        "/wp-json/wp/v2/posts", [None, {"id": "7"}, {"title": {"rendered": "x"}}, "text", site.publish(1, NOW)]
    )
    harvest = read(wordpress(site.web.url))
    assert len(harvest.articles) == 1
    assert len(harvest.notes) == 4 and all("left out" in note for note in harvest.notes)


def test_pages_that_repeat_for_ever_are_an_error(site: Site) -> None:
    post = site.publish(1, NOW)
    headers = {"X-WP-TotalPages": "999999"}
    site.web.says("/wp-json/wp/v2/posts", Answer([post], headers=headers))
    error = refused(wordpress(site.web.url))
    assert "page 2" in error.reason and len(site.web.asked) < 10


@pytest.mark.parametrize("reply", ["\ud800 no", {"\ud800": "\x00"}, 7, None, True])
def test_an_error_can_be_stored_and_shown_whatever_the_reply(site: Site, reply: Any) -> None:
    site.web.says("/wp-json/wp/v2/posts", json.dumps(reply))
    assert str(refused(wordpress(site.web.url))).isprintable()


@pytest.mark.parametrize("count", [-5, "-5", 10**15, "many", None, True, 1.5, {"a": 1}, "9" * 5000])
def test_a_count_that_cannot_be_is_refused(site: Site, count: Any) -> None:
    site.publish(1, NOW - timedelta(days=1))
    site.popular = True
    site.web.says(f"/wp-json/{POPULAR}/popular-posts", [{"id": 1, "link": f"{site.web.url}/a/", "pageviews": count}])
    error = refused(wordpress(site.web.url))
    assert "counts" in error.reason and "popular-posts" in error.place


def test_titles_of_posts_lose_markup_and_what_no_database_takes(site: Site) -> None:
    site.publish(1, NOW, title={"rendered": "<b>Tea</b> &amp; \ud800\u202ecake\x00 5 &lt; 6"})
    (article,) = read(wordpress(site.web.url)).articles
    assert article.title == "Tea & cake 5 < 6"


def test_half_a_site_is_no_site(site: Site) -> None:
    for number in range(1, 251):
        site.publish(number, NOW)

    def half_way(asked: Asked) -> Answer:
        return Answer(hangs=True) if asked.query["page"] == "2" else site.answer_posts(asked)

    site.web.routes["/wp-json/wp/v2/posts"] = half_way
    assert "page=2" in refused(wordpress(site.web.url, timeout="0.3s")).place
