"""The editor's note: a little Markdown, as html that a mail can bear and as plain text.

It may hold paragraphs, **strong** and *soft* words, [links](https://...), headings, quotes, and lists with dashes or
numbers. What else Markdown knows is refused by `unsupported` while the editor is still at the desk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from digest.domain.editions import LONGEST_NOTE
from digest.mail.clean import clean_text, clean_url
from digest.mail.templating import wrapped

_ALLOWED = {"p", "br", "strong", "em", "a", "ul", "ol", "li", "h2", "blockquote"}
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(["image", "code", "fence", "hr"])
_WHOLE = MarkdownIt("commonmark", {"html": True}).enable("table")  # to see what is not for us
_REFUSED = {
    "image": "pictures cannot stand in a note; they come from the articles",
    "code_inline": "code cannot stand in a note",
    "code_block": "a line that begins with four spaces is code in Markdown; take the spaces out",
    "fence": "code cannot stand in a note",
    "hr": "a rule (---) cannot stand in a note",
    "table_open": "a table cannot stand in a note",
    "html_block": "html cannot stand in a note; write Markdown",
    "html_inline": "html cannot stand in a note; write Markdown",
}
_LINK = re.compile(r"\[[^\]\n]*\]\(\s*<?([a-zA-Z][\w+.-]*:[^)\s>]*)")
_SCHEMES = ("http", "https", "mailto")
_ANY_SITE = "https://site.example"
_MAILBOX = re.compile(r"[^\s@<>\"?]+@[^\s@<>\"?]+(?:\?subject=[^\s<>\"&]*)?")
# The look of each tag, for a style sheet that is moved inline; margins at the note's ends would add to the gaps.
_CLASSES = (
    ("<a href", '<a class="note-link" href'),
    ("<p>", '<p class="note-text">'),
    ("<h2>", '<h2 class="note-title">'),
    ("<ul>", '<ul class="note-list">'),
    ("<ol>", '<ol class="note-list">'),
    ("<ol start", '<ol class="note-list" start'),
    ("<blockquote>", '<blockquote class="note-quote">'),
)


def written(note: str, site_url: str = "", tied: Callable[[str], str] = str) -> tuple[str, str]:
    """(html, plain text) of a note. Raw html is shown as text; links are http, https or mailto; all else falls away.

    A link that begins with a slash is one on the site. `tied` says what stays together on a line of plain text, before
    it is wrapped.
    """
    source = _cleaned(note)
    if not source:
        return "", ""
    made = _MARKDOWN.render(source)
    html = nh3.clean(
        re.sub(r"<(/?)h[1-6]>", r"<\1h2>", made),
        tags=_ALLOWED,
        attributes={"a": {"href"}, "ol": {"start"}},
        attribute_filter=lambda _, name, value: _absolute(value, site_url) if name == "href" else value,
        url_schemes=set(_SCHEMES),
        link_rel=None,
    ).strip()
    # Markdown knows entities too: what they stand for is looked at here.
    html = "\n".join(clean_text(line) for line in html.split("\n"))
    reader = _Plain(tied)
    reader.feed(html)
    for bare, dressed in _CLASSES:
        html = html.replace(bare, dressed)
    html = re.sub(
        r'<p class="note-text">((?:(?!<p ).)*</p>\n</blockquote>)', r'<p class="note-last">\1', html, flags=re.S
    )
    return _without_last_margin(html), reader.text()


def _without_last_margin(html: str) -> str:
    """The last thing of a note keeps no distance: what comes next has its own."""
    for tag, name in (("p", "note-text"), ("ul", "note-list"), ("ol", "note-list"), ("blockquote", "note-quote")):
        head, start, tail = html.rpartition(f'<{tag} class="{name}"')
        if start and tail.endswith(f"</{tag}>") and tail.count(f"</{tag}>") == 1:
            also = "" if tag == "p" else f"{name} "
            return f'{head}<{tag} class="{also}note-last"{tail}'
    return html


def _absolute(href: str, site_url: str) -> str | None:
    """Where a link leads from a mail, or None for nowhere: then only its words are left."""
    if href.lower().startswith("mailto:"):
        return href if _MAILBOX.fullmatch(href[7:]) else None
    try:
        return clean_url(urljoin(f"{site_url}/", href) if href.startswith("/") else href) or None
    except ValueError:
        return None


def unsupported(note: str) -> list[str]:
    """What of a note would not go out as it is meant, one line each."""
    source = _cleaned(note)
    tokens = list(_tokens(source))
    found = [_REFUSED[each.type] for each in tokens if each.type in _REFUSED]
    # Markdown itself takes some schemes for no link at all, so these are looked for in the source.
    bad = [each for each in _LINK.findall(source) if each.partition(":")[0].lower() not in _SCHEMES]
    bad += [href for each in tokens if (href := str(each.attrGet("href") or "")) and not _absolute(href, _ANY_SITE)]
    found += [f"a link may begin with a slash, or with http, https or mailto, not lead to {each[:60]}" for each in bad]
    return list(dict.fromkeys(found))


def _cleaned(note: str) -> str:
    lines = [_indent(line) + clean_text(line) for line in note[:LONGEST_NOTE].replace("\r", "").split("\n")]
    return "\n".join(lines).strip()


def _indent(line: str) -> str:
    """Spaces at its beginning, which make a list within a list."""
    return " " * (len(line) - len(line.lstrip(" ")))


def _tokens(source: str) -> Iterator[Token]:
    for token in _WHOLE.parse(source):
        yield token
        yield from token.children or ()


class _Plain(HTMLParser):
    """The same for people who read plain text: wrapped, links behind their words, lists with dashes or numbers."""

    def __init__(self, tied: Callable[[str], str]) -> None:
        super().__init__()
        self._tied = tied
        self._blocks: list[str] = []
        self._words: list[str] = []
        self._href = ""
        self._lists: list[int] = []  # of each open list the next number, 0 for one with dashes
        self._quotes = 0
        self._mark = ""

    def text(self) -> str:
        """All of it."""
        self._end()
        return "\n".join(self._blocks).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Breaks, marks of lists, and where a link leads."""
        given = dict(attrs)
        if tag == "br":
            self._words.append("\n")
        elif tag in ("ul", "ol"):
            self._end()
            self._lists.append(int(given.get("start") or 1) if tag == "ol" else 0)
        elif tag == "li":
            self._mark = f"{self._lists[-1]}. " if self._lists and self._lists[-1] else "- "
            if self._lists and self._lists[-1]:
                self._lists[-1] += 1
        elif tag == "blockquote":
            self._quotes += 1
        elif tag == "a":
            href = given.get("href") or ""
            self._href = clean_url(href) or href.removeprefix("mailto:")

    def handle_endtag(self, tag: str) -> None:
        """Paragraphs part; a link's address stands behind it."""
        if tag in ("p", "li", "h2"):
            self._end(apart=tag != "li" and not self._lists)
        elif tag in ("ul", "ol"):
            self._lists = self._lists[:-1]
            if not self._lists:
                self._blocks.append("")
        elif tag == "blockquote":
            self._quotes -= 1
        elif tag == "a" and self._href:
            self._words.append(f" ({self._href})")

    def handle_data(self, data: str) -> None:
        """Words; the line ends of the source are spaces."""
        self._words.append(data.replace("\n", " "))

    def _end(self, *, apart: bool = False) -> None:
        """Put down the words so far, wrapped, with the marks of the list and the quote they stand in."""
        said, self._words = "".join(self._words).strip(), []
        if not said:
            return
        before = "> " * self._quotes + "  " * max(0, len(self._lists) - 1)
        for number, line in enumerate(said.split("\n")):
            first = before + (self._mark if not number else " " * len(self._mark))
            rest = before + " " * len(self._mark)
            self._blocks.append(wrapped(self._tied(line.strip()), 72, first, rest))
        self._mark = ""
        if apart:
            self._blocks.append("")
