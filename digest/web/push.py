"""What the publisher's own system sends: `/api/v1/articles`, `/api/v1/views` and `/api/v1/totals`."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import io
import json
import logging
import zlib
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPBearer
from starlette.responses import JSONResponse, Response

from digest import collecting
from digest.app import App, Clock
from digest.collecting import Collected, KeyTaken, Parcel
from digest.config.sources import PushSource
from digest.domain.articles import Harvest
from digest.errors import SourceError, StoreUnavailable
from digest.sources.push import TABLES, read_push
from digest.sources.rows import RowReader
from digest.sources.tables import Table
from digest.web.push_docs import described

PATHS = frozenset(f"/api/v1/{name}" for name in TABLES)
_BY_LINES = {"application/json": False, "application/x-ndjson": True}
_PACKED = {"": False, "identity": False, "gzip": True, "x-gzip": True}
_LONGEST_KEY = 200
_MOST_NOTES = 100
log = logging.getLogger("digest.web")


class _Refused(Exception):
    """Answered with `status` and a JSON object that says what is wrong and where."""

    def __init__(self, status: int, error: str, where: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.reply = JSONResponse({"error": error, "where": where}, status, headers)


def router(app: App, clock: Clock) -> APIRouter:
    """A route for each kind of rows."""
    routes = APIRouter(tags=["push"], dependencies=[Depends(HTTPBearer(auto_error=False))])
    intake = _Intake(app, clock)

    def add(table: Table) -> None:
        @routes.post(f"/api/v1/{table.name}", name=f"push_{table.name}", **described(table))
        async def push(request: Request) -> Response:
            try:
                return _reply(await intake.take(request, table))
            except _Refused as refused:
                return refused.reply

    for table in TABLES.values():
        add(table)
    return routes


class _Intake:
    """Takes pushes in, one after the other: storing one locks its source anyway, and a large body takes memory."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._sections = [each for each in app.config.sources if isinstance(each, PushSource)]
        self._turn = asyncio.Semaphore(1)

    async def take(self, request: Request, table: Table) -> Mapping[str, Any]:
        """Store what a request brings, and give the answer. Raises _Refused."""
        section = self._sender(request)
        kind = _kind(request)
        is_packed = _is_packed(request)
        key = _key(request)
        body = await _body(request, section.max_bytes)
        async with self._turn:
            return await asyncio.to_thread(self._store, section, table, kind, is_packed, key, body)

    def _sender(self, request: Request) -> PushSource:
        """The source whose token came with the request."""
        if not self._sections:
            raise _Refused(404, "nothing can be sent here: no source is of kind push", "config.toml")
        scheme, _, said = request.headers.get("authorization", "").partition(" ")
        token = said.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
        # Every token is compared, and in constant time, so that the time tells nothing.
        known = [hmac.compare_digest(token, each.token.get_secret_value().encode()) for each in self._sections]
        if not any(known):
            headers = {"WWW-Authenticate": 'Bearer realm="Digest"'}
            raise _Refused(401, "the token is missing or wrong", "the Authorization header", headers)
        return self._sections[known.index(True)]

    def _store(
        self, section: PushSource, table: Table, kind: str, is_packed: bool, key: str, body: bytes
    ) -> Mapping[str, Any]:
        content = _unpacked(body, section.max_bytes) if is_packed else body
        now, config = self._clock(), self._app.config
        reader = RowReader(section.name, config.site.url, ZoneInfo(config.site.timezone))
        body_hash = hashlib.sha256(f"{table.name} {kind}\n".encode() + content).hexdigest()
        try:
            harvest = read_push(reader, table, content, by_lines=_BY_LINES[kind], now=now)
            parcel = Parcel(key, body_hash, now, lambda kept: _answer(table, harvest, kept))
            return collecting.push(self._app.store, section.name, harvest, config.pages, parcel)
        except SourceError as error:
            raise _Refused(400, ". ".join(filter(None, (error.reason, error.remedy))), error.place) from None
        except KeyTaken as error:
            raise _Refused(422, str(error), "the Idempotency-Key header") from None
        except StoreUnavailable as error:
            log.error("%s", error)
            raise _Refused(503, "the database does not answer; send it again", "", {"Retry-After": "60"}) from None


def _reply(answer: Mapping[str, Any]) -> Response:
    """The same bytes each time; PostgreSQL forgets the order of keys."""
    return Response(json.dumps(answer, sort_keys=True), media_type="application/json")


def _answer(table: Table, harvest: Harvest, kept: Collected) -> Mapping[str, Any]:
    stored = {"articles": kept.found, "new": kept.new}
    if table.name != "articles":
        stored = {"counts": len(harvest.views) + len(harvest.totals), "views": kept.views}
    notes = list(kept.notes[:_MOST_NOTES])
    if more := len(kept.notes) - len(notes):
        notes.append(f"and {more} more")
    return {"stored": stored, "notes": notes}


def _kind(request: Request) -> str:
    kind, _, rest = request.headers.get("content-type", "").lower().partition(";")
    charset = rest.replace(" ", "").replace('"', "")
    if kind.strip() not in _BY_LINES or charset not in ("", "charset=utf-8"):
        raise _Refused(415, f"send {' or '.join(_BY_LINES)}, in UTF-8", "the Content-Type header")
    return kind.strip()


def _is_packed(request: Request) -> bool:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in _PACKED:
        raise _Refused(415, "send it plain or with gzip", "the Content-Encoding header", {"Accept-Encoding": "gzip"})
    return _PACKED[encoding]


def _key(request: Request) -> str:
    """The request's key, "" without one."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return ""
    key = keys[0].strip()
    if len(keys) > 1 or not 1 <= len(key) <= _LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise _Refused(400, f"write one key of 1 to {_LONGEST_KEY} letters of ASCII", "the Idempotency-Key header")
    return key


async def _body(request: Request, max_bytes: int) -> bytes:
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
    return b"".join(parts)


def _unpacked(body: bytes, max_bytes: int) -> bytes:
    """No more of it than is allowed is ever unpacked."""
    try:
        with gzip.open(io.BytesIO(body)) as packed:
            content = packed.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _Refused(400, f"it is not gzip, or cut short: {error}", "the body") from None
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return content


def _too_large(max_bytes: int) -> _Refused:
    return _Refused(413, f"it is larger than {max_bytes:,} bytes: send it in parts, or raise max_bytes", "the body")
