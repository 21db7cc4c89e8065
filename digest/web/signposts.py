"""What browsers and crawlers ask for by themselves: `/robots.txt` and a small picture of the publication."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from starlette.responses import Response

from digest.app import App
from digest.mail.theme import Theme

# Pages for one reader or for the desk, and what only programs ask for.
_PRIVATE = ("confirm", "unsubscribe", "return", "preferences", "own-data", "forget", "desk", "r", "api")
_CACHED = {"Cache-Control": "public, max-age=86400"}


def router(app: App, root: str) -> APIRouter:
    """`root` is the path of `base_url`. Where it is not empty, crawlers ask the site before us instead."""
    routes = APIRouter(include_in_schema=False)
    rules = robots(root, archive_noindex=app.config.web.archive_noindex)
    look = app.config.theme
    picture = icon(app.config.site.name, look.accent, Theme(accent=look.accent, text=look.text).on_accent)

    @routes.api_route("/robots.txt", methods=["GET", "HEAD"])
    async def show_robots() -> Response:
        return Response(rules, media_type="text/plain", headers=_CACHED)

    @routes.api_route("/favicon.svg", methods=["GET", "HEAD"])
    @routes.api_route("/favicon.ico", methods=["GET", "HEAD"])
    async def show_icon() -> Response:
        return Response(picture, media_type="image/svg+xml", headers=_CACHED)

    return routes


def robots(root: str, *, archive_noindex: bool) -> str:
    """Which pages crawlers may read (RFC 9309)."""
    lines = ["User-agent: *", *(f"Disallow: {root}/{name}/" for name in _PRIVATE), f"Disallow: {root}/metrics"]
    if archive_noindex:
        # Who may not read a page cannot read its noindex either, and would list it when another site links to it.
        lines.append("# Past editions may be read and not be listed: their pages say noindex.")
    return "\n".join([*lines, f"Allow: {root}/archive", ""])


def icon(name: str, accent: str, ink: str) -> str:
    """The first letter of the site's name on its colour, as SVG: sharp at any size, and nothing is fetched."""
    letter = next((each.upper() for each in name if each.isalnum()), "D")[:1]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<rect width="64" height="64" rx="14" fill="{escape(accent)}"/>'
        f'<text x="32" y="46" fill="{escape(ink)}" font-family="Georgia, serif" font-size="40" font-weight="bold" '
        f'text-anchor="middle">{escape(letter)}</text></svg>\n'
    )
