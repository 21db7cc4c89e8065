"""An edition as the archive shows it: what was sent, without a word that was meant for one reader."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lxml import etree
from lxml import html as lxml_html

from digest.mail.slots import pattern

_LEAST_WIDTH = 200  # pixels: smaller ones are logos and ornaments
_HIDDEN = re.compile(r"display:\s*none", re.I)
_SEPARATOR = re.compile(r"[\s\u00a0]*[·|–][\s\u00a0]*$")  # what stands between the facts of a dateline


@dataclass(frozen=True, slots=True)
class ArchivedMail:
    """The parts of a mail that make a page: what stands in its body, its look, and its leading picture."""

    body: str  # html, safe as it is: it was escaped when the mail was made
    body_style: str
    styles: tuple[str, ...]
    image: str
    image_alt: str


def archived(html: str, mark: str, own_url: str, site_url: str) -> ArchivedMail:
    """Take a frozen html apart. Paragraphs around a reader's own links go, and "View in browser" from the dateline."""
    slots = pattern(mark)
    unnamed = slots.sub(lambda slot: "" if slot[1] == "name" else slot[0], html)
    page = lxml_html.document_fromstring(unnamed)
    body = page.find("body")
    for each in list(body.iter(etree.Element)):
        if _HIDDEN.search(each.get("style", "")) and each.tag != "img":  # a logo for dark mode waits for its hour
            each.drop_tree()
    for link in list(body.iter("a")):
        if slots.search(link.get("href", "")):
            paragraph = next(link.iterancestors("p"), link)
            if paragraph.getparent() is not None:  # another link of the reader's took it away
                paragraph.drop_tree()
        elif link.get("href") == own_url and _SEPARATOR.search(_before(link)):
            _drop_with_separator(link)
    lead = _leading(body, site_url)
    inside = (body.text or "") + "".join(etree.tostring(each, encoding="unicode", method="html") for each in body)
    styles = tuple(str(each.text or "") for each in page.iter("style"))
    return ArchivedMail(
        slots.sub("", inside),
        body.get("style", ""),
        styles,
        lead.get("src", "") if lead is not None else "",
        lead.get("alt", "") if lead is not None else "",
    )


def _before(element: Any) -> str:
    """The text right before it."""
    previous, parent = element.getprevious(), element.getparent()
    return str((parent.text if previous is None else previous.tail) or "")


def _drop_with_separator(element: Any) -> None:
    previous, parent = element.getprevious(), element.getparent()
    kept = _SEPARATOR.sub("", _before(element))
    if previous is None:
        parent.text = kept
    else:
        previous.tail = kept
    element.drop_tree()


def _leading(body: Any, site_url: str) -> Any:
    for image in body.iter("img"):
        width = image.get("width", "")
        link = next(image.iterancestors("a"), None)
        is_logo = link is None or link.get("href", "").rstrip("/") == site_url.rstrip("/")
        if width.isdecimal() and int(width) >= _LEAST_WIDTH and not is_logo and image.get("src", "").startswith("http"):
            return image
    return None
