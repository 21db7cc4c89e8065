"""Confirming: a page with one big button; only pressing it confirms (scanners follow links)."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest import subscribing
from digest.app import App, Clock
from digest.domain.subscribers import Evidence, Subscription, SubscriptionState, Way
from digest.errors import InvalidToken
from digest.web.clients import Clients
from digest.web.pages import Pages
from digest.web.signup import evidence


def router(app: App, pages: Pages, clients: Clients, clock: Clock) -> APIRouter:
    """`/confirm/<token>`."""
    routes = APIRouter(include_in_schema=False)
    welcome = {name for name, section in app.config.newsletters.items() if section.welcome}

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
        proof = Evidence(Way.LINK, **evidence(request, clients))
        within = app.config.subscribing.confirm_within
        act = partial(subscribing.confirm, welcome=welcome, shown=lambda found: _consent(app, pages, found))
        try:
            found = await run_in_threadpool(act, app.store, app.links, token, proof, clock(), within)
        except InvalidToken as error:
            return _no_link(pages, error)
        return _confirm_page(app, pages, clock, found, confirmed=True)

    return routes


def _confirm_page(app: App, pages: Pages, clock: Clock, found: Subscription, *, confirmed: bool) -> Response:
    newsletter = app.newsletters.get(found.newsletter)
    if newsletter is None:
        raise HTTPException(404)
    code = found.language
    if not confirmed:
        return pages.page("confirm.html", code=code, newsletter=pages.words(newsletter, code))
    first = newsletter.schedule.next(clock()).astimezone(newsletter.zone)
    return pages.page("confirmed.html", code=code, newsletter=pages.words(newsletter, code), first=first)


def _consent(app: App, pages: Pages, found: Subscription) -> str:
    """The words beside the button, for the record."""
    newsletter = app.newsletters.get(found.newsletter)
    return pages.words(newsletter, found.language)["consent"] if newsletter else ""


def _no_link(pages: Pages, error: InvalidToken) -> Response:
    """A link that is late, used up or cut off: say what to do next."""
    return pages.page("expired.html", 410 if error.expired else 404)
