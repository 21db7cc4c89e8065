"""Unsubscribing: a page with one button, RFC 8058's one click, and a goodbye that can be taken back for a day."""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from digest.app import App, Clock
from digest.domain.farewells import Reason
from digest.domain.links import Purpose
from digest.domain.pauses import WEEKS, pause_end
from digest.domain.subscribers import Evidence, Rhythm, Subscription, SubscriptionState, Way
from digest.errors import InvalidToken
from digest.subscribing import preferring
from digest.web.clients import Clients, shortened
from digest.web.forms import read_form
from digest.web.pages import Pages

_REMEMBERED = 10_000  # pages whose reader has said why; a second answer does not count


def router(app: App, pages: Pages, clients: Clients, clock: Clock) -> APIRouter:
    """`/unsubscribe/<token>`, and `/return/<token>`, where the goodbye page's buttons lead."""
    routes = APIRouter(include_in_schema=False)
    leaving, returning = Leaving(app, pages, clock), Returning(app, pages, clients, clock)
    routes.add_api_route("/unsubscribe/{token}", leaving.show, methods=["GET", "HEAD"])
    routes.add_api_route("/unsubscribe/{token}", leaving.act, methods=["POST"])
    routes.add_api_route("/return/{token}", returning.show, methods=["GET", "HEAD"])
    routes.add_api_route("/return/{token}", returning.act, methods=["POST"])
    return routes


class Leaving:
    """The page behind the link in every mail. It always ends well."""

    def __init__(self, app: App, pages: Pages, clock: Clock) -> None:
        self._app, self._pages, self._clock = app, pages, clock
        self._goodbye = Goodbye(app, pages)

    def show(self, token: str) -> Response:
        """The button; or that they are gone already."""
        return self._button(token)

    async def act(self, token: str, request: Request) -> Response:
        """Leave. No cookie, no login, no referer, no redirect: mailbox providers post here by themselves."""
        form = await read_form(request)
        one_click = form.get("List-Unsubscribe") == "One-Click"
        if not one_click and form.get("confirm") != "yes":
            return await run_in_threadpool(self._button, token, 400)
        way = Way.ONE_CLICK if one_click else Way.LINK
        proof, now = Evidence(way, user_agent=request.headers.get("user-agent", "")[:200]), self._clock()
        store, links = self._app.store, self._app.links
        try:
            found = await run_in_threadpool(preferring.unsubscribe, store, links, token, proof, now)
        except InvalidToken:
            return cut_off(self._app, self._pages, "leaving")
        if one_click:
            return PlainTextResponse(self._pages.render("unsubscribed.txt"))
        if found and found.unsubscribed_at == now:  # by this very press, so it may be taken back
            return self._goodbye.page([found])
        return _gone(self._app, self._pages, found)

    def _button(self, token: str, status: int = 200) -> Response:
        try:
            found = preferring.look_up_unsubscribe(self._app.store, self._app.links, token)
        except InvalidToken:
            return cut_off(self._app, self._pages, "leaving")
        if found is None or found.state is SubscriptionState.UNSUBSCRIBED:
            return _gone(self._app, self._pages, found, status)
        facts: dict[str, Any] = {"title": title_of(self._app, found), "own_page": self._app.links.preferences(found.id)}
        facts["again"] = status == 400
        return self._pages.page("unsubscribe.html", status, code=found.language, **facts)


class Goodbye:
    """The page after leaving: undo, a pause, once a month; and one question."""

    def __init__(self, app: App, pages: Pages) -> None:
        self._app, self._pages = app, pages

    def page(self, left: list[Subscription], status: int = 200, *, token: str = "", thanked: bool = False) -> Response:
        """For those who have just left what is in `left`, at one moment. `token` is the page's, if it has one."""
        found = left[0]
        newsletter = self._app.newsletters.get(found.newsletter)
        assert found.unsubscribed_at is not None
        facts: dict[str, Any] = {
            "title": title_of(self._app, found) if len(left) == 1 else "",
            "is_everything": len(left) > 1,
            "token": token or self._app.links.timed(Purpose.RETURN, found.id, found.unsubscribed_at),
            "is_published": newsletter is not None,  # else there is nothing to come back to
            "is_monthly": newsletter is None or bool(newsletter.schedule.day_of_month),
            "weeks": WEEKS,
            "reasons": [each.value for each in Reason],
            "thanked": thanked,
        }
        return self._pages.page("goodbye.html", status, code=found.language, **facts)


