"""Pages from templates: escaped, without scripts, and with the same headers for everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response

from digest.app import App
from digest.domain.newsletters import Newsletter
from digest.mail.render import templates_folder


class Pages:
    """Renders templates/web, where all the words are. `root` is the path of `base_url`, mostly empty."""

    def __init__(self, app: App) -> None:
        self._config = app.config
        self.root = urlsplit(app.config.web.base_url).path.rstrip("/")
        self._folder: Path = templates_folder() / "web"
        self._environment = Environment(
            loader=FileSystemLoader(self._folder),
            autoescape=select_autoescape(["html", "xml"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(site=app.config.site, link=app.links.url, root=self.root)

    def render(self, template: str, **values: Any) -> str:
        """The template's text."""
        return self._environment.get_template(template).render(**values)

    def page(self, template: str, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> Response:
        """A page. It is not cached unless `headers` say so: its address may hold a token."""
        return HTMLResponse(self.render(template, **values), status, headers)

    def error(self, status: int, headers: dict[str, str] | None = None) -> Response:
        """A page for what went wrong, in words a reader can use."""
        return HTMLResponse(self.render("error.html", status=status), status, headers)

    def words(self, newsletter: Newsletter) -> dict[str, str]:
        """What pages say of a newsletter; the consent line is kept as proof, so there is one place it is made."""
        return {
            "name": newsletter.name,
            "title": newsletter.title,
            "language": newsletter.language,
            "promise": self._config.newsletters[newsletter.name].promise,
            "consent": self._config.subscribing.consent.format(title=newsletter.title, site=self._config.site.name),
        }

    def router(self) -> APIRouter:
        """The stylesheet."""
        router = APIRouter(include_in_schema=False)
        style = (self._folder / "assets" / "pages.css").read_text(encoding="utf-8")

        @router.api_route("/assets/pages.css", methods=["GET", "HEAD"])
        async def stylesheet() -> Response:
            return Response(style, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

        return router
