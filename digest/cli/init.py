"""`digest init` and `digest migrate`: from an empty folder to a service that can run."""

from __future__ import annotations

import secrets
from importlib.resources import files
from pathlib import Path

import typer

from digest.cli.opening import config_path, load
from digest.cli.printing import say
from digest.config.reading import read_config
from digest.errors import ConfigurationError, StoreUnavailable, UsageError
from digest.mail.languages import LANGUAGES
from digest.mail.languages import language as language_of
from digest.mail.templating import templates_folder
from digest.store import Store
from digest.store.migrate import migrate as migrate_store

TITLE = "The Weekly Recap"  # the sample newsletter's; the catalogues have it in other languages
COLUMN = 43  # where the comments of config.toml begin
SECRET_FILE = "digest.secret"  # noqa: S105 - the name of a file

_OPTIONS = {
    "site.name": "--site-name",
    "site.url": "--site-url",
    "site.timezone": "--timezone",
    "mail.from": "--from",
    "web.base_url": "--base-url",
}


def init(
    site_name: str = typer.Option("The Example Post", help="Your site's name."),
    site_url: str = typer.Option("https://news.example.com", help="Your site's address."),
    sender: str = typer.Option("recap@news.example.com", "--from", help="The address the newsletter comes from."),
    base_url: str = typer.Option("https://recap.news.example.com", help="Where readers will reach these pages."),
    timezone: str = typer.Option("Europe/Warsaw", help="The zone of `sat 08:00`."),
    language: str = typer.Option("en", help="What readers are written to in: en, pl or uk."),
) -> None:
    """Write config.toml and a secret, create the database. What is there already stays as it is."""
    path = config_path()
    if path.exists():
        revision = _migrate()
        say(f"{path} is there already and stays as it is; options of this command change nothing in it.")
        say(f"The database it names is ready (schema {revision}).")
        return
    if language not in LANGUAGES:
        raise UsageError(f"--language {language!r}: there is no such language; write one of: {', '.join(LANGUAGES)}")
    text = _in_language(sample_config(), language)
    answers = {
        "The Example Post": site_name,
        "https://news.example.com": site_url.rstrip("/"),
        "recap@news.example.com": sender,
        "https://recap.news.example.com": base_url.rstrip("/"),
        "Europe/Warsaw": timezone,
    }
    for example, answer in sorted(answers.items(), key=lambda each: -len(each[0])):
        text = _answered(text, f'"{example}"', f'"{_quotable(answer)}"')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_secret(path.parent / SECRET_FILE)
        _write_config(path, text)
    except OSError as error:
        place = path.parent.absolute()
        raise UsageError(
            f"nothing can be written into {place}: {error.strerror}; name another place: --config"
        ) from None
    _migrate()
    say(f"Wrote {path} and {path.parent / SECRET_FILE} (keep it: every link in every mail is signed with it).")
    say("Next: look through config.toml, then `digest collect --check`, then `digest serve`.")


def _in_language(text: str, code: str) -> str:
    """The sample in a language: what readers see, the newsletter's title among it."""
    said = language_of(code, templates_folder() / "locale").catalogue.gettext
    text = _answered(text, 'language = "en"', f'language = "{code}"')
    return _answered(text, f'"{TITLE}"', f'"{said(TITLE)}"')


def _answered(text: str, example: str, answer: str) -> str:
    """The sample with an answer for an example, wherever it stands as a value; comments stay in their column."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if example in line:
            setting, mark, comment = line.replace(example, answer, 1).partition("  # ")
            lines[at] = f"{setting.rstrip():<{COLUMN}}# {comment.lstrip()}" if mark else setting
            if mark and len(setting.rstrip()) >= COLUMN:
                lines[at] = f"{setting.rstrip()}  # {comment.lstrip()}"
    return "\n".join(lines)


def migrate() -> None:
    """Bring the database to this version of Digest."""
    say(f"The database is ready (schema {_migrate()}).")


def sample_config() -> str:
    """The commented config.toml that travels with the package."""
    packaged = files("digest") / "config.toml"
    return (packaged if packaged.is_file() else Path(__file__).parents[2] / "config.toml").read_text(encoding="utf-8")


def _migrate() -> str:
    store = Store(load().database_url)
    try:
        return migrate_store(store)
    except StoreUnavailable as error:
        remedy = f"look at [database] url in {config_path()}, then run `digest migrate`"
        raise StoreUnavailable(f"{error.words.rstrip('?. ')}; {remedy}") from None
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
        raise ConfigurationError(
            [_of_option(each) for each in error.problems], "what you gave to `digest init`"
        ) from None
    draft.rename(path)


def _of_option(problem: str) -> str:
    """A mistake by the option it was given with: there is no config.toml yet in which to mend it."""
    setting, mark, said = problem.partition(": ")
    return f"{_OPTIONS[setting]}: {said}" if mark and setting in _OPTIONS else problem


def _quotable(answer: str) -> str:
    if any(c in answer for c in '"\\\n\r'):
        raise UsageError(
            f"{answer!r} has a quote, a backslash or a line break in it: leave that out here, and write it into "
            "config.toml afterwards"
        )
    return answer
