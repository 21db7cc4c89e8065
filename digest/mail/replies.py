"""A server's replies, cut out of the bytes that arrive (RFC 5321 section 4.2)."""

from __future__ import annotations

import re

from digest.domain.deliveries import Receipt

LONGEST_LINE = 4096  # octets of a line that are kept; the RFC allows 512
MOST_LINES = 200  # of one reply
_MOST_SKIPPED = 1 << 20  # octets of one line that are thrown away before we hang up
_USUAL = (b"250 ", b"354 ")
_MOST_KNOWN = 16
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.S)
_REPEATED = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")


class Garbage(Exception):
    """What came is no reply."""


class Replies:
    """Feed it bytes as they come; it gives back each reply once it is whole."""

    def __init__(self) -> None:
        self.garbage = ""
        self._rest = b""
        self._skipped = 0  # octets of an over-long line thrown away so far
        self._code = b""
        self._known: dict[bytes, Receipt] = {}  # a server says the same to each MAIL, RCPT and DATA
        self._texts: list[str] = []

    @property
    def is_between(self) -> bool:
        """Whether nothing of a next reply has come yet."""
        return not self._rest and not self._texts and not self._skipped

    def feed(self, arrived: bytes) -> list[Receipt]:
        """The replies that are whole now, up to what is no reply: `garbage` then says what that was."""
        found: list[Receipt] = []
        try:
            self._feed(arrived, found)
        except Garbage as error:
            self.garbage = str(error)
        return found

    def _feed(self, arrived: bytes, found: list[Receipt]) -> None:
        lines = (self._rest + arrived).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._skipped = 0
            is_whole = not self._texts
            if is_whole and (known := self._known.get(line)):
                found.append(known)
            elif receipt := self._take(line[:LONGEST_LINE].rstrip(b"\r")):
                found.append(receipt)
                if is_whole and line.startswith(_USUAL) and len(self._known) < _MOST_KNOWN:
                    self._known[line] = receipt
        if len(self._rest) > LONGEST_LINE:
            self._skipped += len(self._rest) - LONGEST_LINE
            self._rest = self._rest[:LONGEST_LINE]
            if self._skipped > _MOST_SKIPPED:
                raise Garbage("a line without an end")

    def _take(self, line: bytes) -> Receipt | None:
        match = _LINE.fullmatch(line)
        if match is None:
            raise Garbage(f"the server answered {line[:60]!r}")
        code, more, text = match.groups()
        if self._texts and code != self._code:
            raise Garbage(f"one reply with two codes, {self._code.decode()} and {code.decode()}")
        if len(self._texts) >= MOST_LINES:
            raise Garbage("a reply without an end")
        self._code = code
        self._texts.append(" ".join((text or b"").decode("utf-8", "replace").split()))
        if more == b"-":
            return None
        words = self._texts[0] if len(self._texts) == 1 else _joined(self._texts)
        self._texts = []
        return Receipt(int(code), words)


def _joined(texts: list[str]) -> str:
    """The lines as one text; the enhanced code each repeats is said once (RFC 2034 section 4)."""
    first = _REPEATED.match(texts[0])
    repeated = first[0] if first else ""
    return " ".join([texts[0], *(text.removeprefix(repeated) for text in texts[1:])]).strip()
