"""Articles and views from files: many ways to write them, and one clear line about each mistake."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.config.sources import FilesSource
from digest.domain.articles import FoundArticle, Harvest, Image, LifetimeTotal, ViewCount
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.files import Files
from tests.sources.conftest import NOW
from tests.sources.web import Answer, Web

SITE = "https://news.example.com"
HOUR = timedelta(hours=1)
ARTICLE = {"url": "/a", "title": "A", "published_at": "2026-11-27T18:30:00+01:00"}


def collect(folder: Path, *, remembered: dict[str, str] | None = None, **section: Any) -> Harvest:
    source = Files(FilesSource(name="log", kind="files", **section), SITE, ZoneInfo("Europe/Warsaw"), folder)
    return asyncio.run(source.collect(Reading(NOW, remembered=remembered or {})))


def articles(folder: Path, content: str | bytes, name: str = "a.csv") -> Harvest:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return collect(folder, articles=name)


def views(folder: Path, content: str | bytes, name: str = "v.csv", **section: Any) -> Harvest:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return collect(folder, views=name, **section)


def refused(folder: Path, content: str | bytes, name: str = "v.csv", **section: Any) -> str:
    with pytest.raises(SourceError) as caught:
        views(folder, content, name, **section)
    assert caught.value.source == "log"
    return str(caught.value)


def test_a_picture_has_its_words_in_a_column_of_their_own(tmp_path: Path) -> None:
    content = "url,title,published_at,image,alt\n/a,A,2026-11-27T18:30+01:00,/a.jpg,A bridge\n"
    assert articles(tmp_path, content).articles[0].image == Image(f"{SITE}/a.jpg", "A bridge")


def test_articles_in_csv_in_any_order_of_columns(tmp_path: Path) -> None:
    text = (
        "Title,TAGS,url,Published_At,image,summary,section,author,ours\r\n"
        '"Tea, ""green"" &amp; black\n5 < 6",tea; green ;tea,/2026/tea,2026-11-27T18:30+01:00,'
        "/tea.jpg,Why  tea,Food,Anna,x\r\n"
        "\r\n"
        "Plain,,https://other.example/p,2026-11-27,,,,,\r\n"
        "Local,,/l,2026-07-01 09:00:00,,,,,\r\n"
    )
    assert articles(tmp_path, b"\xef\xbb\xbf" + text.encode()).articles == (
        FoundArticle(
            url=f"{SITE}/2026/tea",
            title='Tea, "green" & black 5 < 6',
            published_at=datetime(2026, 11, 27, 17, 30, tzinfo=UTC),
            summary="Why tea",
            image=Image(f"{SITE}/tea.jpg"),
            section="Food",
            author="Anna",
            tags=("tea", "green"),
        ),
        FoundArticle("https://other.example/p", "Plain", datetime(2026, 11, 26, 23, tzinfo=UTC)),
        FoundArticle(f"{SITE}/l", "Local", datetime(2026, 7, 1, 7, tzinfo=UTC)),
    )


@pytest.mark.parametrize("name", ["a.json", "all.json", "a.ndjson", "a.jsonl.gz", "a.JSON.gz"])
def test_articles_in_json(tmp_path: Path, name: str) -> None:
    image = {"url": "/a.jpg", "alt": "A &amp; B", "width": 1200, "height": "675"}
    rows = [{**ARTICLE, "image": image, "tags": ["x", "y"]}, {**ARTICLE, "url": "/b", "image": None}]
    text = (
        "\n".join(map(json.dumps, rows)) if "json" not in name.split(".") and "JSON" not in name else json.dumps(rows)
    )
    if name == "all.json":
        text = json.dumps({"articles": rows, "views": [{"url": "/a", "at": "2026-11-27", "views": 3}]})
    content = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
    first, second = articles(tmp_path, content, name).articles
    assert first.image == Image(f"{SITE}/a.jpg", "A & B", 1200, 675)
    assert (first.tags, second.image, second.url) == (("x", "y"), None, f"{SITE}/b")
    if name == "all.json":
        assert [each.views for each in collect(tmp_path, views=name).views] == [3]


def test_views_by_hour_and_by_day(tmp_path: Path) -> None:
    text = (
        "views,at,url\n"
        "12,2026-11-27T18:37:05+01:00,/a?utm_source=x\n"
        "7,2026-11-27T17Z,/a\n"
        "5,2026-11-27,https://news.example.com/b\n"
        "1,2026-10-25,/b\n"
        "1,2026-03-29,/b\n"
        "0,2026-11-27T00:30+05:45,/c\n"
    )
    at = datetime(2026, 11, 27, 17, tzinfo=UTC)
    assert views(tmp_path, text).views == (
        ViewCount(f"{SITE}/a?utm_source=x", at, HOUR, 12),
        ViewCount(f"{SITE}/a", at, HOUR, 7),
        ViewCount(f"{SITE}/b", datetime(2026, 11, 26, 23, tzinfo=UTC), 24 * HOUR, 5),
        ViewCount(f"{SITE}/b", datetime(2026, 10, 24, 22, tzinfo=UTC), 25 * HOUR, 1),
        ViewCount(f"{SITE}/b", datetime(2026, 3, 28, 23, tzinfo=UTC), 23 * HOUR, 1),
        ViewCount(f"{SITE}/c", datetime(2026, 11, 26, 18, 15, tzinfo=UTC), HOUR, 0),
    )


def test_rows_of_the_same_page_and_hour_are_left_as_they_are(tmp_path: Path) -> None:
    row = "/a,2026-11-27T18:00+01:00,2\n"
    assert [each.views for each in views(tmp_path, f"url,at,views\n{row}{row}").views] == [2, 2]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("/a,2026-11-27T18:00,3", "no offset"),
        ("/a,yesterday,3", "Write an hour with its offset"),
        ("/a,,3", "Write an hour with its offset"),
        ("/a,2026-02-30,3", "2026-02-30"),
        ("/a,0001-01-01T00:00+14:00,3", "Write an hour"),
        ("/a,2026-11-27,-3", "cannot be"),
        ("/a,2026-11-27,1000000001", "cannot be"),
        ("/a,2026-11-27,99999999999999999999999999", "cannot be"),
        ("/a,2026-11-27,3.5", "whole number"),
        ("/a,2026-11-27,many", "whole number"),
        ("/a,2026-11-27,١٢", "whole number"),
        ("/a,2026-11-27,", "whole number"),
        (",2026-11-27,3", "url is empty"),
        ("javascript:alert(1),2026-11-27,3", "not a web address"),
        ("/a,2026-11-27", "2 values"),
        ("/a,2026-11-27,3,4", "4 values"),
        ('/a"b,2026-11-27,"3', "not CSV"),
    ],
)
def test_a_bad_row_refuses_the_file_and_is_named_by_its_line(tmp_path: Path, row: str, words: str) -> None:
    message = refused(tmp_path, f'url,at,views\n/a,2026-11-27,1\n"/b\nc",2026-11-27,1\n{row}\n')
    assert "v.csv, line 5: " in message and words in message


@pytest.mark.parametrize("name", ["v.json", "v.ndjson"])
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"url": "/a", "at": "2026-11-27"}, "no views; found: url, at"),
        ({"url": "/a", "at": "2026-11-27", "views": True}, "whole number"),
        ({"url": "/a", "at": "2026-11-27", "views": 1.5}, "whole number"),
        ({"url": None, "at": "2026-11-27", "views": 1}, "url is empty"),
        ({"url": "/a", "at": None, "views": 1}, "Write an hour"),
        (["/a", "2026-11-27", 1], "no object"),
    ],
)
def test_a_bad_item_is_named_by_its_number(tmp_path: Path, name: str, row: Any, words: str) -> None:
    rows = [{"url": "/a", "at": "2026-11-27", "views": 1}, row]
    text = json.dumps(rows) if name == "v.json" else "\n".join(map(json.dumps, rows))
    message = refused(tmp_path, text, name)
    assert ("v.json, item 2: " if name == "v.json" else "v.ndjson, line 2: ") in message and words in message


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("page;date;hits\n", "v.csv", "no column url, at, views; found: page;date;hits. Wanted are url, at, views"),
        ("", "v.csv", "found: nothing"),
        ("url,at,views,URL\n", "v.csv", "two columns are called 'url'"),
        ("Å‚,at\n".encode("utf-16"), "v.csv", "not UTF-8"),
        ("url,at,views\n/a,2026-11-27,1\n/ż,2026-11-27,1\n".encode("cp1250"), "v.csv", "line 3: it is not UTF-8"),
        ('[{"url": "/a",\n "at"', "v.json", "line 2: it is not JSON"),
        ('{"url": "/a"}\n{oops}', "v.ndjson", "v.ndjson, line 1: no at, views"),
        ('{"url":"/a","at":"2026-11-27","views":1}\n{oops}', "v.ndjson", "v.ndjson, line 2: it is not JSON"),
        ('{"hits": []}', "v.json", "no list of views"),
        ("[" * 100_000, "v.json", "not JSON"),
        (f'[{{"url": "/a", "at": "2026-11-27", "views": {"9" * 5000}}}]', "v.json", "not JSON"),
        ("plain text", "v.csv.gz", "not gzip"),
        (gzip.compress(b"url,at,views\n" * 50)[:-9], "v.csv.gz", "not gzip, or cut short"),
        ("x", "v.xlsx", "Name it .csv, .json or .ndjson"),
    ],
)
def test_a_file_that_is_no_table_says_what_it_should_be(tmp_path: Path, content: Any, name: str, words: str) -> None:
    assert words in refused(tmp_path, content, name)


def test_a_file_is_read_up_to_its_limit_packed_or_not(tmp_path: Path) -> None:
    text = "url,at,views\n" + "/a,2026-11-27,1\n" * 200
    assert "larger than 1,000 bytes" in refused(tmp_path, text, max_bytes=1000)
    assert "unpacked it is larger" in refused(tmp_path, gzip.compress(text.encode()), "v.csv.gz", max_bytes=1000)
    assert len(views(tmp_path, text, max_bytes=4000).views) == 200


def test_a_missing_file_and_a_source_without_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.csv: it cannot be read: No such file"):
        collect(tmp_path, views="missing.csv")
    with pytest.raises(SourceError, match="names no file"):
        collect(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"title": "  "}, "title is empty"),
        ({"url": ""}, "url is empty"),
        ({"published_at": "soon"}, "published_at is 'soon'"),
        ({"published_at": "27.11.2026"}, "Write a time"),
        ({"image": {"url": "ftp://x/y.jpg"}}, "not a web address"),
    ],
)
def test_a_bad_article_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=r"a\.json, item 2: ") as caught:
        articles(tmp_path, json.dumps([ARTICLE, ARTICLE | change]), "a.json")
    assert words in str(caught.value)


def test_titles_lose_markup_and_what_no_database_takes(tmp_path: Path) -> None:
    rows = [ARTICLE | {"title": title} for title in ("<b>Tea</b> &amp; \ud800\u202ecake\x00", "The <script> tag")]
    assert [each.title for each in articles(tmp_path, json.dumps(rows), "a.json").articles] == [
        "Tea & cake",
        "The <script> tag",
    ]


def test_an_article_of_the_future_is_left_out_and_named(tmp_path: Path) -> None:
    harvest = articles(tmp_path, json.dumps([ARTICLE | {"published_at": "2096-01-01T00:00Z"}]), "a.json")
    assert harvest.articles == () and "a.json, item 1 left out" in harvest.notes[0]


def test_files_on_the_web_are_read_when_they_changed(tmp_path: Path, web: Web) -> None:
    packed = gzip.compress(b"url,at,views\n/a,2026-11-27,4\n")
    place = web.says("/logs/views.csv.gz", Answer(packed, headers={"ETag": '"1"'}), Answer(status=304))
    (tmp_path / "a.json").write_text(json.dumps([ARTICLE]))
    first = collect(tmp_path, articles="a.json", views=f"{place}?key=secret")
    assert [each.views for each in first.views] == [4] and len(first.articles) == 1
    assert first.remembered == {"views.etag": '"1"'}
    again = collect(tmp_path, articles="a.json", views=f"{place}?key=secret", remembered=first.remembered)
    assert again.views == () and again.remembered == first.remembered and len(again.articles) == 1
    assert web.asked[1].headers["if-none-match"] == '"1"'


def test_lifetime_counters_come_as_addresses_and_totals(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("total,url\n5000000000,/a\n0,https://news.example.com/b/\n")
    shown = (LifetimeTotal(f"{SITE}/a", 5_000_000_000), LifetimeTotal(f"{SITE}/b/", 0))
    assert collect(tmp_path, totals="t.csv") == Harvest(totals=shown)
    (tmp_path / "t.json").write_text(json.dumps({"totals": [{"url": "/a", "total": 7}]}))
    assert collect(tmp_path, totals="t.json").totals == (LifetimeTotal(f"{SITE}/a", 7),)


@pytest.mark.parametrize(
    ("rows", "words"),
    [("/a,-1", "total is -1"), ("/a,x", "total is 'x'"), ("/a,1000000000001", "cannot be"), (",5", "url is empty")],
)
def test_a_bad_lifetime_counter_is_refused(tmp_path: Path, rows: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(f"url,total\n{rows}\n")
    with pytest.raises(SourceError, match=r"t\.csv, line 2: ") as caught:
        collect(tmp_path, totals="t.csv")
    assert words in str(caught.value)


def test_lifetime_counters_on_the_web_are_read_though_they_have_not_changed(tmp_path: Path, web: Web) -> None:
    """That nobody read anything until now tells when the next views came."""
    place = web.says("/totals.csv", Answer("url,total\n/a,7\n", headers={"ETag": '"1"'}))
    first = collect(tmp_path, totals=place)
    assert first.remembered == {}
    assert collect(tmp_path, totals=place, remembered=first.remembered) == first
    assert not any("if-none-match" in asked.headers for asked in web.asked)


def test_what_comes_from_another_machine_comes_over_tls(tmp_path: Path) -> None:
    for place in ("http://logs.example.com/v.csv", "ftp://logs.example.com/v.csv", "file:///etc/passwd.csv"):
        with pytest.raises(SourceError, match="only https"):
            collect(tmp_path, views=place)
