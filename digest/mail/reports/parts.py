"""Taking a message from a stranger apart, with bounded work: no depth, length or fault of it makes this slow or raise.

The standard library's parser recurses once a level and tries every boundary on every line; this one does neither.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

MAX_PARTS = 100
MAX_DEPTH = 6  # levels of parts within parts; what lies deeper stays one part
_MAX_FIELDS = 500  # of one part
_MAX_VALUE = 4_000  # characters of one field
_MAX_TEXT = 64_000  # characters of one part's text
_MAX_HEAD = 256_000  # bytes of one part's fields

_PARAMETER = re.compile(r';\s*([\w*-]{1,40})\s*=\s*(?:"([^"]{0,300})"|([^\s;"]{1,300}))')
_ENCODED_WORD = re.compile(r"=\?([\w-]{1,40})(?:\*[\w-]*)?\?([bBqQ])\?([^?]{0,1000})\?=(?:\s+(?==\?))?")
_NAMED = re.compile(rb"([A-Za-z][\w.-]{0,80})[ \t]*:(.*)", re.S)
_TAG = re.compile(r"<[^<>]{0,2000}>")
_BREAK = re.compile(r"<(?:br|/p|/div|/tr|/li|/h\d)\b[^<>]{0,200}>", re.I)
_UNSEEN = re.compile(r"<(style|script|head)\b", re.I)
_UNTOLD = re.compile(rb"^--(\S.{0,200})\ncontent-type:", re.I | re.M)  # parts that no field announces
_RETURNED = ("message/rfc822", "message/global", "message/rfc822-headers")
_RETURNED_FIELDS = ("text/rfc822-headers", "text/rfc822", "message/global-headers", "text/rfc-822-headers")
_ENVELOPE = ("return-path", "received", "list-unsubscribe")  # fields that a message has, and no part of one
_OTHER_NAMES = {"unknown-8bit": "utf-8", "x-unknown": "utf-8", "ks_c_5601-1987": "cp949", "x-sjis": "cp932"}


class Absurd(Exception):
    """More parts than any report has."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its fields in order with lower-case names, and its content. `returned`: of the message sent back."""

    fields: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    returned: bool = False

    def get(self, name: str) -> str:
        """The first field of that (lower-case) name, on one line; "" without one."""
        return next((value for each, value in self.fields if each == name), "")

    def all(self, names: Iterable[str]) -> list[str]:
        """Every field of these (lower-case) names, name by name."""
        return [value for name in names for each, value in self.fields if each == name]

    @property
    def content_type(self) -> str:
        """In lower case, without parameters; text/plain when it says nothing sensible (RFC 2045 section 5.2)."""
        kind = self.get("content-type").partition(";")[0].lower().split()  # some forget the semicolon
        return kind[0] if kind and "/" in kind[0] else "text/plain"

    def parameter(self, name: str) -> str:
        """A parameter of the content type, "" without it."""
        for key, quoted, bare in _PARAMETER.findall(self.get("content-type")):
            if key.lower().rstrip("*") == name:
                return str(quoted or bare).strip()
        return ""

    @property
    def content(self) -> bytes:
        """The body without its transfer encoding, or as it is where that is a lie."""
        encoding = self.get("content-transfer-encoding").strip().lower()
        try:
            if encoding == "base64":
                return binascii.a2b_base64(self.body)
            if encoding == "quoted-printable":
                return binascii.a2b_qp(self.body)
        except (binascii.Error, ValueError):
            pass
        return self.body

    @property
    def text(self) -> str:
        """What a person reads of it."""
        text = _decoded(self.content[: _MAX_TEXT * 4], self.parameter("charset"))[:_MAX_TEXT].replace("\0", " ")
        return _seen(text) if self.content_type == "text/html" else text


def take_apart(content: bytes) -> list[Part]:
    """The message and its parts, outermost first, in the order they stand. Raises Absurd."""
    parts: list[Part] = []
    waiting = [(content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip(b"\n"), 0, False, "")]
    while waiting:
        source, depth, returned, default = waiting.pop()
        part = _cut(source, returned, default)
        if depth and part.all(_ENVELOPE):  # a copy of our mail that no field announces
            part = replace(part, returned=True)
        parts.append(part)
        if len(parts) > MAX_PARTS:
            raise Absurd
        if depth < MAX_DEPTH:
            waiting.extend((inner, depth + 1, sent_back, kind) for inner, sent_back, kind in reversed(_within(part)))
    return parts


