"""Bounces written for people: those without a status part, and the words around one."""

from __future__ import annotations

from typing import NamedTuple

from digest.domain import bounce_words
from digest.domain.diagnosis import Diagnosis, diagnose, fold
from digest.domain.reports import ReportKind
from digest.mail.reports import tells
from digest.mail.reports.parts import Part, unencoded

_MAX_PROSE = 6_000  # characters before the returned message
_LONGEST_LINE = 1_000
_MOST_CODED = 6  # lines with a code that are looked at
_NOBODY = ("<>", "<#@[]>")  # the envelope sender of what no one is to answer; vacation notes have it too


class Bounce(NamedTuple):
    """What the words of a bounce come to, and the ones that say it. `quotes`: they are a server's, with its code."""

    diagnosis: Diagnosis
    words: str
    quotes: bool = False


def is_from_daemon(message: Part) -> bool:
    """Whether a mail server, not a person, seems to have written it."""
    sender = fold(" ".join(message.all(("from", "sender"))))
    return bool(tells.DAEMON.search(sender)) or not sender


def is_bounce(message: Part, text: str) -> bool:
    """Whether a message without a status part says that mail did not arrive.

    Two signs of three: who wrote it, what it is called, how it begins. Where no server seems to have written it, it
    must also say what was wrong.
    """
    if message.get("x-failed-recipients"):
        return True
    is_called = bool(tells.SUBJECT.search(fold(unencoded(message.get("subject")))))
    begins = bool(tells.LEAD.search(fold(text[:2_000])))
    if is_from_daemon(message) or message.parameter("report-type"):
        return is_called or begins
    answers = message.get("auto-submitted").lower().startswith("auto-replied")
    if message.get("return-path").strip() not in _NOBODY or answers:
        return is_called and begins and _names_a_fault(text)
    return (is_called or begins) and _names_a_fault(text)


def _names_a_fault(text: str) -> bool:
    """Whether a text without a server behind it says whose mailbox (parcels fail, too) and what is wrong with it."""
    if tells.CODED.search(text):
        return True
    is_full = bool(bounce_words.FULL.search(fold(text)))
    return "@" in text and (is_full or judge(text).diagnosis.kind is ReportKind.HARD)


def is_only_late(message: Part, text: str) -> bool:
    """Whether it says that a server goes on trying: no bounce yet."""
    lead = f"{fold(unencoded(message.get('subject')))} {fold(text[:2_000])}"
    if tells.SURELY_LATE.search(lead):
        return True
    return bool(tells.PERHAPS_LATE.search(lead)) and not tells.GIVEN_UP.search(lead)


def before_the_copy(parts: list[Part]) -> str:
    """What a report says in its own words, without quotations and without the message it returns."""
    texts = [part for part in parts if part.content_type.startswith("text/") and not part.returned]
    plain = [part.text for part in texts if part.content_type == "text/plain"]
    if not any(each.strip() for each in plain):
        plain = [part.text for part in texts]
    return "\n".join(_own_words(each) for each in plain)[:_MAX_PROSE]


def _own_words(text: str) -> str:
    lines: list[str] = []
    length = 0
    for line in text.lstrip().splitlines():
        line = line[:_LONGEST_LINE]
        length += len(line)
        if length > _MAX_PROSE or (lines and _begins_the_copy(line)):
            break
        if not tells.QUOTED.match(line):
            lines.append(line)
    return "\n".join(lines)


def _begins_the_copy(line: str) -> bool:
    return bool(tells.COPY_FIELD.match(line) or tells.COPY.match(fold(line[:200])))


def judge(text: str) -> Bounce:
    """What the text of a bounce says: the lines with a server's code in them first, then all of it."""
    lines = [line for line in text.splitlines() if not tells.EMPTY_WORDS.search(line)] or text.splitlines()
    coded = [place for place, line in enumerate(lines) if tells.CODED.search(line)][:_MOST_CODED]
    telling = " ".join(dict.fromkeys(line.strip() for place in coded for line in _around(lines, place)))
    status = ""
    if telling:
        diagnosis = diagnose("", telling)
        if diagnosis.told:
            return Bounce(diagnosis, telling, quotes=True)
        status = diagnosis.status
    whole = diagnose(status, "\n".join(lines))
    return Bounce(whole, telling or _telling_line(lines, whole) or text)


def _around(lines: list[str], place: int) -> list[str]:
    """A line with a code and the two after it, over which it may be folded; also the one that announces it."""
    announced = place > 0 and lines[place - 1].rstrip().endswith(":")
    return lines[place - announced : place + 3]


def _telling_line(lines: list[str], whole: Diagnosis) -> str:
    """The line that alone says the same as all."""
    if not whole.told:
        return ""
    return next((line for line in lines if diagnose("", line)[::2] == whole[::2]), "")
