"""`digest collect`: read the sources now, or see what they would give."""

from __future__ import annotations

import asyncio

import typer

from digest import collecting
from digest.app import App
from digest.cli import checking
from digest.cli.opening import clock, opened
from digest.cli.printing import fail, print_json, say, table
from digest.errors import UsageError
from digest.store.readership import Unmatched


def collect(
    source: list[str] = typer.Option([], help="Only this source; may be repeated."),
    check: bool = typer.Option(False, "--check", help="Read, show what is seen, store nothing."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Fetch articles and views now."""
    with opened() as app:
        unknown = sorted(set(source) - {each.name for each in app.sources})
        if unknown or not app.sources:
            raise UsageError(_no_source(unknown, [each.name for each in app.sources]))
        failed = _check(app, source, as_json) if check else _collect(app, source, as_json)
    raise typer.Exit(1 if failed else 0)


def _no_source(unknown: list[str], known: list[str]) -> str:
    missing = f"there is no source {unknown[0]!r}; " if unknown else ""
    if known:
        return f"{missing}config.toml has: {', '.join(known)}"
    return (
        f"{missing}config.toml has no [[sources]] section yet, so there is nothing to read; add one as it shows there"
    )


def _collect(app: App, names: list[str], as_json: bool) -> bool:
    results = asyncio.run(app.collect(clock(), names))
    period = next(iter(app.newsletters.values())).period(clock())
    strangers = collecting.unmatched(app.store, period)
    if as_json:
        print_json({"sources": results, "unmatched": strangers})
    else:
        columns = ("source", "articles", "new", "views")
        rows = [(each.source, each.found, each.new, each.views) for each in results if not each.error]
        table(columns, rows, right=columns[1:])
        _tell_unmatched(strangers)
        for each in results:
            for note in each.notes:
                say(f"{each.source}: {note}", "yellow")
    for each in results:
        if each.error:
            fail(each.error)
    return any(each.error for each in results)


def _tell_unmatched(strangers: list[Unmatched]) -> None:
    if strangers:
        say(f"Read in the closed period, but no articles we know ({len(strangers)} in all):")
        for each in strangers[:10]:
            say(f"  {each.views:>7,}  {each.page}")


def _check(app: App, names: list[str], as_json: bool) -> bool:
    chosen = [each for each in app.sources if not names or each.name in names]
    seen = asyncio.run(checking.look(app, chosen, clock()))
    if as_json:
        print_json([each.json() for each in seen])
    else:
        checking.show(seen, next(iter(app.newsletters.values())).zone)
    return any(each.error for each in seen)
