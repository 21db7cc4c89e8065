"""A reader's journeys in a real Chromium: no script, keyboard only, phone and desk, three languages, light and dark.

Every page on the way is looked at by axe-core and kept as a picture.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from digest.demo.serving import address, listening, serving
from digest.web import create_web
from tests.checks.browser import SCHEMES, Window
from tests.checks.node import Finding, axe_source
from tests.checks.specimens import Page
from tests.servers import require
from tests.servers.smtpd import RecordingServer
from tests.service import Service
from tests.web import readers
from tests.web.test_browser import ARGUMENTS, READER, apart

STYLE = "/assets/pages.css"
WINDOWS = [("en", 390), ("en", 1280), ("pl", 390), ("pl", 1280), ("uk", 390), ("uk", 1280)]
MOST_TABS = 60  # more stops than any page has


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        require("Chromium", "apt-get install chromium")
    axe_source()  # before the browser: it may have to be installed
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def inspector(chromium) -> Window:
    """Where axe looks at what the reader sees; the reader's own browser runs no script."""
    return Window(chromium.new_context(bypass_csp=True).new_page())


@dataclass
class Journey:
    """One reader in a window of one width, and the service they visit."""

    page: Any
    inspector: Window
    service: Service
    smtpd: RecordingServer
    url: str
    language: str
    width: int
    folder: Path
    style: str
    found: list[Finding] = field(default_factory=list)
    looks: int = 0

    def open(self, url: str) -> None:
        """Go to an address."""
        self.page.goto(url)

    def look(self, name: str) -> None:
        """Keep the page, and let axe see it: on the phone in both schemes."""
        self.looks += 1
        name = f"{self.looks:02}-{name}-{self.language}-{self.width}"
        assert self.page.locator("h1").count() == 1, name
        assert self.page.locator("html").get_attribute("lang") == self.language, name
        html = self.page.content()
        headers = {"content-type": "text/html; charset=utf-8"}
        self.inspector.show(Page(name, self.language, html, headers, {STYLE: ("text/css", self.style)}))
        for scheme in SCHEMES if self.width < 600 else SCHEMES[:1]:  # colours do not depend on the width
            self.inspector.turn(self.width, scheme)
            wide = self.inspector.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= self.width, f"{name}: {wide} pixels wide"
            self.found += self.inspector.axe(f"{name} ({scheme})")
            self.page.emulate_media(color_scheme=scheme)
            self.page.screenshot(path=self.folder / f"{name}-{scheme}.png", full_page=True)
        self.page.emulate_media(color_scheme="light")

    def reach(self, selector: str) -> Any:
        """Tab to it, and see that one can see it has the focus."""
        target = self.page.locator(selector).first
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            if target.evaluate("each => each === document.activeElement"):
                break
        else:
            raise AssertionError(f"Tab does not reach {selector}")
        style, width = target.evaluate(
            "each => [getComputedStyle(each).outlineStyle, getComputedStyle(each).outlineWidth]"
        )
        assert style != "none" and float(width.removesuffix("px")) >= 2, f"the focus on {selector} cannot be seen"
        return target

    def press(self, selector: str) -> None:
        """Tab to a button or a link and press Enter."""
        self.reach(selector)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def say(self, selector: str, text: str) -> None:
        """Tab to a field, and type."""
        self.reach(selector)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def choose(self, selector: str, value: str) -> None:
        """Tab to a list, and go down it."""
        target = self.reach(selector)
        for _ in range(10):
            if target.input_value() == value:
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{selector} has no {value}")

    def link(self, kind: str) -> str:
        """The link of that kind in the last mail."""
        apart(self.service.deliver_all)
        text = self.smtpd.received_by(READER)[-1].parsed.get_body(("plain",)).get_content()
        found = re.search(rf"http://\S+/{kind}/\S+", text)
        assert found, text
        return found[0]

    def subject(self) -> str:
        """Of the last mail."""
        apart(self.service.deliver_all)
        return str(self.smtpd.received_by(READER)[-1].parsed["Subject"])

    def own(self, kind: str, newsletter: str = "weekly") -> str:
        """The unsubscribe or preferences link, as every digest has it."""
        found = readers.to(self.service, newsletter, READER)
        assert found
        return str(getattr(self.service.app.links, kind)(found.id))

    def state(self, newsletter: str = "weekly") -> str:
        """How the reader stands."""
        return readers.state(self.service, newsletter, READER)

    def settle(self) -> None:
        """Nothing was found by axe on the way."""
        assert not self.found, "\n".join(map(str, ["", *self.found[:30]]))


