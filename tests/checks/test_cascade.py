"""Styles moved inline mean what the style sheet meant: css-inline agrees, and so does a browser.

premailer has its own idea of the cascade in places (EMAIL.md 5). Here everything it wrote for every mail is held
against another inliner, and what a browser computes before and after is the same, on a phone in the dark too.
"""

from __future__ import annotations

import re

import css_inline
import pytest
from lxml import html as lxml_html

from digest.mail.inlining import inline
from tests.checks.browser import SCHEMES, WIDTHS, Window
from tests.checks.specimens import Specimens

# Left as they are by both: rules for phones and dark mode.
_IGNORED = re.compile(r'<style data-premailer="ignore">')


def declared(html: str) -> list[tuple[str, dict[str, str]]]:
    """Each element of the body with its own declarations; of two for one property the later counts."""
    body = lxml_html.document_fromstring(html).find("body")
    assert body is not None
    # css-inline adds the tbody that html5 says is there.
    elements = [each for each in body.iter() if isinstance(each.tag, str) and each.tag != "tbody"]
    return [(each.tag, _declarations(each.get("style", ""))) for each in elements]


def _declarations(style: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for declaration in re.split(r";(?![^(]*\))", style):
        name, colon, value = declaration.partition(":")
        if colon:
            name = name.strip().lower()
            found.pop(name, None)
            found[name] = _written_alike(value)
    return found


def _written_alike(value: str) -> str:
    value = re.sub(r"\s+", " ", re.sub(r"\s*,\s*", ", ", value.strip())).replace('"', "'")
    value = re.sub(r"#([0-9a-f])\1([0-9a-f])\2([0-9a-f])\3\b", r"#\1\2\3", value.lower())
    return re.sub(r"(?<![\d.])0+(?=\.\d)", "", value)


def test_another_inliner_says_the_same(specimens: Specimens):
    inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
    for before, after in specimens.inlined.items():
        second = inliner.inline(_IGNORED.sub('<style data-css-inline="ignore">', before))
        ours, theirs = declared(after), declared(second)
        assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]] == []


COMPUTED = """() => [...document.body.querySelectorAll("*"), document.body].map(each => {
    const style = getComputedStyle(each);
    return each.tagName + " " + [...style].map(name => name + ":" + style.getPropertyValue(name)).join(";");
})"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_browser_computes_the_same_before_and_after(specimens: Specimens, browser: Window, scheme):
    for before, after in list(some_of_each(specimens).items()):
        for width in WIDTHS:
            browser.turn(width, scheme)
            computed = []
            for html in (before, after):
                browser.show(html)
                computed.append(browser.page.evaluate(COMPUTED))
            assert len(computed[0]) == len(computed[1])
            assert [pair for pair in zip(*computed, strict=True) if pair[0] != pair[1]] == []


def some_of_each(specimens: Specimens) -> dict[str, str]:
    """One mail for each set of classes that stand in a mail."""
    kinds: dict[frozenset[str], tuple[str, str]] = {}
    for before, after in specimens.inlined.items():
        kinds.setdefault(frozenset(re.findall(r'class="([^"]*)"', before)), (before, after))
    return dict(kinds.values())


def test_the_comparison_is_awake():
    # premailer lets an element's own style win over a rule that is important (EMAIL.md 5).
    rule = "<style>p.a { color: red !important }</style>"
    html = f'<!DOCTYPE html><html><head>{rule}</head><body><p class="a" style="color: blue">x</p></body></html>'
    assert declared(inline(html)) != declared(css_inline.inline(html))
