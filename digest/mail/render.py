"""A mail from its templates: words and pictures in, subject, html and text out, before any reader.

Rendering is Input -> Output: text is cleaned first, Jinja2 escapes it, premailer moves the styles inline in its
safe configuration, and the checks look at what came out. Nothing is fetched: no link, no @import, no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from digest.domain.editions import Pick
from digest.errors import RenderError
from digest.mail.checks import MAX_HTML, check_html, check_slots, check_template
from digest.mail.clean import clean_header, clean_text, clean_url, shorten
from digest.mail.languages import Language, known, language
from digest.mail.note import written
from digest.mail.slots import new_mark, slot
from digest.mail.stories import IMAGE_WIDTH, Story, ranked, story_of
from digest.mail.templating import Templates, templates_folder
from digest.mail.theme import Theme

SUBJECT_LIMIT = 110  # characters, of whatever a template says
SUBJECT_SHOWN = 60  # characters of a subject that a phone shows
EXCERPTS = (240, 140, 80, 0)  # characters; the next shorter one is taken while the html is too large
_PLAIN = Theme()


@dataclass(frozen=True, slots=True)
class DigestIssue:
    """What an edition is made of, in one language."""

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
    by_newest: bool = False  # its articles were not chosen by how often they were read
    is_weekly: bool = True
    layout: str = "images"  # or text
    show_views: bool = True
    note: str = ""  # the editor's, in Markdown
    editor: str = ""  # who signs it
    archives_url: str = ""  # of all editions


@dataclass(frozen=True, slots=True)
class Invitation:
    """What letters about a subscription say of the newsletter, in the words readers were shown."""

    newsletter_title: str
    site_name: str
    site_url: str
    postal_address: str
    promise: str
    consent: str
    valid_for: timedelta
    reminds: bool = False  # who has not confirmed is asked once more


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


class Renderer:
    """Renders every mail. Folders given first win, so a publisher can replace one template and keep the rest."""

    def __init__(self, folders: Sequence[Path] = (), theme: Theme = _PLAIN) -> None:
        self._folders = tuple(folders)
        self._theme = theme.values()
        self._templates: dict[str, Templates] = {}

    def digest(self, issue: DigestIssue) -> Rendered:
        """An edition. Excerpts shorten, then images go, then the list, until the html fits. Raises RenderError."""
        mark = new_mark()
        spoken = self.language(issue.language)
        subject = _subject(issue)
        facts = self._facts(issue, spoken)
        for excerpt, images, keep in _sizes(issue):
            stories = ranked([story_of(pick, excerpt, images, spoken) for pick in issue.picks[:keep]])
            preheader = _preheader(stories)
            context = {**facts, "stories": stories, "subject": subject, "preheader": preheader}
            rendered = self._render("digest", context, mark, {"unsubscribe": 1, "preferences": 1}, issue.language)
            if len(rendered.html.encode()) <= MAX_HTML:
                return replace(rendered, shortened=_left_out(issue, excerpt, images, keep))
        text = f"the html has {len(rendered.html.encode()):,} bytes even with one article and no excerpt, and"
        whose = "your templates are too long" if self._folders else "its title or the foot must be very long"
        raise RenderError("size", f"{text} {MAX_HTML:,} are the most: {whose}")

    def _facts(self, issue: DigestIssue, spoken: Language) -> dict[str, object]:
        note_html, note_text = written(issue.note, clean_url(issue.site_url), spoken.set)
        return {
            "title": clean_text(issue.newsletter_title),
            "site_name": clean_text(issue.site_name),
            "site_url": clean_url(issue.site_url),
            "number": issue.number,
            "date_line": spoken.day(issue.published_on),
            "archive_url": clean_url(issue.archive_url),
            "archives_url": clean_url(issue.archives_url),
            "sign_up_url": clean_url(issue.sign_up_url),
            "postal_address": clean_text(issue.postal_address),
            "image_width": IMAGE_WIDTH,
            "by_newest": issue.by_newest,
            "weekly": issue.is_weekly,
            "layout": issue.layout,
            "show_views": issue.show_views,
            "note_html": note_html,
            "note_text": note_text,
            "editor": clean_text(issue.editor),
        }

    def confirmation(self, invitation: Invitation, language: str, *, already: bool) -> Rendered:
        """Asks a reader to confirm; with `already` it says that there is nothing to do. Holds nothing they typed."""
        slots = {"unsubscribe": 1} if already else {"confirm": 1}
        return self._letter("confirmation", invitation, language, slots, already=already)

    def reminder(self, invitation: Invitation, language: str) -> Rendered:
        """Asks a reader who has not confirmed once more."""
        return self._letter("reminder", invitation, language, {"confirm": 1})

    def welcome(self, invitation: Invitation, language: str, first: datetime, latest_url: str) -> Rendered:
        """Greets a reader who has confirmed. `first` is when the next edition comes, local time."""
        spoken = self.language(language)
        more = {"first_day": f"{spoken.day(first)}, {spoken.hour(first)}", "latest_url": clean_url(latest_url)}
        return self._letter("welcome", invitation, language, {"unsubscribe": 1}, **more)

    def goodbye(self, invitation: Invitation, language: str, sign_up_url: str) -> Rendered:
        """Says that no further edition will come."""
        return self._letter("goodbye", invitation, language, {}, sign_up_url=clean_url(sign_up_url))

    def own_data(self, invitation: Invitation, language: str) -> Rendered:
        """Asks whether it was really they who asked what we know about them."""
        return self._letter("own-data", invitation, language, {"own_data": 1})

    def erasure(self, invitation: Invitation, language: str) -> Rendered:
        """Asks whether it was really they who asked to be forgotten."""
        return self._letter("erasure", invitation, language, {"erasure": 1})

    def _letter(
        self, mail: str, invitation: Invitation, language: str, slots: dict[str, int], **more: object
    ) -> Rendered:
        context = {
            "subject": "",
            "preheader": clean_text(invitation.promise, 100),
            "title": clean_header(invitation.newsletter_title),
            "site_name": clean_text(invitation.site_name),
            "site_url": clean_url(invitation.site_url),
            "postal_address": clean_text(invitation.postal_address),
            "promise": clean_text(invitation.promise),
            "consent": clean_text(invitation.consent),
            "days": max(1, invitation.valid_for.days),
            "reminds": invitation.reminds,
            **more,
        }
        return self._render(mail, context, new_mark(), {**slots, "preferences": 1}, language)

    def alert(self, subject: str, text: str) -> Rendered:
        """A plain mail to the desk."""
        return self._render("desk-alert", _desk_words(subject, text), new_mark(), {}, "en")

    def draft_ready(
        self, subject: str, text: str, title: str, picks: Sequence[Pick], preview_url: str = ""
    ) -> Rendered:
        """A draft waits for the desk: what it holds, and why."""
        shown = [
            {"position": p.position, "title": clean_text(p.article.title, 200), "url": clean_url(p.article.url),
             "reason": clean_text(p.reason)}
            for p in picks
        ]  # fmt: skip
        more = {"title": clean_text(title), "picks": shown, "preview_url": clean_url(preview_url)}
        return self._render("desk-draft", {**_desk_words(subject, text), **more}, new_mark(), {}, "en")

    def language(self, code: str) -> Language:
        """A language with the words of our catalogues."""
        return language(known(code), templates_folder() / "locale")

    def mistakes(self) -> Iterator[str]:
        """What cannot be read in a publisher's own templates, one line each, before any mail is made of them."""
        return self._templates_in("en").mistakes() if self._folders else iter(())

    def strays(self) -> Iterator[str]:
        """Which of a publisher's own files are no template that anything uses, one line each."""
        return self._templates_in("en").strays() if self._folders else iter(())

    def _templates_in(self, code: str) -> Templates:
        if code not in self._templates:
            self._templates[code] = Templates(self._folders, self.language(code), self._theme)
        return self._templates[code]

    def _render(self, mail: str, context: dict[str, object], mark: str, slots: dict[str, int], code: str) -> Rendered:
        context = {**context, **{f"{name}_link": slot(mark, name) for name in slots}}
        templates, spoken = self._templates_in(known(code)), self.language(code)
        # Here, not at the top: a process that sends what is frozen never gets here, and inlining takes memory.
        from digest.mail.inlining import inline

        subject = templates.text(f"{mail}/subject.txt", context)
        context["subject"] = subject = spoken.set_header(clean_header(subject, SUBJECT_LIMIT))
        place = templates.place_of(f"{mail}/body.html")
        html = spoken.set_html(templates.text(f"{mail}/body.html", context))
        check_template(html, place)
        inlined = inline(html)
        check_html(html, inlined, mark, slots, place)
        text = spoken.set(templates.text(f"{mail}/body.txt", context).strip()) + "\n"
        check_slots(text, mark, dict.fromkeys(slots, 1), templates.place_of(f"{mail}/body.txt"))
        return Rendered(subject, str(context["preheader"]), inlined, text, mark, spoken.code)


