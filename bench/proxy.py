"""A link that is long but wide: python -m bench.proxy LISTEN_PORT TARGET_PORT ONE_WAY_SECONDS.

Every byte arrives one way's time later, in order; nothing limits how many are on their way. It stands in for netem
where the kernel has none.
"""

from __future__ import annotations

import asyncio
import selectors
import signal
import sys
from collections import deque


class End(asyncio.Protocol):
    """One end of a connection. What it hears leaves at the other end a while later; b"" stands for the hang-up."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.loop = asyncio.get_running_loop()
        self.on_the_way: deque[tuple[float, bytes]] = deque()  # to be written here
        self.timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Whatever waits may leave."""
        self.transport = transport  # type: ignore[assignment]
        self.deliver()

    def data_received(self, data: bytes) -> None:
        """On its way to the other end."""
        if self.other:
            self.other.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end hears of it after the same while."""
        if self.other:
            self.other.put(b"")

    def put(self, data: bytes) -> None:
        """Write this when its time has come."""
        self.on_the_way.append((self.loop.time() + self.delay, data))
        if self.timer is None:
            self.deliver()

    def deliver(self) -> None:
        """Write what has arrived; come again for the rest."""
        self.timer = None
        if self.transport is None:
            return
        now = self.loop.time()
        while self.on_the_way and self.on_the_way[0][0] <= now:
            data = self.on_the_way.popleft()[1]
            if data:
                self.transport.write(data)
            else:
                self.transport.close()
        if self.on_the_way:
            self.timer = self.loop.call_at(self.on_the_way[0][0], self.deliver)


async def serve(port: int, target: int, delay: float) -> None:
    """Listen until SIGTERM."""
    loop = asyncio.get_running_loop()
    opening: set[asyncio.Task[object]] = set()

    def accept() -> End:
        near, far = End(delay), End(delay)
        near.other, far.other = far, near
        task: asyncio.Task[object] = loop.create_task(loop.create_connection(lambda: far, "127.0.0.1", target))
        opening.add(task)
        task.add_done_callback(opening.discard)
        return near

    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    server = await loop.create_server(accept, "127.0.0.1", port, backlog=512)
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    # epoll waits in whole milliseconds, select in microseconds: at 10 ms one way the difference would be seen.
    precise = asyncio.SelectorEventLoop(selectors.SelectSelector())
    precise.run_until_complete(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
