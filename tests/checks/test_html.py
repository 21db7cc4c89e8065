"""Every mail's and page's html: valid, and made of what mail programs know.

A mail may use what only some programs know if the mail stands without it. Each such feature has a line that says why
it does no harm, and no line outlives its reason.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.checks.node import Finding, look
from tests.checks.specimens import Specimens

CLIENTS = ["gmail.*", "outlook.*", "apple-mail.*", "yahoo.*", "samsung-email.*", "protonmail.*"]

OF_MAILS = {
    "no-inline-style": "off",  # mail programs drop style sheets
    "no-deprecated-attr": "off",  # width, align and their kind are what Outlook for Windows reads
    "prefer-tbody": "off",  # layout tables have rows only
}

# Features that some of CLIENTS do not know, by caniemail's names, and why the mail stands all the same.
HARMLESS = {
    "<style> element": "inline styles alone make the mail; the style element adds phones and dark mode",
    "@media": "as above",
    "Type selector": "in the style element only",
    ":hover": "a hint for a mouse",
    "color-scheme CSS property": "without it a program darkens the colours as it likes",
    "color-scheme meta tag": "as above",
    "<body> element": "made a div by some; the same colours stand on the outer table",
    "display:none": "hides the preheader; where it is unknown, its size of 1 pixel and no height do",
    "opacity": "as above",
    "max-height property": "as above",
    "overflow": "as above",
    "border-radius": "corners are square then",
    "height property": "of gaps, which have a line height too",
    "text-decoration": "links keep their underline then",
    "word-break": "keeps a word longer than a line inside it; where it is unknown, such a word sticks out",
    "role attribute": "layout tables are read out as tables then",
}


def mails_of(specimens: Specimens) -> dict[str, str]:
    return {mail.name: mail.html for mail in specimens.mails}


def pages_of(specimens: Specimens, *, editions: bool) -> dict[str, str]:
    """The pages that show an edition, or the others."""
    return {page.name: page.html for page in specimens.pages if page.name.startswith("edition-") is editions}


def listed(findings: list[Finding]) -> str:
    return "\n".join(["", *map(str, findings[:60])])


def rules(**more: str) -> dict[str, object]:
    ours = {
        "require-sri": "off",  # the style sheet comes from our own server: a hash of it would protect nobody
        "long-title": "off",  # a title may be a whole headline
    }
    return {"root": True, "extends": ["html-validate:recommended"], "rules": {**ours, **more}}


def test_every_mail_is_valid_html(specimens):
    found = look("html-validate", mails_of(specimens), config=rules(**OF_MAILS))
    assert not found, listed(found)


def test_every_page_is_valid_html(specimens):
    found = look("html-validate", pages_of(specimens, editions=False), config=rules())
    # An edition in the archive is its mail with a little around it.
    found += look("html-validate", pages_of(specimens, editions=True), config=rules(**OF_MAILS))
    assert not found, listed(found)


@pytest.fixture(scope="module")
def unsupported(specimens) -> dict[str, list[Finding]]:
    """What each of two tools, with data of different years, finds some mail program not to know."""
    return {tool: look(tool, mails_of(specimens), clients=CLIENTS) for tool in ("caniemail", "doiuse-email")}


@pytest.mark.parametrize("tool", ["caniemail", "doiuse-email"])
def test_mail_programs_know_what_mails_are_made_of(unsupported, tool):
    found = defaultdict(set)
    for each in unsupported[tool]:
        if each.rule not in HARMLESS:
            found[each.rule].add((each.message, each.document))
    assert not found, "\n".join(f"{rule}: {sorted(where)[:12]}" for rule, where in found.items())


def test_no_exception_outlives_its_reason(unsupported):
    met = {each.rule for found in unsupported.values() for each in found}
    assert not set(HARMLESS) - met, f"no mail needs these any more: {sorted(set(HARMLESS) - met)}"


BROKEN = "<!doctype html><html><head><style>td { gap: 1px }</style></head><body><p align=x><form></body></html>"


def test_the_tools_are_awake():
    # Each would be worth nothing if it passed everything.
    assert {each.rule for each in look("html-validate", {"bad": BROKEN}, config=rules())} >= {"doctype-style"}
    for tool in ("caniemail", "doiuse-email"):
        assert "<form> element" in {each.rule for each in look(tool, {"bad": BROKEN}, clients=CLIENTS)}
