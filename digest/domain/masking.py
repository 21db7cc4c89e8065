"""Words that come from outside, kept and logged without the addresses in them."""

from __future__ import annotations

import re

_NOT_IN_IT = r"\s<>\"'(),:;@\[\]\\/|"  # what ends the part before the @, so that a long line is read once
_ADDRESS = re.compile(rf"(?<![^{_NOT_IN_IT}])([^{_NOT_IN_IT}])[^{_NOT_IN_IT}]*?(@|%40)(?=[\w\[@-])", re.I)
_CODE = re.compile(r"(?:[245]\.\d{1,3}\.\d{1,3}\b)?")
_SHORTEST = 3  # letters before the @ that can be told from an ordinary word


def masked(text: str) -> str:
    """The text with every address in it as `a***@example.com`: enough to recognise, not enough to mail."""
    if "@" not in text and "%40" not in text:
        return text
    return _ADDRESS.sub(r"\1***\2", text)


def without(text: str, address: str) -> str:
    """A server's words about one reader: no address, and not the part before the @ by itself either.

    The enhanced code (RFC 3463) in front stays as it is, whatever somebody is called.
    """
    local = address.rpartition("@")[0]
    code = _CODE.match(text)
    end = code.end() if code else 0
    words = masked(text[end:])
    if len(local) >= _SHORTEST and local.lower() in words.lower():
        words = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", f"{local[:1]}***", words, flags=re.I)
    return text[:end] + words
