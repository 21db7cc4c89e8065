"""Every mail and every page there is, in one language, made by the real service and taken off a real line.

One reader's whole life is played: sign-up, confirmation, editions of every kind, leaving; and what the desk hears.
What arrives at the mail server are the specimens. `loaded` tells which templates took part, so that a new mail or
page without a step on the stage is noticed (test_specimens.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
from starlette.testclient import TestClient

import digest.mail.inlining
from digest.web import create_web
from tests.checks.keys import make_keys
from tests.checks.specimens import BASE, MOST, Specimens
from tests.checks.stage import Stage
from tests.checks.texts import WORDS, Words
from tests.servers.smtpd import RecordingServer
from tests.service import Service

# Newsletters that are set up another way: keys of [newsletters.weekly].
OTHER_WAYS: dict[str, dict[str, Any]] = {
    "text": {"layout": "text", "show_views": False},
    "blocks": {
        "approval": "required",
        "selection": {
            "min_articles": 1,
            "sponsored_tags": ["ad"],
            "sponsored_count": 1,
            "blocks": [{"title": "5 × ✓", "count": 5}, {"title": "Sport", "kind": "section", "section": "Sport"}],
        },
    },
}


def play(language: str, folder: Path, **more: Any) -> Specimens:
    """Everything in one language, signed. `more` are sections of the configuration."""
    settings = {**_settings(WORDS[language], language), "dkim": make_keys(folder).section} | more
    url = f"sqlite:///{folder}/digest.db"
    with RecordingServer() as smtpd, _noting_templates() as loaded, _noting_inlined() as inlined:
        made = Service(folder, url, smtpd.port, **settings)
        with TestClient(create_web(made.app, made.clock), base_url=BASE, follow_redirects=False) as client:
            stage = Stage(language, made, smtpd, client)
            stage.arrive()
            stage.read()
            for name, section in OTHER_WAYS.items():
                changed = {"weekly": {**settings["newsletters"]["weekly"], **section}}
                with stage.managed_by(
                    Service(folder, url, smtpd.port, fresh=False, **settings | {"newsletters": changed})
                ):
                    stage.read_in_another_way(name)
            stage.leave()
            sport = {"sport": {"title": "Sport", "schedule": "mon 07:30"}}
            with _beside(stage, folder, url, settings | {"newsletters": settings["newsletters"] | sport}):
                stage.choose()
            stage.tell_the_desk()
            stage.write_the_rest(loaded)
        made.close()
    stage.taken.loaded, stage.taken.inlined = loaded, inlined
    return stage.taken


@contextmanager
def _beside(stage: Stage, folder: Path, url: str, settings: dict[str, Any]) -> Iterator[None]:
    """For a while the browser sees the pages of the same service under another configuration."""
    before = stage.client
    other = Service(folder, url, stage.smtpd.port, fresh=False, **settings)
    other.clock = stage.service.clock
    with stage.managed_by(other), TestClient(create_web(other.app, other.clock), base_url=BASE) as stage.client:
        yield
    stage.client = before


def _settings(words: Words, language: str) -> dict[str, Any]:
    return {
        "site": {
            "name": words.site,
            "url": "https://news.example.com",
            "language": language,
            "timezone": "Europe/Warsaw",
            "postal_address": "ul. Prosta 1, 00-838 Warszawa",
        },
        "newsletters": {
            "weekly": {
                "title": words.newsletter,
                "selection": {"count": MOST, "min_articles": 1},
                "plausibility": {"one_article": 1, "least": 0, "most": 1000},  # editions of one article among them
            }
        },
        "mail": {
            "from": f"{words.site} <recap@news.example.com>",
            "confirmation_from": f"{words.site} <hello@news.example.com>",
            "reply_to": "desk@news.example.com",
        },
        "desk": {"addresses": ["desk@news.example.com"]},
    }


@contextmanager
def _noting_templates() -> Iterator[set[str]]:
    """Which templates are asked for, by whatever environment."""
    seen: set[str] = set()
    real = jinja2.Environment.get_template

    def noting(self: jinja2.Environment, name: Any, *rest: Any, **named: Any) -> jinja2.Template:
        found = real(self, name, *rest, **named)
        file = Path(found.filename or "")
        seen.add(f"{file.parent.name}/{file.name}")
        return found

    jinja2.Environment.get_template = noting  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        jinja2.Environment.get_template = real  # type: ignore[method-assign]


@contextmanager
def _noting_inlined() -> Iterator[dict[str, str]]:
    """What goes into the inlining, and what comes out."""
    seen: dict[str, str] = {}
    real = digest.mail.inlining.inline

    def noting(html: str) -> str:
        seen[html] = real(html)
        return seen[html]

    digest.mail.inlining.inline = noting
    try:
        yield seen
    finally:
        digest.mail.inlining.inline = real
