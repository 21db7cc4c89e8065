"""`digest worker`: only the sender, until SIGTERM; on as many machines as you like."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

import typer

from digest.app import App
from digest.cli.crew import hold_on, members
from digest.cli.logs import log_to_stderr
from digest.cli.opening import clock, opened
from digest.cli.secret import watch_secret
from digest.delivering.bookkeeping import SenderBusy

_STANDBY = 2.0  # seconds between tries to become the sender
Processes = typer.Option(1, min=1, max=64, help="How many processes send; they share the connections.")
log = logging.getLogger("digest.serve")


def worker(processes: int = Processes, member_of: int = typer.Option(0, hidden=True)) -> None:
    """Only send; with PostgreSQL, on as many machines as you like."""
    log_to_stderr()
    with opened(proved=True) as app:
        if not member_of:
            watch_secret(app)
        asyncio.run(_be_member(app, member_of) if member_of else _work(app, processes))


async def _work(app: App, processes: int) -> None:
    await be_sender(app, _until_told(asyncio.Event()), processes)


async def be_sender(app: App, stopping: asyncio.Event, processes: int) -> None:
    """Send until `stopping`; while another process does and the database bears one only, stand by and take over."""
    standing_by = False
    while not stopping.is_set():
        sender = app.sender(clock, share=processes)
        sender.stopping = stopping
        try:
            async with members(sender, processes):
                await sender.run()
        except SenderBusy:
            if not standing_by:
                log.info("another process is sending; standing by to take over")
            standing_by = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _STANDBY)


async def _be_member(app: App, processes: int) -> None:
    """Send beside the process that started us, and no longer than it lives."""
    sender = app.sender(clock, share=processes, is_member=True)
    holding = asyncio.create_task(hold_on(_until_told(sender.stopping)))
    await sender.run()
    holding.cancel()


def _until_told(stopping: asyncio.Event) -> asyncio.Event:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping
