"""`digest subscribers import`: a list from elsewhere, brought in; first, if asked, what would come of it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from digest.app import App
from digest.app.gate import domains
from digest.cli.opening import clock, newsletter_named, opened
from digest.cli.printing import fail, print_json, say, table
from digest.errors import UsageError
from digest.mail.addresses import parse
from digest.mail.languages import LANGUAGES
from digest.subscribing import importing
from digest.subscribing.arriving import Report, Request
from digest.tables.files import size_of

_Newsletter = typer.Option(None, help="Which newsletter; needed when there are several, but not for our own exports.")
_Map = typer.Option(
    [], "--map", help='Which column means what: --map email="E-mail Address". May be said several times.'
)
_Ignore = typer.Option(
    [], "--ignore", help="A column that says nothing of consent, though it sounds so. Several times."
)
_MEANING = {
    "added": "new readers",
    "asked": "asked by mail; readers once they confirm",
    "updated": "waited here to confirm, and have there",
    "already": "there already",
    "unsubscribed": "left, there or here: kept out",
    "suppressed": "must not be mailed: kept out",
    "refused": "not taken",
    "duplicates": "an earlier row said it",
}


def import_(
    files: list[Path] = typer.Argument(help="CSV or JSON, zipped or not: MailPoet, Mailchimp, listmonk, Ghost, ..."),
    newsletter: str | None = _Newsletter,
    consent_from: str = typer.Option("", "--consent-from", help="Where and when they agreed; kept as proof."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would happen."),
    ask: bool = typer.Option(False, "--ask", help="Ask those who have not confirmed, by mail."),
    columns: list[str] = _Map,
    ignored: list[str] = _Ignore,
    only_list: str = typer.Option("", "--list", help="Only the rows of this list, where the file has several."),
    encoding: str = typer.Option("", help="What the file is written in, when it is not found out."),
    errors: Path | None = typer.Option(None, help="Where the refused rows go (FILE.errors.csv)."),
    again: bool = typer.Option(False, "--again", help="Once more, although this very file is in already."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Bring readers in from a file, with their dates.

    Who left or must not be mailed is kept out.

    Cut off at any moment and started again, it goes on where it was.
    """
    if errors and len(files) > 1:
        raise UsageError("--errors names one file, so import one file at a time with it")
    reports = []
    with opened() as opening:
        wanted = replace(
            _request(opening, newsletter, columns),
            consent=consent_from.strip(),
            ignored=tuple(ignored),
            only_list=only_list,
            encoding=encoding,
            errors=errors,
            asks=ask,
            dry_run=dry_run,
            again=again,
        )
        for file in files:
            reports.append(_bring(opening, replace(wanted, path=file), as_json=as_json))
    if as_json:
        shown = [_json(report, dry_run) for report in reports]
        print_json(shown[0] if len(shown) == 1 else shown)


def _request(opening: App, newsletter: str | None, columns: list[str]) -> Request:
    settings = opening.config.subscribing
    several = newsletter is None and len(opening.newsletters) > 1
    return Request(
        path=Path(),
        newsletter="" if several else newsletter_named(opening, newsletter).name,
        newsletters={each.name: each.language for each in opening.newsletters.values()},
        languages=frozenset(LANGUAGES),
        admit=domains(settings.refused_domains, settings.disposable).admit,
        parse=partial(parse, smtputf8=settings.smtputf8),
        given=_all_given(columns),
        limits=settings.limits(),
    )


