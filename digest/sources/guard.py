"""Where a source may lead us: to the hosts its owner named, and to public addresses; never into the machine room.

A feed, a redirect or an API's own link may name any host, also one behind our firewall. So a host that was not
configured is resolved here, its addresses are looked at, and the connection goes to the very address that was looked
at: a name that changes in between leads nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_GIVEN_OUT = ipaddress.ip_network("2000::/3")  # RFC 4291; old private blocks and other forms of IPv4 lie outside
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")  # RFC 6890; Python took some of it for public until 3.11.10


LookUp = Callable[[str, int], Awaitable[list[str]]]  # (host, port) to IP addresses


class PrivateAddress(Exception):
    """`host` is none that was configured, and its address is not a public one."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(f"{host} lies in a private network")


def is_public(address: str) -> bool:
    """Whether anybody may be sent to this IP address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(ip.packed[-4:]) if ip in _NAT64 else None)
        if inner is None:
            return ip.is_global and ip in _GIVEN_OUT
        ip = inner
    return ip.is_global and not ip.is_multicast and ip not in _PROTOCOLS


def hosts_of(urls: Collection[str]) -> frozenset[str]:
    """The host names in these addresses, as they are written on the wire."""
    return frozenset(_on_the_wire(host) for url in urls if (host := _host_of(url)))


class Guarded(httpx.AsyncBaseTransport):
    """A transport that connects to the hosts in `trusted`, and otherwise to what `look_up` finds public."""

    def __init__(self, trusted: Collection[str], *, look_up: LookUp | None = None, **options: object) -> None:
        self._trusted = frozenset(map(_on_the_wire, trusted))
        self._look_up = look_up or public_addresses
        self._options = options
        self._lines: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it. Raises PrivateAddress."""
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{request.url.scheme}: is no web address", request=request)
        host = request.url.raw_host.decode("ascii")
        if host in self._trusted:
            return await self._to(host).handle_async_request(request)
        trouble: httpx.TransportError | None = None
        addresses = await self._look_up(host, request.url.port or 0)
        for address in addresses:
            try:
                return await self._to(host).handle_async_request(_sent_to(address, request, len(addresses)))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                trouble = error
        raise trouble or httpx.ConnectError("it has no address", request=request)

    def _to(self, host: str) -> httpx.AsyncHTTPTransport:
        """The lines to a host. They are kept by address, and the certificate was looked at for one name only."""
        if host not in self._lines:
            self._lines[host] = httpx.AsyncHTTPTransport(**self._options)  # type: ignore[arg-type]
        return self._lines[host]

    async def aclose(self) -> None:
        """Close the connections."""
        for line in self._lines.values():
            await line.aclose()


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # whoever asks for it will be told
        return ""


def _on_the_wire(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:  # too long, or no name at all: then it matches nothing
        return host.lower()


async def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises PrivateAddress when one of them is not public."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not all(map(is_public, addresses)):
        raise PrivateAddress(host)
    return addresses


def _sent_to(address: str, request: httpx.Request, among: int) -> httpx.Request:
    """The same request to one `among` some addresses; certificate and Host header stay those of the name.

    Each has its share of the time to connect, so that a dead one leaves some for the next.
    """
    extensions = {**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")}
    if limits := extensions.get("timeout"):
        extensions["timeout"] = {**limits, "connect": limits["connect"] / among if limits["connect"] else None}
    url = request.url.copy_with(host=address)
    return httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)


def has_proxy() -> bool:
    """Whether the environment names a proxy: then it connects for us, and it decides where to."""
    return any(scheme in getproxies() for scheme in ("http", "https", "all"))
