"""Every mail and page as people see it: in a real browser, on a phone and wide, light and dark; all kept as pictures.

axe-core looks at each in both schemes, colour contrast included. A browser sees all that it sees without one.
"""

from __future__ import annotations

import pytest

from tests.checks.browser import SCHEMES, WIDTHS, Window
from tests.checks.node import Finding
from tests.checks.texts import WORDS

# A mail is shown inside a program's own landmarks; it has none itself.
NOT_OF_MAILS = ("region", "landmark-one-main")


def too_wide(browser: Window, name: str, width: int) -> list[Finding]:
    """A line if one has to scroll sideways."""
    wide = browser.page.evaluate("document.documentElement.scrollWidth")
    return [Finding(name, "width", f"{wide} pixels in a window of {width}", "html")] if wide > width else []


def listed(findings: list[Finding]) -> str:
    return "\n".join(["", *map(str, findings[:40])])


@pytest.mark.parametrize("language", WORDS)
def test_every_mail_can_be_read_by_everybody(specimens, browser: Window, pictures, language):
    found: list[Finding] = []
    for mail in specimens.mails:
        if mail.language == language:
            browser.show(mail)
            assert not browser.refused, (mail.name, browser.refused)
            for scheme in SCHEMES:
                for width in WIDTHS:
                    browser.turn(width, scheme)
                    found += too_wide(browser, f"{mail.name} ({scheme})", width)
                    browser.picture(pictures / f"{mail.name}-{width}-{scheme}.jpg")
                found += browser.axe(f"{mail.name} ({scheme})", *NOT_OF_MAILS)
    assert not found, listed(found)


@pytest.mark.parametrize("language", WORDS)
def test_every_page_can_be_read_by_everybody(specimens, browser: Window, pictures, language):
    found: list[Finding] = []
    for page in specimens.pages:
        if page.language == language:
            browser.show(page)
            assert not browser.refused, (page.name, browser.refused)
            for scheme in SCHEMES:
                browser.turn(360, scheme)
                found += too_wide(browser, f"{page.name} ({scheme})", 360)
                if "-hostile-" not in page.name:  # those look like their mails
                    browser.picture(pictures / f"page-{page.name}-360-{scheme}.jpg")
                found += browser.axe(f"{page.name} ({scheme})")
    assert not found, listed(found)


BAD = '<!DOCTYPE html><html><body><img src="data:,"><p style="color: #999; background: #aaa">Hello</p></body></html>'


def test_axe_is_awake(browser: Window):
    browser.show(BAD)
    rules = {each.rule for each in browser.axe("bad")}
    assert {"color-contrast", "document-title", "html-has-lang", "image-alt"} <= rules