class Returning:
    """What the goodbye page's buttons do; its token is good for a day, and for this one leaving."""

    def __init__(self, app: App, pages: Pages, clients: Clients, clock: Clock) -> None:
        self._app, self._pages, self._clients, self._clock = app, pages, clients, clock
        self._goodbye = Goodbye(app, pages)
        self._answered: dict[bytes, None] = {}  # hashes of tokens, the oldest first
        self._lock = threading.Lock()

    def show(self, token: str) -> Response:
        """The goodbye page once more, for who reloads it."""
        return self._again(token)

    async def act(self, token: str, request: Request) -> Response:
        """Undo, a pause, once a month, or an answer."""
        form = await read_form(request)
        try:
            reason = Reason(form["reason"]) if "reason" in form else None
        except ValueError:
            reason = Reason.OTHER
        if reason:
            return await run_in_threadpool(self._say_why, token, reason)
        weeks = next((each for each in WEEKS if form.get("pause") == str(each)), 0)
        if not (weeks or form.get("monthly") or form.get("undo")):
            return await run_in_threadpool(self._again, token, 400)
        proof = evidence_of(request, self._clients)
        return await run_in_threadpool(self._take_back, token, weeks, bool(form.get("monthly")), proof)

    def _again(self, token: str, status: int = 200, *, thanked: bool = False) -> Response:
        try:
            found = preferring.look_up_return(self._app.store, self._app.links, token, self._clock())
        except InvalidToken as error:
            return self._no_way_back(error)
        return self._page(token, found, status, thanked=thanked or _hash(token) in self._answered)

    def _say_why(self, token: str, reason: Reason) -> Response:
        now, store, links = self._clock(), self._app.store, self._app.links
        if self._is_first_answer(token):
            month = f"{now.astimezone(site_zone(self._app)):%Y-%m}"
            try:
                preferring.say_why(store, links, token, reason, month, now)
            except InvalidToken as error:
                self._answered.pop(_hash(token), None)
                return self._no_way_back(error)
        return self._again(token, thanked=True)

    def _is_first_answer(self, token: str) -> bool:
        with self._lock:
            if _hash(token) in self._answered:
                return False
            self._answered[_hash(token)] = None
            if len(self._answered) > _REMEMBERED:
                del self._answered[next(iter(self._answered))]
            return True

    def _take_back(self, token: str, weeks: int, monthly: bool, proof: Evidence) -> Response:
        now, store, links = self._clock(), self._app.store, self._app.links
        until = pause_end(now, weeks, site_zone(self._app)) if weeks else None
        instead = preferring.Instead(until, Rhythm.MONTHLY if monthly else None)
        try:
            found, is_done = preferring.take_back(store, links, token, instead, proof, now)
        except InvalidToken as error:
            return self._no_way_back(error)
        asked = "pause" if weeks else "monthly" if monthly else "undo"
        return self._page(token, found, asked=asked if is_done else "nothing more")

    def _no_way_back(self, error: InvalidToken) -> Response:
        link, status = ("returning", 410) if error.expired else ("page", 404)
        return cut_off(self._app, self._pages, link, status)

    def _page(
        self, token: str, found: Subscription | None, status: int = 200, *, thanked: bool = False, asked: str = ""
    ) -> Response:
        """`asked`: what this press did, or that one before it had done all it could; empty for who only looks."""
        if found is None:
            return _gone(self._app, self._pages, None)
        if found.state is SubscriptionState.UNSUBSCRIBED:
            return self._goodbye.page([found], status, token=token, thanked=thanked)
        return self._pages.page("returned.html", code=found.language, asked=asked, **self._facts(found))

    def _facts(self, found: Subscription) -> dict[str, Any]:
        now, newsletter = self._clock(), self._app.newsletters.get(found.newsletter)
        return {
            "title": title_of(self._app, found),
            "is_pending": found.state is SubscriptionState.PENDING,
            "is_monthly": found.rhythm is Rhythm.MONTHLY,
            "until": paused_until(found, now, self._app),
            "first": newsletter.schedule.next(now).astimezone(newsletter.zone) if newsletter else None,
            "own_page": self._app.links.preferences(found.id),
        }


def evidence_of(request: Request, clients: Clients) -> Evidence:
    """What is kept of who pressed a button on a reader's own pages."""
    agent = request.headers.get("user-agent", "")[:200]
    return Evidence(Way.PAGE, ip=shortened(clients.address(request)), user_agent=agent)


def paused_until(found: Subscription, now: datetime, app: App) -> datetime | None:
    """When a pause is over, on the site's clock; None when there is none."""
    if found.paused_until is None or found.paused_until <= now:
        return None
    return found.paused_until.astimezone(site_zone(app))


def site_zone(app: App) -> ZoneInfo:
    """Whose midnight a pause ends at."""
    return ZoneInfo(app.config.site.timezone)


def title_of(app: App, found: Subscription) -> str:
    """The newsletter's name, if it is still published."""
    return app.newsletters[found.newsletter].title if found.newsletter in app.newsletters else ""


def cut_off(app: App, pages: Pages, link: str, status: int = 404, code: str = "") -> Response:
    """A page for a link that does not work, with what to do instead: write to us, as a last resort."""
    senders = app.letters.senders
    return pages.page("cut_off.html", status, code=code, link=link, contact=senders.reply_to or senders.digest[1])


def _gone(app: App, pages: Pages, found: Subscription | None, status: int = 200) -> Response:
    title, code = (title_of(app, found), found.language) if found else ("", "")
    return pages.page("unsubscribed.html", status, code=code, title=title)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
