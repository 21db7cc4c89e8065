"""A message's bytes on the line: compiled once, then joined for each reader.

A rendering is cut at its slots into constant pieces that are already quoted-printable with CRLF line ends and
hold no line that begins with a dot. A reader's message is the pieces with the reader's values between them.
RFC 5322 (headers), 2045 (quoted-printable), 2047 (encoded words), 8058 (one-click), 2919 (List-Id), 6532 (UTF-8).
"""

from __future__ import annotations

import re
from binascii import b2a_qp
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from typing import NamedTuple

from digest.mail.clean import clean_header
from digest.mail.slots import pattern
from digest.mail.words import mailbox_field, text_field

LINE = 75  # octets of a quoted-printable line before its `=` (RFC 2045 section 6.7: 76 with it)
Sign = Callable[[bytes, list[bytes]], bytes]  # (header fields, the body in pieces) -> the signature's header fields
_LIST_NAME = 100  # characters: the field is not folded
_PLAIN = re.compile(r"[!-<>@-~][!-<>-~]*(?: [!-<>-~]+)*")  # what quoted-printable leaves as it is, on one line
_HEADER = re.compile(r"[ -~]*")
_HEADER_UTF8 = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")


@dataclass(frozen=True, slots=True)
class Heading:
    """The header fields all readers share. Names and subject are plain text; addresses are ASCII."""

    from_name: str
    from_address: str
    subject: str
    language: str
    list_id: str = ""  # `weekly.news.example.com`, for lists only
    list_name: str = ""
    reply_to: str = ""
    auto_submitted: bool = True
    feedback_id: str = ""


class Reader(NamedTuple):
    """One reader's values. `values` holds each slot's by its name; `one_click` goes into the header."""

    address: str
    message_id: str
    date: datetime
    values: Mapping[str, str]
    one_click: str = ""
    leave_by_mail: str = ""  # an address; it may stand beside `one_click`


class Slot(NamedTuple):
    """Where a reader's value goes between two constant pieces."""

    name: str
    is_html: bool


class Compiled:
    """One rendering in wire bytes; `message` joins it with one reader's values."""

    def __init__(self, heading: Heading, text: str, html: str, mark: str) -> None:
        boundary = f"=_{mark}_parts"  # the mark is kept with the rendering: every attempt sends the same bytes
        self._head = _shared_headers(heading) + _content_type(boundary)
        pieces: list[bytes | Slot] = [b"--" + boundary.encode() + _part_headers("plain")]
        pieces += _cut(text, mark, is_html=False)
        pieces += [b"\r\n--" + boundary.encode() + _part_headers("html")]
        pieces += _cut(html, mark, is_html=True)
        pieces += [b"\r\n--" + boundary.encode() + b"--\r\n"]
        self._pieces = _merged(pieces)

    def message(self, reader: Reader, sign: Sign | None = None) -> bytes:
        """The whole message for one reader, CRLF line ends, nothing over 998 octets (RFC 5322 section 2.1.1)."""
        values = reader.values
        body = [
            piece if type(piece) is bytes else slot_bytes(values[piece[0]], is_html=piece[1])  # type: ignore[index, arg-type]
            for piece in self._pieces
        ]
        head = _own_headers(reader) + self._head
        if sign is None:
            return b"".join((head, b"\r\n", *body))
        return b"".join((sign(head, body), head, b"\r\n", *body))


