"""`digest templates`: ours, to look at and to copy; a copy in your own folder stands for ours."""

from __future__ import annotations

import difflib

import typer

from digest.cli.opening import config_path, load
from digest.cli.printing import print_json, say
from digest.errors import UsageError
from digest.mail.templating import names_in, our_mails

app = typer.Typer(help="The mails' templates: list ours, copy one to change it.", no_args_is_help=True)


@app.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Every template of ours, and what of yours stands for it."""
    config = load()
    folder = config.folder / config.theme.templates if config.theme.templates else None
    own = set(names_in(folder)) if folder else set()
    if as_json:
        print_json([{"name": name, "own": name in own} for name in names_in(our_mails())])
        return
    for name in names_in(our_mails()):
        say(f"{name}{'  (yours)' if name in own else ''}")


@app.command()
def copy(name: str = typer.Argument(help="Such as digest/body.html.")) -> None:
    """Copy one of ours, to change it.

    It goes into the folder that [theme] templates names; a file that is there stays as it is.
    """
    ours = names_in(our_mails())
    if name not in ours:
        near = difflib.get_close_matches(name, ours, n=1, cutoff=0.5)
        raise UsageError(
            f"there is no template {name!r}; " + (f"did you mean {near[0]}?" if near else "see: digest templates list")
        )
    config = load()
    folder = config.theme.templates
    path = config.folder / (folder or "templates") / name
    if path.exists():
        raise UsageError(f"{path} is there already and stays as it is")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((our_mails() / name).read_text(encoding="utf-8"), encoding="utf-8")
    say(f"Wrote {path}. Change it, then look: digest edition preview")
    if not folder:
        say(f'It is used once the [theme] section of {config_path().name} says: templates = "templates"', "yellow")
