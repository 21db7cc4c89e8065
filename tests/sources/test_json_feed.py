"""JSON Feed as sites write it, and as nobody should."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from digest.domain.articles import FoundArticle, Harvest, Image
from digest.errors import SourceError
from tests.sources.test_feed import collect, only
from tests.sources.web import Answer, Web

VERSION = "https://jsonfeed.org/version/1.1"
ITEM = {
    "id": "1",
    "url": "https://news.example.com/a",
    "title": "A title",
    "date_published": "2026-11-27T18:30:00+01:00",
}


def feed(web: Web, *items: Any, **more: Any) -> str:
    value = {"version": VERSION, "title": "News", "items": list(items), **more}
    return web.says("/feed.json", Answer(value, headers={"Content-Type": "application/feed+json"}))


def item(web: Web, **more: Any) -> FoundArticle:
    return only(collect(feed(web, ITEM | more)))


def refused(url: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        collect(url)
    assert caught.value.source == "news" and caught.value.place.startswith(url)
    return caught.value


def test_an_item_is_read_whole(web: Web) -> None:
    article = item(
        web,
        title="Tea &amp; <em>coffee</em>: 5 < 6",
        summary="Why <b>tea</b>\nwins.",
        content_html="<p>Long text</p>",
        image="/tea.jpg",
        banner_image="/wide.jpg",
        authors=[{"name": "Anna Nowak", "url": "https://x.example"}, {"name": "Bob"}, {}],
        tags=["Food", "Health & life", "Food", " "],
        _ours={"extension": True},
    )
    assert article == FoundArticle(
        url="https://news.example.com/a",
        title="Tea & coffee: 5 < 6",
        published_at=datetime(2026, 11, 27, 17, 30, tzinfo=UTC),
        summary="Why tea wins.",
        image=Image("https://news.example.com/tea.jpg"),
        section="Food",
        author="Anna Nowak, Bob",
        tags=("Food", "Health & life"),
    )


def test_what_an_item_does_not_say_is_taken_from_the_next_best(web: Web) -> None:
    bare: dict[str, Any] = {
        "id": 7,
        "external_url": "/elsewhere",
        "title": "B",
        "date_modified": "2026-11-27T10:00:00Z",
    }
    harvest = collect(feed(web, bare | {"content_text": "5 < 6 & more"}, authors=[{"name": "The desk"}]))
    article = only(harvest)
    assert (article.url, article.author, article.summary) == (f"{web.url}/elsewhere", "The desk", "5 < 6 & more")
    assert article.published_at == datetime(2026, 11, 27, 10, tzinfo=UTC)
    assert item(web, author={"name": "As in 1.0"}).author == "As in 1.0"
    assert item(web, content_html="<p>First.</p><img src='/i.jpg' alt='Rain'>").summary == "First."


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({"banner_image": "/wide.jpg"}, "/wide.jpg"),
        ({"image": "javascript:alert(1)", "banner_image": "/wide.jpg"}, "/wide.jpg"),
        (
            {
                "attachments": [
                    {"url": "/a.mp3", "mime_type": "audio/mpeg"},
                    {"url": "/p.jpg", "mime_type": "image/jpeg"},
                ]
            },
            "/p.jpg",
        ),
        ({"content_html": "<p>a</p><img src='/i.jpg'>"}, "/i.jpg"),
        ({"image": None, "attachments": [None, {"mime_type": "image/png"}]}, None),
        ({"image": {"url": "/x.jpg"}, "attachments": "none"}, None),
    ],
)
def test_a_picture_is_found_where_sites_put_it(web: Web, more: dict[str, Any], url: str | None) -> None:
    image = item(web, **more).image
    assert (image.url if image else None) == (f"https://news.example.com{url}" if url else None)


@pytest.mark.parametrize("version", ["https://jsonfeed.org/version/1", "https://www.jsonfeed.org/version/1.1", VERSION])
def test_every_version_is_known(web: Web, version: str) -> None:
    assert only(collect(feed(web, ITEM, version=version))).title == "A title"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"title": " "}, "no title"),
        ({"title": None}, "no title"),
        ({"title": 7}, "no title"),
        ({"title": "<script>alert(1)</script>"}, "no title"),
        ({"url": ""}, "no link"),
        ({"url": ["https://x.example"]}, "no link"),
        ({"url": "javascript:alert(1)"}, "not a web address"),
        ({"url": "http://[bad"}, ""),
        ({"date_published": None}, "no date"),
        ({"date_published": 1795800000}, "no date"),
        ({"date_published": "yesterday"}, "no date"),
        ({"date_published": "0001-01-01T00:00:00+14:00"}, "no date"),
        ({"date_published": "2096-11-27T18:30:00Z"}, "future"),
    ],
)
def test_an_item_that_is_no_article_is_left_out_and_named(web: Web, change: dict[str, Any], words: str) -> None:
    harvest = collect(feed(web, ITEM | change, ITEM))
    assert [article.title for article in harvest.articles] == ["A title"]
    (note,) = harvest.notes
    assert note.startswith("item 1 left out") and words in note


@pytest.mark.parametrize("odd", [None, 7, "text", [ITEM], True])
def test_what_is_no_item_at_all_is_left_out_and_named(web: Web, odd: Any) -> None:
    harvest = collect(feed(web, odd, ITEM))
    assert len(harvest.articles) == 1 and "item 1 left out" in harvest.notes[0]


def test_odd_values_beside_the_article_count_as_nothing(web: Web) -> None:
    odd = {"summary": 7, "authors": "Anna", "tags": "food", "content_html": [], "image": 3, "attachments": {"a": 1}}
    article = item(web, **odd)
    assert (article.summary, article.author, article.tags, article.image) == ("", "", (), None)
    assert item(web, tags=["tea", 7, None, {"x": 1}]).tags == ("tea",)


def test_surrogates_and_control_characters_are_left_out(web: Web) -> None:
    article = item(
        web,
        title="Half \ud800 a\x00 pair\u202e",
        summary="\udfffWords",
        tags=["\ud83dtea"],
        url="https://x.example/\ud800",
    )
    assert (article.title, article.summary, article.tags) == ("Half a pair", "Words", ("tea",))
    assert article.url == "https://x.example/"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_unicode_is_read(web: Web, encoding: str) -> None:
    text = json.dumps({"version": VERSION, "items": [ITEM | {"title": "Zażółć"}]}, ensure_ascii=False)
    assert only(collect(web.says("/feed", text.encode(encoding)))).title == "Zażółć"


def test_a_date_without_offset_is_one_of_the_site(web: Web) -> None:
    assert item(web, date_published="2026-11-27T18:30:00").published_at == datetime(2026, 11, 27, 17, 30, tzinfo=UTC)
    assert item(web, date_published="2026-11-27").published_at == datetime(2026, 11, 26, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        ('{"version": "https://jsonfeed.org/version/1.1",\n "items": [', ", line 2", "not JSON"),
        (
            '{"version": "https://jsonfeed.org/version/1.1",\n "title": "Zażółć"}'.encode("cp1250"),
            ", line 2",
            "not UTF-8",
        ),
        ('{"code": "rest_no_route", "message": "No"}', "", "no JSON Feed"),
        ('{"version": "https://jsonfeed.org/version/2"}', "", "no JSON Feed"),
        ('{"version": 1.1, "items": []}', "", "no JSON Feed"),
        ("[]", "", "no JSON Feed"),
        (f'{{"version": "{VERSION}"}}', "", "no list of items"),
        (f'{{"version": "{VERSION}", "items": {{"1": {{}}}}}}', "", "no list of items"),
        ("[" * 100_000, "", "not JSON"),
        (f'{{"version": {"9" * 5000}}}', "", "not JSON"),
    ],
)
def test_json_that_is_no_feed_says_what_is_wrong(web: Web, content: Any, where: str, words: str) -> None:
    url = web.says("/feed", content)
    error = refused(url)
    assert error.place == url + where and words in error.reason and error.remedy


def test_an_empty_feed_is_fine(web: Web) -> None:
    harvest = collect(feed(web))
    assert harvest == Harvest(remembered=harvest.remembered)


def test_ten_thousand_items_are_read(web: Web) -> None:
    url = feed(web, *(ITEM | {"url": f"https://news.example.com/{n}"} for n in range(10_000)))
    assert len(collect(url).articles) == 10_000


def test_next_url_leads_to_older_items(web: Web) -> None:
    old = ITEM | {"url": "https://news.example.com/old", "date_published": "2026-11-20T10:00:00Z"}
    web.says("/2", {"version": VERSION, "items": [old, {}], "next_url": "/3"})
    web.says("/3", {"version": VERSION, "items": [ITEM]})
    harvest = collect(feed(web, ITEM, next_url="/2"))
    assert [article.url for article in harvest.articles] == [ITEM["url"], old["url"]]
    assert harvest.notes == ("page 2: item 2 left out: it has no title",)
    assert [asked.path for asked in web.asked] == ["/feed.json", "/2", "/3"]


@pytest.mark.parametrize("following", ["javascript:alert(1)", 7, ["/2"], "http://[bad"])
def test_a_next_url_that_is_none_is_noted(web: Web, following: Any) -> None:
    harvest = collect(feed(web, ITEM, next_url=following))
    assert len(harvest.articles) == 1
    assert "older items were not read: next_url" in harvest.notes[0]
