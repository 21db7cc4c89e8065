"""Pages from templates: escaped, without scripts, and with the same headers for everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response

from digest.app import App
from digest.domain.newsletters import Newsletter
from digest.mail.render import templates_folder

_KINDLY = {
    404: (
        "There is no such page",
        "The address may be cut off or mistyped. You can start again from the sign-up page.",
    ),
    405: ("That does not work here", "The page was asked for in a way it does not know."),
    503: (
        "Back in a moment",
        "Something on our side is being restarted. Nothing is lost; please try again in a minute.",
    ),
    429: ("A little slower, please", "Many sign-ups came from your network just now. Please try again in an hour."),
}


class Pages:
    """Renders templates/web."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._folder: Path = templates_folder() / "web"
        self._environment = Environment(
            loader=FileSystemLoader(self._folder),
            autoescape=select_autoescape(["html", "xml"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(site=app.config.site, link=app.links.url)

    def render(self, template: str, **values: Any) -> str:
        """The template's text."""
        return self._environment.get_template(template).render(**values)

    def page(self, template: str, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> Response:
        """A page. It is never cached: its address may hold a token."""
        values.setdefault("language", self._app.config.site.language)
        return HTMLResponse(self.render(template, **values), status, headers)

    def error(self, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
        """A page for what went wrong, in words a reader can use."""
        title, text = _KINDLY.get(status, ("That did not work", detail or "Please try again."))
        return self.page("error.html", status, headers, title=title, text=text)

    def words(self, newsletter: Newsletter) -> dict[str, str]:
        """What pages say of a newsletter; the consent line is kept as proof, so there is one place it is made."""
        config = self._app.config
        return {
            "name": newsletter.name,
            "title": newsletter.title,
            "promise": config.newsletters[newsletter.name].promise,
            "consent": config.subscribing.consent.format(title=newsletter.title, site=config.site.name),
        }

    def router(self) -> APIRouter:
        """The stylesheet."""
        router = APIRouter(include_in_schema=False)
        style = (self._folder / "assets" / "pages.css").read_text(encoding="utf-8")

        @router.api_route("/assets/pages.css", methods=["GET", "HEAD"])
        async def stylesheet() -> Response:
            return Response(style, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

        return router
