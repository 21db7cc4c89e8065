"""A real Chromium that shows mails and pages, reaches nothing outside, and lets axe-core look at them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from digest.demo.pictures import picture
from tests.checks.node import Finding, axe_source
from tests.checks.specimens import BASE, Mail, Page
from tests.servers import require

WIDTHS = (360, 600)  # a phone, and the table of a mail at its full width
SCHEMES = ("light", "dark")
_PATH = "/what-is-shown"
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


class Window:
    """One tab. What it shows may ask for pictures of the site and for what came with the page; all else is refused."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.refused: list[str] = []
        self._shown: Page | None = None
        page.route("**/*", self._answer)

    def show(self, document: Mail | Page | str) -> None:
        """Load it. A page comes from its own address with its own headers."""
        self.refused.clear()
        if isinstance(document, Page):
            self._shown = document
            self.page.goto(f"{BASE}{_PATH}")
        else:
            self._shown = None
            self.page.set_content(document if isinstance(document, str) else document.html)

    def turn(self, width: int, scheme: str) -> None:
        """Make the window that wide, and the system's colours those."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme)

    def picture(self, path: Path) -> None:
        """Keep what is shown, from top to bottom."""
        self.page.screenshot(path=path, full_page=True, type="jpeg", quality=80)

    def axe(self, name: str, *without: str) -> list[Finding]:
        """What axe-core finds wrong with what is shown, colour contrast included, but for the rules `without`."""
        if not self.page.evaluate("typeof window.axe === 'object'"):
            self.page.evaluate(axe_source())
        options = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in without}}
        found = self.page.evaluate("options => window.axe.run(document, options)", options)
        return [
            Finding(name, each["id"], f"{each['impact']}: {each['help']}", _place(node))
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def _answer(self, route: Any) -> None:
        url = urlsplit(route.request.url)
        if self._shown is not None and url.path == _PATH:
            headers = {k: v for k, v in self._shown.headers.items() if k.lower() != "content-length"}
            route.fulfill(body=self._shown.html, headers=headers)
        elif route.request.resource_type == "image" and url.hostname == "news.example.com":
            route.fulfill(body=picture(url.path, "Cities"), content_type="image/png")
        elif (asset := self._asset(f"{url.path}?{url.query}".rstrip("?"))) is not None:
            route.fulfill(body=asset[1], content_type=asset[0])
        else:
            self.refused.append(route.request.url)
            route.abort()

    def _asset(self, path: str) -> tuple[str, str] | None:
        return self._shown.assets.get(path) if self._shown is not None else None


def _place(node: dict[str, Any]) -> str:
    why = node.get("failureSummary", "").splitlines()[-1:]
    return " ".join([*map(str, node["target"]), *(line.strip() for line in why)])


@contextmanager
def window() -> Iterator[Window]:
    """A Chromium with one tab, ended afterwards."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        require("chromium", "mails and pages are looked at in a real browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=ARGUMENTS)
        # Our pages allow no script; axe is one.
        yield Window(browser.new_context(bypass_csp=True).new_page())
        browser.close()
