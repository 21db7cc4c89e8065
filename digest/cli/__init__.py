"""DOOR: the `digest` command. Commands print for people, and with --json for scripts.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import importlib
import os
import sys

import typer

from digest import __version__
from digest.cli.printing import fail
from digest.errors import DigestError

app = typer.Typer(
    help="The week's most read articles, by mail, every Saturday.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# Where each command is, and whether that is a group of commands. Only what is asked for is loaded: the process that
# sends mail has no use for a web server, nor the memory it takes.
COMMANDS = {
    "demo": ("demo", False),
    "init": ("init", False),
    "migrate": ("init", False),
    "serve": ("serve", False),
    "worker": ("worker", False),
    "collect": ("collect", False),
    "articles": ("articles", True),
    "edition": ("edition", True),
    "subscribers": ("subscribers", True),
    "suppressions": ("suppressions", True),
    "bounces": ("bounces", True),
    "dkim": ("dkim", True),
    "templates": ("templates", True),
    "config": ("config", True),
}


def load(words: list[str]) -> None:
    """Load the command among `words`; all of them when there is none, for the help."""
    asked = next((word for word in words if word in COMMANDS), None)
    for name in [asked] if asked else COMMANDS:
        module_name, is_group = COMMANDS[name]
        module = importlib.import_module(f"digest.cli.{module_name}")
        if is_group:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))


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
        load(sys.argv[1:])
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
