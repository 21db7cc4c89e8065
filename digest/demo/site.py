"""The sample news site as a web application: a front page, articles, pictures, a feed and a view log."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import datetime
from email.utils import format_datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from digest.demo.content import SITE_NAME, SampleArticle, sample_articles, views_log
from digest.demo.pages import render
from digest.demo.pictures import HEIGHT, WIDTH, picture


def create_site(saturday: datetime, *, sign_up_url: str = "") -> Starlette:
    """The site as it stands on that Saturday. `sign_up_url` is where its sign-up form posts to."""
    articles = sample_articles(saturday)
    by_path = {each.path: each for each in articles}
    by_slug = {each.slug: each for each in articles}

    async def front(_: Request) -> Response:
        return HTMLResponse(render("front.html", site=SITE_NAME, articles=articles, sign_up_url=sign_up_url))

    async def article(request: Request) -> Response:
        found = by_path.get(request.url.path.rstrip("/") + "/")
        if found is None:
            raise HTTPException(404)
        return HTMLResponse(render("article.html", site=SITE_NAME, article=found, sign_up_url=sign_up_url))

    async def image(request: Request) -> Response:
        found = by_slug.get(request.path_params["slug"])
        if found is None:
            raise HTTPException(404)
        return Response(picture(found.slug, found.section), media_type="image/png")

    async def feed(request: Request) -> Response:
        return _conditional(request, _feed(articles, _base(request)), "application/atom+xml; charset=utf-8", saturday)

    async def views(request: Request) -> Response:
        return _conditional(request, _views_csv(saturday, _base(request)), "text/csv; charset=utf-8", saturday)

    return Starlette(
        routes=[
            Route("/", front),
            Route("/feed.xml", feed),
            Route("/views.csv", views),
            Route("/images/{slug}.png", image),
            Route("/{year:int}/{month}/{slug}/", article),
        ]
    )


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _conditional(request: Request, content: str, media_type: str, modified: datetime) -> Response:
    """The content, or 304 when the reader of the feed has it already (RFC 9110 section 13)."""
    tag = f'"{hashlib.sha256(content.encode()).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Last-Modified": format_datetime(modified.astimezone(), usegmt=False)}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def _feed(articles: list[SampleArticle], base: str) -> str:
    # XML 1.0 forbids most control characters; the sample titles hold only those it allows.
    return render("feed.xml", site=SITE_NAME, base=base, articles=articles, width=WIDTH, height=HEIGHT)


def _views_csv(saturday: datetime, base: str) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(("url", "at", "views"))
    writer.writerows((url, at.isoformat(), views) for url, at, views in views_log(saturday, base))
    return lines.getvalue()
