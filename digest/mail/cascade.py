"""Which styles an element of a finished mail ends up with: a small cascade over inline styles and style blocks.

Only the properties that colour and size of text depend on, and only the media conditions of a wide screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cssselect import SelectorError, parse
from lxml import etree
from lxml.cssselect import CSSSelector

_PROPERTIES = frozenset(
    {"color", "background", "background-color", "font-size", "font-weight", "display", "visibility", "opacity"}
)
_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_APART = re.compile(r";(?![^(]*\))")


def cascade(page: Any, scheme: str) -> dict[Any, dict[str, str]]:
    """The properties that matter, by element."""
    won: dict[Any, dict[str, tuple[tuple[Any, ...], str]]] = {}

    def give(element: Any, text: str, weight: tuple[Any, ...]) -> None:
        own = won.setdefault(element, {})
        for name, value, important in declarations(text):
            for each in (name, "background-color") if name == "background" else (name,):
                rank = (important, *weight)
                if each not in own or own[each][0] <= rank:
                    own[each] = (rank, value)

    for order, (selector, text) in enumerate(_rules(page, scheme)):
        for element in selector(page):
            give(element, text, (False, selector_weight(selector), order))
    for element in page.iter():
        if isinstance(element.tag, str) and (text := element.get("style")):
            give(element, text, (True, (), 0))
    return {element: {name: value for name, (_, value) in own.items()} for element, own in won.items()}


def selector_weight(selector: CSSSelector) -> tuple[int, int, int]:
    """Its specificity (Selectors Level 3, section 9)."""
    weight: tuple[int, int, int] = parse(selector.css)[0].specificity()
    return weight


def _rules(page: Any, scheme: str) -> Iterator[tuple[CSSSelector, str]]:
    for block in page.iter("style"):
        for selectors, text in rules(block.text or "", scheme):
            for each in selectors.split(","):
                try:
                    yield CSSSelector(each.strip(), translator="html"), text
                except (etree.XPathError, SelectorError):  # a mailbox skips what it cannot read, too
                    continue


def rules(css: str, scheme: str) -> Iterator[tuple[str, str]]:
    """(selectors, declarations) that hold on a wide screen in `scheme`."""
    for prelude, inner in _blocks(_COMMENT.sub("", css)):
        if not prelude.startswith("@"):
            yield prelude, inner
        elif prelude.lower().startswith("@media") and _holds(prelude[6:].lower(), scheme):
            yield from rules(inner, scheme)


def _holds(condition: str, scheme: str) -> bool:
    def each_holds(query: str) -> bool:
        if re.search(r"\b(not|print|speech|width|height|max-|min-|forced-colors|hover)", query):
            return False
        wanted = re.findall(r"prefers-color-scheme\s*:\s*([a-z-]+)", query)
        return all(each == scheme for each in wanted)

    return any(map(each_holds, condition.split(",")))


def _blocks(css: str) -> Iterator[tuple[str, str]]:
    start = depth = opened = 0
    for place, char in enumerate(css):
        if char == "{":
            opened = opened if depth else place
            depth += 1
        elif char == "}":
            if depth == 1:
                yield css[start:opened].strip(), css[opened + 1 : place]
            depth = max(depth - 1, 0)
            start = start if depth else place + 1
        elif char == ";" and not depth:
            start = place + 1


def declarations(text: str) -> Iterator[tuple[str, str, bool]]:
    """(property, value, important) of those properties that matter."""
    for each in _APART.split(text):
        name, colon, value = each.partition(":")
        if colon and (name := name.strip().lower()) in _PROPERTIES:
            plain = value.strip().lower()
            important = plain.endswith("important") and "!" in plain
            yield name, plain.partition("!")[0].strip(), important
