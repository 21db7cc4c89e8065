"""`python -m bench.views PORT VIEWS CONNECTIONS`: reports views as browsers do, over connections kept open.

Each connection sends its next report when the last one is answered. Prints one line of JSON: the views that were
answered with 204, and the seconds from the first report to the last answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator

SITE = "https://news.example.com"
PAGES = 2_000
WARM_UP = 500  # views before the clock starts: every server is asked for the first time once
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{n} like Mac OS X) AppleWebKit/605.1.15 Version/18.{n} Mobile Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0",
)


def reports(seed: int) -> Iterator[bytes]:
    """Requests without end: few pages are read much and many little, and one view in ten comes from a campaign."""
    luck = random.Random(seed)
    while True:
        page = min(int(luck.paretovariate(0.6)), PAGES)
        url = f"{SITE}/2026/11/the-river-market-opened-again-on-monday-{page}"
        if luck.random() < 0.1:
            url += f"?utm_source=social&fbclid=IwAR{luck.getrandbits(256):x}"
        agent = luck.choice(_AGENTS).format(n=luck.randrange(100, 150))
        body = json.dumps({"url": url}, separators=(",", ":")).encode()
        yield (
            "POST /beacon HTTP/1.1\r\nHost: recap.news.example.com\r\n"
            f"User-Agent: {agent}\r\nAccept: */*\r\nAccept-Language: pl-PL,pl;q=0.9,en;q=0.8\r\n"
            f"Accept-Encoding: gzip, deflate, br\r\nOrigin: {SITE}\r\nReferer: {SITE}/\r\n"
            f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


class Supply:
    """Requests made beforehand, handed out one by one; counts what is answered."""

    def __init__(self, views: int, seed: int) -> None:
        made = reports(seed)
        self.left = [next(made) for _ in range(views)]
        self.wanted = views
        self.answered = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Reader(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._supply: Supply | None = None
        self._reply = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def begin(self, supply: Supply) -> None:
        """Send the first of what there is."""
        self._supply = supply
        self._next()

    def data_received(self, reply: bytes) -> None:
        """An answer is whole with its empty line: a 204 has no body."""
        self._reply += reply
        if not self._reply.endswith(b"\r\n\r\n"):
            return
        supply = self._supply
        assert supply is not None
        if not self._reply.startswith(b"HTTP/1.1 204 "):
            self._fail(f"the answer was {self._reply[:80]!r}")
            return
        self._reply = b""
        supply.answered += 1
        if supply.answered == supply.wanted:
            supply.done.set_result(None)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody closes before all is answered."""
        self._fail(f"the connection ended: {error}")

    def _next(self) -> None:
        assert self._supply is not None and self._transport is not None
        if self._supply.left:
            self._transport.write(self._supply.left.pop())

    def _fail(self, reason: str) -> None:
        if self._supply is not None and not self._supply.done.done():
            self._supply.done.set_exception(ConnectionError(reason))


async def _report(port: int, views: int, connections: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    readers = [(await loop.create_connection(Reader, "127.0.0.1", port))[1] for _ in range(connections)]
    took = 0.0
    for number, count in enumerate((WARM_UP, views)):
        supply = Supply(count, number)
        began = time.perf_counter()
        for reader in readers:
            reader.begin(supply)
        await asyncio.wait_for(supply.done, 120)
        took = time.perf_counter() - began
    return {"views": views + WARM_UP, "seconds": took}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_report(*(int(each) for each in sys.argv[1:4])))))
