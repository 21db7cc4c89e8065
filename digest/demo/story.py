"""The whole job once, on sample content: a Saturday from the first sign-up to the last copy, and one goodbye."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from digest import publishing
from digest.app import App, build
from digest.config import Config
from digest.demo.content import SITE_NAME, sample_articles
from digest.demo.inbox import create_inbox
from digest.demo.mailbox import Mailbox, ReceivedMail
from digest.demo.pictures import drawn
from digest.demo.running import Runner
from digest.demo.serving import address, listening, serving
from digest.demo.site import create_site
from digest.domain.editions import Edition, Pick
from digest.errors import DigestError
from digest.publishing import lateness
from digest.store import Store, deliveries, editions, readership, subscribers
from digest.store.migrate import migrate
from digest.web import create_web

WARSAW = ZoneInfo("Europe/Warsaw")
SATURDAY = datetime(2026, 11, 21, 8, tzinfo=WARSAW)
READERS = (
    "alicja",
    "bartek",
    "cezary",
    "danuta",
    "emil",
    "felicja",
    "grzegorz",
    "halina",
    "igor",
    "joanna",
    "kazik",
    "lena",
)
_FORM_ACTION = re.compile(r"<form[^>]*method=\"post\"[^>]*>", re.I)


@dataclass(frozen=True, slots=True)
class Told:
    """How the demonstration went."""

    folder: Path
    saturday: datetime
    edition: Edition
    picks: list[Pick]
    readers: int
    confirmed: int
    counts: dict[str, int]
    unsubscribed: int
    second_run_sent: int
    unmatched: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same for scripts."""
        return {
            "folder": str(self.folder),
            "saturday": self.saturday.isoformat(),
            "edition": self.edition.id,
            "state": self.edition.state,
            "subject": self.edition.subject,
            "readers": self.readers,
            "confirmed": self.confirmed,
            "sent": self.counts["sent"],
            "counts": self.counts,
            "unsubscribed": self.unsubscribed,
            "second_run_sent": self.second_run_sent,
            "picks": [
                {"title": p.article.title, "url": p.article.url, "views": p.views, "reason": p.reason}
                for p in self.picks
            ],
            "unmatched": self.unmatched,
        }


