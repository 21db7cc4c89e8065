"""Delivery status notifications (RFC 3464, and RFC 6533 for addresses beyond ASCII), field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from digest.mail.reports.parts import Part

_KINDS = ("message/delivery-status", "message/global-delivery-status", "message/x-delivery-status")
_FIELD = re.compile(r"^([A-Za-z][\w-]{1,40})[ \t]*:[ \t]*(.*)$")
_TYPE = re.compile(r"^\s*(?:smtp|dns|unknown|rfc822|utf-8|x400|x-[\w-]+)\s*;\s*", re.I)
_TELLING = ("diagnostic-code", "x-supplementary-info", "x-display-message", "x-notes", "x-error")
_FIRST = ("final-recipient", "action")
_MOST_BLOCKS = 50  # of one part


@dataclass(frozen=True, slots=True)
class Recipient:
    """What is said of one recipient: `action` and the words in lower case, `status` as it stands."""

    action: str
    status: str
    words: str
    address: str


def recipients(parts: list[Part], *, is_wrapped: bool = False) -> list[Recipient]:
    """Everyone the delivery status of a message speaks of; only when it wraps a report also those of that one."""
    found: list[Recipient] = []
    for part in parts:
        if part.content_type in _KINDS and (is_wrapped or not part.returned):
            # some write the first fields where a part has its own
            found += recipients_in("\n".join(f"{name}: {value}" for name, value in part.fields) + "\n\n" + part.text)
    return found


def recipients_in(text: str) -> list[Recipient]:
    """The same of a text that holds such fields."""
    return [
        Recipient(
            block.get("action", "").partition(" ")[0].rstrip(";,").lower(),
            block.get("status", ""),
            " ".join(_TYPE.sub("", block[name]) for name in _TELLING if name in block),
            _TYPE.sub("", block.get("final-recipient") or block.get("original-recipient", "")).strip("<> "),
        )
        for block in _blocks(text)
        if "status" in block or "action" in block
    ]


def _blocks(text: str) -> Iterator[dict[str, str]]:
    """The groups of fields: an empty line ends one, and so does the second of a kind that starts one."""
    block: dict[str, str] = {}
    name = ""
    count = 0
    for line in text.splitlines():
        match = _FIELD.match(line)
        if match is None and line[:1] in (" ", "\t") and name and line.strip():
            block[name] = f"{block[name]} {line.strip()}"[:2_000]
            continue
        if not line.strip() or (match and match[1].lower() in _FIRST and match[1].lower() in block):
            if block:
                count += 1
                yield block
            if count >= _MOST_BLOCKS:
                return
            block, name = {}, ""
        if match:
            name = match[1].lower()
            block.setdefault(name, match[2].strip()[:2_000])
    if block:
        yield block
