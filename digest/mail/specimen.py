"""A specimen: a finished message taken apart, so that one can look at what a mailbox gets."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from digest.mail.checks import visible_text


@dataclass(frozen=True, slots=True)
class Picture:
    """An <img> of the mail. `alt` is None when the attribute is missing."""

    url: str
    alt: str | None
    is_linked: bool
    width: int
    is_of_a_story: bool = False  # an article's own, not a logo or an ornament of a template


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the rules need to know beside the message itself."""

    site_url: str
    dkim_domain: str  # empty: we do not sign
    bounce_domain: str
    is_relay_local: bool
    postal_address: str
    audience: int
    theme: Mapping[str, str] = field(default_factory=dict)  # colours by the names of their settings


@dataclass(frozen=True)
class Specimen:
    """A message as it goes on the wire, what it was made from, and the circumstances."""

    subject: str
    preheader: str
    content: bytes
    around: Circumstances

    @cached_property
    def parsed(self) -> EmailMessage:
        """The message, taken apart."""
        parsed = email.message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @cached_property
    def html(self) -> str:
        """Its html, as a mailbox sees it."""
        return self._part("html")

    @cached_property
    def text(self) -> str:
        """Its plain text."""
        return self._part("plain")

    @cached_property
    def words(self) -> str:
        """What is read in the html, with white space folded."""
        return visible_text(self.html)

    @cached_property
    def pictures(self) -> list[Picture]:
        """Its images, in order."""
        return pictures(self.html)

    @cached_property
    def links(self) -> list[tuple[str, str]]:
        """(address, words) of its links to web pages, in order."""
        return links(self.html)

    @cached_property
    def from_domain(self) -> str:
        """The domain of From."""
        return str(self.parsed["From"].addresses[0].domain).lower()

    def _part(self, kind: str) -> str:
        part = self.parsed.get_body((kind,))
        return str(part.get_content()) if part is not None else ""


def links(html: str) -> list[tuple[str, str]]:
    """(address, words) of the links to web pages, in order."""
    found = _document(html).iter("a")
    return [
        (each.get("href", ""), " ".join(each.text_content().split()))
        for each in found
        if each.get("href", "").startswith(("http://", "https://"))
    ]


def pictures(html: str) -> list[Picture]:
    """The images, in order."""
    return [
        Picture(
            each.get("src", ""),
            each.get("alt"),
            next(each.iterancestors("a"), None) is not None,
            int(width) if (width := each.get("width", "")).isdecimal() else 0,
            "picture" in each.get("class", "").split(),
        )
        for each in _document(html).iter("img")
    ]


def _document(html: str) -> Any:
    from lxml import html as lxml_html

    return lxml_html.document_fromstring(html or "<html></html>")


def host_of(url: str) -> str:
    """The host of an address, without `www.`; empty when there is none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def shown(url: str) -> str:
    """An address as a finding names it."""
    return url if len(url) <= 100 else url[:99] + "…"
