"""`digest demo`: the main job on sample content, start to finish, no configuration."""

from __future__ import annotations

import logging
import tempfile
import threading
from pathlib import Path

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from digest.cli.printing import console, print_json, say, table
from digest.demo.story import Stage, Told, staged, tell
from digest.domain.deliveries import UNSETTLED
from digest.errors import UsageError
from digest.store import deliveries


def demo(
    folder: Path = typer.Option(Path("demo"), help="Where the database and the mails go; a new one each time."),
    serve: bool = typer.Option(False, "--serve", help="Keep the site, the inbox and the archive up until Ctrl-C."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """See a whole Saturday: site, readers, mail, one goodbye."""
    logging.disable(logging.WARNING)
    with staged(_fresh(folder)) as stage:
        told = _tell_aloud(stage, quiet=as_json)
        if as_json:
            print_json(told.as_json())
        else:
            _summary(told)
        if serve:
            _keep_up(stage)


def _fresh(folder: Path) -> Path:
    """An empty folder: the one asked for, or a new one inside it when something is there already."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder with --folder")
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=folder)) if any(folder.iterdir()) else folder


def _tell_aloud(stage: Stage, *, quiet: bool) -> Told:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("Sending", visible=False)

        def show(edition_id: int) -> None:
            with stage.app.store.read() as tx:
                counts = deliveries.counts(tx, edition_id)
            total = sum(counts.values())
            left = sum(counts[state] for state in UNSETTLED)
            progress.update(task, total=total, completed=total - left, visible=True)

        stage.runner.progress = show
        return tell(stage, (lambda _: None) if quiet else lambda text: say(f"  {text}"))


def _summary(told: Told) -> None:
    say()
    say(f"The edition: {told.edition.subject}", "bold")
    rows = [(pick.position, pick.views, pick.article.title[:90], pick.reason) for pick in told.picks]
    table(("", "views", "title", "why"), rows, right=("", "views"))
    say(
        f"{told.readers} signed up, {told.confirmed} confirmed, {told.counts['sent']} got it, "
        f"{told.unsubscribed} left; a second run sent {told.second_run_sent}."
    )
    say(f"Read in that week, but no articles: {', '.join(told.unmatched)}")
    say(f"The mails lie in {told.folder / 'inbox'} as .eml, and as .html to open in a browser.")


def _keep_up(stage: Stage) -> None:
    say()
    say(f"The site:     {stage.site_url}")
    say(f"The inbox:    {stage.inbox_url}")
    say(f"The archive:  {stage.web_url}/archive")
    say("Ctrl-C ends it.")
    try:
        _deliver_until_interrupted(stage)
    except KeyboardInterrupt:
        say("Good-bye.")


def _deliver_until_interrupted(stage: Stage) -> None:
    """Whoever signs up on the site meanwhile gets a confirmation too."""
    waiting = threading.Event()
    while not waiting.wait(1.0):
        stage.runner.deliver_due()
