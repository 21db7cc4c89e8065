"""RSS and Atom as sites really write them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import FeedSource
from digest.domain.articles import FoundArticle, Harvest, Image
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.feed import Feed
from digest.sources.plain import text_of, title_of
from tests.sources.conftest import NOW
from tests.sources.web import Answer, Web

ITEM = "<title>A title</title><link>https://news.example.com/a</link><pubDate>Fri, 27 Nov 2026 18:30:00 +0100</pubDate>"


def collect(url: str, **reading: Any) -> Harvest:
    source = Feed(FeedSource(name="news", kind="feed", url=url), ZoneInfo("Europe/Warsaw"))
    return asyncio.run(source.collect(Reading(NOW, **reading)))


def rss(web: Web, *items: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    spaces = (
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:media="http://search.yahoo.com/mrss/"'
    )
    inside = "".join(f"<item>{item}</item>" for item in items)
    text = f'{head}<rss version="2.0" {spaces}><channel><title>News</title>{inside}</channel></rss>'
    return web.says("/feed", Answer(text.encode("utf-8", "surrogatepass"), headers={"Content-Type": "text/xml"}))


def only(harvest: Harvest) -> FoundArticle:
    assert harvest.notes == ()
    (article,) = harvest.articles
    return article


def test_an_rss_item_is_read_whole(web: Web) -> None:
    item = (
        "<title>Tea &amp;amp; coffee &amp;#8211; 5 &lt; 6</title><link>/2026/tea?utm_source=rss</link>"
        "<pubDate>Fri, 27 Nov 2026 18:30:00 +0100</pubDate><dc:creator>Anna Nowak</dc:creator>"
        "<category>Food</category><category><![CDATA[Health &amp; life]]></category><category>Food</category>"
        "<description><![CDATA[<p>Why <b>tea</b>&nbsp;wins.</p>\n<p>Again [&hellip;]</p>]]></description>"
        '<media:content url="/small.jpg" medium="image" width="300" height="169"/>'
        '<media:content url="/wide.jpg" medium="image" width="1280" height="720"/>'
        '<media:content url="/huge.jpg" medium="image" width="6000" height="3375"/>'
        '<media:content url="/film.mp4" type="video/mp4" width="1200"/>'
    )
    article = only(collect(rss(web, item)))
    assert article == FoundArticle(
        url=f"{web.url}/2026/tea?utm_source=rss",
        title="Tea & coffee – 5 < 6",
        published_at=datetime(2026, 11, 27, 17, 30, tzinfo=UTC),
        summary="Why tea wins. Again…",
        image=Image(f"{web.url}/wide.jpg", "", 1280, 720),
        section="Food",
        author="Anna Nowak",
        tags=("Food", "Health & life"),
    )


def test_an_atom_entry_is_read_whole(web: Web) -> None:
    text = """<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>
      <entry><title type="html">Rain in &lt;em&gt;Gdynia&lt;/em&gt;</title><id>urn:1</id>
      <link rel="alternate" href="https://news.example.com/rain"/><link rel="edit" href="https://x.example/"/>
      <published>2026-11-27T18:30:00+01:00</published><updated>2026-11-28T06:00:00Z</updated>
      <author><name>Bob</name></author><category term="weather" label="Weather"/>
      <content type="html">&lt;p&gt;It rains.&lt;/p&gt;&lt;img src="/rain.jpg" alt="Rain" width="800px"&gt;</content>
      </entry></feed>"""
    article = only(collect(web.says("/feed", text)))
    assert article.title == "Rain in Gdynia"
    assert article.url == "https://news.example.com/rain"
    assert article.published_at == datetime(2026, 11, 27, 17, 30, tzinfo=UTC)
    assert (article.author, article.section, article.summary) == ("Bob", "Weather", "It rains.")
    assert article.image == Image("https://news.example.com/rain.jpg", "Rain", 800, None)


def test_the_time_of_change_stands_in_for_a_missing_time_of_publication(web: Web) -> None:
    text = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>A</title><link href="/a"/>
      <updated>2026-11-28T06:00:00Z</updated></entry></feed>"""
    assert only(collect(web.says("/feed", text))).published_at == datetime(2026, 11, 28, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("&lt;script&gt;alert(1)&lt;/script&gt;Mayor resigns", "Mayor resigns"),
        ("The &lt;script&gt; tag explained", "The <script> tag explained"),
        ("<![CDATA[Breaking: <img src=x onerror=alert(1)> news]]>", "Breaking: news"),
        ("AT&amp;T and Q&amp;A", "AT&T and Q&A"),
        ("What &amp;lt;b&amp;gt; means", "What <b> means"),
        ("Line\n one\tand   two\u2028three", "Line one and two three"),
        ("Subject\r\nBcc: everybody@example.com", "Subject Bcc: everybody@example.com"),
        ("Safe\u202egnp.exe", "Safegnp.exe"),
        ("Nul\x00 bell\x07 &#0;&#xD800;escape&#27;", "Nul bell escape"),
        ("Half a pair \ud83d here", "Half a pair here"),
        ("Łódź 🚋 &eacute;t&eacute;", "Łódź 🚋 été"),
        ("x" * 2000, "x" * 499 + "…"),
    ],
)
def test_titles_arrive_as_people_read_them(web: Web, written: str, read: str) -> None:
    assert only(collect(rss(web, ITEM.replace("A title", written)))).title == read


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("<title>&#x200b;&#x2060;&#x3164;</title><link>https://news.example.com/a</link>", "no title"),
        (ITEM.replace("A title", " "), "no title"),
        (ITEM.replace("<link>https://news.example.com/a</link>", ""), "no link"),
        (ITEM.replace("https://news.example.com/a", "javascript:alert(1)"), "not a web address"),
        (ITEM.replace("Fri, 27 Nov 2026 18:30:00 +0100", "yesterday"), "no date"),
        (ITEM.replace("27 Nov 2026", "27 Nov 2096"), "future"),
    ],
)
def test_an_item_that_is_no_article_is_left_out_and_named(web: Web, item: str, words: str) -> None:
    harvest = collect(rss(web, item, ITEM))
    assert [article.title for article in harvest.articles] == ["A title"]
    (note,) = harvest.notes
    assert note.startswith("item 1 left out") and words in note


