"""Signing up. The reply is the same whoever subscribes already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest.app import App
from digest.domain.cells import name_in
from digest.domain.newsletters import Newsletter
from digest.domain.subscribers import Evidence, Way
from digest.errors import InvalidAddress, RefusedDomain
from digest.web.clients import Clients, shortened
from digest.web.entering import HONEYPOT, Entering, OnceMore, Proofs, Typed
from digest.web.forms import read_form
from digest.web.pages import Pages


def router(app: App, pages: Pages, clients: Clients, entering: Entering) -> APIRouter:
    """`/`, `/subscribe` and `/snippet`."""
    routes = APIRouter(include_in_schema=False)
    form_page = _FormPage(app, pages, entering)
    only = next(iter(app.newsletters.values())) if len(app.newsletters) == 1 else None

    # At /subscribe too, where the form is sent to: who loads that page anew, or follows its address, finds the form.
    # Not by a redirect: none is needed, and a form must never be answered with one.
    @routes.api_route("/", methods=["GET", "HEAD"])
    @routes.api_route("/subscribe", methods=["GET", "HEAD"])
    def show_form(lang: str = "") -> Response:
        return form_page.show(pages.chosen(lang, only))

    @routes.api_route("/snippet", methods=["GET", "HEAD"])
    def show_snippet(lang: str = "") -> Response:
        code = pages.chosen(lang, only)
        offered = [pages.words(each, code) for each in app.newsletters.values()]
        snippets = [
            (each["title"], pages.render("snippet.html", code=code, newsletter=each, honeypot=HONEYPOT))
            for each in offered
        ]
        return pages.page("snippets.html", code=code, snippets=snippets)

    @routes.post("/subscribe")
    async def sign_up(request: Request) -> Response:
        form = await read_form(request)
        newsletter = newsletter_named(app, form.get("newsletter", ""))
        code = pages.chosen(form.get("language", ""), newsletter)
        try:
            await entering.take(_typed(app, pages, clients, newsletter, code, form, request))
        except InvalidAddress as error:
            return form_page.show(code, 422, form, error)
        except OnceMore:
            return form_page.show(code, 422, form)
        return pages.page("check_inbox.html", code=code, newsletter=pages.words(newsletter, code))

    return routes


class _FormPage:
    """The form, empty or with what was typed into it; `typed` without an `error` asks to press once more."""

    def __init__(self, app: App, pages: Pages, entering: Entering) -> None:
        self._app, self._pages, self._entering = app, pages, entering
        self._policy = _policy(app)

    def show(
        self, code: str, status: int = 200, typed: Mapping[str, str] | None = None, error: InvalidAddress | None = None
    ) -> Response:
        """The page in a language."""
        settings = self._app.config.subscribing
        facts: dict[str, Any] = {
            "newsletters": [self._pages.words(each, code) for each in self._app.newsletters.values()],
            "honeypot": HONEYPOT,
            "typed": typed or {},
            "error": error.reason if error else "",
            "is_refused": isinstance(error, RefusedDomain),
            "once_more": typed is not None and error is None,
            "stamp": self._entering.stamp(),
            "bits": settings.proof_of_work,
            "captcha": settings.captcha if settings.captcha.verify_url else None,
        }
        headers = {"Content-Security-Policy": self._policy} if self._policy else None
        return self._pages.page("signup.html", status, headers, code=code, **facts)


def _policy(app: App) -> str:
    """What the form's page may load where it needs a script; empty where it needs none."""
    settings = app.config.subscribing
    if not settings.proof_of_work and not settings.captcha.verify_url:
        return ""
    hosts = ["'self'"]
    if settings.captcha.verify_url:
        parts = urlsplit(settings.captcha.script)
        hosts += [f"{parts.scheme}://{parts.netloc}", *settings.captcha.hosts]
    allowed = " ".join(hosts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {allowed}; frame-src {allowed}; connect-src {allowed}; "
        "img-src 'self' https: data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def newsletter_named(app: App, name: str) -> Newsletter:
    """The newsletter of that name, or the first one. Raises HTTPException 404."""
    name = name or next(iter(app.newsletters))
    if name not in app.newsletters:
        raise HTTPException(404)
    return app.newsletters[name]


def _typed(
    app: App,
    pages: Pages,
    clients: Clients,
    newsletter: Newsletter,
    code: str,
    form: Mapping[str, str],
    request: Request,
) -> Typed:
    facts, is_ours = evidence(request, clients), bool(form.get("page"))
    if not facts["form"] and is_ours:  # our own pages tell nobody where a reader comes from, us neither
        facts["form"] = app.links.url("")
    email = form.get("email", "")
    wording = pages.words(newsletter, code)["consent"]
    proof = Evidence(Way.FORM, address_as_typed=email[:254], wording=wording, language=code, **facts)
    return Typed(
        email=email,
        newsletter=newsletter,
        language=code,
        name=one_line(form.get("name", "")),
        evidence=proof,
        network=clients.network(clients.address(request)),
        proofs=Proofs.of(form, app.config.subscribing.captcha.field, is_static=not is_ours),
        is_trap=bool(form.get(HONEYPOT)),
    )


def one_line(name: str) -> str:
    """A name as it is kept: anybody may type it, and the desk reads it on a terminal."""
    return name_in(name[:100])


def evidence(request: Request, clients: Clients) -> dict[str, Any]:
    """Where a request came from, as much as a proof needs: fields of Evidence."""
    origin = request.headers.get("origin", "null")  # "null" is what a page that sends no referrer sends
    return {
        "form": (request.headers.get("referer") or ("" if origin == "null" else origin))[:300],
        "ip": shortened(clients.address(request)),
        "user_agent": request.headers.get("user-agent", "")[:200],
    }
