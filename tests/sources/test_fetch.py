"""Reading over HTTP: patient with a busy server, never without a limit, and clear about what went wrong."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from digest import __version__
from digest.errors import SourceError
from digest.sources.fetch import Fetched, Fetcher, without_password
from tests.servers import free_port
from tests.servers.certificates import self_signed
from tests.sources.web import Answer, Web, serving


class Naps:
    """Sleeps that take no time, and how long they would have been."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def get(url: str, *, timeout: float = 30, max_bytes: int = 100_000, naps: Naps | None = None, **asked: Any) -> Fetched:
    async def read() -> Fetched:
        fetcher = Fetcher("news", timedelta(seconds=timeout), max_bytes, homes=(url,), sleep=naps or Naps())
        async with fetcher:
            return await fetcher.get(url, **asked)

    return asyncio.run(read())


def refused(url: str, **details: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        get(url, **details)
    assert caught.value.source == "news"
    return caught.value


def test_it_says_who_it_is_and_keeps_the_query_it_was_given(web: Web) -> None:
    url = web.says("/", "hello")
    assert get(f"{url}?rest_route=/wp/v2", params={"page": 2}).content == b"hello"
    assert web.asked[0].query == {"rest_route": "/wp/v2", "page": "2"}
    assert web.asked[0].headers["user-agent"] == f"Digest/{__version__}"


def test_a_client_that_was_given_is_used_and_left_open(web: Web) -> None:
    url = web.says("/", "hello")

    async def read() -> bool:
        async with httpx.AsyncClient() as client:
            async with Fetcher("news", timedelta(seconds=5), 1000, client=client) as fetcher:
                await fetcher.get(url)
            return client.is_closed

    assert asyncio.run(read()) is False


def test_what_has_not_changed_is_not_sent_again(web: Web) -> None:
    changed = {"ETag": '"7"', "Last-Modified": "Sat, 28 Nov 2026 07:00:00 GMT"}
    url = web.says("/", Answer("new", headers=changed), Answer(status=304))
    remembered = get(url).validators("views.")
    assert get(url, remembered=remembered, prefix="views.").content is None
    asked = web.asked[1].headers
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"7"', "Sat, 28 Nov 2026 07:00:00 GMT")


def test_a_busy_server_is_asked_again_when_it_wants_to_be(web: Web) -> None:
    naps = Naps()
    url = web.says("/", Answer(status=429, headers={"Retry-After": "7"}), Answer(status=503), Answer("there"))
    assert get(url, naps=naps).content == b"there"
    assert naps.taken == [7, 2]


def test_a_date_to_retry_after_is_read_by_the_servers_own_clock(web: Web) -> None:
    naps = Naps()
    # The server's clock is years off ours; only the difference of its two dates means anything.
    headers = {"Retry-After": "Sat, 01 Jan 2000 00:00:09 GMT", "Date": "Sat, 01 Jan 2000 00:00:00 GMT"}
    assert get(web.says("/", Answer(status=503, headers=headers), Answer("there")), naps=naps).content == b"there"
    assert naps.taken == [9]


def test_a_server_that_asks_for_more_patience_than_we_have_is_left_alone(web: Web) -> None:
    naps = Naps()
    error = refused(web.says("/", Answer(status=429, headers={"Retry-After": "3600"})), naps=naps)
    assert (naps.taken, len(web.asked)) == ([], 1)
    assert "429" in error.reason and "3600" in error.reason and "every" in error.remedy


def test_patience_ends_after_a_few_tries(web: Web) -> None:
    naps = Naps()
    assert "500" in refused(web.says("/", Answer(status=500)), naps=naps).reason
    assert naps.taken == [1, 2, 4]


def test_a_connection_that_breaks_in_the_middle_is_tried_again(web: Web) -> None:
    assert get(web.says("/", Answer("all of it", breaks=True), Answer("all of it"))).content == b"all of it"
    assert "broke" in refused(web.says("/never", Answer("all of it", breaks=True))).reason


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "password or token"), (403, "firewall"), (404, "address"), (410, "address")],
)
def test_a_refusal_is_final_and_says_what_to_do(web: Web, status: int, words: str) -> None:
    error = refused(web.says("/page", Answer(status=status)))
    assert error.place == f"{web.url}/page"
    assert str(status) in error.reason and words in error.remedy
    assert len(web.asked) == 1


def test_a_server_that_never_answers_is_not_waited_for(web: Web) -> None:
    error = refused(web.says("/", Answer(hangs=True)), timeout=0.15)
    assert "0.15 seconds" in error.reason and "timeout" in error.remedy


