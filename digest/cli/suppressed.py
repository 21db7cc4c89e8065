"""Who suppressed an address, and why, in an operator's words."""

from __future__ import annotations

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
