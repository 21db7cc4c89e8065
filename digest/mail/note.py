"""The editor's note: a little Markdown, as html that a mail can bear and as plain text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import nh3
from markdown_it import MarkdownIt

from digest.domain.editions import LONGEST_NOTE
from digest.mail.clean import clean_text, clean_url

_ALLOWED = {"p", "br", "strong", "em", "a", "ul", "ol", "li"}
_MAILBOX = re.compile(r"[^\s@<>\"?]+@[^\s@<>\"?]+(?:\?subject=[^\s<>\"&]*)?")
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(["image", "heading", "lheading", "code", "fence", "hr"])


def written(note: str, site_url: str = "") -> tuple[str, str]:
    """(html, plain text) of a note. Raw html is shown as text; links are http, https or mailto; all else falls away.

    A link that begins with a slash is one on the site.
    """
    lines = [clean_text(line) for line in note[:LONGEST_NOTE].replace("\r", "").split("\n")]
    source = "\n".join(lines).strip()
    if not source:
        return "", ""
    html = nh3.clean(
        _MARKDOWN.render(source),
        tags=_ALLOWED,
        attributes={"a": {"href"}},
        attribute_filter=lambda tag, name, value: _absolute(value, site_url),
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    # Markdown knows entities too: what they stand for is looked at here.
    html = "\n".join(clean_text(line) for line in html.strip().split("\n")).replace(
        "<a href", '<a class="note-link" href'
    )
    reader = _Plain()
    reader.feed(html)
    return html, "".join(reader.parts).strip()


def _absolute(href: str, site_url: str) -> str | None:
    """Where a link leads from a mail, or None for nowhere: then only its words are left."""
    if href.lower().startswith("mailto:"):
        return href if _MAILBOX.fullmatch(href[7:]) else None
    try:
        return clean_url(urljoin(f"{site_url}/", href) if href.startswith("/") else href) or None
    except ValueError:
        return None


class _Plain(HTMLParser):
    """The same for people who read plain text: links behind their words, lists with dashes."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._href = ""
        self._number = 0  # of the next point of a list that counts

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Breaks, dashes, and where a link leads."""
        if tag == "br":
            self.parts.append("\n")
        elif tag == "li":
            self.parts.append(f"{self._number}. " if self._number else "- ")
            self._number += bool(self._number)
        elif tag in ("ul", "ol"):
            self._number = int(tag == "ol")
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
        if self.parts[-1:] == ["\n"]:  # a break, and the end of its line in the source
            data = data.removeprefix("\n")
        self.parts.append(data if data.strip() else " " if data == " " else "")
