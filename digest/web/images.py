"""Pictures of articles from our own address: `/img/<token>.jpg`, fetched once, made small once, kept on disk.

Which picture is fetched comes from our database, never from the request.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from digest.app import App, Clock
from digest.domain.links import Links
from digest.errors import InvalidToken, SourceError
from digest.mail.clean import clean_url
from digest.mail.targets import fitted, version_of
from digest.store import articles
from digest.web.conditional import reply
from digest.web.guards import log
from digest.web.image_folder import ImageFolder

_AT_ONCE = 4  # fetched, or waiting to be made small
_AT_HAND = 32  # in memory: an edition has about ten, and all its readers ask for them in the same hour
_REFUSED_FOR = timedelta(hours=1)  # a picture that is gone, or is none
_AWAY_FOR = timedelta(minutes=5)  # one whose server did not answer
_PASSING = (408, 425, 429)
_MOST_MISSING = 10_000
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",  # another picture has another address
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",  # webmail shows it on its own pages
}
_FOR_NOW = "public, max-age=3600"  # the article has got another picture since

Name = tuple[int, bytes]  # article id, version


class Images:
    """Pictures at hand, on disk, or on their way. Only the loop's thread touches it; the work is done elsewhere.

    `fetch` reads an address and raises SourceError, `reduce` makes the picture small and runs in a thread, `address`
    looks an article's picture up and may block.
    """

    def __init__(
        self,
        folder: ImageFolder,
        address: Callable[[int], str],
        fetch: Callable[[str], Awaitable[bytes]],
        reduce: Callable[[bytes], bytes],
        clock: Clock,
    ) -> None:
        self._folder, self._address, self._fetch, self._reduce, self._clock = folder, address, fetch, reduce, clock
        self._at_hand: OrderedDict[Name, bytes] = OrderedDict()
        self._on_their_way: dict[Name, asyncio.Task[bytes | None]] = {}
        self._missing: dict[Name, datetime] = {}  # until when it is not tried again
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._thread = ThreadPoolExecutor(1, "pictures")  # one at a time: a large one takes much memory

    async def get(self, name: Name) -> bytes | None:
        """The picture, or None when it cannot be had. Two who ask for the same one at once wait for one fetch."""
        if name in self._at_hand:
            self._at_hand.move_to_end(name)
            return self._at_hand[name]
        if name not in self._on_their_way:
            task = asyncio.create_task(self._bring(name))
            self._on_their_way[name] = task
            task.add_done_callback(lambda _: self._on_their_way.pop(name, None))
        return await asyncio.shield(self._on_their_way[name])  # who leaves early takes it from nobody else

    async def present(self, article_id: int) -> Name | None:
        """The picture the article has now, or None."""
        url = await run_in_threadpool(self._address, article_id)
        return (article_id, version_of(url)) if url else None

    async def _bring(self, name: Name) -> bytes | None:
        content = await run_in_threadpool(self._folder.get, *name)
        if content is None and not self._is_missing(name):
            content = await self._make(name)
        if content is not None:
            self._at_hand[name] = content
            if len(self._at_hand) > _AT_HAND:
                self._at_hand.popitem(last=False)
        return content

    async def _make(self, name: Name) -> bytes | None:
        url = await run_in_threadpool(self._address, name[0])
        if not url or version_of(url) != name[1]:
            return None
        async with self._turns:
            try:
                original = await self._fetch(url)
            except SourceError as error:
                is_final = 400 <= error.status < 500 and error.status not in _PASSING
                return self._do_without(name, error, _REFUSED_FOR if is_final else _AWAY_FOR)
            try:
                content = await asyncio.get_running_loop().run_in_executor(self._thread, self._reduce, original)
            except SourceError as error:
                return self._do_without(name, error, _REFUSED_FOR)
        await run_in_threadpool(self._folder.put, *name, content)
        return content

    def _do_without(self, name: Name, error: SourceError, span: timedelta) -> bytes | None:
        """Say why there is none, and for how long nobody need try."""
        log.warning("%s", error)
        if len(self._missing) >= _MOST_MISSING:
            self._missing.clear()
        self._missing[name] = self._clock() + span
        return None

    def _is_missing(self, name: Name) -> bool:
        return name in self._missing and self._clock() < self._missing[name]


def router(images: Images, links: Links) -> APIRouter:
    """`/img/<token>.jpg`. It is there without resizing too: mails that were sent keep their pictures."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/img/{token}.jpg", methods=["GET", "HEAD"])
    async def show(token: str, request: Request) -> Response:
        try:
            name = links.read_picture(token)
        except InvalidToken:
            raise HTTPException(404) from None
        headers = dict(_HEADERS)
        picture = await images.get(name)
        if picture is None and (present := await images.present(name[0])) not in (None, name):
            picture = await images.get(present)
            headers["Cache-Control"] = _FOR_NOW
        if picture is None:
            raise HTTPException(404)
        return reply(request, picture, "image/jpeg", None, headers)

    return routes


def images_of(app: App, clock: Clock) -> Images:
    """The pictures of the service's articles."""

    def address(article_id: int) -> str:
        with app.store.read() as tx:
            found = articles.by_ids(tx, [article_id]).get(article_id)
        return found.image.url if found and found.image and clean_url(found.image.url) else ""

    # Here, not at the top: those who do not resize need not load the decoders.
    async def fetch(url: str) -> bytes:
        from digest.sources import pictures

        return await pictures.fetch(clean_url(url), *app.homes)

    def reduce(original: bytes) -> bytes:
        from digest.sources import pictures

        return pictures.reduced(original, fitted)

    folder = ImageFolder(app.config.image_folder, app.config.mail.image_space)
    return Images(folder, address, fetch, reduce, clock)
