"""What the API is, on a page of our own: nothing of it is loaded from elsewhere, and it needs no script."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from digest.web.pages import Pages


def router(web: FastAPI, pages: Pages) -> APIRouter:
    """`/api/docs`, written from /api/openapi.json."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/api/docs", methods=["GET", "HEAD"])
    def show() -> Response:
        whole = web.openapi()
        operations = [
            _told(method, path, operation)
            for path, methods in whole["paths"].items()
            for method, operation in methods.items()
        ]
        return pages.page("api.html", code="en", operations=operations, version=whole["info"]["version"])

    return routes


def _told(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """One operation, as the page shows it."""
    bodies = operation.get("requestBody", {}).get("content", {})
    return {
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "needs_token": bool(operation.get("security")),
        "parameters": operation.get("parameters", []),
        "bodies": [(kind, _schema(each)) for kind, each in bodies.items()],
        "answers": [
            (status, each["description"], [(kind, _schema(one)) for kind, one in each.get("content", {}).items()])
            for status, each in operation["responses"].items()
        ],
    }


def _schema(content: dict[str, Any]) -> str:
    return json.dumps(content.get("schema", {}), indent=2, ensure_ascii=False)
