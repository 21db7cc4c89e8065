"""Work for many requests in one transaction: who comes while one is being committed goes along with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
MOST = 500  # in one transaction


class Batches(Generic[Item]):
    """Only the loop's thread touches it; `work` runs in a thread of its own, one batch at a time."""

    def __init__(self, name: str, work: Callable[[Sequence[Item]], object]) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: list[tuple[Item, asyncio.Future[None]]] = []
        self._is_busy = False

    async def do(self, item: Item) -> None:
        """Returns when the item's transaction is committed; raises what the work raised."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if not self._is_busy:
            self._begin()
        await done

    def _begin(self) -> None:
        batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        self._is_busy = True
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._thread, self._work, [item for item, _ in batch])
        running.add_done_callback(lambda ended: self._end(batch, ended))

    def _end(self, batch: list[tuple[Item, asyncio.Future[None]]], ended: asyncio.Future[object]) -> None:
        error = None if ended.cancelled() else ended.exception()
        for _, done in batch:
            if done.done():
                continue  # its client has gone; its work is done all the same
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._is_busy = False
        if self._waiting:
            self._begin()
