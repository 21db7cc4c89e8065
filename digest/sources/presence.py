"""Whether pages are still there: asked right before an edition that names them is frozen.

Only a page that says so itself (404 or 410) is gone. A site that is slow, refuses robots or cannot be reached tells
nothing, and its pages count as there: an edition must not shrink because a firewall was in a mood.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta

from digest.errors import SourceError
from digest.sources.fetch import Fetcher

PATIENCE = 10.0  # seconds, for all of them together
_AT_ONCE = 4
_ENOUGH = 5_000_000  # bytes of a page; what it says does not matter
_GONE = (404, 410)


async def missing(urls: Iterable[str], homes: Sequence[str] = (), private_hosts: Sequence[str] = ()) -> dict[str, str]:
    """Of these pages, those that are gone, with the words of the site. Never takes longer than PATIENCE."""
    gone: dict[str, str] = {}
    fetcher = Fetcher(
        "pages", timedelta(seconds=PATIENCE), _ENOUGH, homes=tuple(homes), private_hosts=tuple(private_hosts), tries=1
    )
    turns = asyncio.Semaphore(_AT_ONCE)

    async def look(url: str) -> None:
        async with turns:
            if (status := await _status(fetcher, url)) in _GONE:
                gone[url] = str(status)

    try:
        async with asyncio.timeout(PATIENCE), fetcher:
            await asyncio.gather(*map(look, urls))
    except TimeoutError:
        pass  # those that were not reached count as there
    return gone


async def _status(fetcher: Fetcher, url: str) -> int:
    """What the server answers; 0 when it does not, or when it is none we may ask."""
    try:
        return (await fetcher.get(url)).status
    except SourceError as error:
        return error.status
