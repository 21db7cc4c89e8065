"""Delivering in the foreground: a progress bar over the same sender the service uses."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from datetime import datetime

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from digest import publishing
from digest.app import App
from digest.cli.opening import clock
from digest.cli.printing import console, fail, local, say
from digest.delivering import SenderBusy
from digest.domain.deliveries import UNSETTLED
from digest.domain.editions import Edition, EditionState
from digest.store import deliveries

Act = Callable[[App, Edition], Edition]
_LOOK_EVERY = 0.3  # seconds between looks at the counts


def deliver(app: App, edition_id: int, *, quiet: bool, now: Callable[[], datetime] = clock) -> Edition:
    """Send until the edition is settled or paused, or we are told to stop; returns it as it stands then."""
    asyncio.run(_deliver(app, edition_id, quiet, now))
    return publishing.get(app.store, edition_id)


async def _deliver(app: App, edition_id: int, quiet: bool, now: Callable[[], datetime]) -> None:
    def is_done() -> bool:
        return publishing.get(app.store, edition_id).state is not EditionState.SENDING

    sender = app.sender(now, patient=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, sender.stopping.set)
    watching = asyncio.create_task(_watch(app, edition_id, quiet))
    try:
        await sender.run(is_done)
    except SenderBusy:
        if not quiet:
            say("Another process is sending from this database; watching it.")
        while not await asyncio.to_thread(is_done) and not sender.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sender.stopping.wait(), _LOOK_EVERY)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(app: App, edition_id: int, quiet: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("Sending")
        try:
            while True:
                await asyncio.to_thread(_update, app, edition_id, progress, task)
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            _update(app, edition_id, progress, task)


def _update(app: App, edition_id: int, progress: Progress, task: object) -> None:
    with app.store.read() as tx:
        counts = deliveries.counts(tx, edition_id)
    total = sum(counts.values())
    left = sum(counts[state] for state in UNSETTLED)
    progress.update(task, total=total, completed=total - left)  # type: ignore[arg-type]


def _hint(edition: Edition, counts: dict[str, int]) -> None:
    """What to do about copies that did not go out."""
    see = f"digest edition deliveries {edition.id} --state"
    if counts["uncertain"]:
        say(f"Nobody can know whether the uncertain ones arrived: {see} uncertain")
        say(f"To send those again: digest edition resend {edition.id} --uncertain")
    if counts["failed"] or counts["refused"]:
        say(f"Why some did not go out: {see} {'failed' if counts['failed'] else 'refused'}")


def report(app: App, edition: Edition, *, quiet: bool) -> int:
    """Say how it ended; returns the exit status."""
    with app.store.read() as tx:
        counts = deliveries.counts(tx, edition.id)
        due_at = deliveries.next_due(tx, edition.id)
    words = ", ".join(f"{number:,} {state}" for state, number in counts.items() if number) or "no readers yet"
    if edition.state is EditionState.SENT:
        if not quiet:
            say(f"Done: {words}.")
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
