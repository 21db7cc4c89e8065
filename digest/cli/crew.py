"""Several processes on this machine that send as one: the first, and members that live no longer than it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys

from digest.cli.opening import config_path
from digest.delivering import Sender


@contextlib.asynccontextmanager
async def members(sender: Sender, processes: int):  # type: ignore[no-untyped-def]
    """While inside, `processes` - 1 more send beside `sender`, from when it has begun."""
    crew: list[subprocess.Popen[bytes]] = []
    joining = asyncio.create_task(_join(sender, processes, crew))
    try:
        yield
    finally:
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        await _dismiss(crew)


async def _join(sender: Sender, processes: int, crew: list[subprocess.Popen[bytes]]) -> None:
    """Start the others when the first has begun, and let go of them when it is told to stop, not when it has."""
    await sender.started.wait()
    crew += [_start(processes) for _ in range(processes - 1)]
    await sender.stopping.wait()
    for each in crew:
        if each.stdin is not None:
            each.stdin.close()


def _start(processes: int) -> subprocess.Popen[bytes]:
    # Its standard input is our leash: however we end, it closes, and the member finishes what it has and leaves.
    command = [sys.executable, "-m", "digest", "worker", "--member-of", str(processes)]
    environment = {**os.environ, "DIGEST_CONFIG": str(config_path().absolute())}
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)  # noqa: S603 - our own program


async def _dismiss(crew: list[subprocess.Popen[bytes]]) -> None:
    for each in crew:
        if each.stdin is not None:
            each.stdin.close()
    for each in crew:
        await asyncio.to_thread(each.wait)


async def hold_on(stopping: asyncio.Event) -> None:
    """A member's part: stop when the first process lets go of our standard input."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(0, 512):
            loop.remove_reader(0)
            stopping.set()

    loop.add_reader(0, look)
    await stopping.wait()