def test_a_reply_without_end_is_cut_off(web: Web) -> None:
    assert "1,000 bytes" in refused(web.says("/", b"x" * 1001), max_bytes=1000).reason
    assert get(web.says("/", b"x" * 1000), max_bytes=1000).content == b"x" * 1000


def test_the_limit_holds_after_unpacking_too(web: Web) -> None:
    bomb = gzip.compress(b"\x00" * 10_000_000)
    assert len(bomb) < 100_000
    error = refused(web.says("/", Answer(bomb, headers={"Content-Encoding": "gzip"})))
    assert "100,000 bytes" in error.reason and "max_bytes" in error.remedy


def test_a_reply_that_only_claims_to_be_packed_is_named(web: Web) -> None:
    error = refused(web.says("/", Answer("plain", headers={"Content-Encoding": "gzip"})))
    assert "unpacked" in error.reason


def test_redirects_are_followed_a_few_times(web: Web) -> None:
    web.says("/new", "here")
    reply = get(web.says("/old", Answer(status=301, headers={"Location": "/new"})))
    assert (reply.content, reply.url) == (b"here", f"{web.url}/new")
    error = refused(web.says("/round", Answer(status=302, headers={"Location": "/round"})))
    assert "circle" in error.reason
    assert len(web.asked) <= 10


def test_a_redirect_does_not_lead_to_a_file(web: Web) -> None:
    error = refused(web.says("/", Answer(status=302, headers={"Location": "file:///etc/passwd"})))
    assert "cannot be reached" in error.reason


def test_a_host_that_is_not_there_is_told_from_one_that_is_not_listening() -> None:
    assert "nothing answers" in refused(f"http://127.0.0.1:{free_port()}/").reason
    assert "no such host" in refused("http://news.invalid/").reason


def test_a_certificate_nobody_signed_is_not_trusted(tmp_path: Path) -> None:
    with serving(self_signed(tmp_path)) as web:
        error = refused(web.says("/", "secret"))
    assert "TLS" in error.reason and "certificate" in error.remedy


def test_what_is_not_json_is_shown_by_its_beginning(web: Web) -> None:
    url = web.says("/", "<br>Warning: something in plugin.php")

    async def read() -> Any:
        async with Fetcher("news", timedelta(seconds=5), 1000, homes=(url,)) as fetcher:
            return await fetcher.get_json(url)

    with pytest.raises(SourceError, match="not JSON .*plugin.php"):
        asyncio.run(read())


def test_a_password_in_an_address_is_never_shown() -> None:
    port = free_port()
    error = refused(f"http://reader:hunter2@127.0.0.1:{port}/feed")
    assert "hunter2" not in str(error) and error.place == f"http://127.0.0.1:{port}/feed"
    assert without_password("https://news.example.com/@anna") == "https://news.example.com/@anna"


def asks(*urls: str, headers: dict[str, str] | None = None, authority: Path | None = None, **asked: Any) -> Naps:
    """Get these one after the other, all hosts of this machine being ours; returns the sleeps."""
    naps, every = Naps(), asked.pop("every", 0.0)

    async def read() -> None:
        context = ssl.create_default_context(cafile=str(authority)) if authority else True
        async with httpx.AsyncClient(verify=context) as client:
            limits: Any = ("news", timedelta(seconds=5), 10_000, headers or {}, every)
            async with Fetcher(*limits, client=client, sleep=naps) as fetcher:
                for url in urls:
                    await fetcher.get(url, **asked)

    asyncio.run(read())
    return naps


def on_localhost(url: str) -> str:
    return url.replace("127.0.0.1", "localhost")


TOKEN = {"Authorization": "Bearer secret"}


def test_a_form_and_a_body_are_posted(web: Web) -> None:
    url = web.says("/api", "{}")
    asks(url, form={"module": "API", "idSite": 3}, params={"a": "b"})
    asks(url, body={"metrics": ["pageviews"]}, headers=TOKEN)
    asks(url, body=[])
    form, body, empty = web.asked
    assert (form.method, form.form, form.query) == ("POST", {"module": "API", "idSite": "3"}, {"a": "b"})
    assert form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert (body.method, body.json) == ("POST", {"metrics": ["pageviews"]})
    assert (body.headers["content-type"], body.headers["authorization"]) == ("application/json", "Bearer secret")
    assert (empty.method, empty.json) == ("POST", [])