def _subject(issue: DigestIssue) -> str:
    """The lead story's title, and the newsletter's where both can be seen whole: its name is in From already."""
    lead = clean_header(issue.picks[0].article.title)
    newsletter = clean_header(issue.newsletter_title)
    whole = f"{lead} · {newsletter}" if lead else newsletter
    return whole if len(whole) <= SUBJECT_SHOWN else shorten(lead or newsletter, SUBJECT_SHOWN)


def _desk_words(subject: str, text: str) -> dict[str, object]:
    lines = [clean_text(line) for line in text.split("\n")]
    return {"subject": clean_header(subject), "preheader": "", "lines": lines}


def _sizes(issue: DigestIssue) -> list[tuple[int, bool, int]]:
    """(excerpt length, with images, how many articles): everything, then less and less."""
    count, images = len(issue.picks), issue.layout == "images"
    tails = [(EXCERPTS[-1], False, keep) for keep in range(count - 1, 0, -1)]
    return [*((length, images, count) for length in EXCERPTS), (EXCERPTS[-1], False, count), *tails]


def _left_out(issue: DigestIssue, excerpt: int, images: bool, keep: int) -> tuple[str, ...]:
    """What a rendering of this size leaves out, for the edition's record."""
    said = []
    if excerpt < EXCERPTS[0]:
        said.append(f"excerpts of at most {excerpt} characters" if excerpt else "no excerpts")
    if not images and issue.layout == "images":
        said.append("no pictures")
    if keep < len(issue.picks):
        said.append(f"only the first {keep} of {len(issue.picks)} articles")
    return tuple(said)


def _preheader(stories: Sequence[Story]) -> str:
    """The line a mailbox shows after the subject: the second and third story; of a single one, how it begins."""
    return shorten(" · ".join(story.title for story in stories[1:3]) or stories[0].excerpt, 100)