def _own_headers(reader: Reader) -> bytes:
    address, message_id, one_click = reader.address, reader.message_id, reader.one_click
    if not _HEADER.fullmatch(address):  # an address in other letters: RFC 6532 lets them stand as they are
        _one_line(address, _HEADER_UTF8)
    _one_line(message_id)
    if not one_click:
        fields = f"To: {address}\r\nDate: {_date(reader.date)}\r\nMessage-ID: {message_id}\r\n"
    else:
        # Raw and whole on one line: a folded or encoded URL is a dead one (RFC 2369 section 2).
        _one_line(one_click)
        # One HTTPS address for the one click (RFC 8058 section 3.1), first; another way may follow, on its own line.
        mailto = f",\r\n <mailto:{_one_line(reader.leave_by_mail)}?subject=unsubscribe>" if reader.leave_by_mail else ""
        fields = (
            f"To: {address}\r\nDate: {_date(reader.date)}\r\nMessage-ID: {message_id}\r\n"
            f"List-Unsubscribe: <{one_click}>{mailto}\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        )
    return fields.encode()


@lru_cache(maxsize=64)  # a whole edition was queued at one moment
def _date(moment: datetime) -> str:
    return format_datetime(moment)


def _shared_headers(heading: Heading) -> bytes:
    """From, Subject and their kind."""
    local, _, domain = heading.from_address.rpartition("@")
    sender = HeaderAddress(username=local, domain=domain).addr_spec  # quotes what needs quotes
    lines = mailbox_field("From", heading.from_name, sender).split("\r\n")
    if heading.reply_to:
        lines.append(f"Reply-To: {heading.reply_to}")
    lines += text_field("Subject", heading.subject).split("\r\n")
    lines += ["MIME-Version: 1.0", f"Content-Language: {heading.language}"]
    if heading.list_id:
        name = clean_header(heading.list_name, _LIST_NAME) if heading.list_name.isascii() else ""
        name = name if name.isascii() else ""  # it was cut, with an ellipsis
        quoted = '"' + re.sub(r'([\\"])', r"\\\1", name) + '" ' if name else ""
        lines.append(f"List-Id: {quoted}<{heading.list_id}>")
    if heading.feedback_id:
        lines.append(f"Feedback-ID: {heading.feedback_id}")
    if heading.auto_submitted:
        lines.append("Auto-Submitted: auto-generated")
    return "".join(_one_line(line) + "\r\n" for line in lines).encode("ascii")


def _content_type(boundary: str) -> bytes:
    return f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'.encode()


def _part_headers(subtype: str) -> bytes:
    return (
        f"\r\nContent-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode()


def _cut(body: str, mark: str, *, is_html: bool) -> list[bytes | Slot]:
    """The body as constant pieces and, between them, the names of slots.

    A soft line break stands before and after each slot, so no value can make a line too long.
    """
    pieces: list[bytes | Slot] = []
    at = 0
    for match in pattern(mark).finditer(body):
        pieces.append(_soft(encode(body[at : match.start()])))
        pieces.append(Slot(match[1], is_html))
        at = match.end()
    pieces.append(encode(body[at:]))
    return pieces


def _merged(pieces: list[bytes | Slot]) -> list[bytes | Slot]:
    """Neighbouring constant pieces made one: fewer to join for each reader."""
    merged: list[bytes | Slot] = []
    for piece in pieces:
        if isinstance(piece, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def _soft(piece: bytes) -> bytes:
    """The piece with a soft line break at its end."""
    return piece + b"=\r\n"


def slot_bytes(value: str, *, is_html: bool) -> bytes:
    """A reader's value in quoted-printable, ending in a soft line break; escaped first where it stands in HTML."""
    if is_html:
        value = escape(value, quote=True)
    if len(value) <= LINE and _PLAIN.fullmatch(value) and value[0] != "." and not value.startswith("From "):
        return value.encode("ascii") + b"=\r\n"
    return _soft(encode(value))


def encode(text: str) -> bytes:
    """Quoted-printable lines of at most 75 octets, CRLF, no trailing blank, no leading dot.

    A dot that begins a line is written `=2E`, so the bytes need no dot-stuffing (RFC 5321 section 4.5.2).
    """
    if not text:
        return b""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return b"\r\n".join(_encode_line(line.encode("utf-8")) for line in lines)


def _encode_line(line: bytes) -> bytes:
    encoded = b2a_qp(line, quotetabs=False, istext=True, header=False).replace(b"=\n", b"")
    if encoded.endswith((b" ", b"\t")):
        encoded = encoded[:-1] + (b"=20" if encoded.endswith(b" ") else b"=09")
    encoded = _safe_start(encoded)
    out = []
    while len(encoded) > LINE:
        cut = LINE
        if b"=" in encoded[cut - 2 : cut]:  # never inside =XX
            cut = cut - 2 + encoded[cut - 2 : cut].index(b"=")
        out.append(encoded[:cut])
        encoded = _safe_start(encoded[cut:])
    out.append(encoded)
    return b"=\r\n".join(out)


def _safe_start(line: bytes) -> bytes:
    """No dot at the start (SMTP would double it), no `From ` (mailbox files would mangle it)."""
    if line.startswith(b"."):
        return b"=2E" + line[1:]
    return b"=46" + line[1:] if line.startswith(b"From ") else line


def _one_line(value: str, allowed: re.Pattern[str] = _HEADER) -> str:
    """A header value that is one line. Raises ValueError: nothing of a reader may open a new header."""
    if not allowed.fullmatch(value):
        raise ValueError(f"not a header value: {value!r}")
    return value
