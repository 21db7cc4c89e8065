"""Mail that looks like a report and is none: out-of-office notes, receipts, challenges, lists, and people's answers."""

from __future__ import annotations

from digest.domain.diagnosis import fold
from digest.mail.reports import tells
from digest.mail.reports.parts import Part, unencoded

_RECEIPTS = ("message/disposition-notification", "message/global-disposition-notification")
_NOT_OF_SERVERS = ("list-id", "list-post", "list-unsubscribe")  # no server writes these into its own reports
_AUTOMATIC = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-vacation")


def is_receipt(parts: list[Part]) -> bool:
    """A message disposition notification (RFC 8098): it was read, or deleted unread."""
    return parts[0].parameter("report-type").lower() == "disposition-notification" or any(
        part.content_type in _RECEIPTS and not part.returned for part in parts
    )


def is_challenge(message: Part, text: str) -> bool:
    """Somebody's gatekeeper wants the sender to prove something."""
    subject = unencoded(message.get("subject"))
    return bool(tells.CHALLENGE.search(fold(f"{message.get('from')} {subject} {text[:2_000]}")))


def says_so(message: Part, *, from_daemon: bool) -> bool:
    """Whether its fields or its subject give it away as an automatic answer, a list's mail, or an answer to something.

    A server may well send its report through a list, or under a subject that quotes ours, holidays and all.
    """
    subject = fold(unencoded(message.get("subject")))
    if any(message.get(name) for name in _AUTOMATIC):
        return True
    if from_daemon:
        return bool(tells.AWAY.search(subject)) and not tells.SUBJECT.search(subject)
    if tells.AWAY.search(subject) or tells.ANSWER.match(subject):
        return True
    return any(message.get(name) for name in _NOT_OF_SERVERS)
