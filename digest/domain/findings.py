"""What a look at an edition before it goes out can find: names a script may rely on, levels, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"  # the edition is not sent, unless the desk allows this finding by its name
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: its `name` is one of NAMES, `text` says what, `fix` what to do about it."""

    name: str
    level: Level
    text: str
    fix: str


NAMES = {
    "message": "the bytes on the wire break a rule of mail",
    "no-subject": "there is no subject",
    "subject-length": "mailboxes cut the subject",
    "shouting-subject": "the subject is all capitals",
    "exclamation-marks": "too many of them",
    "no-preheader": "there is no line after the subject",
    "preheader-length": "mailboxes cut the line after the subject",
    "html-size": "Gmail hides the end of a long mail",
    "image-alt": "a picture has no words for those who do not see it",
    "image-https": "a picture has no safe address",
    "image-gone": "a picture is not there",
    "image-unreachable": "a picture could not be looked at",
    "image-kind": "what stands at a picture's address is no picture",
    "image-size": "a picture is heavy",
    "only-images": "there are pictures and next to no words",
    "text-share": "there is much markup and little text",
    "shortener": "a link hides where it leads",
    "link-text": "a link shows another host than it leads to",
    "link-gone": "a page is not there",
    "link-unreachable": "a page could not be looked at",
    "not-looked-at": "there was no time to look at all links",
    "contrast-light": "text is hard to read in light mode",
    "contrast-dark": "text is hard to read in dark mode",
    "missing-address": "there is no postal address",
    "missing-unsubscribe": "there is no way to leave",
    "one-click": "mailboxes cannot unsubscribe by themselves",
    "from-site": "the mail comes from another domain than the site's",
    "from-dkim": "the mail is signed by another domain than it comes from",
    "from-bounce": "bounces go to another domain than the mail comes from",
    "no-dkim": "nobody seems to sign the mail",
    "not-plausible": "the counts cannot be right, so the list may be wrong",
    "shortened": "something was left out, so that mailboxes show the mail whole",
    "list-note": "what else was noted when the list was made",
}


def unknown(names: Iterable[str]) -> list[str]:
    """Of these, those that name no finding."""
    return [name for name in names if name not in NAMES]


def stoppers(findings: Iterable[Finding], allowed: Collection[str]) -> list[Finding]:
    """The errors that nobody has allowed."""
    return [each for each in findings if each.level is Level.ERROR and each.name not in allowed]


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, each once."""
    weight = list(Level)
    return sorted(dict.fromkeys(findings), key=lambda each: weight.index(each.level))


def lines(findings: Sequence[Finding]) -> str:
    """Findings as a mail to the desk lists them."""
    return "\n\n".join(f"- {each.name}: {each.text}\n  {each.fix}" for each in findings)
