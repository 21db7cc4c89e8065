"""Header text as it may travel: plain ASCII folded between words, or encoded words (RFC 2047).

A text is plain or encoded as a whole. The standard library's policy encodes piece by piece, which leaves empty
encoded words and spaces at line ends; the RFC knows neither, and filters count them against a mail.
"""

from __future__ import annotations

import re
import textwrap
from base64 import b64encode

LINE = 76  # characters of a line with an encoded word (RFC 2047 section 2)
_LONGEST_ENCODED = 75  # characters of an encoded word (the same section)
_LONGEST_WORD = 60  # a longer one cannot be folded beside a field's name
_PLAIN = re.compile(r"[ -~]*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def text_field(name: str, text: str) -> str:
    """A field of free text, such as the subject, as lines without the last CRLF."""
    if _may_stay_plain(text):
        return _folded(f"{name}: {text}")
    return f"{name}: {_encoded(name, text)}"


def mailbox_field(name: str, person: str, address: str) -> str:
    """A field with one person or paper and its ASCII address (RFC 5322 section 3.4), as lines without the last CRLF."""
    if not person:
        return f"{name}: {address}"
    if not _may_stay_plain(person):
        words = _encoded(name, person)
        room = LINE - len(words.rpartition("\r\n")[2]) - (0 if "\r\n" in words else len(name) + 2)
        return f"{name}: {words}" + (" " if len(address) + 3 <= room else "\r\n ") + f"<{address}>"
    quoted = person if _ATOMS.fullmatch(person) else '"' + re.sub(r'([\\"])', r"\\\1", person) + '"'
    return _folded(f"{name}: {quoted} <{address}>")


def _may_stay_plain(text: str) -> bool:
    """Whether it is ASCII that folds, and that no reader takes for an encoded word."""
    is_ascii = _PLAIN.fullmatch(text) is not None and "=?" not in text and text == " ".join(text.split())
    return is_ascii and all(len(word) <= _LONGEST_WORD for word in text.split(" "))


def _encoded(name: str, text: str) -> str:
    """Encoded words of whole characters, in whichever of the two encodings is shorter."""
    encode = min((_quoted, _base64), key=lambda each: len(each(text)))
    words, at, room = [], 0, LINE - len(f"{name}: ")
    while at < len(text):
        end = at + 1
        while end < len(text) and len(encode(text[at : end + 1])) <= min(room, _LONGEST_ENCODED):
            end += 1
        words.append(encode(text[at:end]))
        at, room = end, LINE - 1
    return "\r\n ".join(words)


def _base64(text: str) -> str:
    return f"=?utf-8?b?{b64encode(text.encode()).decode()}?="


def _quoted(text: str) -> str:
    # Of ASCII only what may stand in a name too (RFC 2047 section 5, rule 3).
    inner = re.sub(rb"[^A-Za-z0-9!*+/ -]", lambda found: b"=%02X" % found[0][0], text.encode())
    return f"=?utf-8?q?{inner.replace(b' ', b'_').decode()}?="


def _folded(line: str) -> str:
    return "\r\n ".join(textwrap.wrap(line, LINE, break_long_words=False, break_on_hyphens=False))
