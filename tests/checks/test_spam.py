"""No mail of ours looks like spam to the filters mailboxes run."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.checks.spam_filters import Rspamd, Verdict, running_rspamd, spamassassin
from tests.checks.specimens import Mail

# A mail with one of these was made wrong, whatever its points.
NEVER = re.compile(r"MISSING_\w+|MIME_HTML_ONLY\w*|HTML_IMAGE_ONLY\w*|BROKEN_HEADERS|HEADER_\w+_DELIMITER|FORGED_\w+")
MOST_POINTS = 0.5  # of the five that make a mail spam for SpamAssassin

# Rules of SpamAssassin that say nothing against a mail. Its own scores take the first down to this for other languages.
WITHOUT = {"MIXED_ES": "any Ukrainian mail with links: it takes the Cyrillic е for a disguise of the Latin one"}

# Symbols of rspamd that cost points, and why they say nothing against a mail.
NOISE = {
    "DATE_IN_FUTURE": "the specimens' clock is set",
    "DATE_IN_PAST": "the specimens' clock is set",
    "R_MIXED_CHARSET": "any Polish subject: it takes ł and ż among Latin letters for a disguise",
    "MANY_INVISIBLE_PARTS": "the preheader",
    "URI_COUNT_ODD": "both parts have the same links, but an image and its headline share one",
}
# What hostile titles bring upon themselves.
OF_HOSTILE = {
    "MIME_HTML_ONLY": "a headline of markup makes the plain text look like html",
    "R_PARTS_DIFFER": "the same: tags are left out when the parts are compared",
}


@pytest.fixture(scope="module")
def of_spamassassin(specimens, tmp_path_factory) -> dict[str, Verdict]:
    folder = tmp_path_factory.mktemp("spamassassin")
    return spamassassin([*specimens.mails, bare(specimens.mails)], folder, WITHOUT)


@pytest.fixture(scope="module")
def rspamd():
    with running_rspamd() as server:
        yield server


def bare(mails: list[Mail]) -> Mail:
    """The first mail without the fields a mail must have: no filter that is awake lets it pass."""
    content = re.sub(rb"(?m)^(?:Date|Message-ID|To|Subject): [^\r]*\r\n", b"", mails[0].content)
    return replace(mails[0], name="bare", content=content)


def test_spamassassin_has_nothing_against_any_mail(of_spamassassin):
    judged = {name: verdict for name, verdict in of_spamassassin.items() if name != "bare"}
    found = [
        f"{name}: {verdict.score} points, {' '.join(verdict.symbols)}"
        for name, verdict in judged.items()
        if verdict.score > MOST_POINTS or any(NEVER.fullmatch(each) for each in verdict.symbols)
    ]
    assert not found, "\n".join(["", *found])


def test_spamassassin_is_awake(of_spamassassin):
    assert of_spamassassin["bare"].score > 3
    assert any(NEVER.fullmatch(each) for each in of_spamassassin["bare"].symbols)


def test_rspamd_finds_no_symbol_that_costs_points(specimens, rspamd: Rspamd):
    found = []
    for mail in specimens.mails:
        verdict = rspamd.judge(mail)
        excused = {**NOISE, **(OF_HOSTILE if "-hostile-" in mail.name else {})}
        bad = {
            name: points
            for name, points in verdict.symbols.items()
            if name not in excused and (points > 0 or NEVER.fullmatch(name))
        }
        if bad:
            found.append(f"{mail.name}: {bad}")
        assert "MIME_GOOD" in verdict.symbols, mail.name
        assert ("HAS_LIST_UNSUB" in verdict.symbols) == mail.is_left_with_one_click, mail.name
    assert not found, "\n".join(["", *found])


def test_rspamd_is_awake(specimens, rspamd: Rspamd):
    assert {"MISSING_DATE", "MISSING_MID", "MISSING_TO", "MISSING_SUBJECT"} <= set(
        rspamd.judge(bare(specimens.mails)).symbols
    )
