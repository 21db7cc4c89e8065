"""`digest collect`: read the sources now, or see what they would give."""

from __future__ import annotations

import asyncio

import typer

from digest import collecting
from digest.app import App
from digest.cli.opening import clock, opened
from digest.cli.printing import fail, local, print_json, say, table
from digest.domain.articles import Harvest
from digest.errors import SourceError, UsageError
from digest.sources import Reading, Source
from digest.store.articles import Unmatched


def collect(
    source: list[str] = typer.Option([], help="Only this source; may be repeated."),
    check: bool = typer.Option(False, "--check", help="Read, show what is seen, store nothing."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Fetch articles and views now."""
    with opened() as app:
        unknown = sorted(set(source) - {each.name for each in app.sources})
        if unknown or not app.sources:
            names = ", ".join(each.name for each in app.sources) or "none yet: add a [[sources]] section"
            raise UsageError(f"{f'there is no source {unknown[0]!r}; ' if unknown else ''}config.toml has: {names}")
        failed = _check(app, source, as_json) if check else _collect(app, source, as_json)
    raise typer.Exit(1 if failed else 0)


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
    seen = asyncio.run(_look(chosen))
    if as_json:
        print_json([_seen_json(name, result) for name, result in seen])
        return any(isinstance(result, SourceError) for _, result in seen)
    zone = next(iter(app.newsletters.values())).zone
    for name, result in seen:
        if isinstance(result, SourceError):
            fail(str(result))
            continue
        newest = max((each.published_at for each in result.articles), default=None)
        counted = max((each.at + each.span for each in result.views), default=None)
        say(
            f"{name}: reachable; {len(result.articles)} articles, newest {local(newest, zone)}; "
            f"{len(result.views) + len(result.totals)} counts, up to {local(counted, zone)}"
        )
    return any(isinstance(result, SourceError) for _, result in seen)


async def _look(sources: list[Source]) -> list[tuple[str, Harvest | SourceError]]:
    async def look(source: Source) -> Harvest | SourceError:
        try:
            return await source.collect(Reading(clock()))
        except SourceError as error:
            return error

    return [(each.name, await look(each)) for each in sources]


def _seen_json(name: str, result: Harvest | SourceError) -> dict[str, object]:
    if isinstance(result, SourceError):
        return {"source": name, "reachable": False, "error": str(result)}
    return {
        "source": name,
        "reachable": True,
        "articles": len(result.articles),
        "newest_article": max((each.published_at for each in result.articles), default=None),
        "counts": len(result.views) + len(result.totals),
        "newest_count": max((each.at + each.span for each in result.views), default=None),
        "notes": result.notes,
    }
