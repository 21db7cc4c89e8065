"""An XML feed's bytes as a parser takes them: in UTF-8, without what sites send and XML does not know."""

from __future__ import annotations

import codecs
import re
from html.entities import name2codepoint

# Characters no XML may hold but sites send all the same, and HTML's entities, which XML does not know.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")  # as UTF-8 may not spell them
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]+)", re.I)
_ENCODING = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w-]+)", re.I)
_REFERENCE = re.compile(rb"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,8}));")
_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,10});")
_KNOWN_TO_XML = frozenset({b"amp", b"lt", b"gt", b"quot", b"apos"})
_CODECS = (
    "cp",
    "iso8859",
    "koi8",
    "mac",
    "gb",
    "big5",
    "euc",
    "shift_jis",
)  # how Python's names of such encodings begin


class WrongEncoding(ValueError):
    """The text is not UTF-8, from `line` on, and says of no other encoding that it is in it."""

    def __init__(self, line: int, byte: int) -> None:
        self.line = line
        super().__init__(f"it is not UTF-8 (byte {byte:#04x}), and declares no other encoding")


def readable(content: bytes, content_type: str) -> bytes:
    """The feed in UTF-8, without characters and entities that no XML parser takes; UTF-16 is left as it is.

    What is valid UTF-8 is UTF-8, whatever it says: no other encoding gives that by chance. Else the feed's own word
    counts, then the server's, whose default charset few have ever looked at. Raises WrongEncoding.
    """
    if b"\x00" in content[:4]:  # UTF-16 or UTF-32: the parser knows them by their first bytes
        return content
    content = content.removeprefix(codecs.BOM_UTF8)
    content = _REFERENCE.sub(_reference, _CONTROL.sub(b"", _utf8(content, content_type)))
    return _ENTITY.sub(_entity, content)


def _utf8(content: bytes, content_type: str) -> bytes:
    meant = _SURROGATE.sub(b"", content)
    try:
        meant.decode()
        return meant
    except UnicodeDecodeError as error:
        wrong = error
    for declared in (_ENCODING.match(content), _CHARSET.search(content_type.encode())):
        if declared and (name := _codec(declared[1].decode())):
            return content.decode(name, "replace").encode("utf-8", "replace")
    text = meant.decode("utf-8", "replace")
    slips = text.count("\ufffd")
    if slips > sum(not each.isascii() for each in text) - slips:
        raise WrongEncoding(meant.count(b"\n", 0, wrong.start) + 1, meant[wrong.start])
    return text.encode()  # a byte or two cut off, in what is UTF-8 otherwise


def _codec(name: str) -> str:
    """Python's name of an encoding that a text which is not UTF-8 may be written in, or ""."""
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return ""
    return found if found.startswith(_CODECS) else ""


def _reference(match: re.Match[bytes]) -> bytes:
    number = int(match[1], 16) if match[1] else int(match[2])
    allowed = (
        number in (9, 10, 13) or 0x20 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0x10000 <= number < 0x110000
    )
    return match[0] if allowed else b""


def _entity(match: re.Match[bytes]) -> bytes:
    number = None if match[1] in _KNOWN_TO_XML else name2codepoint.get(match[1].decode())
    return b"&#%d;" % number if number else match[0]
