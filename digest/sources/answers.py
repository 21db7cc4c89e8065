"""Whether the pages and pictures a mail leads to answer: asked by `digest edition check`, never while sending."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from digest.errors import SourceError
from digest.sources.fetch import Fetched, Fetcher

PATIENCE = 30.0  # seconds, for all of them together
MOST = 120  # addresses; a mail has about sixty
_EACH = timedelta(seconds=10)
_AT_ONCE = 4
_ENOUGH = 20_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking for an address.

    `status` is what the server said, 0 when nothing came; `trouble` says why, in words. `size` in bytes is -1 when
    nobody knows it; `kind` is the media type.
    """

    url: str
    status: int
    trouble: str = ""
    kind: str = ""
    size: int = -1


async def ask(
    urls: Iterable[str], *, homes: Sequence[str] = (), private_hosts: Sequence[str] = (), whole: bool = False
) -> list[Answer]:
    """Ask for each address once, HEAD first, and GET where a server knows no HEAD.

    With `whole` the size matters: an answer that does not tell it is read. Never takes longer than PATIENCE; those
    that were not reached by then, or are more than MOST, are not in the list.
    """
    asked = list(dict.fromkeys(urls))[:MOST]
    answers: dict[str, Answer] = {}
    fetcher = Fetcher("links", _EACH, _ENOUGH, homes=tuple(homes), private_hosts=tuple(private_hosts), tries=1)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def look(url: str) -> None:
        async with turns:
            answers[url] = await _ask(fetcher, url, whole)

    try:
        async with asyncio.timeout(PATIENCE), fetcher:
            await asyncio.gather(*map(look, asked))
    except TimeoutError:
        pass
    return [answers[url] for url in asked if url in answers]


async def _ask(fetcher: Fetcher, url: str, whole: bool) -> Answer:
    head = await _try(fetcher, url, "HEAD")
    if head.status == 0 or (head.status < 300 and not (whole and head.size < 0)):
        return head
    return await _try(fetcher, url, "GET")  # servers that know no HEAD say all sorts of things: 403, 404, 405, 501


async def _try(fetcher: Fetcher, url: str, method: str) -> Answer:
    try:
        return _answer(url, await fetcher.get(url, method=method), method)
    except SourceError as error:
        return Answer(url, error.status, error.reason)


def _answer(url: str, reply: Fetched, method: str) -> Answer:
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    declared = reply.headers.get("content-length", "")
    if method == "GET":
        size = len(reply.content or b"")
    else:
        size = int(declared) if declared.isdecimal() and len(declared) < 16 else -1
    return Answer(url, reply.status, "", kind, size)
