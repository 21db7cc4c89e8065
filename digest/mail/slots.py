"""Slots: the places in a rendering for one reader's own values."""

from __future__ import annotations

import re
import secrets

SLOTS = ("unsubscribe", "confirm", "preferences", "own_data", "erasure", "name")
OPTIONAL = frozenset({"name", "preferences"})  # a template may use them any number of times, or not at all


def new_mark() -> str:
    """A word no article can contain, so that no title can pretend to be a slot."""
    return secrets.token_hex(8)


def slot(mark: str, name: str) -> str:
    """The stand-in for a value: a URL, because inlining and link checks leave a URL alone."""
    assert name in SLOTS, name
    return f"https://slot.invalid/{mark}/{name}"


def pattern(mark: str) -> re.Pattern[str]:
    """Finds the slots of a rendering; group 1 is the name."""
    return re.compile(rf"https://slot\.invalid/{re.escape(mark)}/({'|'.join(SLOTS)})")