def _all_given(columns: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, column in map(_given, columns):
        if given.setdefault(name, column) != column:
            raise UsageError(f"--map {name}=... is said twice: for {given[name]!r} and for {column!r}")
    return given


def _given(text: str) -> tuple[str, str]:
    name, mark, column = text.partition("=")
    if not mark or not name.strip() or not column.strip():
        raise UsageError(f"--map {text!r}: write it as field=column, such as --map email='E-mail Address'")
    return name.strip().lower().replace("-", "_"), column


_ROWS_OF_OBJECTS = 200_000  # a few batches


def _bring(opening: App, request: Request, *, as_json: bool) -> Report:
    now = clock()
    if not request.dry_run and not request.consent and importing.needs_consent(request, now):
        raise UsageError(
            f"{request.path} has readers who would be mailed without being asked, so it needs --consent-from TEXT: "
            "where and when they agreed; it is kept as proof. See first what would happen: --dry-run"
        )
    # Rows die as they are done, without circles: looking for those every 700 objects would cost a quarter of the time.
    gc.set_threshold(_ROWS_OF_OBJECTS, 20, 20)
    with _progress(request.path, shown=not as_json) as progress:
        report = importing.bring_file(opening.store, opening.links, request, now, progress)
    if not as_json:
        _print(report, request)
    return report


@contextmanager
def _progress(file: Path, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; nothing elsewhere."""
    if not shown or not sys.stdout.isatty():
        yield lambda _bytes, _rows: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        *(BarColumn(), TaskProgressColumn(), TimeRemainingColumn()),
        TextColumn("{task.fields[rows]:,} rows"),
        transient=True,
    )
    with bar:
        task = bar.add_task(file.name, total=size_of(file) if file.exists() else None, rows=0)
        yield lambda done, rows: bar.update(task, completed=done, rows=rows)


def _print(report: Report, request: Request) -> None:
    if report.finished_before:
        since = f"{report.finished_before:%Y-%m-%d %H:%M} UTC"
        say(f"{report.file} is in already, since {since}; --again does it once more.")
        return
    if report.resumed_at:
        say(f"Went on after row {report.resumed_at:,}, where it was cut off.")
    _print_tables(report)
    if request.dry_run:
        say("This is what would happen; nothing was written.")
    rows = [(name, number, _MEANING[name]) for name, number in report.counts.items() if number]
    table(("", "rows", ""), [*rows, ("in all", report.rows, "")], right=("rows",))
    for why, number in sorted(report.why.items(), key=lambda each: -each[1])[:10]:
        say(f"  refused {number:,}: {why}")
    for what, number in report.warnings.items():
        say(f"  {number:,} {what}", "yellow")
    for note in report.notes:
        say(f"  {note}", "yellow")
    for address, outcome in report.examples if request.dry_run else ():
        say(f"  {address}: {outcome}")
    for line, address, why, inside in report.first_refused[:5] if request.dry_run else ():
        where = "" if inside in ("", report.file) else f"{inside}, "
        fail(f"  {where}line {line}: {address}: {why}")
    if report.errors:
        fail(f"The refused rows are in {report.errors}")
    if request.dry_run and not request.consent:
        say("To do it, say where and when they agreed: --consent-from TEXT")


def _print_tables(report: Report) -> None:
    """Whose each table is, what its columns mean, and which of them nothing is taken from."""
    for name, table_of in report.tables.items():
        meant = ", ".join(f"{field} = {column!r}" for field, column in table_of["columns"].items())
        say(f"{name}: {table_of['shape']}" + (f"; {meant}" if meant else ""), "bold")
        if table_of["unused"]:
            say(f"  Columns not used: {', '.join(table_of['unused'])}", "yellow")


def _json(report: Report, dry_run: bool) -> dict[str, Any]:
    return {
        "file": report.file,
        "shape": report.shape,
        "columns": report.columns,
        "tables": [{"table": name, **meant} for name, meant in report.tables.items()],
        "dry_run": dry_run,
        "rows": report.rows,
        **report.counts,
        "why": report.why,
        "warnings": report.warnings,
        "notes": report.notes,
        "examples": [dict(zip(("address", "outcome"), each, strict=True)) for each in report.examples],
        "errors": [dict(zip(("line", "address", "why", "table"), each, strict=True)) for each in report.first_refused],
        "errors_file": report.errors or None,
        "resumed_at": report.resumed_at,
        "finished_before": report.finished_before,
    }
