"""Plain text out of what sources say: tags out, entities decoded, dates made aware."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

_MORE = re.compile(r"\s*(?:\[\s*(?:…|\.\.\.|&hellip;)\s*\]|\(more…?\)|Continue reading\b.*)\s*$", re.I)
_SKIPPED = frozenset({"script", "style", "template", "noscript"})
_BREAKS = frozenset({"p", "br", "div", "li", "h1", "h2", "h3", "figcaption", "td"})
FUTURE = timedelta(days=1)  # clocks differ; more than this ahead is a mistake


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipping = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self._skipping += 1
        elif tag in _BREAKS:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED:
            self._skipping = max(0, self._skipping - 1)
        elif tag in _BREAKS:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.parts.append(data)


def text_of(markup: str) -> str:
    """The text of a piece of HTML, white space folded, without the "read more" at its end."""
    parser = _Text()
    parser.feed(storable(markup))
    parser.close()
    return _MORE.sub("…", " ".join("".join(parser.parts).split()))


def title_of(markup: str) -> str:
    """A title as people read it. Entities are decoded once; tags are dropped only where they are real tags."""
    return " ".join(
        html.unescape(re.sub(r"</?(?:em|i|b|strong|span|br|sup|sub)\b[^>]*>", " ", storable(markup))).split()
    )


def storable(text: str) -> str:
    """Without lone surrogates and NULs, which no database takes."""
    return text.encode("utf-8", "ignore").decode("utf-8").replace("\x00", "")


def too_far_ahead(moment: datetime, now: datetime) -> bool:
    """Whether an article claims to be published in the future."""
    return moment > now + FUTURE


def parse_utc(text: str) -> datetime:
    """ISO 8601 with an offset or Z as aware UTC. Raises ValueError, also for a time without an offset."""
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        raise ValueError("the time has no offset")
    return moment.astimezone(UTC)
