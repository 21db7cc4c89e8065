"""`digest subscribers export`: every subscription with its consent, for a spreadsheet, a program, or another Digest."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from digest.cli.opening import newsletter_named, opened
from digest.cli.printing import say
from digest.domain.subscribers import SubscriptionState
from digest.errors import UsageError
from digest.store import exports
from digest.tables.writing import private, write_csv, write_json

_WRITERS = {"csv": write_csv, "json": write_json}


def export(
    newsletter: str | None = typer.Option(None, help="Only this newsletter's readers."),
    state: str = typer.Option("", help="pending, confirmed or unsubscribed."),
    form: str = typer.Option("csv", "--format", help="csv or json."),
    out: Path | None = typer.Option(None, help="The file; standard output when there is none."),
) -> None:
    """Write out every subscription with its dates and consent. `import` takes it in again as it was."""
    if state and state not in set(SubscriptionState):
        raise UsageError(f"there is no state {state!r}; there are: {', '.join(SubscriptionState)}")
    if form not in _WRITERS:
        raise UsageError(f"--format {form!r}: there are csv and json")
    with opened() as opening:
        chosen = newsletter_named(opening, newsletter).name if newsletter else ""
        with opening.store.read() as tx:
            rows = exports.listed(tx, chosen, state)
            if out is None:
                sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
                _WRITERS[form](sys.stdout, exports.COLUMNS, rows)
                return
            with private(out) as file:
                number = _WRITERS[form](file, exports.COLUMNS, rows)
    say(f"{number:,} subscriptions are in {out}. They are people's addresses: keep the file safe, or delete it.")
