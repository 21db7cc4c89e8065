"""The archive: editions as they were sent, without anything personal."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from digest import publishing
from digest.app import App
from digest.errors import NotFound
from digest.mail.slots import pattern
from digest.web.pages import Pages

_CACHED = {"Cache-Control": "public, max-age=300"}
# The mail's own inline styles, and pictures of the site; still no script.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; frame-ancestors 'none'; base-uri 'none'"
)


def router(app: App, pages: Pages) -> APIRouter:
    """`/archive`, `/archive/<edition>` and `/archive/feed.xml`."""
    routes = APIRouter(include_in_schema=False)

    def listed() -> list[dict[str, object]]:
        return [
            {
                "id": each.id,
                "number": each.number,
                "title": app.newsletters[each.newsletter].title,
                "subject": each.subject,
                "at": each.send_at.astimezone(app.newsletters[each.newsletter].zone),
            }
            for each in publishing.archive(app.store)
            if each.newsletter in app.newsletters
        ]

    @routes.api_route("/archive", methods=["GET", "HEAD"])
    def show_all() -> Response:
        return pages.page("archive.html", headers=_CACHED, editions=listed())

    @routes.api_route("/archive/feed.xml", methods=["GET", "HEAD"])
    def feed() -> Response:
        return Response(pages.render("feed.xml", editions=listed()), media_type="application/atom+xml", headers=_CACHED)

    @routes.api_route("/archive/{edition}", methods=["GET", "HEAD"])
    def show(edition: str) -> Response:
        if not (edition.isascii() and edition.isdecimal() and len(edition) < 19):
            raise HTTPException(404)
        try:
            _, rendering = publishing.archived(app.store, int(edition))
        except NotFound:
            raise HTTPException(404) from None
        html = pattern(rendering.mark).sub(lambda slot: "" if slot[1] == "name" else app.links.url(""), rendering.html)
        return HTMLResponse(html, headers={**_CACHED, "Content-Security-Policy": _POLICY})

    return routes
