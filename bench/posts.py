"""`python -m bench.posts PORT FILE CONNECTIONS`: sends the requests in a file, over connections kept open.

Each connection sends its next request when the last one is answered. Prints one line of JSON: how many were answered
with 200 or 204, and the seconds from the first request to the last answer. FILE holds requests, each after its length
in four bytes; the first WARM_UP of them are sent before the clock starts.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import sys
import time
from collections.abc import Iterable
from pathlib import Path

WARM_UP = 300
_LENGTH = struct.Struct(">I")
_SIZE = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.I)


def keep(path: Path, requests: Iterable[bytes]) -> None:
    """Write the file."""
    with path.open("wb") as file:
        for each in requests:
            file.write(_LENGTH.pack(len(each)) + each)


def read(path: Path) -> list[bytes]:
    """All of it, the last one first: they are popped."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        found.append(content[at : at + length])
        at += length
    return found[::-1]


class Supply:
    """What is left to send, and how many answers are still wanted."""

    def __init__(self, requests: list[bytes]) -> None:
        self.left = requests
        self.wanted = len(requests)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, reason: str) -> None:
        """Once is enough."""
        if not self.done.done():
            self.done.set_exception(ConnectionError(reason))


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.supply: Supply | None = None
        self._transport: asyncio.Transport | None = None
        self._reply = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def begin(self, supply: Supply) -> None:
        """Send the first of what there is."""
        self.supply = supply
        self._next()

    def data_received(self, arrived: bytes) -> None:
        """An answer is whole with its body."""
        self._reply += arrived
        head, found, body = self._reply.partition(b"\r\n\r\n")
        if not found:
            return
        size = _SIZE.search(head + b"\r\n")
        if len(body) < (int(size[1]) if size else 0):
            return
        assert self.supply is not None
        if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 204 ")):
            self.supply.fail(f"the answer was {self._reply[:300]!r}")
            return
        self._reply = b""
        self.supply.wanted -= 1
        if not self.supply.wanted:
            self.supply.done.set_result(None)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody closes before all is answered."""
        if self.supply is not None:
            self.supply.fail(f"the connection ended: {error}")

    def _next(self) -> None:
        assert self.supply is not None and self._transport is not None
        if self.supply.left:
            self._transport.write(self.supply.left.pop())


async def _send(port: int, path: Path, connections: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    lines = [(await loop.create_connection(Line, "127.0.0.1", port))[1] for _ in range(connections)]
    requests, took = read(path), 0.0
    measured = requests[:-WARM_UP]
    for part in (requests[-WARM_UP:], measured):
        supply = Supply(list(part))
        began = time.perf_counter()
        for line in lines:
            line.begin(supply)
        await asyncio.wait_for(supply.done, 240)
        took = time.perf_counter() - began
    return {"answered": len(requests), "seconds": took}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_send(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))))
