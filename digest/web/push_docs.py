"""What the OpenAPI document at /api/docs says of the routes that take pushes."""

from __future__ import annotations

from typing import Any

from digest.sources.tables import Table

_TEXT = {"type": "string"}
_ROWS: dict[str, dict[str, Any]] = {
    "articles": {
        "url": _TEXT | {"description": "Web address, or a path of the site"},
        "title": _TEXT,
        "published_at": _TEXT | {"description": "ISO 8601; without an offset, in the site's time zone"},
        "summary": _TEXT,
        "image": {"description": "Address of a picture, or an object with url, alt, width, height"},
        "alt": _TEXT | {"description": "What the picture shows, for those who do not see it"},
        "section": _TEXT,
        "author": _TEXT,
        "tags": {"type": "array", "items": _TEXT},
        "shares": {"type": "integer", "minimum": 0},
    },
    "views": {
        "url": _TEXT | {"description": "Web address, or a path of the site"},
        "at": _TEXT | {"description": "The hour, with its offset (2026-11-27T18:00+01:00), or a day (2026-11-27)"},
        "views": {"type": "integer", "minimum": 0, "description": "How often it was read then, in all"},
    },
    "totals": {
        "url": _TEXT | {"description": "Web address, or a path of the site"},
        "total": {"type": "integer", "minimum": 0, "description": "How often it was ever read"},
    },
}
_ABOUT = {
    "articles": "Articles that are new or have changed. An article sent again takes over what changed; one that "
    "another source reported first only gets what is missing.",
    "views": "How often pages were read, by hour or by day. A count replaces what was said before of that page in that "
    "hour (or day), so the same body may be sent again. Rows of one page and hour in one body are added up: "
    "send all spellings of a page (/a, /a/amp, /a?utm_source=x) in one request, as the next one replaces their sum. "
    "`counts` says how many rows came, `views` what they add up to.",
    "totals": "Counters that only say how often pages were ever read. What one grew by since it was sent last is what "
    "was read in between, so send them often, best every hour, all in one request, and always a page under the same "
    "address. One that fell was reset. `counts` says how many rows came, `views` by how much they grew.",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Of your choice, another for each body",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
}
_REFUSALS = {
    400: "Not JSON, or a bad row: nothing was stored, and `where` names it",
    401: "The token is missing or wrong",
    404: "No source of kind push is configured",
    413: "Larger than the source's max_bytes",
    415: "Neither JSON nor NDJSON, or packed with something else than gzip",
    422: "The key came with another body before",
    503: "The database does not answer; send it again",
}
_STORED = {
    "articles": {"articles": {"type": "integer"}, "new": {"type": "integer"}},
    "views": {"counts": {"type": "integer"}, "views": {"type": "integer"}},
    "totals": {"counts": {"type": "integer"}, "views": {"type": "integer"}},
}


def described(table: Table) -> dict[str, Any]:
    """The keyword arguments of a route that takes rows of this table."""
    row = {"type": "object", "properties": _ROWS[table.name], "required": list(table.columns)}
    whole = {"type": "object", "properties": {table.name: {"type": "array", "items": row}}, "required": [table.name]}
    content = {"application/json": {"schema": whole}, "application/x-ndjson": {"schema": row}}
    stored = {"type": "object", "properties": _STORED[table.name]}
    answer = {"type": "object", "properties": {"stored": stored, "notes": {"type": "array", "items": _TEXT}}}
    refusal = {"type": "object", "properties": {"error": _TEXT, "where": _TEXT}}
    responses: dict[int, dict[str, Any]] = {
        200: {"description": "Stored, all of it", "content": {"application/json": {"schema": answer}}}
    }
    for status, words in _REFUSALS.items():
        responses[status] = {"description": words, "content": {"application/json": {"schema": refusal}}}
    return {
        "summary": f"Send {table.name}",
        "description": f"{_ABOUT[table.name]} All of a body is stored, or nothing. With an Idempotency-Key the same "
        "request again gets the first answer, for 30 days.",
        "responses": responses,
        "openapi_extra": {"parameters": [_KEY], "requestBody": {"required": True, "content": content}},
    }
