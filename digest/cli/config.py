"""`digest config`: what the service understood of its configuration."""

from __future__ import annotations

import typer

from digest.cli.opening import config_path, load
from digest.cli.printing import print_json, say

app = typer.Typer(help="Configuration: show, check.", no_args_is_help=True)


@app.command()
def show() -> None:
    """Every setting as it is in force, secrets masked."""
    print_json(load().model_dump(mode="json", by_alias=True))


@app.command()
def check() -> None:
    """Read the configuration and report every mistake at once."""
    config = load()
    say(f"{config_path()} is fine: {len(config.newsletters)} newsletter(s), {len(config.sources)} source(s).")
    for advice in _advice(config.site.postal_address, bool(config.desk.addresses), bool(config.mail.bounce_address)):
        say(f"  - {advice}", "yellow")


def _advice(postal_address: str, has_desk: bool, has_bounces: bool) -> list[str]:
    advice = []
    if not postal_address:
        advice.append("[site] postal_address is empty; the law of many countries wants it in every newsletter")
    if not has_desk:
        advice.append("[desk] addresses is empty; nobody is told by mail when something is wrong")
    if not has_bounces:
        advice.append("[mail] bounce_address is empty; bounces cannot be told apart")
    return advice
