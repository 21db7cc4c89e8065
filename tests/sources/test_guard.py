"""Where a source may lead us: to its own hosts and to public ones, whatever a feed or a redirect says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from digest.errors import SourceError
from digest.sources.fetch import Fetched, Fetcher
from digest.sources.guard import Guarded, PrivateAddress, has_proxy, hosts_of, is_public
from tests.servers.certificates import Certificate, self_signed
from tests.sources.web import Answer, Web, serving


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.5",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # where clouds keep the machine's credentials
        "100.64.0.1",  # shared by customers of one provider, RFC 6598
        "100.127.255.255",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",  # NAT64
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",  # 6to4
        "2001:0:4136:e378::1",  # Teredo
        "2001:db8::1",
    ],
)
def test_an_address_of_a_private_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
)
def test_an_address_anybody_may_ask_is_public(address: str) -> None:
    assert is_public(address)


def get(url: str, *homes: str, private_hosts: tuple[str, ...] = ()) -> Fetched:
    async def read() -> Fetched:
        async with Fetcher("news", timedelta(seconds=5), 10_000, homes=homes, private_hosts=private_hosts) as fetcher:
            return await fetcher.get(url)

    return asyncio.run(read())


def refused(url: str, *homes: str, **details: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        get(url, *homes, **details)
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "[::1]",
        "[::ffff:7f00:1]",
    ],
)
def test_every_spelling_of_this_machine_is_refused(web: Web, host: str) -> None:
    port = web.url.rpartition(":")[2]
    web.says("/", "secret")
    error = refused(f"http://{host}:{port}/", "https://news.example.com")
    assert "private network" in error.reason or "no such host" in error.reason
    assert web.asked == []


@pytest.mark.parametrize("there", ["http://127.0.0.1:{port}/inside", "http://169.254.169.254/latest/meta-data/"])
def test_a_redirect_into_a_private_network_is_not_followed(web: Web, there: str) -> None:
    port = web.url.rpartition(":")[2]
    web.says("/", Answer(status=302, headers={"Location": there.format(port=port)}))
    web.says("/inside", "secret")
    error = refused(f"http://localhost:{port}/", f"http://localhost:{port}/")
    assert "private network" in error.reason and "private_hosts = ['1" in error.remedy
    assert error.place == f"http://localhost:{port}/"
    assert [asked.path for asked in web.asked] == ["/"]


def test_a_private_host_that_is_meant_is_reached(web: Web) -> None:
    port = web.url.rpartition(":")[2]
    web.says("/", Answer(status=302, headers={"Location": f"http://LOCALHOST:{port}/inside"}))
    web.says("/inside", "welcome")
    assert "private network" in refused(web.url, web.url).reason
    reply = get(web.url, web.url, private_hosts=("LocalHost",))
    assert (reply.content, reply.url) == (b"welcome", f"http://localhost:{port}/inside")


def test_a_configured_host_is_known_however_it_is_written() -> None:
    homes = ["https://ŻÓŁW.pl/feed", "views.csv", "https://[bad/", "http://u:p@[::1]:80/"]
    assert hosts_of(homes) == {"xn--w-uga1v8h.pl", "::1"}
    assert hosts_of(["https://xn--w-uga1v8h.pl/"]) == hosts_of(["https://żółw.pl/"])


def ask(web: Web, certificate: Certificate, *names: str) -> None:
    """Ask the server as if these names had its address in the DNS, one after the other."""

    async def everywhere_here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def post() -> None:
        trust = ssl.create_default_context(cafile=str(certificate.authority))
        guarded = Guarded((), look_up=everywhere_here, verify=trust)
        async with httpx.AsyncClient(transport=guarded) as client:
            for name in names:
                await client.post(httpx.URL(f"{web.url}/page").copy_with(host=name), json={"a": 1})

    asyncio.run(post())


def test_a_host_is_reached_by_its_address_and_asked_by_its_name(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "news.example.com", "xn--w-uga1v8h.pl")
    with serving(certificate) as web:
        web.says("/page", "here")
        ask(web, certificate, "news.example.com", "żółw.pl")
        port = web.url.rpartition(":")[2]
        hosts = [f"news.example.com:{port}", f"xn--w-uga1v8h.pl:{port}"]
        assert [asked.headers["host"] for asked in web.asked] == hosts
        assert [(asked.method, asked.json) for asked in web.asked] == [("POST", {"a": 1})] * 2


def test_an_address_that_never_answers_leaves_time_for_the_next(web: Web) -> None:
    """The first address has a server whose queue is full: it takes no connection, and refuses none."""
    port = int(web.url.rpartition(":")[2])
    web.says("/page", "here")

    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async def get_it() -> int:
        guarded = Guarded((), look_up=two)
        async with asyncio.timeout(2), httpx.AsyncClient(transport=guarded, timeout=2) as client:
            return (await client.get(f"http://news.example.com:{port}/page")).status_code

    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.2", port))
        full.listen(0)
        for line in (first, second):  # one waits to be taken, the other waits for that
            line.setblocking(False)
            line.connect_ex(("127.0.0.2", port))
        assert asyncio.run(get_it()) == 200


def test_the_certificate_must_be_of_the_name_and_not_of_the_address(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "news.example.com", "127.0.0.1")
    with serving(certificate) as web:
        web.says("/page", "here")
        with pytest.raises(httpx.ConnectError, match="certificate"):
            ask(web, certificate, "example.com")
        assert web.asked == []


def test_a_line_that_is_open_for_one_name_is_not_used_for_another(tmp_path: Path) -> None:
    """Both names lead to one address, and the certificate is good for the first only."""
    certificate = self_signed(tmp_path, "news.example.com")
    with serving(certificate) as web:
        web.says("/page", "here")
        with pytest.raises(httpx.ConnectError, match="certificate"):
            ask(web, certificate, "news.example.com", "other.example.com")
        assert len(web.asked) == 1


def test_what_is_no_web_address_is_not_asked_for() -> None:
    async def get_it(url: str) -> None:
        async with httpx.AsyncClient(transport=Guarded(())) as client:
            await client.get(url)

    for url in ("file:///etc/passwd", "ftp://news.example.com/", "gopher://127.0.0.1/"):
        with pytest.raises(httpx.UnsupportedProtocol):
            asyncio.run(get_it(url))
    with pytest.raises(PrivateAddress):
        asyncio.run(get_it("http://localhost/"))


def test_with_a_proxy_it_is_the_proxy_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_proxy()
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    assert has_proxy()
