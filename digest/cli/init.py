"""`digest init` and `digest migrate`: from an empty folder to a service that can run."""

from __future__ import annotations

import secrets
from importlib.resources import files
from pathlib import Path

import typer

from digest.cli.opening import config_path, load
from digest.cli.printing import say
from digest.config_reading import read_config
from digest.errors import ConfigurationError, UsageError
from digest.store import Store
from digest.store.migrate import migrate as migrate_store

SECRET_FILE = "digest.secret"  # noqa: S105 - the name of a file


def init(
    site_name: str = typer.Option("The Example Post", help="Your site's name."),
    site_url: str = typer.Option("https://news.example.com", help="Your site's address."),
    sender: str = typer.Option("recap@news.example.com", "--from", help="The address the newsletter comes from."),
    base_url: str = typer.Option("https://recap.news.example.com", help="Where readers will reach these pages."),
    timezone: str = typer.Option("Europe/Warsaw", help="The zone of `sat 08:00`."),
) -> None:
    """Write config.toml, a secret beside it, and create the database. What is there already stays as it is."""
    path = config_path()
    if path.exists():
        say(f"{path} is there already and stays as it is. The database is at {_migrate()}.")
        return
    text = sample_config()
    answers = {
        "The Example Post": site_name,
        "https://news.example.com": site_url.rstrip("/"),
        "recap@news.example.com": sender,
        "https://recap.news.example.com": base_url.rstrip("/"),
        "Europe/Warsaw": timezone,
    }
    for example, answer in sorted(answers.items(), key=lambda each: -len(each[0])):
        text = text.replace(f'"{example}"', f'"{_quotable(answer)}"')
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_secret(path.parent / SECRET_FILE)
    _write_config(path, text)
    _migrate()
    say(f"Wrote {path} and {path.parent / SECRET_FILE} (keep it: every link in every mail is signed with it).")
    say("Next: look through config.toml, then `digest collect --check`, then `digest serve`.")


def migrate() -> None:
    """Bring the database to this version of Digest."""
    say(f"The database is at {_migrate()}.")


def sample_config() -> str:
    """The commented config.toml that travels with the package."""
    packaged = files("digest") / "config.toml"
    return (packaged if packaged.is_file() else Path(__file__).parents[2] / "config.toml").read_text(encoding="utf-8")


def _migrate() -> str:
    store = Store(load().database_url)
    try:
        return migrate_store(store)
    finally:
        store.close()


def _write_secret(path: Path) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48) + "\n", encoding="utf-8")


def _write_config(path: Path, text: str) -> None:
    """Write the file only if it can be used: a mistake in an answer must not leave half an installation."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    try:
        read_config(draft)
    except ConfigurationError as error:
        draft.unlink()
        raise ConfigurationError(error.problems, "what you gave to `digest init`") from None
    draft.rename(path)


def _quotable(answer: str) -> str:
    if any(c in answer for c in '"\\\n\r'):
        raise UsageError(f"{answer!r} cannot stand in config.toml as it is; write it there by hand")
    return answer
