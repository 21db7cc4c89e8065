"""The stage on which a reader's life is played: a service, a browser, a mail server, and what was taken from them."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from starlette.testclient import TestClient

from digest import publishing
from digest.app.mail import invitation
from digest.domain.articles import FoundArticle, Image
from digest.domain.editions import Edition, EditionState, Pick, Rendering
from digest.domain.newsletters import Newsletter
from digest.errors import TemplateMistake
from digest.mail.render import Rendered
from digest.mail.slots import SLOTS
from digest.mail.templating import templates_folder
from digest.mail.wire import Compiled, Heading, Reader
from digest.publishing import desk
from digest.store import articles, readership
from tests.checks.specimens import BASE, MOST, READER, Mail, Page, Specimens
from tests.checks.texts import HOSTILE, WORDS
from tests.servers.smtpd import Received, RecordingServer
from tests.service import SATURDAY, Service

WEEK = timedelta(days=7)
NOTE = "Good morning. **Thank you** for the letters about [the tram](https://news.example.com/tram).\n\n- one\n- two"


class Stage:
    """A service, a browser, a mail server, and what was taken from them."""

    def __init__(self, language: str, service: Service, smtpd: RecordingServer, client: TestClient) -> None:
        self.words, self.language = WORDS[language], language
        self.service, self.smtpd, self.client = service, smtpd, client
        self._first = service
        self.taken = Specimens()
        self._saturday = SATURDAY + WEEK  # the Service's own articles are of the week before
        service.clock.forward(WEEK)

    # --- the acts ---------------------------------------------------------------------------

    def arrive(self) -> None:
        """From the form to the confirmed reader, with the mistakes people make."""
        self.show("sign-up", "/")
        self.show("snippet", "/snippet")
        self.show("api", "/api/docs")
        self.post("sign-up-mistake", "/subscribe", email="anna@", newsletter="weekly")
        self.post("check-inbox", "/subscribe", email=READER, newsletter="weekly")
        self.mail("confirmation")
        link = self._link("confirm")
        self.show("confirm", link)
        self.post("confirmed", link, confirm="yes")
        self.mail("welcome")
        self._wait_a_week()  # nobody is asked twice in a minute
        self.post("check-inbox-again", "/subscribe", email=READER, newsletter="weekly")
        self.mail("already")
        self.show("expired", "/confirm/nonsense")
        self.show("not-found", "/nowhere")

    def choose(self) -> None:
        """The form and its code where there is more than one newsletter."""
        self.show("sign-up-choice", "/")
        self.show("snippet-choice", "/snippet")
        self.post("sign-up-choice-mistake", "/subscribe", email="anna@", newsletter="sport", page="yes")
        self.post("sign-up-once-more", "/subscribe", email=READER, newsletter="sport", page="yes")

    def read(self) -> None:
        """Editions: as usual, the longest, the shortest, and one for each hostile title."""
        self.edition("normal", self._articles(10))
        self.edition("maximal", self._longest())
        self.edition("minimal", [replace(self._articles(1)[0], image=None, author="", section="")])
        for name, title in HOSTILE.items():
            self.edition(f"hostile-{name}", self._articles(3), spoil=title)
        self.show("archive", "/archive")
        self.show("feed", "/archive/feed.xml")

    @contextmanager
    def managed_by(self, other: Service) -> Iterator[None]:
        """For a while the same service stands under another configuration."""
        before, self.service = self.service, other
        other.clock = before.clock
        try:
            yield
        finally:
            self.service = before
            other.close()

    def read_in_another_way(self, name: str) -> None:
        """An edition of a newsletter that is set up differently; the desk may have to approve it first."""
        found = self._articles(10)
        found[1] = replace(found[1], tags=("ad",))
        self._publish(found)
        draft = asyncio.run(self.service.app.publish_due(self.service.newsletter, self.service.clock()))
        assert draft is not None
        if draft.state is EditionState.DRAFTED:
            self.mail("desk-draft")
            self.show("preview", urlsplit(self.service.app.links.preview(draft.id)).path)
            self._show_trouble(urlsplit(self.service.app.links.preview(draft.id)).path)
            desk.approve(self.service.app.store, draft.id)
        self._send(name, draft, lambda edition: replace(edition, note=NOTE))

    def _show_trouble(self, path: str) -> None:
        """The preview of a mail whose template has a mistake."""
        desk.write_note(
            self.service.app.store, int(publishing.find(self.service.app.store, "latest").id), "Good morning."
        )
        templates = self._first.app.renderer._templates  # the pages are its
        kept = dict(templates)
        templates.clear()
        templates[self.language] = _Broken()  # type: ignore[assignment]
        self.show("preview-trouble", path)
        templates.clear()
        templates.update(kept)

    def leave(self) -> None:
        """One click on the page, all that may follow it, and in the end being forgotten."""
        link, own = self._link("unsubscribe"), self._link("preferences")
        self.show("unsubscribe", link)
        self.post("unsubscribe-mistake", link)
        for name in ("undo", "monthly", "pause"):
            self.post(f"goodbye-{name}", link, confirm="yes")
            self.post(f"returned-{name}", self._back(), **{name: "2"})
        self.show("preferences", own)
        self.post("preferences-saved", own, do="save", name="Anna")
        self.post("goodbye", link, confirm="yes")
        self.post("thanked", self._back(), reason="too many")
        self.show("unsubscribed", link)
        self.show("cut-off", "/unsubscribe/nonsense")
        for kind in ("own-data", "forget"):
            self.post(f"{kind}-asked", own, do=kind)
            self.mail(kind)
            self.show(f"{kind}-page", self._link(kind))
        self.post("forgotten", self._link("forget"), confirm="yes")
        self.show("forgotten-since", own)

    def _back(self) -> str:
        """Where the buttons of the goodbye page just shown lead."""
        found = re.search(r'action="(/return/[^"]+)"', self.taken.pages[-1].html)
        assert found
        return found[1]

    def tell_the_desk(self) -> None:
        """A trouble, in words that came from elsewhere."""
        text = "The server mx.example.com said:\n550 5.7.1 <b>no</b> & nothing else\n\nSee: digest edition show 3"
        self.service.app.tell_desk(0, "Sending is paused: the mail server refuses us", text, self.service.clock())
        self.mail("desk-alert")

    def write_the_rest(self, loaded: set[str]) -> None:
        """Mails that a renderer can make and no flow sends yet: each by the method of its name."""
        for folder in sorted(each for each in (templates_folder() / "email").iterdir() if each.is_dir()):
            make = getattr(self.service.app.renderer, folder.name.replace("-", "_"), None)
            if make is not None and f"{folder.name}/body.html" not in loaded:
                given = {name: self._facts[name] for name in inspect.signature(make).parameters}
                self._write(folder.name, make(**given))

    @property
    def _facts(self) -> dict[str, Any]:
        """What methods of the renderer may ask for, by the names they use."""
        app = self.service.app
        return {
            "invitation": invitation(app.config, "weekly", app.renderer, self.language),
            "language": self.language,
            "first": self._saturday,
            "latest_url": f"{BASE}/archive/1",
            "sign_up_url": f"{BASE}/",
        }

    def _write(self, name: str, rendered: Rendered) -> None:
        letters, recipient = self.service.app.letters, READER
        (person, sender), link = letters.senders.confirmation, f"{BASE}/unsubscribe/AAAAAAAAAAHo7n-xzNLk6gBv4Ml9dyw1"
        heading = Heading(person, sender, rendered.subject, rendered.language, reply_to=letters.senders.reply_to)
        values, one_click = dict.fromkeys(SLOTS, link), link if name == "welcome" else ""
        reader = Reader(recipient, f"<{name}@news.example.com>", self.service.clock(), values, one_click)
        content = Compiled(heading, rendered.text, rendered.html, rendered.mark).message(reader, letters.sign)
        self.taken.mails.append(Mail(f"{name}-{self.language}", self.language, content, sender, recipient))

    # --- the steps --------------------------------------------------------------------------

    def show(self, name: str, path: str) -> None:
        """A page by GET."""
        self._keep(name, self.client.get(path))

    def post(self, name: str, path: str, /, **form: str) -> None:
        """A page by POST."""
        self._keep(name, self.client.post(path, data=form))

    def mail(self, name: str) -> None:
        """Send what waits, and take what arrives; it may be nothing."""
        before = len(self.smtpd.received)
        self.service.deliver_all()
        for number, received in enumerate(self.smtpd.received[before:], 1):
            self._take(f"{name}-{number}" if number > 1 else name, received)

    def edition(self, name: str, found: list[FoundArticle], spoil: str | None = None) -> None:
        """A week with these articles, sent. `spoil` stands in the first right before the mail is laid out."""
        self._publish(found)
        app, newsletter = self.service.app, self.service.newsletter
        self._send(name, app.draft(newsletter, self._saturday, self.service.clock()), spoil=spoil)

    def _send(
        self, name: str, edition: Edition, change: Any = lambda edition: edition, spoil: str | None = None
    ) -> None:
        app, now = self.service.app, self.service.clock()

        def press(newsletter: Newsletter, edition: Edition, picks: Sequence[Pick], language: str) -> Rendering:
            spoilt = picks if spoil is None else _spoilt(picks, spoil)
            return app.press(newsletter, change(edition), spoilt, language)

        before = len(self.smtpd.received)
        edition = publishing.release(app.store, press, self.service.newsletter, edition.id, now)
        edition = self.service.deliver(edition)
        assert edition.state is EditionState.SENT, f"{name}: {edition.state}, {edition.reason}"
        for received in self.smtpd.received[before:]:
            self._take(f"digest-{name}", received)
        self.show(f"edition-{name}", f"/archive/{edition.id}")
        self._wait_a_week()

    def _wait_a_week(self) -> None:
        self._saturday += WEEK
        self.service.clock.forward(WEEK)

    def _publish(self, found: list[FoundArticle]) -> None:
        with self.service.app.store.begin() as tx:
            source = articles.source(tx, "site").id
            pages = articles.page_ids(tx, [each.url.removeprefix("https://") for each in found])
            by_page = {pages[each.url.removeprefix("https://")]: each for each in found}
            articles.save(tx, source, by_page, self._saturday)
            counts = {
                (page, self._saturday - timedelta(hours=20), timedelta(hours=1)): 23_480 // (place + 1)
                for place, page in enumerate(by_page)
            }
            readership.put_views(tx, source, counts)

    def _articles(self, count: int) -> list[FoundArticle]:
        published = self._saturday - timedelta(days=2)
        return [self._article(number, published) for number in range(count)]

    def _article(self, number: int, published: datetime) -> FoundArticle:
        section, title, summary = self.words.stories[number % len(self.words.stories)]
        slug = f"{self._saturday:%Y-%m-%d}/{number}"
        image = Image(f"https://news.example.com/pictures/{number}.png", self.words.alt, 1200, 630)
        again = f" ({number // len(self.words.stories) + 1})" if number >= len(self.words.stories) else ""
        return FoundArticle(
            f"https://news.example.com/{slug}",
            title + again,
            published,
            summary,
            image if number % 4 != 3 else None,
            section,
            self.words.author,
        )

    def _longest(self) -> list[FoundArticle]:
        def long(article: FoundArticle) -> FoundArticle:
            title = _at_least(article.title, 300)
            image = replace(article.image, alt=title) if article.image else None
            summary = _at_least(article.summary, 2000)
            return replace(article, title=title, summary=summary, image=image, section=_at_least(article.section, 90))

        return [long(each) for each in self._articles(MOST)]

    def _link(self, kind: str) -> str:
        text = Mail("", "", self.smtpd.received_by(READER)[-1].data).text
        found = re.search(rf"{re.escape(BASE)}(/{kind}/\S+)", text)
        assert found, text
        return found[1]

    def _take(self, name: str, received: Received) -> None:
        assert received.defects == (), f"{name}: {received.defects}"
        whole = Mail(
            f"{name}-{self.language}", self.language, received.data, received.mail_from, received.recipients[0]
        )
        self.taken.mails.append(whole)

    def _keep(self, name: str, answer: Any) -> None:
        if "text/html" not in answer.headers["content-type"]:
            return
        assets = {}
        for found in re.findall(r'<(?:link rel="stylesheet"|iframe)[^>]+(?:href|src)="([^"]+)"', answer.text):
            asset = self.client.get(unescape(found))
            assets[unescape(found)] = (asset.headers["content-type"], asset.text)
        page = Page(f"{name}-{self.language}", self.language, answer.text, dict(answer.headers), assets)
        self.taken.pages.append(page)


class _Broken:
    """Templates with a mistake in them."""

    def text(self, name: str, values: object) -> str:
        """No mail comes of it."""
        raise TemplateMistake("templates/digest/body.html", 12, "unexpected 'class'", "Close the {% … %} before it.")


def _spoilt(picks: Sequence[Pick], title: str) -> list[Pick]:
    """The first pick says the hostile thing wherever it can. No store takes some of them: they meet the press only."""
    article = picks[0].article
    image = replace(article.image, alt=title) if article.image else None
    bad = replace(article, title=title, summary=title, section=title, author=title, image=image)
    return [replace(picks[0], article=bad), *picks[1:]]


def _at_least(text: str, length: int) -> str:
    """The text again and again until it is that long."""
    return " ".join([text] * (length // (len(text) + 1) + 1))[:length].strip()
