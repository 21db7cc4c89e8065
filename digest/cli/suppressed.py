"""Who suppressed an address, and why, in an operator's words."""

from __future__ import annotations

import typer

from digest.errors import UsageError

Reason = typer.Option(..., help="Why; kept in the log, and in the trail of the reader.")
_WHO = {
    "the operator": "operator",
    "the desk": "operator",  # bounces that were held, and let through by hand
    "the reader": "reader",
    "an import": "import",
    "mail server": "mail server",  # refused while we were sending
    "the guard": "Digest",  # too many of one provider at once
    "": "report",
}
_PHRASES = {
    "operator": "by the operator",
    "reader": "by the reader",
    "import": "by an import",
    "mail server": "by the mail server",
    "Digest": "by Digest itself",
    "report": "by a report",
}


def who(by: str) -> str:
    """`by` of a suppression for a column: what is no word of ours is the provider of a mailbox, which reported."""
    return _WHO.get(by, "provider's report")


def by_whom(by: str) -> str:
    """The same in a sentence."""
    return _PHRASES.get(who(by), f"by a report of {by}")


def why(kind: str, by: str, reason: str) -> str:
    """By whom, what kind of suppression it is, and the reason; nothing of it twice. It follows the word suppressed."""
    facts = [each for each in (kind if kind != who(by) else "", reason) if each]
    return ": ".join(filter(None, (by_whom(by), ", ".join(facts))))


def given(reason: str) -> str:
    """The reason, if it says something. Raises UsageError: whoever suppresses or lifts leaves a word for later."""
    if not reason.strip():
        raise UsageError("--reason is kept as proof; it cannot be empty")
    return reason.strip()
