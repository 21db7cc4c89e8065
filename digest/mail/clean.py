"""Text and addresses from outside, made fit for a mail. What comes in may be hostile."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, urlsplit, urlunsplit

_SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
# Controls, lone surrogates, private marks for direction (they could turn the text after them around), BOMs, what no
# text may hold (U+FDD0 and the last two of each plane), and what takes room and is not seen, or neither: a title of
# these alone would be a link nobody can find. Zero-width joiners stay: emoji and several scripts need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\ud800-\udfff\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\uffff"
    "\u115f\u1160\u180e\u200b\u2060-\u2064\u206a-\u206f\u2800\u3164\uffa0\ufdd0-\ufdef\U000e0000-\U000e001f"
    + "".join(chr(plane << 16 | last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]+")  # but for flags of regions
_JOINERS = re.compile("([\u200c\u200d\ufe00-\ufe0f]{2})[\u200c\u200d\ufe00-\ufe0f]+")  # no script knows three in a row
_MARK = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_MARKS = re.compile(f"({_MARK}{{4}}){_MARK}+")  # towers of accents reach into the lines above and below
_SAFE = "/:@!$&'()*+,;=~-._%?#[]"


def clean_text(text: str, limit: int | None = None) -> str:
    """One line of text without anything that could break a parser, a header or the reading direction.

    A lone surrogate would make the HTML parser drop everything after it, silently.
    """
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _has_surrogates(text) else text
    seen = _TAGS.sub("", _UNWANTED.sub("", joined.replace("\N{REPLACEMENT CHARACTER}", "")))
    cleaned = _SPACES.sub(" ", _MARKS.sub(r"\1", _JOINERS.sub(r"\1", seen)))
    return shorten(unicodedata.normalize("NFC", cleaned).strip(" \u200c\u200d"), limit)


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def clean_header(text: str, limit: int | None = None) -> str:
    """Clean text for a header. `=?` would be decoded as an encoded word and could carry a line break (RFC 2047)."""
    # After the cleaning, which may bring the two together.
    return shorten(clean_text(text).replace("=?", "= ?"), limit)


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
    """An absolute http(s) URL in ASCII that needs no escaping but `&`, or an empty string.

    A name and password before the host are left out: they are nobody's business, and a way to feign another host.
    """
    stripped = _UNWANTED.sub("", url).strip()
    try:
        parts = urlsplit(stripped)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or "\\" in parts.netloc:
        return ""
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return ""
    if not re.fullmatch(r"[A-Za-z0-9_.\-]+|[0-9A-Fa-f:.]+", name):
        return ""
    netloc = (f"[{name}]" if ":" in name else name) + (f":{port}" if port else "")
    tail = [quote(each, safe=_SAFE) for each in (parts.path, parts.query, parts.fragment)]
    return urlunsplit((parts.scheme, netloc, *tail)).replace("'", "%27")
