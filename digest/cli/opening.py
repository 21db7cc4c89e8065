"""Opening the service for one command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.app import App, build
from digest.app.mail import prove_templates
from digest.config import Config
from digest.config.reading import read_config
from digest.domain.newsletters import Newsletter
from digest.errors import UsageError


def clock() -> datetime:
    """Now. Doors call the clock; everything behind them is given the time."""
    return datetime.now(UTC)


def config_path() -> Path:
    """Where the configuration is."""
    return Path(os.environ.get("DIGEST_CONFIG", "config.toml"))


def load() -> Config:
    """The configuration. Raises ConfigurationError."""
    return read_config(config_path())


@contextmanager
def opened(*, checked: bool = True, proved: bool = False) -> Iterator[App]:
    """The whole service, closed afterwards. Raises ConfigurationError, SchemaMismatch.

    With `proved` a publisher's templates are tried first: what runs for weeks must not learn of a broken one from the
    reader who is to be asked for a confirmation. Raises RenderError.
    """
    config = load()
    if proved:
        prove_templates(config)
    app = build(config, checked=checked)
    try:
        yield app
    finally:
        app.close()


def newsletter_named(app: App, name: str | None) -> Newsletter:
    """The newsletter of that name; the only one when no name is given. Raises UsageError."""
    if name is None:
        if len(app.newsletters) > 1:
            raise UsageError(f"which newsletter? Give --newsletter with one of: {', '.join(app.newsletters)}")
        return next(iter(app.newsletters.values()))
    if name not in app.newsletters:
        raise UsageError(f"there is no newsletter {name!r}; config.toml has: {', '.join(app.newsletters)}")
    return app.newsletters[name]


def moment_of(option: str, text: str, zone: ZoneInfo) -> datetime:
    """A moment a person typed; without an offset it is one in `zone`. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a moment; write 2026-11-28T08:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
