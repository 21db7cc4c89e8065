"""Running the service's jobs to their end, one by one, where `digest serve` would run them side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from digest import publishing
from digest.app import App
from digest.collecting import Collected
from digest.domain.editions import Edition, EditionState

Progress = Callable[[int], None]  # told the edition's id, again and again, while it is being sent


@dataclass(slots=True)
class Runner:
    """The same jobs the scheduler and the sender run, each until it is done."""

    app: App
    clock: Callable[[], datetime]
    progress: Progress = lambda _: None

    def collect(self) -> list[Collected]:
        """Read every source."""
        return asyncio.run(self.app.collect(self.clock()))

    def publish(self, newsletter: str) -> Edition | None:
        """What the schedule asks for now."""
        return asyncio.run(self.app.publish_due(self.app.newsletters[newsletter], self.clock()))

    def deliver_due(self) -> None:
        """Send whatever is due, confirmations first."""
        asyncio.run(self.app.sender(self.clock, patient=False).run(lambda: True))

    def deliver(self, edition_id: int) -> None:
        """Send an edition until it is settled."""

        def is_done() -> bool:
            return publishing.get(self.app.store, edition_id).state is not EditionState.SENDING

        asyncio.run(self._deliver(edition_id, is_done))

    async def _deliver(self, edition_id: int, is_done: Callable[[], bool]) -> None:
        watching = asyncio.create_task(self._watch(edition_id))
        await self.app.sender(self.clock, patient=False).run(is_done)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await asyncio.to_thread(self.progress, edition_id)

    async def _watch(self, edition_id: int) -> None:
        while True:
            await asyncio.to_thread(self.progress, edition_id)
            await asyncio.sleep(0.05)