class Clock:
    """Shows the demo's Saturday, five seconds past eight, and runs on from there."""

    def __init__(self) -> None:
        self._ahead = SATURDAY + timedelta(seconds=5) - datetime.now(UTC)

    def __call__(self) -> datetime:
        """Now, as the demonstration has it, in UTC."""
        return (datetime.now(UTC) + self._ahead).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs while the story is told."""

    app: App
    clock: Clock
    mailbox: Mailbox
    runner: Runner
    site_url: str
    web_url: str
    inbox_url: str
    folder: Path


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Start the sample site, the mailbox, the inbox page and the service; stop them afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    with ExitStack() as stack:
        mailbox = stack.enter_context(Mailbox(folder / "inbox"))
        web_listener = listening()
        web_url = address(web_listener)
        site = create_site(SATURDAY, sign_up_url=f"{web_url}/subscribe")
        site_url = stack.enter_context(serving(site, listening()))
        sections = {each.slug: each.section for each in sample_articles(SATURDAY)}
        mailbox.keep_pictures(f"{site_url}/images/", lambda name: drawn(name, sections))
        config = Config.model_validate(_settings(folder, site_url, web_url, mailbox.port))
        store = Store(config.database_url)
        migrate(store)
        store.close()
        app = build(config)
        stack.callback(app.close)
        for newsletter in app.newsletters.values():  # as if it had run all week: so Saturday's edition is owed
            lateness.first_seen(app.store, newsletter, SATURDAY - timedelta(days=7))
        stack.enter_context(serving(create_web(app, clock), web_listener))
        inbox_url = stack.enter_context(serving(create_inbox(mailbox), listening()))
        yield Stage(app, clock, mailbox, Runner(app, clock), site_url, web_url, inbox_url, folder)


def tell(stage: Stage, say: Callable[[str], None]) -> Told:
    """Walk through it, saying what happens; raises DigestError when anything is not as it should be."""
    say(f"It is {SATURDAY:%A, %d %B %Y, %H:%M} in Warsaw. {SITE_NAME} is at {stage.site_url}")
    unmatched = _collect(stage, say)
    confirmed = _sign_up_and_confirm(stage, say)
    edition = _run_saturday(stage, say)
    unsubscribed = _leave_with_one_click(stage, edition, say)
    again = _run_saturday_again(stage, edition, say)
    with stage.app.store.read() as tx:
        picks = editions.picked(tx, edition.id)
        counts = deliveries.counts(tx, edition.id)
    edition = publishing.get(stage.app.store, edition.id)
    return Told(stage.folder, SATURDAY, edition, picks, len(READERS), confirmed, counts, unsubscribed, again, unmatched)


def _collect(stage: Stage, say: Callable[[str], None]) -> list[str]:
    results = stage.runner.collect()
    for each in results:
        if each.error:
            raise DigestError(each.error)
        say(f"Collected from {each.source}: {each.found} articles, {each.views:,} views")
    with stage.app.store.read() as tx:
        strangers = readership.unmatched(tx, stage.app.newsletters["weekly"].period(stage.clock()))
    return [each.page for each in strangers]


def _sign_up_and_confirm(stage: Stage, say: Callable[[str], None]) -> int:
    """Through the form, the mail and the button, as people do it; one reader never confirms."""
    with httpx.Client(base_url=stage.web_url, timeout=30) as browser:
        for name in READERS:
            reply = browser.post("/subscribe", data={"email": _reader(name), "newsletter": "weekly"})
            reply.raise_for_status()
        say(f"{len(READERS)} readers signed up on the site's form")
        stage.runner.deliver_due()
        for name in READERS[:-1]:
            _press_confirm(browser, stage.mailbox.wait_for(_reader(name)))
    with stage.app.store.read() as tx:
        confirmed = subscribers.counts(tx, "weekly")["confirmed"]
    say(f"{confirmed} of them opened the mail and confirmed; one is still thinking about it")
    return confirmed


def _press_confirm(browser: httpx.Client, mail: ReceivedMail) -> None:
    """Open the link of the mail, find the form on the page, send it."""
    found = re.search(r'href="([^"]+/confirm/[^"]+)"', mail.part("html"))
    if found is None:
        raise DigestError("the confirmation mail holds no link")
    link = unescape(found[1])
    page = browser.get(link)
    if page.status_code != 200 or not _FORM_ACTION.search(page.text):
        raise DigestError(f"the confirmation page answered {page.status_code}")
    browser.post(link, data={"confirm": "yes"}).raise_for_status()


def _run_saturday(stage: Stage, say: Callable[[str], None]) -> Edition:
    edition = stage.runner.publish("weekly")
    if edition is None:
        raise DigestError("Saturday made no edition")
    say(f"Drafted and frozen: “{edition.subject}”")
    stage.runner.deliver(edition.id)
    return edition


def _leave_with_one_click(stage: Stage, edition: Edition, say: Callable[[str], None]) -> int:
    """What a mailbox provider does when a reader presses its unsubscribe button (RFC 8058)."""
    leaver = _reader(READERS[0])
    mail = stage.mailbox.wait_for(leaver, count=2)
    link = str(mail.message["List-Unsubscribe"]).strip("<> ")
    before = _unsubscribed(stage)
    reply = httpx.post(link, data={"List-Unsubscribe": "One-Click"}, timeout=30)
    if reply.status_code != 200:
        raise DigestError(f"one-click unsubscribing answered {reply.status_code}")
    say(f"{leaver} left with one click")
    return _unsubscribed(stage) - before


def _run_saturday_again(stage: Stage, edition: Edition, say: Callable[[str], None]) -> int:
    """A restart, an impatient click: Saturday runs again and nobody gets a second copy."""
    before = len(stage.mailbox.received)
    stage.runner.publish("weekly")
    stage.runner.deliver(edition.id)
    stage.runner.deliver_due()
    again = len(stage.mailbox.received) - before
    say(f"Saturday was run a second time: {again} mails sent")
    return again


def _unsubscribed(stage: Stage) -> int:
    with stage.app.store.read() as tx:
        return subscribers.counts(tx, "weekly")["unsubscribed"]


def _reader(name: str) -> str:
    return f"{name}@readers.example"


def _settings(folder: Path, site_url: str, web_url: str, smtp_port: int) -> dict[str, Any]:
    return {
        "site": {
            "name": SITE_NAME,
            "url": site_url,
            "timezone": "Europe/Warsaw",
            "postal_address": "ul. Nadbrzeżna 7, 00-999 Warszawa",
        },
        "web": {"base_url": web_url, "secret": "the demonstration needs no secret of its own"},
        "database": {"url": "sqlite:///digest.db"},
        "smtp": {"host": "127.0.0.1", "port": smtp_port, "connections": 4},
        "mail": {
            "from": f"{SITE_NAME} <recap@vistula.example>",
            "confirmation_from": f"{SITE_NAME} <hello@vistula.example>",
            "bounce_address": "bounces@vistula.example",
        },
        "newsletters": {"weekly": {"title": "The Weekly Recap"}},
        "sources": [
            {"name": "feed", "kind": "feed", "url": f"{site_url}/feed.xml"},
            {"name": "log", "kind": "files", "views": f"{site_url}/views.csv"},
        ],
        "folder": folder.resolve(),
    }
