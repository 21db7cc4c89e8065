"""`digest articles`: what was published, how it ranks, and the desk's wishes for it."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import typer

from digest import publishing
from digest.app import App
from digest.cli.explaining import candidate_json, explain, show_notes
from digest.cli.opening import clock, moment_of, newsletter_named, opened
from digest.cli.printing import local, many, print_json, say, table
from digest.domain.articles import Article, Image
from digest.domain.periods import Period
from digest.errors import DigestError
from digest.publishing import desk
from digest.publishing.picking import Choice

app = typer.Typer(help="Articles: list, show, pin, ban, import.", no_args_is_help=True)
_Json = typer.Option(False, "--json", help="Print JSON.")
_Newsletter = typer.Option(None, help="Which newsletter; needed when there are several.")


@app.command("list")
def list_(
    newsletter: str | None = _Newsletter,
    period: str | None = typer.Option(None, help="The period that closed last before this moment: 2026-11-28T08:00."),
    explained: bool = typer.Option(False, "--explain", help="Every number they are judged by, and the rules."),
    as_json: bool = _Json,
) -> None:
    """Every candidate of a closed period, best first. The reason says why each is in or out."""
    with opened() as opening:
        chosen = newsletter_named(opening, newsletter)
        span = chosen.period(moment_of("--period", period, chosen.zone) if period else clock())
        choice = publishing.candidates(opening.store, chosen, span)
        ranked = choice.record.candidates
        if as_json:
            print_json(_choice_json(choice, span) if explained else [candidate_json(each) for each in ranked])
            return
        say(f"{chosen.title}: {local(span.start, chosen.zone)} up to {local(span.end, chosen.zone)}")
        show_notes([*(f"not plausible: {each}" for each in choice.odd), *choice.notes])
        if explained:
            explain(choice.record, choice.basis, chosen.zone)
        else:
            rows = [
                (str(each.candidate.id), each.candidate.views, each.candidate.title, each.reason) for each in ranked
            ]
            table(("id", "views", "title", "why"), rows, right=("id", "views"))


@app.command()
def show(article: str = typer.Argument(help="Its id or its address."), as_json: bool = _Json) -> None:
    """One article as we know it."""
    with opened() as opening:
        found = _find(opening, article)
        zone = ZoneInfo(opening.config.site.timezone)
    if as_json:
        print_json(_article_json(found))
        return
    for field in fields(found):
        if (value := getattr(found, field.name)) not in (None, "", ()):
            say(f"{field.name.removesuffix('_at'):>14}  {_shown(value, zone)}")


def _shown(value: object, zone: ZoneInfo) -> str:
    """A fact of an article as a person reads it."""
    if isinstance(value, datetime):
        return local(value, zone)
    if isinstance(value, Image):
        size = f", {value.width} x {value.height}" if value.width and value.height else ""
        return f"{value.url}{size}" + (f", “{value.alt}”" if value.alt else ", without alt text")
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@app.command()
def pin(
    article: str = typer.Argument(help="Its id or its address."),
    position: int | None = typer.Option(None, min=1, max=50, help="The place it stands at, counted from 1."),
) -> None:
    """Put the article into the next edition, whatever its views. First, or at a place of its own."""
    with opened() as opening:
        found = desk.pin(opening.store, _find(opening, article), clock(), position)
    say(f"Pinned{f' at {position}' if position else ''}: {found.title}")


@app.command()
def ban(article: str = typer.Argument(help="Its id or its address.")) -> None:
    """Never put the article into an edition."""
    with opened() as opening:
        found = desk.ban(opening.store, _find(opening, article), clock())
    say(f"Banned: {found.title}")


@app.command("import")
def import_(
    file: Path = typer.Argument(help="CSV, JSON or NDJSON: url,title,published_at and more, as in a source of files."),
    as_json: bool = _Json,
) -> None:
    """Bring articles in once, from a file."""
    with opened() as opening:
        done = opening.import_articles(file, clock())
    if done.error:
        raise DigestError(done.error)
    if as_json:
        print_json({"articles": done.found, "new": done.new, "notes": done.notes})
        return
    say(f"{many(done.found, 'article')}, {done.new:,} of them new")
    show_notes(done.notes)


@app.command()
def unmark(article: str = typer.Argument(help="Its id or its address.")) -> None:
    """Take a pin or a ban back."""
    with opened() as opening:
        found = desk.unmark(opening.store, _find(opening, article))
    say(f"Neither pinned nor banned now: {found.title}")


def _find(opening: App, name: str) -> Article:
    return desk.find_article(opening.store, name, opening.config.pages)


def _choice_json(choice: Choice, period: Period) -> dict[str, object]:
    record = choice.record
    return {
        "period": {"start": period.start, "end": period.end},
        "basis": choice.basis,
        "odd": choice.odd,
        "notes": choice.notes,
        "window": record.window,
        "rules": record.rules,
        "candidates": [candidate_json(each) for each in record.candidates],
    }


def _article_json(article: Article) -> dict[str, object]:
    return asdict(article)