@pytest.mark.parametrize(
    ("markup", "url"),
    [
        ('<media:thumbnail url="/t.jpg" width="240"/>', "/t.jpg"),
        ('<enclosure url="/e.jpg" type="image/jpeg" length="1"/>', "/e.jpg"),
        ('<enclosure url="/e.mp3" type="audio/mpeg" length="1"/>', None),
        ("<content:encoded><![CDATA[<p>a</p><img alt='x > y' src='/i.jpg'>]]></content:encoded>", "/i.jpg"),
        ("<content:encoded><![CDATA[<img src='/p' width=1 height=1><img src='/i.jpg'>]]></content:encoded>", "/i.jpg"),
        ("<content:encoded><![CDATA[<img src='/e' class=wp-smiley><img src='/i.jpg'>]]></content:encoded>", "/i.jpg"),
        ('<description>&lt;img src="data:image/gif;base64,R0"&gt;</description>', None),
        ('<media:content url="javascript:alert(1)" medium="image"/>', None),
    ],
)
def test_a_picture_is_found_where_sites_put_it(web: Web, markup: str, url: str | None) -> None:
    image = only(collect(rss(web, ITEM.replace("https://news.example.com", web.url) + markup))).image
    assert (image.url if image else None) == (f"{web.url}{url}" if url else None)


