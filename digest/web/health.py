"""Is it alive, and can it work: for load balancers and watchdogs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from digest.app import App
from digest.errors import DigestError
from digest.store.migrate import check_schema


def router(app: App) -> APIRouter:
    """`/healthz` and `/readyz`."""
    routes = APIRouter(tags=["health"])

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", summary="The process answers")
    async def alive() -> Response:
        return JSONResponse({"status": "ok"})

    @routes.head("/readyz", include_in_schema=False)
    @routes.get("/readyz", summary="The database answers and has this program's schema")
    def ready() -> Response:
        try:
            check_schema(app.store)
        except DigestError as error:
            return JSONResponse({"status": "not ready", "reason": str(error)}, 503)
        return JSONResponse({"status": "ok"})

    return routes
