"""The editor's note: a little Markdown, as html that a mail can bear and as plain text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import nh3
from markdown_it import MarkdownIt

from digest.domain.editions import LONGEST_NOTE
from digest.mail.clean import clean_text, clean_url

_ALLOWED = {"p", "br", "strong", "em", "a", "ul", "ol", "li"}
_CONTROL = re.compile(r"[^\S\n]")
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(["image", "heading", "lheading", "code", "fence", "hr"])


def written(note: str) -> tuple[str, str]:
    """(html, plain text) of a note. Raw html is shown as text; links are http, https or mailto; all else falls away."""
    lines = [clean_text(line) for line in note[:LONGEST_NOTE].replace("\r", "").split("\n")]
    source = "\n".join(lines).strip()
    if not source:
        return "", ""
    html = nh3.clean(
        _MARKDOWN.render(source),
        tags=_ALLOWED,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    html = html.strip().replace("<a href", '<a class="note-link" href')
    reader = _Plain()
    reader.feed(html)
    return html, "".join(reader.parts).strip()


class _Plain(HTMLParser):
    """The same for people who read plain text: links behind their words, lists with dashes."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._href = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Breaks, dashes, and where a link leads."""
        if tag == "br":
            self.parts.append("\n")
        elif tag == "li":
            self.parts.append("- ")
        elif tag == "a":
            href = dict(attrs).get("href") or ""
            self._href = clean_url(href) or href.removeprefix("mailto:")

    def handle_endtag(self, tag: str) -> None:
        """Paragraphs part; a link's address stands behind it."""
        if tag == "p":
            self.parts.append("\n\n")
        elif tag == "li" or tag in ("ul", "ol"):
            self.parts.append("\n")
        elif tag == "a" and self._href:
            self.parts.append(f" ({self._href})")

    def handle_data(self, data: str) -> None:
        """Words."""
        self.parts.append(data if data.strip() else " " if data == " " else "")
