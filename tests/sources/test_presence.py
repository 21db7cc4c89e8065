"""Whether pages are still there: only one that says that it is gone is gone."""

from __future__ import annotations

import asyncio

import pytest

from digest.sources.presence import missing
from tests.servers import free_port
from tests.sources.web import Answer, Web


def look(web: Web, *urls: str) -> dict[str, str]:
    return asyncio.run(missing(urls, [web.url]))


def test_only_what_answers_404_or_410_is_gone(web: Web) -> None:
    there, gone = web.says("/there", "hello"), web.says("/gone", Answer(status=410))
    never = f"{web.url}/never"
    assert look(web, there, gone, never) == {gone: "410", never: "404"}


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_site_in_a_mood_keeps_its_articles_and_is_asked_once(web: Web, status: int) -> None:
    url = web.says("/story", Answer(status=status))
    assert look(web, url) == {}
    assert len(web.asked) == 1


def test_what_cannot_be_reached_counts_as_there(web: Web) -> None:
    broken = web.says("/broken", Answer("half of it", breaks=True))
    assert look(web, broken, f"http://127.0.0.1:{free_port()}/", "http://nowhere.invalid/", "gopher://x/") == {}


def test_a_page_that_moved_is_there_and_one_that_moved_to_nothing_is_gone(web: Web) -> None:
    there = web.says("/there", "hello")
    moved = web.says("/old", Answer(status=301, headers={"location": there}))
    lost = web.says("/lost", Answer(status=302, headers={"location": f"{web.url}/nothing"}))
    assert look(web, moved, lost) == {lost: "404"}


def test_nobody_is_sent_into_a_private_network(web: Web) -> None:
    web.says("/secret", Answer(status=404))
    other = web.url.replace("127.0.0.1", "localhost") + "/secret"
    assert look(web, other) == {}
    assert web.asked == []
