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
from digest.web import archive, beacon, clicks, confirming, health, images, leaving, preview, progress, push, signup
from digest.web.clients import Clients
from digest.web.guards import Guards, log
from digest.web.pages import Pages


def create_web(app: App, clock: Clock) -> FastAPI:
    """The web application over a service. Links in pages come from the configuration, never from a request."""
    pages = Pages(app)
    tally, clicked = beacon.tally_of(app, clock), clicks.tally_of(app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with tally.flushing() if tally else nullcontext(), clicked.flushing() if clicked else nullcontext():
            yield

    web = FastAPI(
        title="Digest",
        version=__version__,
        docs_url="/api/docs",
        redoc_url=None,
        openapi_url="/api/openapi.json",
        root_path=pages.root,  # `base_url` may have a path, whether or not the proxy before us cuts it off
        redirect_slashes=False,  # a redirect would break one-click unsubscribing (RFC 8058 section 3.1)
        lifespan=lifespan,
    )
    clients = Clients(app.config.web.trusted_proxies, app.config.subscribing.sign_ups_per_hour)
    web.include_router(signup.router(app, pages, clients, clock))
    web.include_router(confirming.router(app, pages, clients, clock))
    web.include_router(leaving.router(app, pages, clock))
    web.include_router(archive.router(app, pages))
    web.include_router(clicks.router(app, clicked))
    web.include_router(images.router(images.images_of(app, clock), app.links))
    if tally:
        web.include_router(beacon.router())
    web.include_router(push.router(app, clock))
    web.include_router(progress.router(app, clock))
    web.include_router(preview.router(app, pages, clock))
    web.include_router(health.router(app))
    web.include_router(pages.router())
    web.add_middleware(Guards, apology=pages.error, own_limits=push.PATHS)
    if tally:
        web.add_middleware(beacon.Reports, tally=tally)  # the last one added is the first to be asked
    _answer_errors(web, pages)
    return web


def _answer_errors(web: FastAPI, pages: Pages) -> None:
    @web.exception_handler(HTTPException)
    async def _refused(_: Request, error: HTTPException) -> Response:
        return pages.error(error.status_code, dict(error.headers or {}))

    @web.exception_handler(StoreUnavailable)
    async def _unavailable(_: Request, error: StoreUnavailable) -> Response:
        log.error("%s", error)
        return pages.error(503, {"Retry-After": "60"})