@pytest.mark.parametrize(
    ("summary", "read"),
    [
        (
            "&lt;p&gt;Words&lt;/p&gt;&lt;p&gt;The post &lt;a&gt;X&lt;/a&gt; appeared first on Y.&lt;/p&gt;",
            "Words",
        ),
        ("Words &amp;#91;&amp;#8230;&amp;#93;", "Words…"),
        ("Words&amp;#8230; &lt;a&gt;Continue reading &lt;span&gt;A title&lt;/span&gt;&lt;/a&gt;", "Words…"),
        ("&lt;style&gt;p { color: red }&lt;/style&gt;Words", "Words"),
        ("She will continue reading tomorrow.", "She will continue reading tomorrow."),
    ],
)
def test_summaries_lose_what_is_not_about_the_article(web: Web, summary: str, read: str) -> None:
    assert only(collect(rss(web, f"{ITEM}<description>{summary}</description>"))).summary == read


@pytest.mark.parametrize("encoding", ["iso-8859-2", "windows-1250", "utf-16"])
def test_other_encodings_are_read_as_declared(web: Web, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><rss version="2.0"><channel><item>{ITEM}</item></channel></rss>'
    url = web.says("/feed", text.replace("A title", "Zażółć gęślą jaźń").encode(encoding))
    assert only(collect(url)).title == "Zażółć gęślą jaźń"


def test_broken_xml_is_refused_with_its_line(web: Web) -> None:
    url = web.says("/feed", f'<rss version="2.0">\n<channel>\n<item>{ITEM}</item>\n<item><title>cut o')
    with pytest.raises(SourceError, match=r"/feed, line 4: it is not well-formed XML"):
        collect(url)


def test_a_web_page_is_no_feed(web: Web) -> None:
    url = web.says("/", "<!doctype html><html><head><title>News</title></head><body><p>Hello</p></body></html>")
    with pytest.raises(SourceError, match="neither RSS nor Atom"):
        collect(url)


def test_an_empty_feed_is_fine(web: Web) -> None:
    assert collect(rss(web)).articles == ()


def test_a_reply_that_names_a_file_opens_none(web: Web, tmp_path: Path) -> None:
    secret = tmp_path / "feed.xml"
    secret.write_text(f'<rss version="2.0"><channel><item>{ITEM}</item></channel></rss>')
    with pytest.raises(SourceError, match="neither RSS nor Atom|not well-formed"):
        collect(web.says("/feed", str(secret)))


def test_entities_that_would_read_a_file_or_fill_the_memory_are_not_followed(web: Web) -> None:
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    head = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY l0 "lol"><!ENTITY f SYSTEM "file:///etc/hostname">{lol}]>'
    try:
        harvest = collect(rss(web, ITEM.replace("A title", "x &l9; &f;"), head=head))
    except SourceError:
        return
    hostname = Path("/etc/hostname").read_text().strip()
    assert all(hostname not in each.title and len(each.title) < 600 for each in harvest.articles)


def test_a_feed_that_has_not_changed_gives_nothing_and_is_still_remembered(web: Web) -> None:
    rss(web, ITEM)
    first, routes = web.routes["/feed"], web.routes
    routes["/feed"] = lambda asked: (
        Answer(status=304)
        if asked.headers.get("if-none-match") == '"1"'
        else Answer(first(asked).content, headers={"ETag": '"1"'})
    )
    once = collect(f"{web.url}/feed")
    assert len(once.articles) == 1
    again = collect(f"{web.url}/feed", remembered=once.remembered, since=NOW)
    assert again == Harvest(remembered={"etag": '"1"', "newest": "2026-11-27T17:30:00+00:00"})


@pytest.mark.parametrize("markup", ["<a ", "<!--", '<img src="', "<script>", "</p", "The post ", "[ ", "&", "<"])
@pytest.mark.timeout(20)
def test_markup_made_to_keep_a_parser_busy_does_not(markup: str) -> None:
    assert len(text_of(markup * (200_000 // len(markup)))) <= 1000
    assert len(title_of(markup * (200_000 // len(markup)))) <= 500
