"""DOOR: the public pages, the archive and the beacon. GET shows, POST acts; no cookie, no session, no script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from digest import __version__
from digest.app import App, Clock
from digest.errors import StoreUnavailable
from digest.mail.exchangers import TakesMail, takes_mail
from digest.web import (
    api_docs,
    archive,
    beacon,
    clicks,
    confirming,
    health,
    images,
    leaving,
    metrics,
    own_data,
    preferences,
    preview,
    progress,
    push,
    sign_up_api,
    signposts,
    signup,
    webhooks,
)
from digest.web.apologies import Apologies
from digest.web.clients import Clients
from digest.web.entering import Entering
from digest.web.guards import Guards, log
from digest.web.limiting import Limits
from digest.web.one_click import OneClick
from digest.web.pages import Pages


def create_web(app: App, clock: Clock, takes_mail: TakesMail = takes_mail) -> FastAPI:
    """The web application over a service. Links in pages come from the configuration, never from a request.

    `takes_mail` says whether a domain does.
    """
    pages = Pages(app)
    apologies = Apologies(pages)
    tally, clicked = beacon.tally_of(app, clock), clicks.tally_of(app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with tally.flushing() if tally else nullcontext(), clicked.flushing() if clicked else nullcontext():
            yield

    web = FastAPI(
        title="Digest",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,  # a redirect would break one-click unsubscribing (RFC 8058 section 3.1)
        lifespan=lifespan,
    )
    web.root_path = pages.root  # `base_url` may have a path, whether or not the proxy before us cuts it off
    _let_readers_in(web, app, pages, clock, takes_mail)
    web.include_router(archive.router(app, pages))
    web.include_router(clicks.router(app, clicked))
    web.include_router(images.router(images.images_of(app, clock), app.links))
    if tally:
        web.include_router(beacon.router())
    _let_programs_in(web, app, pages, clock)
    web.include_router(preview.router(app, pages, clock))
    web.include_router(pages.router())
    web.add_middleware(Guards, apology=apologies.answer, own_limits=push.PATHS | webhooks.PATHS)
    web.add_middleware(OneClick, service=app, clock=clock, answer=pages.render("unsubscribed.txt"))
    if tally:
        web.add_middleware(beacon.Reports, tally=tally)  # the last one added is the first to be asked
    _answer_errors(web, apologies)
    return web


def _let_readers_in(web: FastAPI, app: App, pages: Pages, clock: Clock, takes_mail: TakesMail) -> None:
    """Signing up, confirming, leaving, and what else a reader may wish."""
    clients = Clients(app.config.web.trusted_proxies)
    entering = Entering(app, clock, Limits(app.config.subscribing), takes_mail)
    web.include_router(signup.router(app, pages, clients, entering))
    web.include_router(sign_up_api.router(app, pages, clients, entering))
    web.include_router(confirming.router(app, pages, clients, clock))
    web.include_router(leaving.router(app, pages, clients, clock))
    web.include_router(preferences.router(app, pages, clients, entering.limits, clock))
    web.include_router(own_data.router(app, pages, clients, clock))


def _let_programs_in(web: FastAPI, app: App, pages: Pages, clock: Clock) -> None:
    """The API, and what providers, watchmen and crawlers ask."""
    web.include_router(push.router(app, clock))
    web.include_router(webhooks.router(app, clock))
    web.include_router(progress.router(app, clock))
    web.include_router(health.router(app))
    web.include_router(metrics.router(app, clock))
    web.include_router(api_docs.router(web, pages))
    web.include_router(signposts.router(app, pages.root))


def _answer_errors(web: FastAPI, apologies: Apologies) -> None:
    @web.exception_handler(HTTPException)
    async def _refused(request: Request, error: HTTPException) -> Response:
        return apologies.answer(request.scope["path"], error.status_code, dict(error.headers or {}))

    @web.exception_handler(StoreUnavailable)
    async def _unavailable(request: Request, error: StoreUnavailable) -> Response:
        log.error("%s", error)
        return apologies.answer(request.scope["path"], 503, {"Retry-After": "60"})
