"""Plain values out of what sources say: text without markup, safe addresses, aware dates, sensible sizes."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from digest.domain.articles import Image

_WHOLE = 80  # words; less is an excerpt
MAX_TITLE = 500  # characters; a longer one is a mistake in the source
MAX_SUMMARY = 1000
# Of an article's text we look at the beginning, which most likely has the first picture. In many Pythons
# the parser's time grows with the square of the tags somebody left open (CVE-2025-6069).
MAX_MARKUP = 30_000
MAX_OPENINGS = 1000
MAX_WORD = 200  # of an author, a section, a tag
MAX_TAGS = 50
MAX_URL = 2000
_LEAST = 100  # pixels of a picture's sides
FUTURE = timedelta(days=1)  # clocks differ; more than this ahead is a mistake

_SKIPPED = frozenset({"script", "style", "template", "noscript", "iframe", "svg"})
_BREAKS = frozenset({"p", "br", "div", "li", "h1", "h2", "h3", "h4", "figcaption", "td", "tr", "blockquote"})
# No database takes a surrogate or a NUL, no terminal or mail a control character; a direction override
# (U+202A to U+202E, U+2066 to U+2069) in a headline would turn around all that follows it.
_NOT_STORABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and a symbol by their kind that show nothing
_MORE = re.compile(
    r"\s*(?:\[\s*(?:…|\.{3})\s*\]|\(more…?\)|(?:…|\.{3})\s*(?:Continue reading|Read more)\b.{0,300})\s*$", re.I
)
_FOOTER = re.compile(r"\s*The post .{1,500} (?:first )?appeared (?:first )?on .{1,200}\.?\s*$")  # WordPress SEO plugins
_MARKUP = (
    "a|abbr|b|big|bdi|bdo|br|cite|code|del|div|em|font|h[1-6]|i|img|ins|mark|p|q|s|small|span|strong|sub|sup|u|wbr"
)
_TAG = re.compile(rf"</?(?:{_MARKUP})(?:\s+[\w:-]+\s*=[^>]*)?\s*/?>", re.I)
_SCRIPT = re.compile(r"<(script|style)\b[^>]*>.*?</\1\s*>|<!--.*?-->", re.I | re.S)


class Markup(HTMLParser):
    """Reads HTML leniently: its words in `parts`, and the attributes of its first picture in `picture`."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.picture: dict[str, str] = {}
        self._skipping = 0
        self.feed("<".join(storable(markup[:MAX_MARKUP]).split("<", MAX_OPENINGS)[:MAX_OPENINGS]))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Start skipping what is no text; keep the first picture."""
        if tag in _SKIPPED:
            self._skipping += 1
        elif tag == "img" and not self.picture and not self._skipping:
            found = {name: value or "" for name, value in attrs}
            self.picture = {} if _is_ornament(found) else found
        elif tag in _BREAKS:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Stop skipping; a block's end parts words."""
        if tag in _SKIPPED:
            self._skipping = max(0, self._skipping - 1)
        elif tag in _BREAKS:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        """Words."""
        if not self._skipping:
            self.parts.append(data)


def _is_ornament(attributes: Mapping[str, str]) -> bool:
    """Whether an <img> is an emoji, a spacer or a counting pixel, of which the article's picture is not to be made."""
    sides = [pixels(attributes.get(name)) for name in ("width", "height")]
    is_emoji = "wp-smiley" in attributes.get("class", "") or "/images/core/emoji/" in attributes.get("src", "")
    return is_emoji or any(side and side < _LEAST for side in sides)


def storable(text: str) -> str:
    """Without lone surrogates, control characters and direction overrides."""
    return _NOT_STORABLE.sub("", text)


def folded(text: str, longest: int) -> str:
    """One line of storable text, cut with an ellipsis."""
    line = " ".join(storable(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def text_of(markup: str, longest: int = MAX_SUMMARY) -> str:
    """The text of a piece of HTML, white space folded, without the "read more" at its end."""
    words = " ".join(storable("".join(Markup(markup).parts)).split())
    return folded(_MORE.sub("…", _FOOTER.sub("", words)), longest)


def words_in(markup: str) -> int | None:
    """How many words a text has; None when it is too short to be a whole article's."""
    number = len("".join(Markup(markup).parts).split()) if markup else 0
    return number if number >= _WHOLE else None


def title_of(markup: str) -> str:
    """A headline as people read it: formatting out, entities decoded once; empty when nothing of it can be seen.

    What only looks like a tag stays: a headline may well say "5 < 6", or name the <script> tag.
    """
    line = folded(html.unescape(_TAG.sub("", _SCRIPT.sub("", storable(markup[: 20 * MAX_TITLE])))), MAX_TITLE)
    # Letters, numbers, punctuation, symbols; joiners, marks and spaces alone are a link nobody can find.
    return line if any(unicodedata.category(each)[0] in "LNPS" and each not in _BLANK for each in line) else ""


def words_of(values: Iterable[str]) -> tuple[str, ...]:
    """Tags or categories: each once, none empty."""
    words = (folded(html.unescape(value), MAX_WORD) for value in values)
    return tuple(dict.fromkeys(word for word in words if word))[:MAX_TAGS]


def web_url(link: str, base: str) -> str:
    """`link` made absolute. Raises ValueError when it is no address of a web page."""
    url = urljoin(base, "".join(storable(link).strip().splitlines())).replace(" ", "%20").replace('"', "%22")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > MAX_URL:
        raise ValueError(f"{url[:100]!r} is not a web address")
    return url


def image_of(link: str, base: str, alt: str = "", width: object = None, height: object = None) -> Image | None:
    """The picture at `link`, or None when it is none that a mail could show."""
    try:
        url = web_url(link, base) if link else ""
    except ValueError:
        return None
    return Image(url, folded(html.unescape(alt), MAX_TITLE), pixels(width), pixels(height)) if url else None


def pixels(value: object) -> int | None:
    """A width or height as sites write it, or None when it is none."""
    text = str(value or "").removesuffix("px").partition(".")[0]
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text[:9]) < 100_000 else None


def too_far_ahead(moment: datetime, now: datetime) -> bool:
    """Whether an article claims to be published in the future."""
    return moment > now + FUTURE


def parse_moment(text: str, zone: tzinfo | None = None) -> datetime | date:
    """ISO 8601: a time with the offset it was written in, or a plain date.

    A time without an offset is one in `zone`. Without a zone it is a ValueError, as is all that cannot be read:
    nobody knows which hour is meant.
    """
    text = text.strip()
    if len(text) <= 10:
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("the time has no offset")
        moment = moment.replace(tzinfo=zone)
    moment.astimezone(UTC)  # the first and the last year of the calendar overflow
    return moment