@pytest.fixture(params=WINDOWS, ids=lambda each: f"{each[0]}-{each[1]}")
def journey(request, chromium, inspector, tmp_path) -> Iterator[Journey]:
    language, width = request.param
    folder = (
        Path(os.environ.get("ARTIFACTS", "artifacts")) / "journeys" / request.node.originalname.removeprefix("test_")
    )
    folder.mkdir(parents=True, exist_ok=True)
    with RecordingServer() as smtpd:
        listener = listening()
        site = {
            "name": "The Vistula Post",
            "url": "https://news.example.com",
            "timezone": "Europe/Warsaw",
            "postal_address": "ul. Prosta 1, Warszawa",
            "language": language,
            "languages": ["en", "pl", "uk"],
        }
        more = {
            "web": {"base_url": address(listener), "secret": "a secret of at least thirty-two characters"},
            "site": site,
            "newsletters": {**readers.TWO["newsletters"]},
        }
        more["newsletters"]["weekly"] = {"title": "The Weekly Recap", "welcome": True}
        service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, **more)
        with serving(create_web(service.app, service.clock), listener) as url:
            context = chromium.new_context(viewport={"width": width, "height": 844}, java_script_enabled=False)
            style = context.request.get(url + STYLE).text()
            yield Journey(context.new_page(), inspector, service, smtpd, url, language, width, folder, style)
            context.close()
        service.close()


def subscribed(journey: Journey, *newsletters: str) -> None:
    for each in newsletters or ("weekly",):
        readers.add(journey.service, READER, each, name="Ala", language=journey.language)


def test_from_the_form_to_the_welcome(journey):
    journey.open(journey.url)
    journey.look("sign-up")
    journey.say("#email", READER)
    journey.press("main form button")
    journey.look("check-inbox")
    journey.open(journey.link("confirm"))
    journey.look("confirm")
    assert journey.state() == "pending"
    journey.press("main form button")
    journey.look("confirmed")
    assert journey.state() == "confirmed"
    journey.open(journey.link("preferences"))  # of the welcome mail
    journey.look("own-page")
    journey.settle()


def test_leave_say_why_and_undo(journey):
    subscribed(journey)
    journey.open(journey.own("unsubscribe"))
    journey.look("unsubscribe")
    journey.press("button[name=confirm]")
    journey.look("goodbye")
    assert journey.state() == "unsubscribed"
    journey.press("button[name=reason][value='too many']")
    journey.look("thanked")
    journey.press("button[name=undo]")
    journey.look("back")
    assert journey.state() == "confirmed"
    journey.open(journey.own("unsubscribe"))
    journey.press("a[href*='/preferences/']")
    assert "/preferences/" in journey.page.url
    journey.settle()


def test_a_pause_or_once_a_month_instead(journey):
    subscribed(journey)
    journey.open(journey.own("unsubscribe"))
    journey.press("button[name=confirm]")
    journey.press("button[name=monthly]")
    journey.look("monthly")
    assert readers.to(journey.service, address=READER).rhythm == "monthly"
    journey.open(journey.own("unsubscribe"))
    journey.press("button[name=confirm]")
    journey.press("button[name=pause][value='4']")
    journey.look("paused")
    assert readers.to(journey.service, address=READER).paused_until
    journey.open(journey.own("unsubscribe"))
    journey.press("button[name=confirm]")
    journey.open(journey.own("unsubscribe"))
    journey.look("gone-before")
    journey.settle()


def test_the_own_page(journey):
    subscribed(journey)
    other = "pl" if journey.language != "pl" else "en"
    journey.open(journey.own("preferences"))
    journey.look("own-page")
    journey.reach("input[name=get-sport]")
    journey.page.keyboard.press("Space")
    journey.choose("#pause", "8")
    journey.say("#name", "Zofia")
    journey.press("button[value=save]")
    journey.look("saved")
    found = readers.to(journey.service, address=READER)
    assert (found.name, bool(found.paused_until), journey.state("sport")) == ("Zofia", True, "pending")
    journey.choose("#rhythm-weekly", "monthly")
    journey.press("button[value=save]")
    journey.look("monthly")
    assert readers.to(journey.service, address=READER).rhythm == "monthly"
    journey.open(journey.link("confirm"))
    journey.press("main form button")
    assert journey.state("sport") == "confirmed"
    journey.open(journey.own("preferences"))
    journey.look("both")
    journey.press("button[value=leave]")
    journey.look("left-everything")
    assert (journey.state(), journey.state("sport")) == ("unsubscribed", "unsubscribed")
    journey.open(journey.own("preferences"))
    journey.look("nothing-ticked")
    journey.page.select_option("#language", other)
    journey.press("button[value=save]")
    assert readers.to(journey.service, address=READER).language == other
    journey.settle()


def test_what_is_known_and_being_forgotten(journey):
    subscribed(journey)
    journey.open(journey.own("preferences"))
    journey.press("button[value=own-data]")
    journey.look("asked")
    journey.open(journey.link("own-data"))
    journey.look("own-data")
    journey.reach("main form button")
    with journey.page.expect_download() as download:
        journey.page.keyboard.press("Enter")
    assert download.value.suggested_filename == "my-data.json"
    assert json.loads(Path(download.value.path()).read_text())["address"] == READER
    own = journey.own("preferences")
    journey.open(own)
    journey.press("button[value=forget]")
    link = journey.link("forget")
    journey.open(link)
    journey.look("forget")
    assert journey.state() == "confirmed"
    journey.press("button[name=confirm]")
    journey.look("forgotten")
    assert journey.state() == ""
    journey.settle()
    for name, url in (("forgotten-twice", link), ("stranger", own), ("cut", own[:-3])):
        journey.open(url)  # in the site's language: there is nobody to ask for theirs
        journey.look(name)
    journey.settle()
