"""A reader's address, parsed once at the door (RFC 5321 section 4.5.3.1 for the lengths)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from digest.errors import InvalidAddress

MAX_ADDRESS = 254  # octets: a path of 256 less its two angle brackets
MAX_LOCAL = 64

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ORDINARY = re.compile(
    rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+(?:xn--)?[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]|localhost)", re.I
)
_DOTS_DO_NOT_COUNT = frozenset({"gmail.com"})
_KEYWORD_AFTER_HYPHEN = frozenset({"ymail.com", "rocketmail.com"})  # and yahoo.*: anna-news@ reaches anna
_SAME_MAILBOX = {  # names of one provider under which each of its mailboxes can be reached
    name: names[0]
    for names in (
        ("gmail.com", "googlemail.com"),
        ("icloud.com", "me.com", "mac.com"),
        ("proton.me", "protonmail.com", "pm.me"),
        ("yandex.ru", "ya.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua"),
        ("fastmail.com", "fastmail.fm"),
    )
    for name in names
}
_SUB_DOMAINS = (".fastmail.com", ".fastmail.fm")  # anything@anna.fastmail.com reaches anna


@dataclass(frozen=True, slots=True)
class Address:
    """An address that can be mailed: `local` as typed, `domain` in lower-case A-labels (RFC 5890)."""

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Accept the ordinary ASCII address, which is nearly every one, in about a microsecond.

        Raises InvalidAddress for anything else; `mail.addresses.parse` then looks closer (IDN, odd forms).
        """
        match = _ORDINARY.fullmatch(text)
        if match is None:
            raise InvalidAddress(text[:320], "it should look like name@example.com")
        local, domain = match.groups()
        if "=?" in local:  # mail programs would decode it as an encoded word, into whatever was hidden in it (RFC 2047)
            raise InvalidAddress(text[:320], "it looks like something encoded, not like an address")
        if len(local) > MAX_LOCAL or len(text) > MAX_ADDRESS:
            raise InvalidAddress(text[:320], "it is longer than mail allows")
        return cls(local, domain.lower())

    @property
    def text(self) -> str:
        """The address as it goes into RCPT and To."""
        return f"{self.local}@{self.domain}"

    @property
    def key(self) -> str:
        """What makes it the same reader: no mailbox provider tells upper case from lower."""
        return f"{self.local.lower()}@{self.domain}"

    @property
    def variant_key(self) -> str:
        """What makes it the same mailbox: `anna+news@` and `a.nna@` (at Gmail) all reach anna.

        Only for counting how often a mailbox was asked: two people who share a key would but wait for each other.
        """
        local, domain = self.local.lower(), self.domain
        if domain.endswith(_SUB_DOMAINS):
            local, _, domain = domain.partition(".")
        domain = _SAME_MAILBOX.get(domain, domain)
        local = local.partition("+")[0] or local
        if domain in _KEYWORD_AFTER_HYPHEN or domain.startswith("yahoo."):
            local = local.partition("-")[0] or local
        return f"{local.replace('.', '') if domain in _DOTS_DO_NOT_COUNT else local}@{domain}"

    @property
    def masked(self) -> str:
        """For logs: enough to recognise, not enough to mail."""
        return f"{self.local[:1]}***@{self.domain}"

    def __str__(self) -> str:
        return self.text
