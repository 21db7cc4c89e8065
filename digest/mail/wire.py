"""A message's bytes on the line: compiled once, then joined for each reader.

A rendering is cut at its slots into constant pieces that are already quoted-printable with CRLF line ends and
hold no line that begins with a dot. A reader's message is the pieces with the reader's values between them.
RFC 5322 (headers), 2045 (quoted-printable), 2047 (encoded words), 8058 (one-click), 2919 (List-Id).
"""

from __future__ import annotations

import email.policy
import re
import secrets
from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from digest.mail.slots import pattern

LINE = 75  # octets of a quoted-printable line before its `=` (RFC 2045 section 6.7: 76 with it)


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


@dataclass(frozen=True, slots=True)
class Reader:
    """One reader's values. `links` holds the value of each slot by its name; `unsubscribe` goes into the header."""

    address: str
    message_id: str
    date: datetime
    links: Mapping[str, str]
    one_click: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a reader's value goes between two constant pieces."""

    name: str
    is_html: bool


class Compiled:
    """One rendering in wire bytes; `message` joins it with one reader's values."""

    def __init__(self, heading: Heading, text: str, html: str, mark: str) -> None:
        boundary = f"=_{secrets.token_hex(12)}"
        self._head = _shared_headers(heading) + _content_type(boundary)
        self._is_list = bool(heading.list_id)
        self._pieces: list[bytes | Slot] = [b"\r\n--" + boundary.encode() + _part_headers("plain")]
        self._pieces += _cut(text, mark, is_html=False)
        self._pieces += [b"\r\n--" + boundary.encode() + _part_headers("html")]
        self._pieces += _cut(html, mark, is_html=True)
        self._pieces += [b"\r\n--" + boundary.encode() + b"--\r\n"]

    def message(self, reader: Reader) -> bytes:
        """The whole message for one reader, CRLF line ends, nothing over 998 octets (RFC 5322 section 2.1.1)."""
        body = [
            piece if isinstance(piece, bytes) else slot_bytes(reader.links[piece.name], is_html=piece.is_html)
            for piece in self._pieces
        ]
        return b"".join([self._own_headers(reader), self._head, b"\r\n", *body])

    def _own_headers(self, reader: Reader) -> bytes:
        lines = [
            f"To: {_one_line(reader.address)}",
            f"Date: {format_datetime(reader.date)}",
            f"Message-ID: {_one_line(reader.message_id)}",
        ]
        if reader.one_click:
            # Raw and whole on one line: a folded or encoded URL is a dead one (RFC 2369 section 2).
            lines.append(f"List-Unsubscribe: <{_one_line(reader.one_click)}>")
            lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
        return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _shared_headers(heading: Heading) -> bytes:
    """From, Subject and their kind, encoded and folded by the standard library."""
    message = EmailMessage(policy=email.policy.SMTP.clone(max_line_length=76))
    local, _, domain = heading.from_address.rpartition("@")
    message["From"] = HeaderAddress(heading.from_name, local, domain)
    if heading.reply_to:
        message["Reply-To"] = heading.reply_to
    message["Subject"] = heading.subject
    message["MIME-Version"] = "1.0"
    message["Content-Language"] = heading.language
    head = b"".join(message.policy.fold_binary(name, value) for name, value in message.items())
    raw = []
    if heading.list_id:
        name = heading.list_name if heading.list_name.isascii() else ""
        quoted = '"' + re.sub(r'([\\"])', r"\\\1", name) + '" ' if name else ""
        raw.append(f"List-Id: {quoted}<{heading.list_id}>")
    if heading.feedback_id:
        raw.append(f"Feedback-ID: {heading.feedback_id}")
    if heading.auto_submitted:
        raw.append("Auto-Submitted: auto-generated")
    return head + "".join(_one_line(line) + "\r\n" for line in raw).encode("ascii")


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


def _soft(piece: bytes) -> bytes:
    """The piece with a soft line break at its end."""
    return piece + b"=\r\n"


def slot_bytes(value: str, *, is_html: bool) -> bytes:
    """A reader's value in quoted-printable, ending in a soft line break; escaped first where it stands in HTML."""
    return _soft(encode(escape(value, quote=True) if is_html else value))


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


def _one_line(value: str) -> str:
    """A header value that is one ASCII line. Raises ValueError: nothing of a reader may open a new header."""
    if not value.isascii() or any(c < " " or c == "\x7f" for c in value):
        raise ValueError(f"not a header value: {value!r}")
    return value
