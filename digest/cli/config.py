"""`digest config`: what the service understood of its configuration."""

from __future__ import annotations

from urllib.parse import urlsplit

import typer

from digest.app.mail import prove_templates, renderer_of
from digest.cli import secret
from digest.cli.opening import config_path, load
from digest.cli.printing import fail, many, print_json, say
from digest.config import Config, is_loopback
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
    """Read the configuration and report every mistake at once.

    Your own templates are tried too, and what is to do before going live is named.
    """
    config = load()
    renderer = renderer_of(config)
    mistakes = list(renderer.mistakes()) or _made_of(config)
    for each in mistakes:
        fail(each)
    if not mistakes:
        found = f"{many(len(config.newsletters), 'newsletter')}, {many(len(config.sources), 'source')}"
        say(f"{config_path()} has no mistakes: {found}.")
    advice = [*renderer.strays(), *_advice(config), *secret.advice(config)]
    if advice:
        say("Before you go live:")
    for each in advice:
        say(f"  - {each}", "yellow")
    raise typer.Exit(2 if mistakes else 0)


def _made_of(config: Config) -> list[str]:
    """What is wrong with a mail that is made of templates which can all be read."""
    try:
        prove_templates(config)
    except RenderError as error:
        return [str(error)]
    return []


def _advice(config: Config) -> list[str]:
    advice = []
    if len(config.web.secret.get_secret_value()) < _GOOD_SECRET:
        advice.append("[web] secret is short; whoever guesses it can sign links. Make one: openssl rand -base64 48")
    advice += _examples(config)
    if not config.sources:
        advice.append("there is no [[sources]] section, so nothing can be collected; add one as config.toml shows")
    advice += _missing_files(config)
    if not config.site.postal_address:
        advice.append("[site] postal_address is empty; write yours, many countries' laws want it in every newsletter")
    if not config.desk.addresses:
        advice.append("[desk] addresses is empty; write who is to be told by mail when something is wrong")
    advice += _exposed(config)
    if not config.mail.bounce_address:
        advice.append("[mail] bounce_address is empty; write a mailbox of yours, or no bounce is told from another")
    return advice


def _examples(config: Config) -> list[str]:
    """What still is as `digest init` wrote it."""
    mail = config.mail
    values = {
        "[site] url": config.site.url,
        "[web] base_url": config.web.base_url,
        "[mail] from": mail.from_,
        "[mail] confirmation_from": mail.confirmation_from or "",
        "[mail] bounce_address": mail.bounce_address or "",
        "[mail] unsubscribe_address": mail.unsubscribe_address or "",
    }
    left = [setting for setting, value in values.items() if "example.com" in value]
    return [f"{', '.join(left)}: example.com still stands there; write your own"] if left else []


def _exposed(config: Config) -> list[str]:
    """What stands between the service and the readers' browsers, and the bounces."""
    advice, base, bounces = [], urlsplit(config.web.base_url), config.bounces
    if is_loopback(base.hostname or ""):
        advice.append(f"[web] base_url is {config.web.base_url}; only this machine can follow such a link")
    elif base.scheme == "http":
        advice.append("[web] base_url has no https; mailboxes show no button to unsubscribe without it (RFC 8058)")
    elif not config.web.trusted_proxies:
        advice.append(
            "[web] trusted_proxies is empty; behind a proxy no limit by network counts, so write the proxy's address"
        )
    if bounces.inbox == "maildir" and not (config.folder / bounces.path).is_dir():
        advice.append(f"[bounces] path: there is no Maildir {config.folder / bounces.path}; make it, or mend the name")
    return advice


def _missing_files(config: Config) -> list[str]:
    files = [each for each in config.sources if isinstance(each, FilesSource)]
    places = [(each.name, place) for each in files for place in (each.articles, each.views) if place]
    return [
        f"source {name!r}: there is no file {config.folder / place}; put it there, or mend the name"
        for name, place in places
        if "://" not in place and not (config.folder / place).is_file()
    ]
