"""Signing up. The reply is the same whoever subscribes already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest import subscribing
from digest.app import App, Clock
from digest.domain.newsletters import Newsletter
from digest.domain.subscribers import Evidence, Way
from digest.errors import InvalidAddress
from digest.mail.addresses import parse
from digest.web.clients import Clients, shortened
from digest.web.forms import read_form
from digest.web.pages import Pages

HONEYPOT = "website"  # a field no person sees; only programs fill it


def router(app: App, pages: Pages, clients: Clients, clock: Clock) -> APIRouter:
    """`/`, `/subscribe` and `/snippet`."""
    routes = APIRouter(include_in_schema=False)

    only = next(iter(app.newsletters.values())) if len(app.newsletters) == 1 else None

    def form_page(code: str, status: int = 200, typed: Mapping[str, str] | None = None, error: str = "") -> Response:
        offered = [pages.words(each, code) for each in app.newsletters.values()]
        facts: dict[str, Any] = {"newsletters": offered, "honeypot": HONEYPOT, "typed": typed or {}, "error": error}
        return pages.page("signup.html", status, code=code, **facts)

    @routes.api_route("/", methods=["GET", "HEAD"])
    def show_form(lang: str = "") -> Response:
        return form_page(pages.chosen(lang, only))

    @routes.api_route("/snippet", methods=["GET", "HEAD"])
    def show_snippet(lang: str = "") -> Response:
        code = pages.chosen(lang, only)
        offered = [pages.words(each, code) for each in app.newsletters.values()]
        snippets = [pages.render("snippet.html", code=code, newsletter=each, honeypot=HONEYPOT) for each in offered]
        return pages.page("snippets.html", code=code, snippets=snippets)

    @routes.post("/subscribe")
    async def sign_up(request: Request) -> Response:
        form = await read_form(request)
        newsletter = _newsletter(app, form)
        code = pages.chosen(form.get("language", ""), newsletter)
        try:
            entry = _entry(app, pages, newsletter, code, form, evidence(request, clients))
        except InvalidAddress as error:
            return form_page(code, 422, form, error.reason)
        if not clients.may_sign_up(clients.address(request)):
            raise HTTPException(429, headers={"Retry-After": "3600"})
        if not form.get(HONEYPOT):
            limits = app.config.subscribing.limits()
            await run_in_threadpool(subscribing.sign_up, app.store, app.links, entry, limits, clock())
        return pages.page("check_inbox.html", code=code, newsletter=pages.words(newsletter, code))

    return routes


def _newsletter(app: App, form: Mapping[str, str]) -> Newsletter:
    name = form.get("newsletter") or next(iter(app.newsletters))
    if name not in app.newsletters:
        raise HTTPException(404)
    return app.newsletters[name]


def _entry(
    app: App, pages: Pages, newsletter: Newsletter, code: str, form: Mapping[str, str], facts: dict[str, Any]
) -> subscribing.SignUp:
    typed = form.get("email", "")
    address = parse(typed)
    if "." not in address.domain:
        raise InvalidAddress(typed, "the part after the @ should look like example.com")
    if not facts["form"] and form.get("page"):  # our own pages tell nobody where a reader comes from, us neither
        facts["form"] = app.links.url("")
    proof = Evidence(
        way=Way.FORM,
        address_as_typed=typed[:254],
        wording=pages.words(newsletter, code)["consent"],
        language=code,
        **facts,
    )
    name = " ".join(form.get("name", "")[:100].split())
    return subscribing.SignUp(address, newsletter.name, code, name, proof)


def evidence(request: Request, clients: Clients) -> dict[str, Any]:
    """Where a request came from, as much as a proof needs: fields of Evidence."""
    origin = request.headers.get("origin", "null")  # "null" is what a page that sends no referrer sends
    return {
        "form": (request.headers.get("referer") or ("" if origin == "null" else origin))[:300],
        "ip": shortened(clients.address(request)),
        "user_agent": request.headers.get("user-agent", "")[:200],
    }
