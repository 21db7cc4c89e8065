"""Replies that need not be sent twice: entity tags and dates of change (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.requests import Request
from starlette.responses import Response


def reply(
    request: Request, body: str | bytes, media_type: str, modified: datetime | None, headers: Mapping[str, str]
) -> Response:
    """The body, or 304 when the client has it. `modified` is aware UTC; None for what has no date."""
    content = body if isinstance(body, bytes) else body.encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    known = {"ETag": tag, **headers}
    if modified is not None:
        known["Last-Modified"] = format_datetime(modified.replace(microsecond=0), usegmt=True)
    if _has_it(request, tag, modified):
        return Response(status_code=304, headers=known)
    return Response(content, media_type=media_type, headers=known)


def _has_it(request: Request, tag: str, modified: datetime | None) -> bool:
    wanted = request.headers.get("if-none-match")
    if wanted is not None:  # then If-Modified-Since is not looked at
        return wanted.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in wanted.split(",")]
    since = request.headers.get("if-modified-since")
    if since is None or modified is None:
        return False
    try:
        return modified.replace(microsecond=0) <= parsedate_to_datetime(since)
    except (TypeError, ValueError):
        return False
