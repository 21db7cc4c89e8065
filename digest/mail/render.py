"""A mail from its templates: words and pictures in, subject, html and text out, before any reader.

Rendering is Input -> Output: text is cleaned first, Jinja2 escapes it, premailer moves the styles inline in its
safe configuration, and the checks look at what came out. Nothing is fetched: no link, no @import, no file.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from digest.domain.editions import Pick
from digest.errors import RenderError
from digest.mail.checks import MAX_HTML, check_html, check_slots
from digest.mail.clean import clean_header, clean_text, clean_url, shorten
from digest.mail.slots import new_mark, slot

SUBJECT_LIMIT = 110
EXCERPTS = (240, 140, 80, 0)  # characters; the next shorter one is taken while the html is too large
IMAGE_WIDTH = 536  # pixels: the column inside the 600 px table


@dataclass(frozen=True, slots=True)
class DigestIssue:
    """What an edition is made of."""

    newsletter_title: str
    site_name: str
    site_url: str
    number: int
    published_on: date
    picks: tuple[Pick, ...]
    archive_url: str
    sign_up_url: str
    postal_address: str
    language: str
    promise: str
    by_newest: bool = False  # its articles were not chosen by how often they were read


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail before any reader; `mark` makes its slots its own. `shortened` says what was left out for size."""

    subject: str
    preheader: str
    html: str
    text: str
    mark: str
    language: str
    shortened: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """A pick as the template sees it: clean text, safe URLs."""

    position: int
    title: str
    url: str
    excerpt: str
    section: str
    author: str
    views: str
    image: str
    alt: str
    height: int | None
    block: str = ""  # the heading it stands under
    is_sponsored: bool = False
    is_read: bool = True


def templates_folder() -> Path:
    """Where the templates are: in the wheel beside the code, in a checkout at its root."""
    packaged = Path(str(files("digest"))) / "templates"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "templates"


class Renderer:
    """Renders every mail. Folders given first win, so a publisher can replace one template and keep the rest."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._environment = Environment(
            loader=FileSystemLoader([*folders, templates_folder() / "email"]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters["wrapped"] = _wrapped
        self._environment.filters["section_header"] = str.upper

    def digest(self, issue: DigestIssue) -> Rendered:
        """An edition. Excerpts shorten, then images go, then the list, until the html fits. Raises RenderError."""
        mark = new_mark()
        lead = clean_header(issue.picks[0].article.title, 70)
        subject = clean_header(f"{lead} · {issue.newsletter_title}", SUBJECT_LIMIT)
        shortened: list[str] = []
        for excerpt, images, keep in _sizes(len(issue.picks)):
            stories = [_story(pick, excerpt, images, issue.language) for pick in issue.picks[:keep]]
            context: dict[str, object] = {
                **_facts(issue),
                "stories": stories,
                "subject": subject,
                "preheader": _preheader(stories),
            }
            rendered = self._render("digest", context, mark, {"unsubscribe": 1}, issue.language)
            if len(rendered.html.encode()) <= MAX_HTML:
                return replace(rendered, shortened=tuple(shortened))
            shortened = [f"excerpts at most {excerpt} characters", f"images: {images}", f"articles: {keep}"]
        raise RenderError("size", f"one article alone makes more than {MAX_HTML:,} bytes of html")

    def confirmation(
        self,
        *,
        newsletter_title: str,
        site_name: str,
        site_url: str,
        language: str,
        postal_address: str,
        already: bool,
        promise: str,
        consent: str,
        valid_for_hours: int,
    ) -> Rendered:
        """Asks a reader to confirm; with `already` it says that there is nothing to do. Holds nothing they typed."""
        title = clean_header(newsletter_title)
        subject = f"You already get {title}" if already else f"Please confirm: {title}"
        context = {
            "subject": subject,
            "preheader": clean_text(promise, 100),
            "title": title,
            "site_name": clean_text(site_name),
            "site_url": clean_url(site_url),
            "postal_address": clean_text(postal_address),
            "already": already,
            "promise": clean_text(promise),
            "consent": clean_text(consent),
            "days": max(1, valid_for_hours // 24),
            "language": language,
        }
        slots = {"unsubscribe": 1} if already else {"confirm": 1}
        return self._render("confirmation", context, new_mark(), slots, language)

    def notice(self, subject: str, text: str) -> Rendered:
        """A plain mail to the desk."""
        lines = [clean_text(line) for line in text.split("\n")]
        context: dict[str, object] = {
            "subject": clean_header(subject),
            "preheader": "",
            "lines": lines,
            "language": "en",
        }
        return self._render("notice", context, new_mark(), {}, "en")

    def _render(
        self, mail: str, context: dict[str, object], mark: str, slots: dict[str, int], language: str
    ) -> Rendered:
        links = {f"{name}_link": slot(mark, name) for name in slots}
        context = {**context, **links}
        # Here, not at the top: a process that sends what is frozen never gets here, and inlining takes memory.
        from digest.mail.inlining import inline

        html = self._environment.get_template(f"{mail}/body.html").render(context)
        inlined = inline(html)
        check_html(html, inlined, mark, slots)
        text = self._environment.get_template(f"{mail}/body.txt").render(context).strip() + "\n"
        check_slots(text, mark, dict.fromkeys(slots, 1))
        subject = clean_header(self._environment.get_template(f"{mail}/subject.txt").render(context), SUBJECT_LIMIT)
        return Rendered(subject, str(context["preheader"]), inlined, text, mark, language)


def _sizes(count: int) -> list[tuple[int, bool, int]]:
    """(excerpt length, with images, how many articles): everything, then less and less."""
    tails = [(EXCERPTS[-1], False, keep) for keep in range(count - 1, 0, -1)]
    return [*((length, True, count) for length in EXCERPTS), (EXCERPTS[-1], False, count), *tails]


def _facts(issue: DigestIssue) -> dict[str, object]:
    from babel.dates import format_date

    return {
        "title": clean_text(issue.newsletter_title),
        "site_name": clean_text(issue.site_name),
        "site_url": clean_url(issue.site_url),
        "number": issue.number,
        "date_line": format_date(issue.published_on, format="full", locale=issue.language),
        "archive_url": clean_url(issue.archive_url),
        "sign_up_url": clean_url(issue.sign_up_url),
        "postal_address": clean_text(issue.postal_address),
        "promise": clean_text(issue.promise),
        "language": issue.language,
        "image_width": IMAGE_WIDTH,
        "by_newest": issue.by_newest,
    }


def _story(pick: Pick, excerpt: int, with_images: bool, language: str) -> Story:
    from babel.numbers import format_decimal

    article = pick.article
    image = article.image if with_images else None
    url = clean_url(image.url) if image else ""
    known = image and image.width and image.height
    return Story(
        position=pick.position,
        title=clean_text(article.title, 200) or "Untitled",
        url=clean_url(article.url),
        excerpt=clean_text(article.summary, excerpt) if excerpt else "",
        section=clean_text(article.section, 40),
        author=clean_text(article.author, 60),
        views=format_decimal(pick.views, locale=language),
        image=url,
        alt=clean_text(image.alt, 120) if image else "",
        height=round(IMAGE_WIDTH * image.height / image.width)
        if image and known and image.height and image.width
        else None,
        block="" if pick.is_sponsored else clean_text(pick.block, 60),
        is_sponsored=pick.is_sponsored,
        is_read=pick.views > 0,
    )


def _preheader(stories: Sequence[Story]) -> str:
    """The line a mailbox shows after the subject: the second and third story."""
    return shorten(" · ".join(story.title for story in stories[1:3]), 100)


def _wrapped(text: str, width: int = 72, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
