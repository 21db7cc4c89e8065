"""The archive: what was sent, nothing personal, in a page that can be shared; and a feed any reader understands."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import feedparser
import pytest
from lxml import html as lxml_html
from starlette.testclient import TestClient

from digest.mail.archived import archived
from digest.web import create_web
from tests.service import SATURDAY, Service

ATOM = "{http://www.w3.org/2005/Atom}"
# RFC 4287: what an element must have once, and what it may have.
FEED_ONCE, ENTRY_ONCE = {"id", "title", "updated"}, {"id", "title", "updated"}
FEED_MAY = {"author", "category", "contributor", "generator", "icon", "link", "logo", "rights", "subtitle", "entry"}
ENTRY_MAY = {"author", "category", "content", "contributor", "link", "published", "rights", "source", "summary"}


def page_of(web, edition, **query):
    reply = web.client.get(f"/archive/{edition.id}", params=query)
    assert reply.status_code == 200
    return lxml_html.document_fromstring(reply.text)


def meta(page, name: str) -> str:
    found = page.xpath(f"//meta[@property='{name}' or @name='{name}']/@content")
    assert len(found) == 1, (name, found)
    return found[0]


@pytest.fixture
def edition(web):
    web.service.add_readers(2)
    return web.service.send()


def test_a_page_can_be_shared(web, edition):
    page = page_of(web, edition)
    url = f"https://recap.example.com/archive/{edition.id}"
    assert page.findtext(".//title") == edition.subject
    assert page.xpath("//link[@rel='canonical']/@href") == [url]
    assert meta(page, "og:title") == meta(page, "twitter:title") == edition.subject
    assert meta(page, "og:url") == url
    assert meta(page, "og:type") == "article"
    assert meta(page, "og:description") == meta(page, "description") == "Story story-1 · Story story-2"
    assert meta(page, "og:image") == meta(page, "twitter:image") == "https://news.example.com/picture.jpg"
    assert meta(page, "og:image:alt") == "A river"
    assert meta(page, "twitter:card") == "summary_large_image"
    datetime.fromisoformat(meta(page, "article:published_time"))


def test_the_list_leads_to_the_form_and_not_to_itself(web, edition):
    page = lxml_html.document_fromstring(web.client.get("/archive").text)
    assert "/" in page.xpath("//a/@href") and "/archive" not in page.xpath("//a/@href")


def test_nothing_personal_is_in_a_page_and_one_can_sign_up(web, edition):
    text = web.client.get(f"/archive/{edition.id}").text
    for never in ("slot.invalid", "/unsubscribe/", "/preferences/", "nsubscribe", "You get The Weekly Recap because"):
        assert never not in text
    page = page_of(web, edition)
    assert "/" in page.xpath("//a[@class='join']/@href")
    assert page.xpath("//style"), "the mail's rules for dark mode and phones come along"
    assert not page.xpath("//script")
    assert [each.tag for each in page] == ["head", "body"]


def test_every_story_is_in_the_page_once(web, edition):
    titles = [" ".join(each.text_content().split()) for each in page_of(web, edition).xpath("//h2|//h3")]
    assert [each for each in titles if each.startswith("Story")] == [f"Story story-{n}" for n in range(10)]


def test_a_hidden_line_goes_and_a_link_to_this_page_too():
    html = (
        "<html><head><style>a{}</style></head><body style='margin:0'><div style='display: none'>hidden</div>"
        "<p>Saturday · No. 1 · <a href='https://r.example/archive/1'>View in browser</a></p>"
        "<p>Send them the page: <a href='https://r.example/archive/1'>this edition</a>.</p>"
        "<a href='https://news.example'><img src='https://news.example/logo.png' width='240'></a>"
        "<a href='https://news.example/a'><img src='https://news.example/a.jpg' width='536' alt='A &amp; B'></a>"
        "<p>Dear https://slot.invalid/abc/name!</p>"
        "<p>You asked for it. <a href='https://slot.invalid/abc/unsubscribe'>Leave</a></p><p>Street 1</p>"
        "<!--[if mso]><table><![endif]--></body></html>"
    )
    shown = archived(html, "abc", "https://r.example/archive/1", "https://news.example/")
    assert "hidden" not in shown.body and "Leave" not in shown.body and "View in" not in shown.body
    assert "<p>Saturday · No. 1</p>" in shown.body and ">this edition</a>." in shown.body
    assert "<p>Dear !</p>" in shown.body and "<p>Street 1</p>" in shown.body and "[if mso]" in shown.body
    assert (shown.image, shown.image_alt) == ("https://news.example/a.jpg", "A & B")
    assert (shown.body_style, shown.styles) == ("margin:0", ("a{}",))


def test_hostile_titles_stay_text_in_the_head_too(web):
    from digest.domain.articles import FoundArticle
    from digest.store import articles

    hostile = '"><script>alert(1)</script><meta http-equiv="refresh" content="0">'
    web.service.add_readers(1)
    with web.service.app.store.begin() as tx:
        page = articles.page_ids(tx, ["news.example.com/story-0"])["news.example.com/story-0"]
        found = FoundArticle("https://news.example.com/story-0", hostile, SATURDAY - timedelta(days=2))
        articles.save(tx, 1, {page: found}, SATURDAY)
    edition = web.service.send()
    page = page_of(web, edition)
    assert not page.xpath("//script") and not page.xpath("//meta[@http-equiv]")
    assert "<script>" in meta(page, "og:title")
    feed = feedparser.parse(web.client.get("/archive/feed.xml").content)
    assert feed.bozo == 0 and len(feed.entries) == 1


# --- what crawlers are told ----------------------------------------------------------------------


def test_search_engines_may_come_unless_the_publisher_says_no(web, edition, tmp_path):
    for path in ("/archive", "/archive/feed.xml", f"/archive/{edition.id}"):
        reply = web.client.get(path)
        assert "x-robots-tag" not in reply.headers and "noindex" not in reply.text
    shut = web.service.app.config.web.model_copy(update={"archive_noindex": True})
    app = Service(
        tmp_path, web.service.store_url, web.smtpd.port, fresh=False, web={**dict(shut), "trusted_proxies": ()}
    ).app
    with TestClient(create_web(app, web.service.clock)) as client:
        for path in ("/archive", f"/archive/{edition.id}"):
            reply = client.get(path)
            assert reply.headers["x-robots-tag"] == "noindex"
            assert '<meta name="robots" content="noindex">' in reply.text
        assert client.get("/archive/feed.xml").headers["x-robots-tag"] == "noindex"
    app.close()


@pytest.mark.parametrize("path", ["/archive", "/archive/feed.xml", "/archive/{}"])
def test_what_a_client_has_is_not_sent_again(web, edition, path):
    path = path.format(edition.id)
    first = web.client.get(path)
    tag, changed = first.headers["etag"], first.headers["last-modified"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    day = timedelta(days=1)
    before = (parsedate_to_datetime(changed) - day).strftime("%a, %d %b %Y %H:%M:%S GMT")
    for headers in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"other", W/{tag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": changed},
    ):
        for method in ("GET", "HEAD"):
            reply = web.client.request(method, path, headers=headers)
            assert (reply.status_code, reply.content) == (304, b""), headers
            assert reply.headers["etag"] == tag
    for headers in (
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": changed},
        {"If-Modified-Since": before},
        {"If-Modified-Since": "yesterday"},
    ):
        assert web.client.get(path, headers=headers).status_code == 200, headers


@pytest.mark.parametrize("path", ["/archive", "/archive/feed.xml", "/archive/{}"])
def test_head_tells_what_get_would(web, edition, path):
    path = path.format(edition.id)
    get, head = web.client.get(path), web.client.head(path)
    assert head.status_code == 200
    for name in ("etag", "last-modified", "content-type", "content-length", "cache-control"):
        assert head.headers[name] == get.headers[name]


# --- the feed ------------------------------------------------------------------------------------


def check_atom(content: bytes) -> ET.Element:
    """The rules of RFC 4287 that a feed without content of its own can break."""
    feed = ET.fromstring(content)
    assert feed.tag == f"{ATOM}feed"
    names = [each.tag.removeprefix(ATOM) for each in feed]
    assert all(names.count(each) == 1 for each in FEED_ONCE) and set(names) <= FEED_ONCE | FEED_MAY
    assert names.count("author") == 1 and feed.findtext(f"{ATOM}author/{ATOM}name")
    rels = [(each.get("rel"), each.get("type")) for each in feed.findall(f"{ATOM}link")]
    assert ("self", "application/atom+xml") in rels and len(set(rels)) == len(rels)
    ids = [feed.findtext(f"{ATOM}id")]
    for entry in feed.findall(f"{ATOM}entry"):
        inner = [each.tag.removeprefix(ATOM) for each in entry]
        assert all(inner.count(each) == 1 for each in ENTRY_ONCE) and set(inner) <= ENTRY_ONCE | ENTRY_MAY
        assert "content" in inner or any(each.get("rel") == "alternate" for each in entry.findall(f"{ATOM}link"))
        ids.append(entry.findtext(f"{ATOM}id"))
    assert len(set(ids)) == len(ids) and all(urlsplit(each or "").scheme for each in ids)
    for each in (*feed.iter(f"{ATOM}updated"), *feed.iter(f"{ATOM}published")):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", each.text or ""), each.text
    for each in feed.iter(f"{ATOM}link"):
        assert urlsplit(each.get("href", "")).netloc
    return feed


def test_an_empty_feed_is_valid_too(web):
    check_atom(web.client.get("/archive/feed.xml").content)


def test_the_feed_is_valid_and_says_what_the_pages_say(web, edition):
    reply = web.client.get("/archive/feed.xml")
    assert reply.headers["content-type"].startswith("application/atom+xml")
    check_atom(reply.content)
    feed = feedparser.parse(reply.content)
    assert feed.bozo == 0
    (entry,) = feed.entries
    assert entry.title == edition.subject
    assert entry.id == entry.link == f"https://recap.example.com/archive/{edition.id}"
    assert entry.summary == "Story story-1 · Story story-2"
    assert entry.updated_parsed and entry.published_parsed
    assert feed.feed.updated == entry.updated


def test_ids_and_dates_of_a_feed_stay_when_another_edition_comes(web, edition):
    before = feedparser.parse(web.client.get("/archive/feed.xml").content).entries[0]
    week = timedelta(days=7)
    web.service.clock.forward(week)
    web.service.add_articles({f"later-{n}": 50 - n for n in range(5)}, SATURDAY + week / 2, SATURDAY + week)
    from digest import publishing

    app, now = web.service.app, web.service.clock()
    later = publishing.draft(app.store, app.press, web.service.newsletter, SATURDAY + week, now)
    publishing.release(app.store, app.press, web.service.newsletter, later.id, now)
    entries = feedparser.parse(web.client.get("/archive/feed.xml").content).entries
    check_atom(web.client.get("/archive/feed.xml").content)
    assert [each.id.rpartition("/")[2] for each in entries] == [str(later.id), str(edition.id)]
    assert (entries[1].id, entries[1].updated, entries[1].summary) == (before.id, before.updated, before.summary)


def test_an_edition_has_one_date_wherever_it_is_named(web):
    web.service.add_readers(1)
    web.service.clock.forward(timedelta(days=3))  # it is sent by hand on a Tuesday
    edition = web.service.send()
    assert edition.frozen_at - edition.send_at > timedelta(days=2)
    day = "Saturday, 28 November 2026"
    page = page_of(web, edition)
    assert day in page.xpath("string(//main)")
    assert day in web.client.get("/archive").text
    assert meta(page, "article:published_time") == "2026-11-28T08:00:00+01:00"
    (entry,) = ET.fromstring(web.client.get("/archive/feed.xml").content).iter(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}published") == "2026-11-28T08:00:00+01:00"
    assert datetime.fromisoformat(entry.findtext(f"{ATOM}updated")) > edition.send_at
