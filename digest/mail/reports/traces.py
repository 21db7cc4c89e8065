"""Where a token of ours may stand in a report, by trust: what came with the envelope first, quoted text last.

Taken only from the places our own mail put it in, or where mail servers copy those to: an address in the text of a
mail is no trace. Whether one is ours, its signature tells, not this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from urllib.parse import unquote

from digest.mail.reports.parts import Part

_MOST = 40  # candidates of a kind
_ADDRESS = re.compile(r"[^\s<>\"(),;:\\\[\]]{1,256}@[^\s<>\"(),;:\\\[\]]{1,255}")
_MESSAGE_ID = re.compile(r"[^\s<>\"(),;:]{1,256}@[^\s<>\"(),;:]{1,255}")
_LINK = re.compile(r"(?:https?://|mailto:)[^\s<>\"]{1,1000}", re.I)
_ARRIVED_FOR = re.compile(r"\bfor <([^\s<>]{1,320})>")
_IN_TEXT = re.compile(
    r"^[> \t]*(return-path|message-id|original-message-id|list-unsubscribe)[ \t]*:"
    r"[ \t]*([^\n]{1,998}(?:\n[ \t]+[^\n]{1,998}){0,4})",
    re.I | re.M,
)

# the address the report itself came to
_CAME_TO = ("x-original-to", "delivered-to", "envelope-to", "x-envelope-to", "x-delivered-to", "to", "cc")
# where servers note the envelope sender of what they return
_CAME_FROM = ("return-path", "x-return-path", "original-mail-from", "x-envelope-from", "envelope-from", "errors-to")
_IDS = ("message-id", "original-message-id", "x-original-message-id", "original-envelope-id")
_ANSWERS = ("in-reply-to", "references")


def envelope_senders(parts: list[Part]) -> tuple[str, ...]:
    """Addresses that may be a VERP address of ours."""
    message = parts[0]
    values = message.all(_CAME_TO)
    values += [found for value in message.all(("received",)) for found in _ARRIVED_FOR.findall(value)]
    values += [value for part in parts[1:] for value in _fields(part, _CAME_FROM)]
    values += _written(parts, "return-path")
    return _distinct(found for value in values for found in _ADDRESS.findall(value))


def message_ids(parts: list[Part]) -> tuple[str, ...]:
    """Message-IDs that may be ours: of what was returned, then what the report says it answers."""
    values = [value for part in parts[1:] for value in _fields(part, _IDS)]
    values += _written(parts, "message-id", "original-message-id")
    values += parts[0].all(_ANSWERS)
    return _distinct(found for value in values for found in _MESSAGE_ID.findall(_from_xtext(value)))


def unsubscribe_links(parts: list[Part]) -> tuple[str, ...]:
    """What the returned message's List-Unsubscribe (RFC 2369) offered."""
    values = [value for part in parts[1:] for value in _fields(part, ("list-unsubscribe",))]
    values += _written(parts, "list-unsubscribe")
    return _distinct(found for value in values for found in _LINK.findall(value))


def _fields(part: Part, names: tuple[str, ...]) -> list[str]:
    """A part's fields of these names: of the returned message itself, or of a status or feedback part."""
    if part.returned:
        return part.all(names)
    if part.content_type.startswith("message/") and part.content_type != "message/rfc822":
        return part.all(names) + [value for _, value in _lines(part.text, names)]
    return []


def _written(parts: list[Part], *names: str) -> list[str]:
    """The same fields where a report without parts quotes the returned message as text."""
    texts = [part.text for part in parts if part.content_type.startswith("text/") and not part.returned]
    return [value for text in texts for value in _found(text, names)]


def _found(text: str, names: tuple[str, ...]) -> Iterator[str]:
    return (value for name, value in islice(_IN_TEXT.findall(text), _MOST) if name.lower() in names)


def _lines(text: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for line in islice(text.splitlines(), 500):
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() in names:
            yield name, value.strip()


def _from_xtext(value: str) -> str:
    """RFC 3461 section 4: +3D is an equals sign. A report of ours carries the Message-ID as envelope id."""
    return unquote(re.sub(r"\+([0-9A-F]{2})", r"%\1", value)) if "+" in value and "<" not in value else value


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(islice(dict.fromkeys(values), _MOST))
