"""Delivering in the foreground, and watching: a progress bar over the same sender the service uses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from datetime import datetime

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from digest import publishing
from digest.app import App
from digest.cli.crew import members
from digest.cli.opening import clock
from digest.cli.printing import console, fail, local, plain, say
from digest.delivering import accounting
from digest.delivering.bookkeeping import SenderBusy
from digest.domain.deliveries import Progress
from digest.domain.editions import Edition, EditionState
from digest.store import deliveries

Act = Callable[[App, Edition], Edition]
_TAKE_OVER_EVERY = 1.0  # seconds between tries to become the sender, while another one is
_LOOK_EVERY = 0.5  # seconds between looks at the counts
_LOOK_SHARE = 0.05  # of the time, at most: counting a million rows costs something


def deliver(
    app: App, edition_id: int, *, quiet: bool, processes: int = 1, now: Callable[[], datetime] = clock
) -> Edition:
    """Send until the edition is settled or paused, or we are told to stop; returns it as it stands then."""
    asyncio.run(_deliver(app, edition_id, quiet, processes, now))
    return publishing.get(app.store, edition_id)


async def _deliver(app: App, edition_id: int, quiet: bool, processes: int, now: Callable[[], datetime]) -> None:
    def is_done() -> bool:
        return publishing.get(app.store, edition_id).state is not EditionState.SENDING

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    watching = asyncio.create_task(_show(app, edition_id, quiet, now))
    is_told = quiet
    try:
        while not stopping.is_set() and not await asyncio.to_thread(is_done):
            try:
                return await _send(app, processes, now, stopping, is_done)
            except SenderBusy:
                if not is_told:
                    say("Another process is sending from this database; watching it. Should it end, this one goes on.")
                is_told = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _TAKE_OVER_EVERY)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _send(
    app: App, processes: int, now: Callable[[], datetime], stopping: asyncio.Event, is_done: Callable[[], bool]
) -> None:
    """Be the sender until all is done or we are told to stop. Raises SenderBusy."""
    sender = app.sender(now, patient=False, share=processes)
    sender.stopping = stopping
    async with members(sender, processes):
        await sender.run(is_done)


def watch(app: App, edition_id: int, *, as_json: bool) -> Edition:
    """Show how far an edition is until it is settled or paused; with `as_json` a line of JSON a look."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_print_lines(app, edition_id) if as_json else _show(app, edition_id, quiet=False, now=clock))
    return publishing.get(app.store, edition_id)


async def _print_lines(app: App, edition_id: int) -> None:
    async for progress in looks(app, edition_id, clock):
        print(json.dumps(asdict(progress), default=plain), flush=True)


async def looks(app: App, edition_id: int, now: Callable[[], datetime]) -> AsyncIterator[Progress]:
    """How far the edition is, again and again until nothing moves any more; the last look is the final state."""
    while True:
        began = time.monotonic()
        progress = await asyncio.to_thread(accounting.progress, app.store, edition_id, now())
        yield progress
        if progress.state != EditionState.SENDING:
            return
        cost = time.monotonic() - began
        await asyncio.sleep(max(_LOOK_EVERY, cost / _LOOK_SHARE))


async def _show(app: App, edition_id: int, quiet: bool, now: Callable[[], datetime]) -> None:
    if quiet or not console.is_terminal:
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("Sending", pace="")
        async for progress in looks(app, edition_id, now):
            pace = _pace(progress, app.newsletters[publishing.get(app.store, edition_id).newsletter].zone)
            bar.update(task, total=progress.total, completed=progress.settled, pace=pace)


def _pace(progress: Progress, zone: object) -> str:
    if progress.waits_until is not None:
        return f"the next is due {local(progress.waits_until, zone)}"  # type: ignore[arg-type]
    if progress.eta is None or not progress.rate:
        return ""
    minutes, seconds = divmod(round(progress.eta), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
    return f"{progress.rate:,.0f} a second, {left} left"


def _hint(edition: Edition, counts: dict[str, int]) -> None:
    """What to do about copies that did not go out."""
    see = f"digest edition deliveries {edition.id} --state"
    if counts["uncertain"]:
        say(f"Nobody can know whether the uncertain ones arrived: {see} uncertain")
        say(f"To send those again: digest edition resend {edition.id} --uncertain")
    if counts["failed"] or counts["refused"]:
        say(f"Why some did not go out: {see} {'failed' if counts['failed'] else 'refused'}")


def report(app: App, edition: Edition, *, quiet: bool, is_old: bool = False) -> int:
    """Say how it ended; returns the exit status. `is_old`: it had gone out before this command began."""
    with app.store.read() as tx:
        counts = deliveries.counts(tx, edition.id)
        due_at = deliveries.next_due(tx, edition.id)
    words = ", ".join(f"{number:,} {state}" for state, number in counts.items() if number) or "no readers yet"
    if edition.state is EditionState.SENT:
        if not quiet:
            when = local(edition.sent_at, app.newsletters[edition.newsletter].zone)
            before = f"Edition {edition.id} went out on {when}, {words}; nothing was left to send."
            say(before if is_old else f"Done: {words}.")
            _hint(edition, counts)
        return 0
    if edition.state is EditionState.PAUSED:
        fail(f"Paused: {edition.reason}")
        fail(f"Nobody is lost ({words}). When it is mended, run `digest edition send {edition.id}` again.")
        return 1
    if not quiet:
        zone = app.newsletters[edition.newsletter].zone
        when = f"; the next is due {local(due_at, zone)}" if due_at else ""
        say(f"Not finished: edition {edition.id} is {edition.state}: {words}{when}. Run the same again to go on.")
    return 1
