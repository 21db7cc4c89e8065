"""`digest config`: what the service understood of its configuration."""

from __future__ import annotations

from collections.abc import Sized

import typer

from digest.app.mail import prove_templates, renderer_of
from digest.cli import secret
from digest.cli.opening import config_path, load
from digest.cli.printing import fail, print_json, say
from digest.config import Config
from digest.config.sources import FilesSource
from digest.errors import RenderError

_GOOD_SECRET = 32  # characters

app = typer.Typer(help="Configuration: show, check.", no_args_is_help=True)


@app.command()
def show() -> None:
    """Every setting as it is in force, secrets masked."""
    print_json(load().model_dump(mode="json", by_alias=True))


@app.command()
def check() -> None:
    """Read the configuration, try your own templates, and report every mistake at once."""
    config = load()
    renderer = renderer_of(config)
    mistakes = list(renderer.mistakes()) or _made_of(config)
    for each in mistakes:
        fail(each)
    if not mistakes:
        say(f"{config_path()} is fine: {_some(config.newsletters, 'newsletter')}, {_some(config.sources, 'source')}.")
    for advice in [*renderer.strays(), *_advice(config), *secret.advice(config)]:
        say(f"  - {advice}", "yellow")
    raise typer.Exit(2 if mistakes else 0)


def _made_of(config: Config) -> list[str]:
    """What is wrong with a mail that is made of templates which can all be read."""
    try:
        prove_templates(config)
    except RenderError as error:
        return [str(error)]
    return []


def _some(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _advice(config: Config) -> list[str]:
    advice = []
    if len(config.web.secret.get_secret_value()) < _GOOD_SECRET:
        advice.append("[web] secret is short; whoever guesses it can sign links. Make one: openssl rand -base64 48")
    if "example.com" in f"{config.site.url} {config.web.base_url} {config.mail.from_}":
        advice.append("example.com still stands in [site] url, [web] base_url or [mail] from; put your own there")
    if not config.sources:
        advice.append("there is no [[sources]] section; nothing can be collected")
    advice += _missing_files(config)
    if not config.site.postal_address:
        advice.append("[site] postal_address is empty; the law of many countries wants it in every newsletter")
    if not config.desk.addresses:
        advice.append("[desk] addresses is empty; nobody is told by mail when something is wrong")
    if not config.mail.bounce_address:
        advice.append("[mail] bounce_address is empty; bounces cannot be told apart")
    return advice


def _missing_files(config: Config) -> list[str]:
    files = [each for each in config.sources if isinstance(each, FilesSource)]
    places = [(each.name, place) for each in files for place in (each.articles, each.views) if place]
    return [
        f"source {name!r}: there is no file {place}"
        for name, place in places
        if "://" not in place and not (config.folder / place).is_file()
    ]
