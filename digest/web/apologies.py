"""What is said when something goes wrong: a page to people, JSON to programs."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from digest.web.pages import Pages

_WORDS = {
    400: "it could not be read",
    404: "there is nothing here",
    405: "this address does not take that method",
    413: "it is too large",
    503: "the service is busy or its database does not answer; try again in a minute",
}


class Apologies:
    """Answers by the path that was asked for."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def answer(self, path: str, status: int, headers: dict[str, str] | None = None) -> Response:
        """The reply with that status, and with the headers that belong to it."""
        if path.removeprefix(self._pages.root).startswith("/api/"):
            return JSONResponse({"error": _WORDS.get(status, "the mistake is ours"), "where": ""}, status, headers)
        return self._pages.error(status, headers)