def test_a_post_to_a_busy_server_is_sent_again_whole(web: Web) -> None:
    url = web.says("/api", Answer(status=503), Answer("{}"))
    asks(url, form={"a": "1"})
    assert [asked.form for asked in web.asked] == [{"a": "1"}, {"a": "1"}]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_what_is_posted_is_not_taken_elsewhere(web: Web, status: int) -> None:
    url = web.says("/api", Answer(status=status, headers={"Location": "/new"}))
    web.says("/new", "{}")
    with pytest.raises(SourceError, match=r"it redirects to http://127\.0\.0\.1:\d+/new\. Set the address"):
        asks(url, form={"token_auth": "secret"})
    assert [asked.path for asked in web.asked] == ["/api"]


def test_requests_keep_the_distance_a_service_asks_for(web: Web) -> None:
    url = web.says("/", "hello")
    naps = asks(url, url, url, every=6)
    assert len(naps.taken) == 2 and all(0 < each <= 6 for each in naps.taken)
    assert asks(url, url).taken == []


@pytest.mark.parametrize("each_time", [True, False])
@pytest.mark.parametrize(
    "there", ["http://localhost:{port}/steal", "http://127.0.0.1:9/steal", "//localhost:{port}/steal"]
)
def test_a_token_is_not_sent_to_another_host(web: Web, there: str, each_time: bool) -> None:
    there = there.format(port=web.url.rpartition(":")[2])
    url = web.says("/", Answer(status=302, headers={"Location": there}))
    web.says("/steal", "thanks")

    async def read() -> None:
        headers, now = ({}, TOKEN) if each_time else (TOKEN, {})
        fetcher = Fetcher("news", timedelta(seconds=5), 1000, headers, homes=(url, on_localhost(url)))
        async with fetcher:
            await fetcher.get(url, headers=now)

    with pytest.raises(SourceError, match="redirects to another host.*do not send the token"):
        asyncio.run(read())
    assert [asked.path for asked in web.asked] == ["/"]


def test_a_token_goes_along_on_the_same_host(web: Web) -> None:
    port = web.url.rpartition(":")[2]
    url = web.says("/", Answer(status=302, headers={"Location": f"HTTP://127.0.0.1:{port}/new"}))
    web.says("/new", "here")
    asks(url, headers=TOKEN)
    assert [asked.headers["authorization"] for asked in web.asked] == ["Bearer secret"] * 2


def test_a_token_goes_from_http_to_https_and_never_back(web: Web, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with serving(certificate) as safe:
        safe.says("/new", "here")
        asks(
            web.says("/", Answer(status=301, headers={"Location": f"{safe.url}/new"})),
            headers=TOKEN,
            authority=certificate.authority,
        )
        assert safe.asked[0].headers["authorization"] == "Bearer secret"
        back = safe.says("/", Answer(status=301, headers={"Location": f"{web.url}/open"}))
        with pytest.raises(SourceError, match="another host"):
            asks(back, headers=TOKEN, authority=certificate.authority)
    assert [asked.path for asked in web.asked] == ["/"]


def test_without_a_secret_a_redirect_to_another_host_is_followed(web: Web) -> None:
    port = web.url.rpartition(":")[2]
    url = web.says("/", Answer(status=302, headers={"Location": f"http://localhost:{port}/new"}))
    web.says("/new", "here")
    asks(url, remembered={"etag": '"7"'})
    assert [asked.headers["host"] for asked in web.asked] == [f"127.0.0.1:{port}", f"localhost:{port}"]


def test_the_login_in_an_address_goes_along_on_its_host_only(web: Web) -> None:
    port = web.url.rpartition(":")[2]
    web.says("/feed", Answer(status=301, headers={"Location": f"http://127.0.0.1:{port}/feed/"}))
    web.says("/feed/", Answer(status=301, headers={"Location": f"http://localhost:{port}/new"}))
    web.says("/new", "here")
    asks(f"http://reader:hunter2@127.0.0.1:{port}/feed")
    assert ["authorization" in asked.headers for asked in web.asked] == [True, True, False]


def test_a_circle_of_two_ends(web: Web) -> None:
    web.says("/a", Answer(status=302, headers={"Location": "/b"}))
    web.says("/b", Answer(status=302, headers={"Location": "/a"}))
    assert "circle" in refused(f"{web.url}/a").reason
    assert len(web.asked) == 6


@pytest.mark.parametrize("there", ["http://[bad/", "http://127.0.0.1:port/", "javascript:alert(1)", "//"])
def test_a_redirect_to_nowhere_is_an_error_like_any_other(web: Web, there: str) -> None:
    error = refused(web.says("/", Answer(status=302, headers={"Location": there})))
    assert error.place == f"{web.url}/"


def test_a_refusal_tells_its_status_to_those_who_know_what_it_means(web: Web) -> None:
    assert refused(web.says("/", Answer("no such page", 404))).status == 404
    assert refused(web.says("/", Answer(status=302, headers={"Location": "http://[bad/"}))).status == 0
