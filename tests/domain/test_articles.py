"""One page, many spellings; counters that only ever grow, until they do not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.articles import Pages, canonical_url, counted_since, spelling, spread

SITE = "https://news.example.com"
PREFIXES = ("/m", "/pl", "/pl/mobile/")


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
        "https://www.news.example.com/2026/11/river",
        "http://www.news.example.com:443/2026/11/river/amp/",
        "/2026/11/river/amp",
        "/2026/11/river?amp",
        "/2026/11/river/?amp=1&utm_source=x",
        "/2026/11/river?outputType=amp",
        "/2026/11/river/page/2/",
        "/2026/11/river/page/12/amp/",
        "/2026/11/river/index.html",
        "/2026/11/river/index.php?gclid=1",
        "/m/2026/11/river",
        "/m/2026/11/river/amp",
        "/pl/mobile/2026/11/river",
        "/p%6C/mobile/2026/11/river/",
        "//news.example.com//2026//11/river//",
        "/2026/./11/x/../river",
        "/2026/11/x/%2e%2E/river/.",
        "/../../2026/11/river",
        "/./m/2026//11/river",
        "/2026/11/river?srsltid=1&gbraid=2&wbraid=3&gad_source=4&gad_campaignid=5&ttclid=6",
        "/2026/11/river?twclid=1&li_fat_id=2&yclid=3&_openstat=4&ref_src=twsrc",
    ],
)
def test_spellings_of_one_page_are_one_page(url):
    assert canonical_url(url, SITE, PREFIXES) == "news.example.com/2026/11/river"


def test_what_names_the_page_stays():
    assert canonical_url("/?p=12&utm_source=x", SITE) == "news.example.com?p=12"
    assert canonical_url("/a?b=2&a=1", SITE) == canonical_url("/a?a=1&b=2", SITE)
    assert canonical_url("/River", SITE) != canonical_url("/river", SITE)
    assert canonical_url("/żółw", SITE) == canonical_url("/%C5%BC%C3%B3%C5%82w", SITE)
    assert canonical_url("https://żółw.pl/a") == canonical_url("https://xn--w-uga1v8h.pl/a")


@pytest.mark.parametrize(
    "path",
    [
        "/mobile/a",  # a prefix is whole segments
        "/a/m",
        "/a?page=2",  # only the WordPress form is known to show the same article
        "/a/2",
        "/page/two",
        "/a?amp=blue",
        "/ramp",
        "/index.html/a",
        "/a/index.xml",
    ],
)
def test_what_only_looks_like_a_variant_is_a_page_of_its_own(path):
    assert canonical_url(path, SITE, PREFIXES) == f"news.example.com{path}"


def test_a_prefix_is_taken_off_once_and_may_leave_nothing():
    assert canonical_url("/m/m/a", SITE, PREFIXES) == "news.example.com/m/a"
    assert canonical_url("/m/pl/a", SITE, PREFIXES) == "news.example.com/pl/a"
    assert canonical_url("/m/", SITE, PREFIXES) == canonical_url("/", SITE) == "news.example.com"
    assert canonical_url("/m/a", SITE, ("/", "")) == "news.example.com/m/a"


@pytest.mark.parametrize(
    ("url", "is_variant"),
    [
        ("/a", False),
        ("https://www.news.example.com/a/", False),
        ("https://news.example.com/żółw", False),
        ("/a/amp", True),
        ("/a?utm_source=x", True),
        ("/m/a", True),
    ],
)
def test_a_variant_is_what_a_site_shows_beside_the_page_itself(url, is_variant):
    pages = Pages(SITE, PREFIXES)
    assert pages.is_variant(url, pages.key(url)) is is_variant


def test_each_spelling_has_a_name_of_its_own():
    key = canonical_url(f"{SITE}/a")
    assert spelling(f"{SITE}/a", key) == key
    others = {spelling(url, key) for url in (f"{SITE}/a/", "/a", f"{SITE}/a/amp", f"{SITE}/a?\udc80")}
    assert len(others) == 4 and all(each.startswith(f"{key}#") for each in others)


def test_a_host_may_be_called_www_itself():
    assert canonical_url("https://www.pl/a") == "www.pl/a"
    assert canonical_url("https://www/a") == "www/a"
    assert canonical_url("https://[2001:DB8::1]:8080/a/") == "[2001:db8::1]:8080/a"


def test_an_address_too_long_for_an_index_is_refused():
    assert len(canonical_url("/" + "a" * 1900, SITE)) == 1917
    for url in ("/" + "a" * 2001, "/" + "ż" * 400, "/?q=" + "a" * 2001):
        with pytest.raises(ValueError, match="longer than"):
            canonical_url(url, SITE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mailto:a@b.c",
        "javascript:alert(1)",
        "https://",
        "ftp://x/y",
        "http://[bad/",
        "http://a b/",
        "http://x:y/",
        "/a\ud800",
    ],
)
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValueError):
        canonical_url(url)


PARTS = [
    "a",
    "amp",
    "AMP",
    "page",
    "2",
    "index.html",
    "index.php",
    "m",
    "pl",
    "..",
    ".",
    "",
    "%61mp",
    "%2f",
    "ż",
    "%C5",
    "%",
]
HOSTS = [
    "news.example.com",
    "www.x.pl",
    "www.www.x.pl",
    "ｗｗｗ.x.pl",
    "żółw.pl.",
    "x。",
    "www.",
    "[::1]",
    "x:443",
    "u:p@x:80",
]
QUERIES = [
    "",
    "?",
    "?amp",
    "?amp=1&p=2",
    "?b=ż&a=%C5",
    "?outputType=amp&utm_x=1",
    "?a=b?c",
    "?a+b=%2B",
    "#x",
    "?page=2",
]
ADDRESSES = st.builds(
    lambda scheme, host, path, query: f"{scheme}://{host}/{'/'.join(path)}{query}",
    st.sampled_from(["http", "https", "HTTPS"]),
    st.sampled_from(HOSTS) | st.text(max_size=8),
    st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=6),
    st.sampled_from(QUERIES) | st.text(max_size=8),
)


@given(st.text(max_size=80) | ADDRESSES)
def test_the_key_of_a_key_is_that_key_and_no_text_raises_anything_else(text):
    for site, prefixes in ((SITE, ()), ("", ()), (SITE, PREFIXES)):
        try:
            key = canonical_url(text, site, prefixes)
        except ValueError:
            continue
        assert key.isascii()
        assert canonical_url("https://" + key) == canonical_url("http://" + key) == key


@given(
    st.lists(st.sampled_from([each for each in PARTS if each != ".."]), max_size=6),
    st.sampled_from(["", "/", "/amp", "/amp/", "/page/3", "/index.php", "/index.html", "?amp=1"]),
    st.sampled_from(["", "/m", "/pl/mobile"]),
)
def test_every_way_to_show_a_page_has_its_key(path, ending, prefix):
    key = canonical_url("/".join(["", "x", *path]), SITE)
    shown = f"https://www.news.example.com{prefix}{key.removeprefix('news.example.com')}{ending}"
    assert canonical_url(shown, SITE, PREFIXES) == key


@pytest.mark.parametrize(
    ("previous", "total", "counted"),
    [(100, 130, 30), (100, 100, 0), (100, 20, 20), (100, 60, 60), (100, 0, 0), (1000, 990, 990), (0, 5, 5)],
)
def test_a_counter_that_fell_was_reset_however_little_it_fell(previous, total, counted):
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
