"""Text and addresses from outside, made fit for a mail. What comes in may be hostile."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, urlsplit, urlunsplit

_SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
# Controls, lone surrogates, private marks for direction (they could turn the text after them around), and BOMs.
# Zero-width joiners stay: emoji and several scripts need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\uffff]"
)
_SAFE = "/:@!$&'()*+,;=~-._%?#[]"


def clean_text(text: str, limit: int | None = None) -> str:
    """One line of text without anything that could break a parser, a header or the reading direction.

    A lone surrogate would make the HTML parser drop everything after it, silently.
    """
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _has_surrogates(text) else text
    cleaned = _SPACES.sub(" ", _UNWANTED.sub("", joined)).replace("\N{REPLACEMENT CHARACTER}", "")
    return shorten(unicodedata.normalize("NFC", cleaned).strip(), limit)


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def clean_header(text: str, limit: int | None = None) -> str:
    """Clean text for a header. `=?` would be decoded as an encoded word and could carry a line break (RFC 2047)."""
    return clean_text(text.replace("=?", "=\u2009?"), limit)


def shorten(text: str, limit: int | None) -> str:
    """At most `limit` characters, cut between words, with an ellipsis."""
    if limit is None or len(text) <= limit:
        return text
    head = text[: limit - 1]
    cut = head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head
    # Do not cut between the parts of one emoji.
    return cut.rstrip(" ,;:–—-\u200d\ufe0f") + "…"


def direction(text: str) -> str:
    """ltr or rtl, as most letters of the text are read: one word in another script does not turn a title around."""
    kinds = [unicodedata.bidirectional(each) for each in text]
    return "rtl" if sum(each in ("R", "AL") for each in kinds) > kinds.count("L") else "ltr"


def clean_url(url: str) -> str:
    """An absolute http(s) URL in ASCII that needs no escaping but `&`, or an empty string."""
    stripped = _UNWANTED.sub("", url).strip()
    try:
        parts = urlsplit(stripped)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        return ""
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return ""
    if not re.fullmatch(r"[A-Za-z0-9.\-:]+", name):
        return ""
    netloc = (f"[{name}]" if ":" in name else name) + (f":{port}" if port else "")
    tail = [quote(each, safe=_SAFE) for each in (parts.path, parts.query, parts.fragment)]
    return urlunsplit((parts.scheme, netloc, *tail)).replace("'", "%27")
