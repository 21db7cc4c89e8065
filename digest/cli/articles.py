"""`digest articles`: what was published, how it ranks, and the desk's wishes for it."""

from __future__ import annotations

from dataclasses import asdict

import typer

from digest import desk, publishing
from digest.app import App
from digest.cli.opening import clock, newsletter_named, opened
from digest.cli.printing import local, print_json, say, table
from digest.domain.articles import Article

app = typer.Typer(help="Articles: list, show, pin, ban.", no_args_is_help=True)
_Json = typer.Option(False, "--json", help="Print JSON.")
_Newsletter = typer.Option(None, help="Which newsletter; needed when there are several.")


@app.command("list")
def list_(newsletter: str | None = _Newsletter, as_json: bool = _Json) -> None:
    """Every candidate of the period that closed last, best first, with the reason it is in or out."""
    with opened() as opening:
        chosen = newsletter_named(opening, newsletter)
        period = chosen.period(clock())
        ranked = publishing.candidates(opening.store, chosen, period)
        if as_json:
            print_json(
                [
                    {**_article_json(each.article), "views": each.views, "kept": each.kept, "reason": each.reason}
                    for each in ranked
                ]
            )
            return
        say(f"{chosen.title}: {local(period.start, chosen.zone)} to {local(period.end, chosen.zone)}")
        rows = [(each.article.id, each.views, each.article.title, each.reason) for each in ranked]
        table(("id", "views", "title", "why"), rows, right=("id", "views"))


@app.command()
def show(article: str = typer.Argument(help="Its id or its address."), as_json: bool = _Json) -> None:
    """One article as we know it."""
    with opened() as opening:
        found = _find(opening, article)
    if as_json:
        print_json(_article_json(found))
        return
    for name, value in _article_json(found).items():
        say(f"{name:>14}  {value}")


@app.command()
def pin(article: str = typer.Argument(help="Its id or its address.")) -> None:
    """Put the article first in the next edition, whatever its views."""
    with opened() as opening:
        found = desk.pin(opening.store, _find(opening, article), clock())
    say(f"Pinned: {found.title}")


@app.command()
def ban(article: str = typer.Argument(help="Its id or its address.")) -> None:
    """Never put the article into an edition."""
    with opened() as opening:
        found = desk.ban(opening.store, _find(opening, article), clock())
    say(f"Banned: {found.title}")


@app.command()
def unmark(article: str = typer.Argument(help="Its id or its address.")) -> None:
    """Take a pin or a ban back."""
    with opened() as opening:
        found = desk.unmark(opening.store, _find(opening, article))
    say(f"Neither pinned nor banned now: {found.title}")


def _find(opening: App, name: str) -> Article:
    return desk.find_article(opening.store, name, opening.config.site.url)


def _article_json(article: Article) -> dict[str, object]:
    return asdict(article)
