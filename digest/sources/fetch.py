"""Polite reading over HTTP: time and size limits, conditional requests, patience with 429 and 5xx, clear errors."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from digest import __version__
from digest.config.sources import SourceSection
from digest.errors import SourceError
from digest.sources.guard import Guarded, PrivateAddress, has_proxy, hosts_of

USER_AGENT = f"Digest/{__version__}"
_TRIES = 4
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # another try may well succeed
_REDIRECTS = 5  # in a row
_PORTS = {"http": 80, "https": 443}
_VALIDATORS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
_NO_SECRETS = frozenset({"user-agent", "accept", *map(str.lower, _VALIDATORS.values())})  # all other headers may be
_REMEDIES = {
    401: "Check its user and password or token",
    403: "The site refuses us: check the credentials, or a firewall that blocks unknown clients",
    404: "Check the address",
    410: "Check the address",
    429: "We ask too often: raise [collecting] every",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A reply. `content` is None when nothing changed since the conditional request (304)."""

    url: str  # after redirects
    status: int
    content: bytes | None
    headers: Mapping[str, str]

    def validators(self, prefix: str = "") -> dict[str, str]:
        """What to remember, so that the next request can be conditional (RFC 9110 section 13.1)."""
        return {f"{prefix}{name}": self.headers[name] for name in _VALIDATORS if self.headers.get(name)}


@dataclass(slots=True)
class Fetcher:
    """Reads URLs for the source named `source`.

    `timeout` bounds one call of `get` with all its tries and waits, `max_bytes` one reply after decompression.
    `headers` go with every request, and never to another host. `every` seconds lie between two requests. `homes`
    are configured addresses, whose hosts may be private ones, as may those in `private_hosts`.
    `client`, when given, is used and left open.
    """

    source: str
    timeout: timedelta
    max_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    every: float = 0.0
    homes: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    tries: int = _TRIES
    client: httpx.AsyncClient | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    first_wait: float = 1.0  # seconds before the second try; doubles
    _own: httpx.AsyncClient | None = field(default=None, init=False)
    _asked_at: float = field(default=float("-inf"), init=False)

    @classmethod
    def of(
        cls, section: SourceSection, *homes: str, headers: Mapping[str, str] | None = None, every: float = 0.0
    ) -> Fetcher:
        """For a source with the limits of its section; `homes` are the addresses it was configured with."""
        limits = (section.name, section.timeout, section.max_bytes)
        return cls(*limits, dict(headers or {}), every, homes, section.private_hosts)

    async def __aenter__(self) -> Fetcher:
        if self.client is None:
            trusted = hosts_of(self.homes) | {host.lower() for host in self.private_hosts}
            guarded = None if has_proxy() else Guarded(trusted, verify=_trust())
            self._own = httpx.AsyncClient(transport=guarded, verify=_trust())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._own is not None:
            await self._own.aclose()

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        remembered: Mapping[str, str] | None = None,
        prefix: str = "",
        form: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
    ) -> Fetched:
        """Read a URL, or with HEAD what there is to say of it; `params` are added to its query. Raises SourceError.

        A busy server is asked again, not before it wants to be. `remembered` makes the request conditional. With a
        `form`, or a `body` that goes as JSON, it is a POST: for APIs that are asked that way, and change nothing.
        """
        posted: dict[str, Any] = (
            {"data": dict(form)} if form is not None else {"json": body} if body is not None else {}
        )
        more = {"User-Agent": USER_AGENT, **self.headers, **(headers or {}), **_conditions(remembered or {}, prefix)}
        asked = {"method": "POST" if posted else method, "headers": more, **posted}
        place = str(httpx.URL(url).copy_merge_params(dict(params or {}))) if params else url
        left, wait = self.timeout.total_seconds(), self.first_wait
        for tries_left in reversed(range(self.tries)):
            started = asyncio.get_running_loop().time()
            reply = await self._ask(place, asked, left)
            if reply.status not in _PASSING:
                break
            pause = max(wait, _retry_after(reply.headers))
            left -= asyncio.get_running_loop().time() - started + pause
            if not tries_left or left <= 0:
                break
            await self.sleep(pause)
            wait *= 2
        return self._accepted(place, reply)

    async def get_json(self, url: str, **asked: Any) -> tuple[Any, Fetched]:
        """Read JSON, asked for as with `get`: (value, reply). Raises SourceError."""
        reply = await self.get(url, **asked)
        content = reply.content or b""
        try:
            return json.loads(content), reply
        except (ValueError, RecursionError) as error:
            begins = content[:80].decode("utf-8", "replace")
            remedy = "Open it in a browser: it may be an error page, or a plugin's warning before the JSON"
            raise self._error(
                reply.url, f"the reply is not JSON ({error or type(error).__name__}); it begins {begins!r}", remedy
            ) from None

    async def _ask(self, url: str, asked: Mapping[str, Any], seconds: float) -> Fetched:
        """One try. A connection that broke half-way reads as a 503: another try may succeed."""
        await self._wait_for_turn()
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                return await self._follow(url, asked)
        except PrivateAddress as error:
            remedy = f"If it is meant, add private_hosts = [{error.host!r}] to the source"
            raise self._error(url, f"it leads to {error.host}, which lies in a private network", remedy) from None
        except (TimeoutError, httpx.TimeoutException):
            whole = f"{self.timeout.total_seconds():g} seconds"
            raise self._error(url, f"no full answer within {whole}", "Raise the source's timeout") from None
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            return Fetched(url, 503, None, {"reason": f"the connection broke: {error or type(error).__name__}"})
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._error(url, *_unreachable(error)) from None

    async def _wait_for_turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self.every and (wait := self._asked_at + self.every - loop.time()) > 0:
            await self.sleep(wait)
        self._asked_at = loop.time()

    async def _follow(self, url: str, asked: Mapping[str, Any]) -> Fetched:
        """Ask, and go where we are sent to: not with what was posted, and not to others with what is secret."""
        place = url
        for _ in range(_REDIRECTS + 1):
            async with self._stream(place, asked) as response:
                if not response.has_redirect_location:
                    has_content = response.status_code < 300 and asked["method"] != "HEAD"
                    content = await self._read(place, response) if has_content else b""
                    return Fetched(str(response.url), response.status_code, content, response.headers)
                there = urljoin(place, response.headers["location"])
            shown = without_password(there)
            if asked["method"] == "POST":
                raise self._error(url, f"it redirects to {shown}", "Set the address it should lead to")
            if not _is_same_host(url, there) and any(name.lower() not in _NO_SECRETS for name in asked["headers"]):
                raise self._error(
                    url, f"it redirects to another host, {shown}", "We do not send the token there; set that address"
                )
            place = with_login_of(url, there)
        raise self._error(url, "it redirects in a circle, or too often", "Set the address it should lead to")

    @asynccontextmanager
    async def _stream(self, url: str, asked: Mapping[str, Any]) -> AsyncIterator[httpx.Response]:
        client = self.client or self._own
        assert client is not None, "use `async with`"
        timeout = self.timeout.total_seconds()
        async with client.stream(url=url, timeout=timeout, follow_redirects=False, **asked) as response:
            yield response

    async def _read(self, url: str, response: httpx.Response) -> bytes:
        too_large = self._error(url, f"the reply is larger than {self.max_bytes:,} bytes", "Raise its max_bytes")
        declared = response.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self.max_bytes:
            raise too_large
        content = bytearray()
        async for chunk in response.aiter_bytes(65_536):
            content += chunk
            if len(content) > self.max_bytes:
                raise too_large
        return bytes(content)

    def _accepted(self, url: str, reply: Fetched) -> Fetched:
        if reply.status == 304:
            return Fetched(reply.url, 304, None, reply.headers)
        if 200 <= reply.status < 300:
            return reply
        reason = reply.headers.get("reason") or f"the server answered {reply.status}"
        if reply.status in _PASSING and (wish := reply.headers.get("retry-after")):
            reason += f" and asks us to wait (Retry-After: {wish[:40]})"
        later = "The site has a problem; it is read again the next time" if reply.status >= 500 else ""
        raise self._error(url, reason, _REMEDIES.get(reply.status, later), reply.status)

    def _error(self, url: str, reason: str, remedy: str, status: int = 0) -> SourceError:
        return SourceError(self.source, without_password(url), reason, remedy, status=status)


