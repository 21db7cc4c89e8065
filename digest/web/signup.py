"""Signing up and confirming. The reply to a sign-up is the same whoever subscribes already."""

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
from digest.domain.subscribers import Evidence, Subscription, SubscriptionState, Way
from digest.errors import InvalidAddress, InvalidToken
from digest.mail.addresses import parse
from digest.web.clients import Clients, shortened
from digest.web.forms import read_form
from digest.web.pages import Pages

HONEYPOT = "website"  # a field no person sees; only programs fill it


def router(app: App, pages: Pages, clock: Clock) -> APIRouter:
    """`/`, `/subscribe`, `/snippet` and `/confirm/<token>`."""
    routes = APIRouter(include_in_schema=False)
    clients = Clients(app.config.web.trusted_proxies, app.config.subscribing.sign_ups_per_hour)

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
            entry = _entry(pages, newsletter, form, _evidence(request, clients))
        except InvalidAddress as error:
            return form_page(error.reason, form.get("email", "")[:254], 422)
        if not clients.may_sign_up(clients.address(request)):
            raise HTTPException(429, headers={"Retry-After": "3600"})
        if not form.get(HONEYPOT):
            limits = app.config.subscribing.limits()
            await run_in_threadpool(subscribing.sign_up, app.store, app.links, entry, limits, clock())
        return pages.page("check_inbox.html", newsletter=pages.words(newsletter))

    @routes.api_route("/confirm/{token}", methods=["GET", "HEAD"])
    def show_confirm(token: str) -> Response:
        try:
            found = subscribing.look_up_confirm(
                app.store, app.links, token, clock(), app.config.subscribing.confirm_within
            )
        except InvalidToken as error:
            return _no_link(pages, error)
        return _confirm_page(app, pages, clock, found, confirmed=found.state is SubscriptionState.CONFIRMED)

    @routes.post("/confirm/{token}")
    async def confirm(token: str, request: Request) -> Response:
        evidence = _evidence(request, clients, Way.LINK)
        within = app.config.subscribing.confirm_within
        try:
            found = await run_in_threadpool(subscribing.confirm, app.store, app.links, token, evidence, clock(), within)
        except InvalidToken as error:
            return _no_link(pages, error)
        return _confirm_page(app, pages, clock, found, confirmed=True)

    return routes


def _newsletter(app: App, form: Mapping[str, str]) -> Newsletter:
    name = form.get("newsletter") or next(iter(app.newsletters))
    if name not in app.newsletters:
        raise HTTPException(404)
    return app.newsletters[name]


def _entry(
    pages: Pages, newsletter: Newsletter, form: Mapping[str, str], evidence: dict[str, Any]
) -> subscribing.SignUp:
    typed = form.get("email", "")
    address = parse(typed)
    if "." not in address.domain:
        raise InvalidAddress(typed, "the part after the @ should look like example.com")
    proof = Evidence(
        way=Way.FORM,
        address_as_typed=typed[:254],
        wording=pages.words(newsletter)["consent"],
        language=newsletter.language,
        **evidence,
    )
    return subscribing.SignUp(address, newsletter.name, newsletter.language, form.get("name", "")[:100].strip(), proof)


def _evidence(request: Request, clients: Clients, way: Way | None = None) -> Any:
    """Where a request came from, as much as a proof needs."""
    facts = {
        "form": (request.headers.get("referer") or request.headers.get("origin") or "")[:300],
        "ip": shortened(clients.address(request)),
        "user_agent": request.headers.get("user-agent", "")[:200],
    }
    return Evidence(way=way, **facts) if way else facts


def _confirm_page(app: App, pages: Pages, clock: Clock, found: Subscription, *, confirmed: bool) -> Response:
    newsletter = app.newsletters.get(found.newsletter)
    if newsletter is None:
        raise HTTPException(404)
    if not confirmed:
        return pages.page("confirm.html", newsletter=pages.words(newsletter))
    first = newsletter.schedule.next(clock()).astimezone(newsletter.zone)
    return pages.page("confirmed.html", newsletter=pages.words(newsletter), first=first)


def _no_link(pages: Pages, error: InvalidToken) -> Response:
    """A link that is late, used up or cut off: say what to do next."""
    return pages.page("expired.html", 410 if error.expired else 404)
