"""A look into the readers' mailbox: every message, and each as html, text and source."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from digest.demo.mailbox import Mailbox, ReceivedMail
from digest.demo.pages import render

# A mail is not ours: it gets no script, no form, and nothing of this page.
_MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; sandbox allow-popups"


def create_inbox(mailbox: Mailbox) -> Starlette:
    """The inbox as a web application."""

    async def show_all(_: Request) -> Response:
        rows = [
            {"number": each.number, "recipient": each.recipient, "subject": str(each.message["subject"] or "")}
            for each in reversed(mailbox.received)
        ]
        return HTMLResponse(render("inbox.html", mails=rows))

    async def show(request: Request) -> Response:
        mail = _find(mailbox, request)
        headers = [(name, str(value)) for name, value in mail.message.items()]
        return HTMLResponse(render("mail.html", mail=mail, subject=str(mail.message["subject"] or ""), headers=headers))

    async def html(request: Request) -> Response:
        return HTMLResponse(_find(mailbox, request).part("html"), headers={"Content-Security-Policy": _MAIL_POLICY})

    async def text(request: Request) -> Response:
        return PlainTextResponse(_find(mailbox, request).part("plain"))

    async def source(request: Request) -> Response:
        return PlainTextResponse(_find(mailbox, request).path.read_bytes())

    return Starlette(
        routes=[
            Route("/", show_all),
            Route("/{number:int}", show),
            Route("/{number:int}/html", html),
            Route("/{number:int}/text", text),
            Route("/{number:int}/source", source),
        ]
    )


def _find(mailbox: Mailbox, request: Request) -> ReceivedMail:
    received = mailbox.received
    number: int = request.path_params["number"]
    if not 1 <= number <= len(received):
        raise HTTPException(404)
    return received[number - 1]
