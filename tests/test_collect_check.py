"""`digest collect --check`: one clear line for each source, and nothing stored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import free_port
from tests.sources.web import Answer, Web, serving
from tests.test_commands import Operator

FEED = {
    "version": "https://jsonfeed.org/version/1.1",
    "items": [
        {"url": "/a", "title": "A", "date_published": "2026-10-26T10:00:00+01:00"},
        {"url": "/b", "title": "B", "date_published": "2026-10-24T10:00:00+02:00"},
        {"url": "/c", "title": "C"},
    ],
}


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as running:
        yield running


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    made = Operator(tmp_path, free_port())
    made.run("init", "--site-url", "https://news.example.com", "--from", "recap@news.example.com")
    return made


def add(operator: Operator, name: str, kind: str, **keys: str) -> None:
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    config = operator.folder / "config.toml"
    config.write_text(config.read_text() + f'\n[[sources]]\nname = "{name}"\nkind = "{kind}"\n{lines}')


def add_log(operator: Operator, rows: str = "/a,2026-10-27T10:00+01:00,1200\n/a,2026-10-28T10:00+01:00,0\n") -> None:
    (operator.folder / "views.csv").write_text("url,at,views\n" + rows)
    add(operator, "log", "files", views="views.csv")


def lines(said: str) -> list[str]:
    return [line.rstrip() for line in said.splitlines() if line.strip()]


def test_each_source_is_told_in_one_line_with_its_newest_article_and_hour(operator: Operator, web: Web) -> None:
    add(operator, "news", "feed", url=web.says("/feed", FEED))
    add_log(operator)
    assert lines(operator.run("collect", "--check")) == [
        "news: reachable; 2 articles, newest Mon 26 Oct 2026 10:00; no counts",
        "  item 3 left out: 'C' has no date we can read",
        "log: reachable; no articles; 2 counts, 1,200 views, newest up to Tue 27 Oct 2026 11:00",
    ]


def test_a_wrong_address_a_wrong_token_and_an_empty_site_are_three_different_lines(
    operator: Operator, web: Web
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/feed"
    add(operator, "nowhere", "feed", url=nowhere)
    add(operator, "locked", "feed", url=web.says("/locked", Answer(status=401)))
    add(operator, "empty", "feed", url=web.says("/empty", FEED | {"items": []}))
    said = lines(operator.run("collect", "--check", status=1))
    assert "empty: reachable, but empty: no article and no count" in said
    assert f"nowhere: not readable: {nowhere}: nothing answers there" in said
    assert f"locked: not readable: {web.url}/locked: the server answered 401" in said
    assert "  Check its user and password or token" in said


def test_a_broken_source_leaves_the_others_in_sight(operator: Operator, web: Web) -> None:
    add(operator, "broken", "feed", url=web.says("/broken", "<html>"))
    add_log(operator)
    said = operator.run("collect", "--check", status=1)
    assert "broken: not readable" in said and "log: reachable" in said
    assert "log: reachable" in operator.run("collect", "--check", "--source", "log")


def test_a_broken_source_keeps_no_other_from_being_stored(operator: Operator, web: Web) -> None:
    add(operator, "broken", "feed", url=web.says("/broken", Answer(status=404)))
    add(operator, "odd", "feed", url=web.says("/odd", '{"version": "\ud800"}'.encode("utf-8", "surrogatepass")))
    add(operator, "news", "feed", url=web.says("/feed", FEED))
    add_log(operator)
    said = operator.run("collect", status=1)
    assert "broken" in said and "odd" in said
    with sqlite3.connect(operator.folder / "digest.db") as database:
        assert database.execute("select count(*) from articles").fetchone() == (2,)
        assert database.execute("select sum(views) from views").fetchone() == (1200,)
        assert database.execute("select count(*) from sources where error != ''").fetchone() == (2,)


def test_the_json_form_says_the_same(operator: Operator, web: Web) -> None:
    add(operator, "news", "feed", url=web.says("/feed", FEED))
    add_log(operator)
    add(operator, "empty", "feed", url=web.says("/empty", FEED | {"items": []}))
    add(operator, "locked", "feed", url=web.says("/locked", Answer(status=403)))
    news, log, empty, locked = operator.json("collect", "--check", status=1)
    assert (news["source"], news["reachable"], news["articles"], news["counts"]) == ("news", True, 2, 0)
    assert (news["newest_article"], news["newest_count"]) == ("2026-10-26T09:00:00+00:00", None)
    assert news["notes"] == ["item 3 left out: 'C' has no date we can read"]
    assert (log["counts"], log["views"], log["newest_count"]) == (2, 1200, "2026-10-27T10:00:00+00:00")
    assert [each["empty"] for each in (news, log, empty, locked)] == [False, False, True, False]
    assert (locked["reachable"], locked["place"]) == (False, f"{web.url}/locked")
    assert "403" in locked["reason"] and "firewall" in locked["remedy"] and locked["reason"] in locked["error"]


def test_counts_of_nothing_are_not_taken_for_readers(operator: Operator) -> None:
    add_log(operator, "/a,2026-10-27T10:00+01:00,0\n")
    assert "log: reachable; no articles; 1 count, 0 views, all of them 0" in operator.run("collect", "--check")


def test_a_source_that_is_not_asked_says_whom_it_waits_for(operator: Operator) -> None:
    add(operator, "beacon", "beacon")
    assert lines(operator.run("collect", "--check")) == [
        "beacon: waits for readers' browsers; nothing was counted yet",
    ]
    (seen,) = operator.json("collect", "--check")
    assert (seen["reachable"], seen["waits_for"], seen["empty"]) == (True, "readers' browsers", True)


def test_a_check_makes_no_record_of_sources_that_are_not_asked(operator: Operator) -> None:
    add(operator, "beacon", "beacon")
    add(operator, "cms", "push", token="a token of sixteen and more")
    said = lines(operator.run("collect", "--check"))
    assert said[1] == "cms: waits for your own system; nothing was counted yet"
    with sqlite3.connect(operator.folder / "digest.db") as database:
        assert database.execute("select count(*) from sources").fetchone() == (0,)


def test_many_notes_do_not_bury_the_line(operator: Operator, web: Web) -> None:
    add(operator, "news", "feed", url=web.says("/feed", FEED | {"items": [FEED["items"][0], *[{}] * 500]}))
    said = lines(operator.run("collect", "--check"))
    assert len(said) == 12 and said[-1] == "  and 490 notes more; --json has them all"
    assert len(operator.json("collect", "--check")[0]["notes"]) == 500


def test_a_check_stores_nothing(operator: Operator, web: Web) -> None:
    add(operator, "news", "feed", url=web.says("/feed", Answer(FEED, headers={"ETag": '"1"'})))
    operator.run("collect", "--check")
    with sqlite3.connect(operator.folder / "digest.db") as database:
        assert database.execute("select count(*) from articles").fetchone() == (0,)
    operator.run("collect", "--check")
    assert not any("if-none-match" in asked.headers for asked in web.asked)
