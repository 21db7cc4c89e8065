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

    def form_page(error: str = "", email: str = "", status: int = 200) -> Response:
        offered = [pages.words(each) for each in app.newsletters.values()]
        return pages.page("signup.html", status, newsletters=offered, error=error, email=email, honeypot=HONEYPOT)

    @routes.api_route("/", methods=["GET", "HEAD"])
    def show_form() -> Response:
        return form_page()

    @routes.api_route("/snippet", methods=["GET", "HEAD"])
    def show_snippet() -> Response:
        offered = [pages.words(each) for each in app.newsletters.values()]
        snippets = [pages.render("snippet.html", newsletter=each, honeypot=HONEYPOT) for each in offered]
        return pages.page("snippets.html", snippets=snippets)

    @routes.post("/subscribe")
    async def sign_up(request: Request) -> Response:
        form = await read_form(request)
        newsletter = _newsletter(app, form)
        try:
            entry = _entry(pages, newsletter, form, evidence(request, clients))
        except InvalidAddress as error:
            return form_page(error.reason, form.get("email", "")[:254], 422)
        if not clients.may_sign_up(clients.address(request)):
            raise HTTPException(429, headers={"Retry-After": "3600"})
        if not form.get(HONEYPOT):
            limits = app.config.subscribing.limits()
            await run_in_threadpool(subscribing.sign_up, app.store, app.links, entry, limits, clock())
        return pages.page("check_inbox.html", newsletter=pages.words(newsletter))

    return routes


def _newsletter(app: App, form: Mapping[str, str]) -> Newsletter:
    name = form.get("newsletter") or next(iter(app.newsletters))
    if name not in app.newsletters:
        raise HTTPException(404)
    return app.newsletters[name]


def _entry(pages: Pages, newsletter: Newsletter, form: Mapping[str, str], facts: dict[str, Any]) -> subscribing.SignUp:
    typed = form.get("email", "")
    address = parse(typed)
    if "." not in address.domain:
        raise InvalidAddress(typed, "the part after the @ should look like example.com")
    proof = Evidence(
        way=Way.FORM,
        address_as_typed=typed[:254],
        wording=pages.words(newsletter)["consent"],
        language=newsletter.language,
        **facts,
    )
    return subscribing.SignUp(address, newsletter.name, newsletter.language, form.get("name", "")[:100].strip(), proof)


def evidence(request: Request, clients: Clients) -> dict[str, Any]:
    """Where a request came from, as much as a proof needs: fields of Evidence."""
    return {
        "form": (request.headers.get("referer") or request.headers.get("origin") or "")[:300],
        "ip": shortened(clients.address(request)),
        "user_agent": request.headers.get("user-agent", "")[:200],
    }
