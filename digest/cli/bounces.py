"""`digest bounces`: what came back."""

from __future__ import annotations

import sys
from dataclasses import asdict

import typer

from digest import bouncing
from digest.cli.opening import clock, opened
from digest.cli.printing import print_json, say
from digest.mail.reports import MAX_BYTES, read_report

app = typer.Typer(help="Bounces and complaints.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Bounces and complaints."""


@app.command()
def read(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Read one report on standard input, as a mail server's pipe gives it, and act on it."""
    report = read_report(sys.stdin.buffer.read(MAX_BYTES + 1))
    with opened() as opening:
        followed = bouncing.receive(opening.store, opening.links, report, clock())
    if as_json:
        print_json(asdict(followed))
    else:
        say(f"{followed.kind}: {followed.consequence}.")
