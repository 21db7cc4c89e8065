"""How far an edition is: as JSON, or as server-sent events for a page that stays open (WHATWG HTML, section 9.2).

Whoever has the link may look: it is signed for one edition, and shows numbers only.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from digest.app import App, Clock
from digest.delivering import accounting
from digest.domain.deliveries import Progress
from digest.domain.editions import EditionState
from digest.errors import InvalidToken, NotFound

_LOOK_EVERY = 1.0  # seconds
_LOOK_SHARE = 0.05  # of the time, at most: counting a million rows costs something
_MOST_WATCHERS = 20


def router(app: App, clock: Clock) -> APIRouter:
    """`/api/v1/progress/<token>`; `digest edition show` prints the link."""
    routes = APIRouter(tags=["editions"])
    watched: set[object] = set()  # the streams that are open

    def look(edition_id: int) -> Progress:
        return accounting.progress(app.store, edition_id, clock())

    @routes.get(
        "/api/v1/progress/{token}",
        summary="How far an edition is; with Accept: text/event-stream, again and again",
        responses={404: {"description": "No such edition, or not our token"}, 503: {"description": "Too many watch"}},
    )
    async def progress(request: Request, token: str) -> Response:
        try:
            edition_id = app.links.read_progress(token)
            first = await asyncio.to_thread(look, edition_id)
        except (InvalidToken, NotFound):
            raise HTTPException(404) from None
        if "text/event-stream" not in request.headers.get("accept", ""):
            return JSONResponse(json.loads(_json(first)))
        if len(watched) >= _MOST_WATCHERS:
            raise HTTPException(503, headers={"Retry-After": "60"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the latter for nginx
        events = _events(request, lambda: look(edition_id), watched)
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    return routes


async def _events(request: Request, look: Callable[[], Progress], watched: set[object]) -> AsyncIterator[str]:
    watched.add(request)
    try:
        while not await request.is_disconnected():
            began = time.monotonic()
            progress = await asyncio.to_thread(look)
            yield f"event: progress\ndata: {_json(progress)}\n\n"
            if progress.state not in (EditionState.SENDING, EditionState.PAUSED):
                yield "event: end\ndata: {}\n\n"
                return
            await asyncio.sleep(max(_LOOK_EVERY, (time.monotonic() - began) / _LOOK_SHARE))
    finally:
        watched.discard(request)


def _json(progress: Progress) -> str:
    return json.dumps(asdict(progress), default=_plain)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
