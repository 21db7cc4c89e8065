"""Counting without waiting for the database: counts stay in memory for a moment and are stored together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

FLUSH_EVERY = 0.5  # seconds; storing takes less than another half, so a kill loses the counts of the last second
_LAST_TRIES = 5  # a second apart, when told to stop while the database is away

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Key]):
    """Counts on their way into the database; they stay what they are until they are there."""

    batch: int
    counts: Counter[Key]


class Flushed(Generic[Key]):
    """Counts not yet stored. Only the loop's thread touches them.

    `put` stores them, with the number of their batch: one that failed comes again as it was, as it may have been
    stored, and only the answer lost. It runs in a thread. `what` names them in the log, such as "views".
    """

    def __init__(self, what: str, put: Callable[[Counter[Key], int], None], log: logging.Logger) -> None:
        self.counts: Counter[Key] = Counter()
        self._what, self._put, self._log = what, put, log
        self._batches = 0
        self._waiting: _Waiting[Key] | None = None
        self._is_away = False
        # Of its own: counts must not wait until a thread that waits for something else is free.
        self._thread = ThreadPoolExecutor(1, what)

    async def flush(self) -> bool:
        """Store what was counted; False when something is left. What cannot be stored now is kept."""
        if self._waiting is None and self.counts:
            self._batches += 1
            self._waiting, self.counts = _Waiting(self._batches, self.counts), Counter()
        if (waiting := self._waiting) is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._put, waiting.counts, waiting.batch)
            except Exception as error:  # whatever it is: a flusher that died would lose every later count
                if not self._is_away:  # told once, not twice a second
                    self._log.warning("%s are kept in memory for now: %s", self._what, error)
                self._is_away = True
                return False
            if self._is_away:
                self._log.warning("%s are stored again; %d had to wait", self._what, self.kept)
            self._waiting, self._is_away = None, False
        return not self.counts

    @property
    def kept(self) -> int:
        """How many are not stored yet."""
        return self.counts.total() + (self._waiting.counts.total() if self._waiting else 0)

    @contextlib.asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Flush again and again, and at the end until nothing is left."""
        stopping = asyncio.Event()
        task = asyncio.create_task(self._keep_flushing(stopping))
        try:
            yield
        finally:
            stopping.set()
            await task
            await self._finish()

    async def _keep_flushing(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), FLUSH_EVERY)
            await self.flush()

    async def _finish(self) -> None:
        for _ in range(_LAST_TRIES):
            if await self.flush() or await self.flush():  # the second: what came while the first was being stored
                return
            await asyncio.sleep(1)
        self._log.error("%d %s are lost: the database was away when the service had to stop", self.kept, self._what)
