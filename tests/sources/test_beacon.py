"""What our own counter counts, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from digest.config.sources import BeaconSource
from digest.domain.articles import Harvest
from digest.sources import Reading
from digest.sources.beacon import MAX_BODY, SCRIPT, Beacon, is_robot, read_beacon
from tests.sources.conftest import NOW

SITE = "https://news.example.com"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
PAGE = f"{SITE}/2026/tea?page=2"


def seen(body: str | bytes, hosts: tuple[str, ...] = (), site: str = SITE) -> str | None:
    return read_beacon(body if isinstance(body, bytes) else body.encode(), hosts, site)


@pytest.mark.parametrize("body", [json.dumps({"url": PAGE}), PAGE, "/2026/tea?page=2", '{"url": "/2026/tea?page=2"}'])
def test_a_page_of_ours_counts(body: str) -> None:
    assert seen(body) == PAGE


def test_a_page_of_ours_counts_on_every_host_that_is_named() -> None:
    assert seen("https://m.example.com/a", hosts=("m.example.com",)) == "https://m.example.com/a"
    assert seen("https://m.example.com:8443/a", hosts=("M.example.com:8443",)) is not None
    assert seen(f"{SITE}/a", hosts=("m.example.com",)) is None
    assert seen("http://127.0.0.1:8000/a", site="http://127.0.0.1:8000") is not None
    assert seen("http://127.0.0.1:8001/a", site="http://127.0.0.1:8000") is None
    assert seen("https://news.example.com:443/a") is not None


def test_a_host_with_letters_of_its_own_counts_in_both_spellings() -> None:
    spelled, typed = "https://xn--w-uga1v8h.pl/a", "https://żółw.pl/a"
    for hosts, site in ((("żółw.pl",), SITE), (("xn--w-uga1v8h.pl",), SITE), ((), "https://żółw.pl")):
        assert seen(spelled, hosts, site) == spelled
        assert seen(typed, hosts, site) == typed


def test_www_makes_no_other_site() -> None:
    assert seen("https://www.news.example.com/a") is not None
    assert seen(f"{SITE}/a", site="https://www.news.example.com") is not None
    assert seen("https://m.example.com/a", hosts=("www.m.example.com",)) is not None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "{}",
        "[]",
        '{"url": 7}',
        '{"url": ""}',
        '{"url": "https://evil.example/a"}',
        '{"url": "https://news.example.com.evil.example/a"}',
        '{"url": "https://news.example.com@evil.example/a"}',
        '{"url": "https://anna:secret@news.example.com/a"}',
        '{"url": "//evil.example/a"}',
        '{"url": "ftp://news.example.com/a"}',
        '{"url": "javascript:alert(1)"}',
        '{"url": "https://news.example.com/a b"}',
        '{"url": "https://news.example.com/\\u0000"}',
        '{"url": "https://news.example.com/\\ud800"}',
        '{"url": "https://[news.example.com/"}',
        '{"url": "https://news.example.com:99999/"}',
        b"\xff\xfe",
        "{" * 2000,
        "https://news.example.com/" + "a" * MAX_BODY,
    ],
)
def test_nonsense_and_other_sites_do_not_count(body: str | bytes) -> None:
    assert seen(body) is None


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "Mozilla/5.0 (compatible; YandexBot/3.0)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/131.0.0.0 Safari/537.36",
        "facebookexternalhit/1.1",
        "curl/8.5.0",
        "python-requests/2.32",
        "Go-http-client/2.0",
        "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    ],
)
def test_robots_do_not_count(agent: str) -> None:
    assert is_robot(agent)


@pytest.mark.parametrize(
    "agent",
    [
        PHONE,
        "Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Mobile/15E148 [FBAN/FBIOS;FBAV/490.0;FBDV/iPhone14,5]",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    ],
)
def test_readers_count_whatever_they_read_with(agent: str) -> None:
    assert not is_robot(agent)


def test_the_script_is_small_and_keeps_nothing() -> None:
    assert len(SCRIPT.encode()) < 1024
    assert SCRIPT.isascii()
    assert not re.search(r"cookie|storage|indexedDB|fingerprint|referrer|userAgent", SCRIPT, re.I)


def test_there_is_nothing_to_collect() -> None:
    source = Beacon(BeaconSource(name="beacon", kind="beacon"))
    harvest = asyncio.run(source.collect(Reading(NOW, remembered={"a": "b"})))
    assert (source.name, harvest) == ("beacon", Harvest(remembered={"a": "b"}))
