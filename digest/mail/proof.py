"""Every mail made once of sample words: a publisher's own templates are tried before a reader depends on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from digest.domain.articles import Article, Image
from digest.domain.editions import Pick
from digest.mail.render import DigestIssue, Invitation, Renderer

_AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
_SITE = "https://news.example.com"
_SAID = Invitation("A newsletter", "A site", _SITE, "1 Street", "Every week.", "I want it.", timedelta(hours=72))


def prove(renderer: Renderer, languages: Iterable[str]) -> None:
    """Make each mail in each language, and the editions in each layout. Raises RenderError; takes about a second."""
    for code in languages:
        for layout in ("images", "text"):
            renderer.digest(_issue(code, layout))
            renderer.digest(replace(_issue(code, layout), picks=(_pick(1, image=None, summary=""),), note=""))
        for already in (False, True):
            renderer.confirmation(_SAID, code, already=already)
        renderer.reminder(_SAID, code)
        renderer.welcome(_SAID, code, _AT, f"{_SITE}/archive/1")
        renderer.goodbye(_SAID, code, f"{_SITE}/")
    renderer.alert("A subject", "A line.\n\nAnother one.")
    renderer.draft_ready("A subject", "A line.", "A newsletter", [_pick(1)], f"{_SITE}/desk/preview/1")


def _issue(code: str, layout: str) -> DigestIssue:
    picks = (_pick(1), _pick(2, image=None), _pick(3, summary=""), replace(_pick(4), is_sponsored=True))
    return DigestIssue(
        newsletter_title="A newsletter",
        site_name="A site",
        site_url=_SITE,
        number=1,
        published_on=_AT.date(),
        picks=picks,
        archive_url=f"{_SITE}/archive/1",
        sign_up_url=f"{_SITE}/",
        postal_address="1 Street",
        language=code,
        layout=layout,
        note="A *word* of the editor.",
        editor="The editor",
        archives_url=f"{_SITE}/archive",
    )


def _pick(position: int, summary: str = "What happened.", image: Image | None = None) -> Pick:
    image = image or (Image(f"{_SITE}/a.jpg", "A river", 1200, 630) if position == 1 and summary else None)
    article = Article(
        id=position,
        url=f"{_SITE}/{position}",
        title=f"Story {position}",
        published_at=_AT,
        first_seen_at=_AT,
        summary=summary,
        image=image,
        section="Cities",
        author="A. Author",
        words=800,
    )
    return Pick(position, article, 100 - position, "most read", block="A block" if position == 3 else "")
