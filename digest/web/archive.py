"""The archive: editions as they were sent, without anything personal; and a feed of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from digest import publishing
from digest.app import App
from digest.domain.editions import Edition, Rendering
from digest.errors import NotFound
from digest.mail.archived import ArchivedMail, archived
from digest.web.conditional import reply
from digest.web.pages import Pages

_HTML = "text/html"
_FEED = "application/atom+xml"
_IN_FEED = 50
# The mail's own inline styles, and pictures of the site; still no script.
_POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src http: https: data:; frame-ancestors 'none';"
    " base-uri 'none'"
)


@dataclass(frozen=True, slots=True)
class _Listed:
    """An edition as a list names it."""

    id: int
    number: int
    title: str
    subject: str
    summary: str
    language: str
    date: datetime  # the edition's, as its mail has it, in the newsletter's zone
    changed_at: datetime  # UTC


def router(app: App, pages: Pages) -> APIRouter:
    """`/archive`, `/archive/<edition>` and `/archive/feed.xml`."""
    routes = APIRouter(include_in_schema=False)
    headers = {"Cache-Control": "public, max-age=300"}
    if app.config.web.archive_noindex:
        headers["X-Robots-Tag"] = "noindex"
    shown = lru_cache(maxsize=32)(archived)  # a frozen edition never changes, and may be asked for by thousands

    @routes.api_route("/archive", methods=["GET", "HEAD"])
    def show_all(request: Request) -> Response:
        editions = _listed(app)
        page = pages.render("archive.html", editions=editions, noindex=app.config.web.archive_noindex)
        return reply(request, page, _HTML, _newest(editions), headers)

    @routes.api_route("/archive/feed.xml", methods=["GET", "HEAD"])
    def feed(request: Request) -> Response:
        editions = _listed(app)[:_IN_FEED]
        return reply(request, pages.render("feed.xml", editions=editions), _FEED, _newest(editions), headers)

    @routes.api_route("/archive/{name}", methods=["GET", "HEAD"])
    def show(request: Request, name: str, lang: str = "") -> Response:
        edition, rendering = _find(app, name, lang)
        page = pages.render("edition.html", code=rendering.language, **_facts(app, pages, edition, rendering, shown))
        return reply(request, page, _HTML, edition.frozen_at, {**headers, "Content-Security-Policy": _POLICY})

    return routes


def _newest(editions: Sequence[_Listed]) -> datetime | None:
    return max((each.changed_at for each in editions), default=None)


def _listed(app: App) -> list[_Listed]:
    found = [each for each in publishing.archive(app.store) if each.newsletter in app.newsletters]
    languages = {name: each.language for name, each in app.newsletters.items()}
    said = publishing.announced(app.store, found, languages)
    return [
        _Listed(
            id=each.id,
            number=each.number,
            title=app.newsletters[each.newsletter].title,
            subject=each.subject,
            summary=said.get(each.id, ""),
            language=languages[each.newsletter],
            date=each.send_at.astimezone(app.newsletters[each.newsletter].zone),
            changed_at=(each.frozen_at or each.send_at).astimezone(UTC),
        )
        for each in found
    ]


def _find(app: App, name: str, language: str) -> tuple[Edition, Rendering]:
    """A published edition, in a language it was sent in. Raises HTTPException."""
    if not (name.isascii() and name.isdecimal() and len(name) < 19):
        raise HTTPException(404)
    try:
        edition = publishing.get(app.store, int(name))
        if edition.newsletter not in app.newsletters:
            raise HTTPException(404)
        return publishing.archived(app.store, edition.id, language or app.newsletters[edition.newsletter].language)
    except NotFound:
        raise HTTPException(404) from None


def _facts(
    app: App,
    pages: Pages,
    edition: Edition,
    rendering: Rendering,
    shown: Callable[[str, str, str, str], ArchivedMail],
) -> Mapping[str, Any]:
    """What the page of an edition says."""
    newsletter = app.newsletters[edition.newsletter]
    own = app.links.url(f"archive/{edition.id}")
    is_main = rendering.language == newsletter.language
    return {
        "mail": shown(app.plain(edition, rendering.html), rendering.mark, own, app.config.site.url),
        "edition": edition,
        "subject": rendering.subject,
        "summary": rendering.preheader,
        "newsletter": pages.words(newsletter, rendering.language),
        "canonical": own if is_main else f"{own}?{urlencode({'lang': rendering.language})}",
        "published": edition.send_at.astimezone(newsletter.zone),
        "noindex": app.config.web.archive_noindex,
    }
