"""One page, many spellings; counters that only ever grow, until they do not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.articles import canonical_url, counted_since, spread

SITE = "https://news.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://news.example.com/2026/11/river",
        "http://news.example.com/2026/11/river/",
        "HTTPS://NEWS.Example.COM/2026/11/river",
        "https://news.example.com:443/2026/11/river",
        "https://news.example.com/2026/11/river/?utm_source=x&utm_medium=mail&fbclid=1",
        "https://news.example.com/2026/11/river#comments",
        "/2026/11/river/",
        "//news.example.com/2026/11/river",
        "https://news.example.com/2026/11/r%69ver",
        "  https://news.example.com./2026/11/river ",
    ],
)
def test_spellings_of_one_page_are_one_page(url):
    assert canonical_url(url, SITE) == "news.example.com/2026/11/river"


def test_what_names_the_page_stays():
    assert canonical_url("/?p=12&utm_source=x", SITE) == "news.example.com?p=12"
    assert canonical_url("/a?b=2&a=1", SITE) == canonical_url("/a?a=1&b=2", SITE)
    assert canonical_url("/River", SITE) != canonical_url("/river", SITE)
    assert canonical_url("/żółw", SITE) == canonical_url("/%C5%BC%C3%B3%C5%82w", SITE)
    assert canonical_url("https://żółw.pl/a") == canonical_url("https://xn--w-uga1v8h.pl/a")


@pytest.mark.parametrize("url", ["", "mailto:a@b.c", "javascript:alert(1)", "https://", "ftp://x/y", "http://[bad/"])
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValueError):
        canonical_url(url)


@given(st.text(max_size=80))
def test_no_text_makes_it_raise_anything_else(text):
    try:
        key = canonical_url(text, SITE)
    except ValueError:
        return
    assert canonical_url("https://" + key) == key


@pytest.mark.parametrize(
    ("previous", "total", "counted"),
    [(100, 130, 30), (100, 100, 0), (100, 20, 20), (100, 0, 0), (1000, 990, 0), (0, 5, 5)],
)
def test_a_counter_that_fell_far_was_reset_and_one_that_fell_a_little_was_corrected(previous, total, counted):
    assert counted_since(previous, total) == counted


def test_views_between_two_readings_are_shared_by_time():
    since = datetime(2026, 11, 28, 6, 30, tzinfo=UTC)
    until = datetime(2026, 11, 28, 7, 0, 5, tzinfo=UTC)
    shares = spread(60, since, until)
    assert shares == [(datetime(2026, 11, 28, 6, tzinfo=UTC), timedelta(hours=1), 60)]


@given(st.integers(0, 10_000), st.integers(1, 500_000), st.integers(0, 3600))
def test_no_view_is_lost_or_made_up_in_the_sharing(views, seconds, offset):
    since = datetime(2026, 10, 24, 12, tzinfo=UTC) + timedelta(seconds=offset)
    shares = spread(views, since, since + timedelta(seconds=seconds))
    assert sum(count for _, _, count in shares) == views
    assert all(count > 0 for _, _, count in shares)
