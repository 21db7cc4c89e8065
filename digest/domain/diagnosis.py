"""What a server's words and codes say: of the mailbox, of now, or of us (RFC 3463).

Codes lie: a full mailbox comes with 5.1.1, a missing one with 5.7.1, everything with 5.0.0. So words go first, and of
words those that acquit the reader: a full mailbox or a quarrel with us is never taken for a mailbox that is gone.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from digest.domain import bounce_words
from digest.domain.reports import ReportKind, kind_of_status

MAX_CHARACTERS = 8_000  # of words that are looked at


class Diagnosis(NamedTuple):
    """The verdict, the code it was reached with, and whether words (not only the code) told it."""

    kind: ReportKind
    status: str
    told: bool


_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,2})\.(\d{1,3})(?!\.?\d)")
_REPLY = re.compile(r"(?<![\d.:/=-])([45])[0-5]\d(?=[\s:.;,#\])-])")
_VAGUE = re.compile(r"[245]\.(?:0\.0|1\.0|2\.0|3\.0|4\.0|5\.0|4\.7|0\.\d+)")
_ADDRESS = re.compile(r"<?[^\s<>@]{1,100}@[^\s<>@,;:]{1,255}>?")
_HOST = re.compile(r"(?<![\w.-])[\w-]{1,63}(?:\.[\w-]{1,63}){1,10}")
# AsyncOS says this of every refusal, with the server's own words behind it
_BOILERPLATE = re.compile(r"(?<=- )(?:unknown address error|other mail system problem)(?= \S)")
_SPACES = re.compile(r"\s+")


def diagnose(status: str, words: str) -> Diagnosis:
    """What `words` (a diagnostic, or the text of a bounce) with the status code beside them say of the reader."""
    raw = _BOILERPLATE.sub(" ", fold(words[:MAX_CHARACTERS].replace("...", " ")))
    status = best_status(status, raw)
    plain = _SPACES.sub(" ", _HOST.sub(" ", _ADDRESS.sub(" @ ", raw)).replace("_", " "))
    kind = _told(status, raw, plain)
    if kind is not None:
        return Diagnosis(kind, status, told=True)
    return Diagnosis(kind_of_status(status), status, told=False)


def _told(status: str, raw: str, plain: str) -> ReportKind | None:
    """The verdict of the words; None when they say nothing."""
    if bounce_words.OUR_LIMIT.search(plain):
        return ReportKind.POLICY
    if bounce_words.FULL.search(plain):
        return ReportKind.SOFT
    if bounce_words.ABOUT_US.search(plain) or bounce_words.LISTS.search(raw):
        return ReportKind.POLICY
    if _is_gone(raw, plain):
        is_for_now = bounce_words.FOR_NOW.search(plain) and kind_of_status(status) is not ReportKind.HARD
        return ReportKind.SOFT if is_for_now else ReportKind.HARD
    if bounce_words.REFUSED.search(plain):
        return ReportKind.POLICY
    if bounce_words.TROUBLE.search(plain):
        return ReportKind.SOFT
    if bounce_words.PERHAPS_GONE.search(plain) and status.startswith("5.") and not status.startswith("5.7."):
        return ReportKind.HARD
    return None


def _is_gone(raw: str, plain: str) -> bool:
    return any(
        each.search(text)
        for each, text in (
            (bounce_words.GONE, plain),
            (bounce_words.GONE_ABROAD, plain),
            (bounce_words.GONE_CODES, raw),
        )
    )


def best_status(status: str, words: str) -> str:
    """The most telling code among the Status field and the words; a plain reply code counts as x.0.0; "" for none."""
    found = ["{}.{}.{}".format(*match) for match in _ENHANCED.findall(words)]
    found += [each.group() for each in [_ENHANCED.search(status)] if each]
    found += [f"{digit}.0.0" for digit in _REPLY.findall(words)]
    return next((each for each in found if not _VAGUE.fullmatch(each)), found[0] if found else "")


def fold(text: str) -> str:
    """Text as the phrases are written: no case, no accents, plain apostrophes, single spaces."""
    return _SPACES.sub(" ", bounce_words.without_accents(text.casefold()))
