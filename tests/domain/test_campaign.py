"""The campaign in links: on the site's own addresses only, once, and nothing else is touched."""

from __future__ import annotations

from datetime import date
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.campaign import Campaign, is_on, tagged, unknown_placeholder, untagged

HOSTS = ["news.example.com", "sport.example.com"]
CAMPAIGN = Campaign("newsletter", "email", "weekly-47")
UTM = "utm_source=newsletter&utm_medium=email&utm_campaign=weekly-47"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://news.example.com", f"https://news.example.com?{UTM}"),
        ("https://news.example.com/a", f"https://news.example.com/a?{UTM}"),
        ("https://news.example.com/a?", f"https://news.example.com/a?{UTM}"),
        ("https://news.example.com/a?p=7", f"https://news.example.com/a?p=7&{UTM}"),
        ("https://news.example.com/a#part-2", f"https://news.example.com/a?{UTM}#part-2"),
        ("https://news.example.com/a?p=7#x?y=z", f"https://news.example.com/a?p=7&{UTM}#x?y=z"),
        ("https://news.example.com/a?q=%C5%BC+b&c&&d=", f"https://news.example.com/a?q=%C5%BC+b&c&&d=&{UTM}"),
        ("https://news.example.com/a?utm_source=rss&p=7", f"https://news.example.com/a?p=7&{UTM}"),
        ("https://news.example.com/a?UTM_Term=x&%75tm_id=9", f"https://news.example.com/a?{UTM}"),
        ("https://WWW.News.Example.com:8443/a", f"https://WWW.News.Example.com:8443/a?{UTM}"),
        ("http://sport.example.com/a", f"http://sport.example.com/a?{UTM}"),
    ],
)
def test_it_joins_the_query_and_stands_before_the_fragment(url, expected):
    assert tagged(url, CAMPAIGN, HOSTS) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example.org/a?utm_source=rss",
        "https://news.example.com.evil.example/a",
        "https://evil.example/?u=https://news.example.com/",
        "https://evil.example/#@news.example.com",
        "https://news.example.com@evil.example/a",
        "mailto:desk@news.example.com",
        "javascript://news.example.com/%0aalert(1)",
        "//news.example.com/a",
        "/a",
        "http://[broken",
        "",
    ],
)
def test_other_addresses_stay_as_they_are(url):
    assert tagged(url, CAMPAIGN, HOSTS) == url
    assert untagged(url, HOSTS) == url


def test_a_host_may_be_written_in_its_own_letters():
    assert is_on("https://xn--w-uga1v8h.pl/a", ["żółw.pl"])
    assert is_on("https://żółw.pl/a", ["xn--w-uga1v8h.pl"])
    assert not is_on("https://żółw.pl/a", ["news.example.com", "\udcff" * 70])


def test_without_values_nothing_is_added_and_nothing_is_taken():
    url = "https://news.example.com/a?utm_source=rss#x"
    assert tagged(url, Campaign(), HOSTS) == url
    assert tagged("https://news.example.com/a", Campaign(source="nl"), HOSTS).endswith("/a?utm_source=nl")


def test_the_edition_fills_in_its_name_number_and_day():
    campaign = Campaign("{newsletter}", "e-mail & more", "{newsletter}-{date}/{number}")
    filled = campaign.filled("weekly", 47, date(2026, 11, 28))
    assert filled == Campaign("weekly", "e-mail & more", "weekly-2026-11-28/47")
    url = tagged("https://news.example.com/a", filled, HOSTS)
    assert dict(parse_qsl(urlsplit(url).query))["utm_medium"] == "e-mail & more"
    assert dict(parse_qsl(urlsplit(url).query))["utm_campaign"] == "weekly-2026-11-28/47"


@pytest.mark.parametrize(
    ("text", "stray"),
    [("{newsletter}-{date}-{number}", ""), ("{numbre}", "{numbre}"), ("a{", "{"), ("a}", "}"), ("{{number}}", "{}")],
)
def test_what_nothing_stands_for_is_found(text, stray):
    assert unknown_placeholder(text) == stray


@given(st.text(), st.text(), st.text(), st.text())
def test_it_is_never_there_twice_and_never_moves_the_rest(path, query, fragment, value):
    url = f"https://news.example.com/{path}?{query}#{fragment}"
    campaign = Campaign("nl", value, "c")
    once = tagged(url, campaign, HOSTS)
    assert tagged(once, campaign, HOSTS) == once
    assert parted(untagged(once, HOSTS)) == parted(untagged(url, HOSTS))
    assert parted(once)[1] == parted(url)[1]


def parted(url):
    """(all before the fragment, without a query that is empty; the fragment)."""
    before, _, fragment = url.partition("#")
    return before.removesuffix("?"), fragment