def _within(part: Part) -> list[tuple[bytes, bool, str]]:
    kind = part.content_type
    if kind.startswith("multipart/"):
        default = "message/rfc822" if kind == "multipart/digest" else ""
        pieces = _split(part.body, part.parameter("boundary"))
        return [(each, part.returned, default) for each in pieces or [b"\n" + part.body]]
    if kind in _RETURNED:
        return [(part.content.lstrip(b"\n"), True, "")]
    if kind in _RETURNED_FIELDS:
        return [(part.content.lstrip(b"\n") + b"\n\n", True, "text/rfc822-fields")]
    if kind == "text/plain" and not part.returned and (match := _UNTOLD.search(part.body[:4_000])):
        return [(each, False, "") for each in _split(part.body, match[1].decode("latin-1").strip())]
    return []


def _split(body: bytes, boundary: str) -> list[bytes]:
    """The parts between the boundaries; one that is never closed goes on to the end."""
    if not boundary:
        match = re.search(rb"^--([^\s].{0,200})$", body, re.M)
        if match is None:
            return []
        boundary = match[1].decode("latin-1").strip()
    delimiter = re.compile(rb"^--" + re.escape(boundary.encode("utf-8", "surrogateescape")) + rb"(--)?[ \t]*$", re.M)
    pieces: list[bytes] = []
    start = -1
    for match in delimiter.finditer(body):
        if start >= 0:
            pieces.append(body[start : match.start()])
        start = match.end() + 1
        if match[1]:
            return pieces
        if len(pieces) > MAX_PARTS:
            raise Absurd
    return [*pieces, body[start:]] if start >= 0 else pieces


def _cut(source: bytes, returned: bool, default: str) -> Part:
    """Fields and body; without a field at its start it is all body."""
    fields: list[tuple[str, str]] = []
    place = 0
    while place < min(len(source), _MAX_HEAD) and len(fields) < _MAX_FIELDS:
        end = source.find(b"\n", place)
        line = source[place : end if end >= 0 else len(source)]
        after = end + 1 if end >= 0 else len(source)
        if not line.strip():
            place = after
            break
        if named := _NAMED.match(line):
            fields.append((_field_text(named[1]).lower(), _field_text(named[2])))
        elif fields:  # folded, or what some gateway has left of that: without its indent
            name, value = fields[-1]
            if len(value) < _MAX_VALUE:
                fields[-1] = (name, f"{value} {_field_text(line)}")
        elif not line.startswith((b"From ", b">From ")):
            break
        place = after
    if default and not any(name == "content-type" for name, _ in fields):
        fields.append(("content-type", default))
    return Part(tuple(fields), source[place:], returned)


def _field_text(line: bytes) -> str:
    return " ".join(_decoded(line[:_MAX_VALUE], "").replace("\0", " ").split())


def unencoded(value: str) -> str:
    """A field's text with its encoded words (RFC 2047) read; what cannot be read stays as it is."""
    return _ENCODED_WORD.sub(_word, value)


def _word(match: re.Match[str]) -> str:
    charset, encoding, text = match.groups()
    try:
        if encoding in "bB":
            return _decoded(binascii.a2b_base64(text), charset)
        return _decoded(binascii.a2b_qp(text.encode(), header=True), charset)
    except (binascii.Error, ValueError):
        return match[0]


def _decoded(content: bytes, charset: str) -> str:
    """Text whatever its charset claims to be."""
    for each in (_OTHER_NAMES.get(charset.lower(), charset), "utf-8"):
        try:
            if each:
                return content.decode(each)
        except (LookupError, ValueError):
            continue
    return content.decode("utf-8", "replace") if charset.lower() == "utf-8" else content.decode("latin-1")


def _seen(markup: str) -> str:
    return html.unescape(_TAG.sub(" ", _BREAK.sub("\n", _without_the_unseen(markup))))


def _without_the_unseen(markup: str) -> str:
    """Without its head, styles and scripts; one that is never closed has no end."""
    kept: list[str] = []
    lower = markup.lower()
    place = 0
    while match := _UNSEEN.search(markup, place):
        kept.append(markup[place : match.start()])
        end = lower.find(f"</{match[1].lower()}", match.end())
        if end < 0:
            return " ".join(kept)
        place = end
    return " ".join([*kept, markup[place:]])
