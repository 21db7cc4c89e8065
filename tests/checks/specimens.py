"""Specimens: a mail as it went over the line, a page as it was answered, and all that one play brought."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cached_property

from lxml import html as lxml_html

BASE = "https://recap.example.com"
READER = "anna@example.com"
MOST = 20  # articles in the longest edition


@dataclass(frozen=True)
class Mail:
    """A message as it went over the line. `name` is unique and fit for a file."""

    name: str
    language: str
    content: bytes
    sender: str = ""  # of the envelope
    recipient: str = ""

    @cached_property
    def parsed(self) -> EmailMessage:
        """As the standard library reads it."""
        parsed = email.message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @cached_property
    def html(self) -> str:
        """The decoded html part."""
        return self._part("html")

    @cached_property
    def text(self) -> str:
        """The decoded plain part."""
        return self._part("plain")

    @cached_property
    def subject(self) -> str:
        """The subject as the html's title has it: that never was in a header."""
        found = lxml_html.document_fromstring(self.html).findtext("head/title")
        assert found, f"{self.name} has no title"
        return found

    @property
    def is_digest(self) -> bool:
        """Whether it goes to a whole list."""
        return self.name.startswith("digest-")

    @property
    def is_left_with_one_click(self) -> bool:
        """Whether its head says how to leave: that of an edition does, and that of the welcome."""
        return self.is_digest or self.name.startswith("welcome")

    def _part(self, subtype: str) -> str:
        part = self.parsed.get_body((subtype,))
        assert isinstance(part, EmailMessage), f"{self.name} has no {subtype} part"
        text: str = part.get_content()
        return text.replace("\r\n", "\n")


@dataclass(frozen=True)
class Page:
    """A page as the web application answered."""

    name: str
    language: str
    html: str
    headers: dict[str, str]
    assets: dict[str, tuple[str, str]]  # what it asks for: path -> (type, text)


@dataclass
class Specimens:
    """What one play brought."""

    mails: list[Mail] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)  # template names, of mails and pages alike
    inlined: dict[str, str] = field(default_factory=dict)  # html before its styles were moved inline -> after

    def __iadd__(self, other: Specimens) -> Specimens:
        self.mails += other.mails
        self.pages += other.pages
        self.loaded |= other.loaded
        self.inlined |= other.inlined
        return self
