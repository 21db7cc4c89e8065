"""Unsubscribing: a page with one button, and RFC 8058's one click. Always ends well."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from digest import preferring
from digest.app import App, Clock
from digest.domain.subscribers import Evidence, Subscription, SubscriptionState, Way
from digest.errors import InvalidToken
from digest.web.forms import read_form
from digest.web.pages import Pages


def router(app: App, pages: Pages, clock: Clock) -> APIRouter:
    """`/unsubscribe/<token>`."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/unsubscribe/{token}", methods=["GET", "HEAD"])
    def show(token: str) -> Response:
        try:
            found = preferring.look_up_unsubscribe(app.store, app.links, token)
        except InvalidToken:
            return pages.page("expired.html", 404)
        if found is None or found.state is SubscriptionState.UNSUBSCRIBED:
            return _gone(app, pages, found)
        return pages.page("unsubscribe.html", code=found.language, title=_title(app, found.newsletter))

    @routes.post("/unsubscribe/{token}")
    async def act(token: str, request: Request) -> Response:
        # No cookie, no login, no referer, no redirect: mailbox providers post here by themselves.
        form = await read_form(request)
        one_click = form.get("List-Unsubscribe") == "One-Click"
        if not one_click and form.get("confirm") != "yes":
            raise HTTPException(400)
        evidence = Evidence(
            Way.ONE_CLICK if one_click else Way.LINK, user_agent=request.headers.get("user-agent", "")[:200]
        )
        try:
            found = await run_in_threadpool(preferring.unsubscribe, app.store, app.links, token, evidence, clock())
        except InvalidToken:
            return pages.page("expired.html", 404)
        if one_click:
            return PlainTextResponse(pages.render("unsubscribed.txt"))
        return _gone(app, pages, found)

    return routes


def _gone(app: App, pages: Pages, found: Subscription | None) -> Response:
    title, code = (_title(app, found.newsletter), found.language) if found else ("", "")
    return pages.page("unsubscribed.html", code=code, title=title)


def _title(app: App, newsletter: str) -> str:
    return app.newsletters[newsletter].title if newsletter in app.newsletters else ""
