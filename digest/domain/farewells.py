"""Why readers leave: one question, a few answers, and nobody knows who gave which."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """What the goodbye page offers, in this order. There is no free text: it could name somebody."""

    TOO_MANY = "too many"  # mails, here or from everybody
    NOT_FOR_ME = "not for me"  # the stories
    ELSEWHERE = "elsewhere"  # reads them on the site, in an app, on paper
    NEVER_ASKED = "never asked"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Farewells:
    """How many readers of a newsletter gave one reason in one month, such as `2026-11`."""

    newsletter: str
    month: str
    reason: Reason
    readers: int
