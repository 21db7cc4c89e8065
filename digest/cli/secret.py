"""Whether [web] secret is still the one by which suppressed people are recognised; said loudly when it is not."""

from __future__ import annotations

import logging
from pathlib import Path

from digest.app import App, build
from digest.cli.opening import clock
from digest.config import Config
from digest.errors import SchemaMismatch, StoreUnavailable
from digest.subscribing import suppressing

log = logging.getLogger("digest.serve")

_SUBJECT = "The secret has changed: suppressed people may not be recognised"
_WORDS = (
    "[web] secret is not the one that suppressions were made with. {orphans:,} of them are of people who are not here "
    "any more, and nobody can recognise those now: an import could bring back who was forgotten, or who complained. "
    "Links in mails that are out, also those that unsubscribe, do not work either.\n\n"
    "Put the old secret back if you have it. If it is lost: digest suppressions new-secret"
)


def warning(app: App) -> str:
    """What is wrong, in words; empty when the secret is the one it was."""
    other = suppressing.check_secret(app.store, app.links)
    return _WORDS.format(orphans=other.orphans) if other else ""


def watch_secret(app: App) -> None:
    """At a start: into the log each time, and to the desk once."""
    if words := warning(app):
        log.error("%s", " ".join(words.split()))
        if suppressing.is_news(app.store, app.links):
            app.tell_desk(0, _SUBJECT, words, clock())


def advice(config: Config) -> list[str]:
    """The same for `digest config check`, which also runs before there is a database."""
    scheme, _, path = config.database_url.partition(":///")
    if scheme == "sqlite" and not Path(path).is_file():
        return []
    try:
        app = build(config)
    except (SchemaMismatch, StoreUnavailable):
        return []
    try:
        return [words] if (words := warning(app).replace("\n\n", " ")) else []
    except StoreUnavailable:
        return []
    finally:
        app.close()
