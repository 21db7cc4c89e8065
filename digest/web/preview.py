"""How an edition will look: the very bytes of its mail in every way a mailbox may show them, and what the rules say.

Whoever has the link may look: it is signed for one edition, and the mail in it is written to nobody.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from digest import publishing
from digest.app import App, Clock
from digest.app_preflight import READER
from digest.domain.editions import Edition, Pick
from digest.domain.findings import Level, stoppers
from digest.errors import InvalidToken, NotFound, RenderError, WrongState
from digest.mail.checks import MAX_HTML
from digest.mail.contrast import SCHEMES
from digest.mail.forcing import forced
from digest.mail.specimen import Specimen
from digest.store import deliveries, editions
from digest.web.pages import NAMES, Pages

_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'none'; frame-ancestors 'none';"
    " base-uri 'none'"
)
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src {images}; form-action 'none'; frame-ancestors 'self';"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)
_KEPT = 8  # a page asks for its mail several times, one after the other


_Seen = tuple[Edition, list[Pick], list[str]]  # an edition, its articles, and the languages of its readers


class _Specimens:
    """The mails of the editions looked at last; one is made again when anything changes that it is made of."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._lock = Lock()
        self._made: OrderedDict[int, tuple[_Seen, dict[str, Specimen]]] = OrderedDict()

    def of(self, token: str, language: str = "") -> tuple[Edition, str, dict[str, Specimen]]:
        """The edition a link is for, the language asked for or its own, and its mail in each. Raises HTTPException."""
        try:
            edition = publishing.get(self._app.store, self._app.links.read_preview(token))
            if edition.newsletter not in self._app.newsletters:
                raise HTTPException(404)
            with self._app.store.read() as tx:
                seen = edition, editions.picked(tx, edition.id), deliveries.other_languages(tx, edition.newsletter, "")
            with self._lock:
                made = self._made.get(edition.id)
            if made is None or made[0] != seen:
                made = seen, self._make(edition)
        except (InvalidToken, NotFound, WrongState):
            raise HTTPException(404) from None
        with self._lock:
            self._made[edition.id] = made
            self._made.move_to_end(edition.id)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        if language and language not in made[1]:
            raise HTTPException(404)
        return edition, language or next(iter(made[1])), made[1]

    def _make(self, edition: Edition) -> dict[str, Specimen]:
        now, specimen = self._clock(), self._app.preflight.specimen
        samples = self._app.samples(edition, READER, now)
        return {rendering.language: specimen(edition, rendering, now) for rendering, _ in samples}


def router(app: App, pages: Pages, clock: Clock) -> APIRouter:
    """`/desk/preview/<token>`, the mail in it, and the message as a file; `digest edition preview` prints the link."""
    routes = APIRouter(include_in_schema=False)
    specimens = _Specimens(app, clock)

    @routes.api_route("/desk/preview/{token}", methods=["GET", "HEAD"])
    def show(token: str, lang: str = "") -> Response:
        try:
            edition, language, made = specimens.of(token, lang)
        except RenderError as error:  # of a publisher's template, most likely: whoever looks may be who wrote it
            return Response(f"There is nothing to look at: {error}.\n", 500, media_type="text/plain")
        # In English, as the desk's pages are: and the typography of another language would change the source.
        page = pages.render("preview.html", code="en", token=token, **_facts(app, edition, language, made))
        return HTMLResponse(page, headers={"Content-Security-Policy": _PAGE_POLICY})

    @routes.api_route("/desk/preview/{token}/html", methods=["GET", "HEAD"])
    def mail(token: str, scheme: str = "light", images: str = "1", lang: str = "") -> Response:
        _, language, made = specimens.of(token, lang)
        if scheme not in SCHEMES or images not in ("0", "1"):
            raise HTTPException(404)
        policy = _MAIL_POLICY.format(images="http: https: data:" if images == "1" else "'none'")
        headers = {"Content-Security-Policy": policy, "X-Frame-Options": "SAMEORIGIN"}
        return HTMLResponse(forced(made[language].html, scheme), headers=headers)

    @routes.api_route("/desk/preview/{token}/message.eml", methods=["GET", "HEAD"])
    def message(token: str, lang: str = "") -> Response:
        edition, language, made = specimens.of(token, lang)
        name = f"{edition.newsletter}-{edition.number}{f'-{lang}' if lang else ''}.eml"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(made[language].content, media_type="message/rfc822", headers=headers)

    return routes


def _facts(app: App, edition: Edition, language: str, made: dict[str, Specimen]) -> dict[str, Any]:
    """What the page says of an edition, looked at in one language; what is found is found in all."""
    specimen, findings = made[language], app.preflight.by_rules(edition, list(made.values()))
    return {
        "edition": edition,
        "newsletter": app.newsletters[edition.newsletter],
        "specimen": specimen,
        "lang": language,
        "langs": [(code, NAMES.get(code, code)) for code in made],
        "sender": specimen.parsed["From"],
        "sizes": {"html": len(specimen.html.encode()), "most": MAX_HTML, "text": len(specimen.text.encode())},
        "source": specimen.content.decode("ascii", "replace").replace("\r\n", "\n"),
        "findings": findings,
        "left": stoppers(findings, app.preflight.allowed(edition.newsletter)),
        "warnings": [each for each in findings if each.level is Level.WARNING],
        "frames": [(scheme, images) for scheme in SCHEMES for images in (1, 0)],
    }
