"""Signing up from a form of the publisher's own making, or from their server: `/api/v1/subscriptions`, in JSON."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from digest.app import App
from digest.domain.subscribers import Evidence, Way
from digest.errors import InvalidAddress
from digest.web.clients import IP, Clients, parse_ip, shortened
from digest.web.entering import HONEYPOT, Entering, OnceMore, Proofs, Typed
from digest.web.pages import Pages
from digest.web.sign_up_docs import ANSWER, ASK, LONGEST, LOOK, SERVER_ONLY
from digest.web.signup import evidence, newsletter_named, one_line

PATH = "/api/v1/subscriptions"
_ANYWHERE = {"Access-Control-Allow-Origin": "*"}  # a form is open to all pages; there are no cookies to be misused
_PREFLIGHT = {
    **_ANYWHERE,
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Max-Age": "86400",
}


class _Refused(Exception):
    """Answered with `status` and a JSON object that says what is wrong and where."""

    def __init__(self, status: int, error: str, where: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.reply = JSONResponse({"error": error, "where": where}, status, {**_ANYWHERE, **(headers or {})})


def router(app: App, pages: Pages, clients: Clients, entering: Entering) -> APIRouter:
    """What a form needs to know, and where it is sent."""
    routes = APIRouter(tags=["subscriptions"])
    intake = _Intake(app, pages, clients, entering)

    @routes.options(PATH, include_in_schema=False)
    @routes.options(f"{PATH}/form", include_in_schema=False)
    async def may_ask() -> Response:
        return Response(status_code=204, headers=_PREFLIGHT)

    @routes.get(f"{PATH}/form", **LOOK)
    def show_form(request: Request) -> Response:
        return JSONResponse(intake.form(request.query_params.get("language", "")), headers=_ANYWHERE)

    @routes.post(PATH, status_code=202, dependencies=[Depends(HTTPBearer(auto_error=False))], **ASK)
    async def sign_up(request: Request) -> Response:
        try:
            await intake.take(request)
        except _Refused as refused:
            return refused.reply
        return JSONResponse(ANSWER, 202, _ANYWHERE)

    return routes


class _Intake:
    def __init__(self, app: App, pages: Pages, clients: Clients, entering: Entering) -> None:
        self._app, self._pages, self._clients, self._entering = app, pages, clients, entering
        self._settings = app.config.subscribing

    def form(self, language: str) -> dict[str, Any]:
        """What a form of one's own has to show and to send."""
        captcha = self._settings.captcha
        words = [self._pages.words(each, self._pages.chosen(language, each)) for each in self._app.newsletters.values()]
        return {
            "newsletters": words,
            "stamp": self._entering.stamp(),
            "proof_of_work": self._settings.proof_of_work,
            "captcha": {"field": captcha.field, "site_key": captcha.site_key} if captcha.verify_url else None,
        }

    async def take(self, request: Request) -> None:
        """Take one sign-up in. Raises _Refused."""
        is_trusted = self._is_trusted(request)
        said = _object(request, await request.body())
        _check(said, is_trusted=is_trusted)
        try:
            await self._entering.take(self._typed(request, said, is_trusted))
        except InvalidAddress as error:
            raise _Refused(422, error.reason, "email") from None
        except OnceMore:
            words = f"ask {PATH}/form for a stamp when the form is shown, and send it with what that asks for"
            raise _Refused(422, words, "stamp") from None
        except HTTPException:
            raise _Refused(429, "too many sign-ups came in this hour", "", {"Retry-After": "3600"}) from None

    def _is_trusted(self, request: Request) -> bool:
        """Whether the publisher's own server speaks: it shows the token."""
        if "authorization" not in request.headers:
            return False
        scheme, _, shown = request.headers["authorization"].partition(" ")
        known = self._settings.api_token.get_secret_value().encode()
        is_same = hmac.compare_digest(shown.strip().encode("latin-1", "replace"), known)
        if not (known and is_same and scheme.lower() == "bearer"):
            raise _Refused(401, "the token is wrong", "the Authorization header", {"WWW-Authenticate": "Bearer"})
        return True

    def _typed(self, request: Request, said: Mapping[str, str], is_trusted: bool) -> Typed:
        try:
            newsletter = newsletter_named(self._app, said.get("newsletter", ""))
        except HTTPException:
            raise _Refused(404, "there is no such newsletter", "newsletter") from None
        code = self._pages.chosen(said.get("language", ""), newsletter)
        address = self._address(request, said)
        facts = evidence(request, self._clients) | {"ip": shortened(address)}
        facts |= {"user_agent": said["user_agent"][:200]} if "user_agent" in said else {}
        facts |= {"form": said["page"][:300]} if "page" in said else {}
        wording = said.get("consent") or self._pages.words(newsletter, code)["consent"]
        proof = Evidence(Way.API, address_as_typed=said["email"][:254], wording=wording, language=code, **facts)
        return Typed(
            email=said["email"],
            newsletter=newsletter,
            language=code,
            name=one_line(said.get("name", "")),
            evidence=proof,
            network=self._clients.network(address),
            proofs=None if is_trusted else Proofs.of(said, "captcha", is_static=False),
            is_trap=bool(said.get(HONEYPOT)),
        )

    def _address(self, request: Request, said: Mapping[str, str]) -> IP | None:
        """The reader's address; a server that asks for its readers says it, or they all count as one."""
        if "ip" not in said:
            return self._clients.address(request)
        if (address := parse_ip(said["ip"])) is None:
            raise _Refused(422, "this is no IP address", "ip")
        return address


def _object(request: Request, body: bytes) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Refused(415, "send application/json", "the Content-Type header")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused(400, "it is not JSON", "the body") from None
    if not isinstance(said, dict):
        raise _Refused(400, "send one object", "the body")
    return said


def _check(said: Mapping[str, Any], *, is_trusted: bool) -> None:
    """Every field is known, text, of a length, and can be stored."""
    if "email" not in said:
        raise _Refused(422, "it is missing", "email")
    for name, value in said.items():
        if name not in LONGEST:
            raise _Refused(422, "there is no such field", name[:100].encode("utf-8", "replace").decode())
        if name in SERVER_ONLY and not is_trusted:
            raise _Refused(422, "only who shows the token may say this", name)
        if not isinstance(value, str) or len(value) > LONGEST[name]:
            raise _Refused(422, f"write a text of at most {LONGEST[name]} characters", name)
        if "\x00" in value or any("\ud800" <= each <= "\udfff" for each in value):
            raise _Refused(422, "it holds a character that cannot be stored", name)
