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
from digest.app.looks import Looks
from digest.app.preflight import READER
from digest.domain.editions import Edition, EditionState, Pick
from digest.domain.findings import Level, stoppers
from digest.errors import ConfigurationError, InvalidToken, NotFound, RenderError, WrongState
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


_Seen = tuple[Edition, list[Pick], list[str], App]  # what mails are made of: edition, articles, languages, looks


class _Specimens:
    """The mails of the editions looked at last; one is made again when anything changes that it is made of."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self.looks = Looks(app)
        self._clock = clock
        self._lock = Lock()
        self._made: OrderedDict[int, tuple[_Seen, dict[str, Specimen]]] = OrderedDict()

    def edition(self, token: str) -> Edition:
        """The edition a link is for. Raises HTTPException."""
        try:
            edition = publishing.get(self._app.store, self._app.links.read_preview(token))
        except (InvalidToken, NotFound):
            raise HTTPException(404) from None
        if edition.newsletter not in self._app.newsletters:
            raise HTTPException(404)
        return edition

    def of(self, edition: Edition) -> dict[str, Specimen]:
        """Its mail by languages, its own first, with templates and theme as they are now.

        Raises HTTPException, RenderError, ConfigurationError.
        """
        app = self.looks.now()
        with app.store.read() as tx:
            languages = deliveries.other_languages(tx, edition.newsletter, "")
            seen = edition, editions.picked(tx, edition.id), languages, app
        with self._lock:
            made = self._made.get(edition.id)
        if made is None or made[0][:3] != seen[:3] or made[0][3] is not app:
            try:
                made = seen, self._make(app, edition)
            except WrongState:
                raise HTTPException(404) from None
        with self._lock:
            self._made[edition.id] = made
            self._made.move_to_end(edition.id)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return made[1]

    def _make(self, app: App, edition: Edition) -> dict[str, Specimen]:
        now, specimen = self._clock(), app.preflight.specimen
        samples = app.samples(edition, READER, now)
        return {rendering.language: specimen(edition, rendering, now) for rendering, _ in samples}


def router(app: App, pages: Pages, clock: Clock) -> APIRouter:
    """`/desk/preview/<token>`, the mail in it, and the message as a file; `digest edition preview` prints the link."""
    routes = APIRouter(include_in_schema=False)
    specimens = _Specimens(app, clock)

    def _mail_of(token: str, lang: str) -> Specimen:
        try:
            made = specimens.of(specimens.edition(token))
        except (RenderError, ConfigurationError):
            raise HTTPException(404) from None  # the page says why
        return made[_language(made, lang)]

    @routes.api_route("/desk/preview/{token}", methods=["GET", "HEAD"])
    def show(token: str, lang: str = "") -> Response:
        page = _page(app, pages, specimens, token, lang)
        return HTMLResponse(page, headers={"Content-Security-Policy": _PAGE_POLICY})

    @routes.api_route("/desk/preview/{token}/html", methods=["GET", "HEAD"])
    def mail(token: str, scheme: str = "light", images: str = "1", lang: str = "") -> Response:
        specimen = _mail_of(token, lang)
        if scheme not in SCHEMES or images not in ("0", "1"):
            raise HTTPException(404)
        policy = _MAIL_POLICY.format(images="http: https: data:" if images == "1" else "'none'")
        headers = {"Content-Security-Policy": policy, "X-Frame-Options": "SAMEORIGIN"}
        return HTMLResponse(forced(specimen.html, scheme), headers=headers)

    @routes.api_route("/desk/preview/{token}/message.eml", methods=["GET", "HEAD"])
    def message(token: str, lang: str = "") -> Response:
        edition, specimen = specimens.edition(token), _mail_of(token, lang)
        name = f"{edition.newsletter}-{edition.number}{f'-{lang}' if lang else ''}.eml"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(specimen.content, media_type="message/rfc822", headers=headers)

    return routes


def _language(made: dict[str, Specimen], asked: str) -> str:
    """The language asked for, or the newsletter's own. Raises HTTPException when nobody gets the mail in it."""
    if asked and asked not in made:
        raise HTTPException(404)
    return asked or next(iter(made))


def _page(app: App, pages: Pages, specimens: _Specimens, token: str, lang: str) -> str:
    """The page in English, as the desk's pages are; or one that says why the mail cannot be made."""
    edition = specimens.edition(token)
    shown = {"edition": edition, "newsletter": app.newsletters[edition.newsletter], "advice": _advice(edition)}
    try:
        made = specimens.of(edition)
    except (RenderError, ConfigurationError) as error:
        return pages.plain("preview_trouble.html", trouble=str(error), **shown)
    have_changed = specimens.looks.have_changed and not edition.frozen_at
    facts = _facts(app, edition, _language(made, lang), made)
    return pages.plain("preview.html", token=token, have_changed=have_changed, **shown, **facts)


def _facts(app: App, edition: Edition, language: str, made: dict[str, Specimen]) -> dict[str, Any]:
    """What the page says of an edition, looked at in one language; what is found is found in all."""
    specimen, findings = made[language], app.preflight.by_rules(edition, list(made.values()))
    return {
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


def _advice(edition: Edition) -> str:
    """What to do with an edition that does not go out by itself."""
    return {
        EditionState.HELD: f"It is held back. To let it go: digest edition approve {edition.id}",
        EditionState.SKIPPED: "It is not sent. To make it all the same: digest edition draft, then digest edition send",
        EditionState.PAUSED: f"Sending is paused. To go on: digest edition send {edition.id}",
        EditionState.CANCELLED: "It was cancelled and goes to nobody any more.",
    }.get(edition.state, "")
