"""DOOR: the `digest` command. Commands print for people, and with --json for scripts.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import os
import sys

import typer

from digest import __version__
from digest.cli import articles, bounces, collect, config, edition, init, serve, subscribers
from digest.cli.demo import demo
from digest.cli.printing import fail
from digest.errors import DigestError

app = typer.Typer(
    help="The week's most read articles, by mail, every Saturday.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo)
app.command("init")(init.init)
app.command("migrate")(init.migrate)
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("collect")(collect.collect)
app.add_typer(articles.app, name="articles")
app.add_typer(edition.app, name="edition")
app.add_typer(subscribers.app, name="subscribers")
app.add_typer(bounces.app, name="bounces")
app.add_typer(config.app, name="config")


@app.callback(invoke_without_command=True)
def _global(
    config: str = typer.Option(
        "config.toml", envvar="DIGEST_CONFIG", help="The configuration; works after a command too."
    ),
    version: bool = typer.Option(False, "--version", help="Print the version."),
) -> None:
    if version:
        print(f"digest {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; every error we know ends in one line and its exit status."""
    _take_config(sys.argv)
    try:
        app(standalone_mode=True)
    except DigestError as error:
        fail(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


def _take_config(argv: list[str]) -> None:
    """Let --config stand anywhere on the line: people add it at the end."""
    for place, word in enumerate(argv[1:], start=1):
        if word == "--":
            return
        if word == "--config" and place + 1 < len(argv):
            os.environ["DIGEST_CONFIG"] = argv[place + 1]
            del argv[place : place + 2]
            return
        if word.startswith("--config="):
            os.environ["DIGEST_CONFIG"] = word.removeprefix("--config=")
            del argv[place]
            return