@functools.cache
def _trust() -> ssl.SSLContext:
    """The authorities we trust (SSL_CERT_FILE names others). Reading them takes 30 ms: once is enough."""
    return httpx.create_ssl_context()


def without_password(url: str) -> str:
    """The URL as it may be shown and logged: without `user:password@`."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


def with_login_of(url: str, there: str) -> str:
    """`there` with the `user:password@` of `url`, if it may go there: sites leave it out of their own addresses."""
    login, at, _ = urlsplit(url).netloc.rpartition("@")
    parts = urlsplit(there)
    if not at or "@" in parts.netloc or not _is_same_host(url, there):
        return there
    return parts._replace(netloc=f"{login}@{parts.netloc}").geturl()


def _is_same_host(url: str, there: str) -> bool:
    """Whether a secret meant for `url` may go `there`: from http to https it may, the way back it may not."""
    one, other = urlsplit(url), urlsplit(there)
    if one.hostname != other.hostname:
        return False
    if one.scheme != other.scheme:
        return other.scheme == "https"
    default = _PORTS.get(one.scheme)
    return (one.port or default) == (other.port or default)


def _conditions(remembered: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {header: remembered[prefix + name] for name, header in _VALIDATORS.items() if remembered.get(prefix + name)}


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait as the server asks: a number, or a date read by the server's own clock (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value[:9])
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, wait.total_seconds())


def _unreachable(error: Exception) -> tuple[str, str]:
    """What kept us from the server, and the remedy."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            words = getattr(cause, "verify_message", "") or cause.reason or str(cause)
            return f"no safe connection (TLS): {words}", "Renew or repair the site's certificate, or check the address"
        if isinstance(cause, socket.gaierror):
            return "there is no such host", "Check the address, and this machine's DNS"
        if isinstance(cause, ConnectionRefusedError):
            return "nothing answers there", "Check the address and the port, and that the server runs"
    if isinstance(error, httpx.DecodingError):
        return f"the reply cannot be unpacked: {error}", "The server says it is compressed, and it is not"
    return f"it cannot be reached: {error or type(error).__name__}", "Check the address"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__
