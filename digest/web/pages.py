"""Pages from templates: escaped, without scripts, in the reader's language, and with the same headers for everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from digest.app import App
from digest.app.mail import invitation
from digest.domain.newsletters import Newsletter
from digest.mail.languages import Language
from digest.mail.templating import templates_folder
from digest.web.dress import dress

NAMES = {"en": "English", "pl": "Polski", "uk": "Українська"}


class Pages:
    """Renders templates/web, where all the words are. `root` is the path of `base_url`, mostly empty."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._config = app.config
        self.root = urlsplit(app.config.web.base_url).path.rstrip("/")
        self._folder: Path = templates_folder() / "web"
        self._environments: dict[str, Environment] = {}
        site = app.config.site
        self.languages = tuple(dict.fromkeys((site.language, *site.languages)))  # that a reader may choose

    def chosen(self, code: str, newsletter: Newsletter | None = None) -> str:
        """The language a reader asks for, if it is offered; else the newsletter's, else the site's."""
        return code if code in self.languages else newsletter.language if newsletter else self._config.site.language

    def _environment(self, code: str) -> Environment:
        if code not in self._environments:
            spoken = self.language(code)
            made = Environment(
                loader=FileSystemLoader(self._folder),
                autoescape=select_autoescape(["html", "xml"]),
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
                auto_reload=False,
                extensions=["jinja2.ext.i18n"],
            )
            made.install_gettext_translations(spoken.catalogue, newstyle=True)  # type: ignore[attr-defined]
            made.globals.update(
                theme=self._config.theme, site=self._config.site, link=self._app.links.url, root=self.root
            )
            made.globals.update(language=spoken, languages=[(each, NAMES[each]) for each in self.languages])
            self._environments[code] = made
        return self._environments[code]

    def language(self, code: str) -> Language:
        """Dates and words of a language."""
        return self._app.renderer.language(code)

    def render(self, template: str, *, code: str = "", **values: Any) -> str:
        """The template's text, in the site's language unless `code` names another."""
        code = code or self._config.site.language
        text = self._environment(code).get_template(template).render(**values)
        return self.language(code).set_html(text) if template.endswith(".html") else text

    def plain(self, template: str, **values: Any) -> str:
        """A page of the desk: in English, and without typography, as it may show the very bytes of a mail."""
        return self._environment("en").get_template(template).render(**values)

    def page(
        self, template: str, status: int = 200, headers: dict[str, str] | None = None, *, code: str = "", **values: Any
    ) -> Response:
        """A page. It is not cached unless `headers` say so: its address may hold a token."""
        return HTMLResponse(self.render(template, code=code, **values), status, headers)

    def error(self, status: int, headers: dict[str, str] | None = None, *, code: str = "") -> Response:
        """A page for what went wrong, in words a reader can use."""
        return HTMLResponse(self.render("error.html", code=code, status=status), status, headers)

    def words(self, newsletter: Newsletter, code: str = "") -> dict[str, str]:
        """What pages say of a newsletter, as letters do."""
        code = code or newsletter.language
        said = invitation(self._config, newsletter.name, self._app.renderer, code)
        return {
            "name": newsletter.name,
            "title": newsletter.title,
            "language": code,
            "promise": said.promise,
            "consent": said.consent,
        }

    def router(self) -> APIRouter:
        """The stylesheets, and the one script."""
        router = APIRouter(include_in_schema=False)
        assets = {each.name: each.read_text(encoding="utf-8") for each in (self._folder / "assets").iterdir()}
        assets["pages.css"] += dress(self._config.theme)
        kinds = {"css": "text/css", "js": "text/javascript"}

        @router.api_route("/assets/{name}", methods=["GET", "HEAD"])
        async def asset(name: str) -> Response:
            kind = kinds.get(name.rpartition(".")[2])
            if name not in assets or kind is None:
                raise HTTPException(404)
            return Response(assets[name], media_type=kind, headers={"Cache-Control": "public, max-age=3600"})

        return router
