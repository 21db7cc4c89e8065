"""What a reader may ask of their data, behind links that came by mail: a file with all of it, and to be forgotten."""

from __future__ import annotations

import json

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from digest.app import App, Clock
from digest.domain.links import Purpose
from digest.errors import InvalidToken
from digest.subscribing import forgetting
from digest.web.clients import Clients
from digest.web.forms import read_form
from digest.web.leaving import cut_off, evidence_of
from digest.web.pages import Pages

_YEAR = 365  # days
_AS_FILE = {"Content-Disposition": 'attachment; filename="my-data.json"', "Cache-Control": "no-store"}


def router(app: App, pages: Pages, clients: Clients, clock: Clock) -> APIRouter:
    """`/own-data/<token>` and `/forget/<token>`. Looking changes nothing."""
    routes = APIRouter(include_in_schema=False)
    page = OwnData(app, pages, clients, clock)
    routes.add_api_route("/own-data/{token}", page.show_data, methods=["GET", "HEAD"])
    routes.add_api_route("/own-data/{token}", page.give_data, methods=["POST"])
    routes.add_api_route("/forget/{token}", page.show_forget, methods=["GET", "HEAD"])
    routes.add_api_route("/forget/{token}", page.forget, methods=["POST"])
    return routes


class OwnData:
    """Two pages with one button each."""

    def __init__(self, app: App, pages: Pages, clients: Clients, clock: Clock) -> None:
        self._app, self._pages, self._clients, self._clock = app, pages, clients, clock

    def show_data(self, token: str) -> Response:
        """The button that gives the file."""
        return self._button("own_data.html", Purpose.OWN_DATA, token)

    def give_data(self, token: str) -> Response:
        """The file. Asking for it changes nothing, so whoever holds the link may press as often as they like."""
        try:
            known = forgetting.own_data(self._app.store, self._app.links, token, self._clock())
        except InvalidToken as error:
            return self._no_link(error, Purpose.OWN_DATA)
        content = json.dumps(known, ensure_ascii=False, indent=2) + "\n"
        return Response(content, media_type="application/json", headers=_AS_FILE)

    def show_forget(self, token: str) -> Response:
        """The button that forgets."""
        return self._button("forget.html", Purpose.ERASURE, token)

    async def forget(self, token: str, request: Request) -> Response:
        """Forget the reader, for ever."""
        form = await read_form(request)
        return await run_in_threadpool(self._forget, token, request, form.get("confirm") == "yes")

    def _forget(self, token: str, request: Request, is_meant: bool) -> Response:
        if not is_meant:
            return self._button("forget.html", Purpose.ERASURE, token, 400)
        store, links, now = self._app.store, self._app.links, self._clock()
        try:
            code = forgetting.look_up(store, links, Purpose.ERASURE, token, now).language
            forgetting.forget(store, links, token, evidence_of(request, self._clients), now)
        except InvalidToken as error:
            return self._no_link(error, Purpose.ERASURE)
        kept = self._app.config.subscribing.keep_proof.days
        return self._pages.page("forgotten.html", code=code, days=kept, years=0 if kept % _YEAR else kept // _YEAR)

    def _button(self, template: str, purpose: Purpose, token: str, status: int = 200) -> Response:
        try:
            found = forgetting.look_up(self._app.store, self._app.links, purpose, token, self._clock())
        except InvalidToken as error:
            return self._no_link(error, purpose)
        return self._pages.page(template, status, code=found.language, address=found.address.masked)

    def _no_link(self, error: InvalidToken, purpose: Purpose) -> Response:
        link = "data" if purpose is Purpose.OWN_DATA else "forget"
        return cut_off(self._app, self._pages, link, 410 if error.expired else 404)
