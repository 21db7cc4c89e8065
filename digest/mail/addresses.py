"""An address as people type it, parsed once; every refusal says why in plain words (RFC 5321, 5890, 6531)."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from digest.domain.addresses import MAX_ADDRESS, MAX_LOCAL, Address
from digest.errors import InvalidAddress


def parse(text: str, *, smtputf8: bool = False) -> Address:
    """The address in `text`. Raises InvalidAddress and nothing else.

    A domain in letters beyond ASCII is taken in its A-labels. Such letters before the @ need a mail server
    that speaks SMTPUTF8; without `smtputf8` they are refused here rather than in the middle of a run.
    """
    typed = text.strip()
    try:
        return Address.parse(typed)
    except InvalidAddress:
        pass
    if reason := _plain_reason(typed):
        raise InvalidAddress(_shown(typed), reason)
    try:
        found = validate_email(
            typed,
            check_deliverability=False,
            allow_smtputf8=True,
            allow_quoted_local=False,
            allow_domain_literal=False,
            test_environment=True,
        )
    except (EmailNotValidError, UnicodeError, ValueError, IndexError) as error:
        raise InvalidAddress(_shown(typed), _worded(error)) from None
    return _accept(found.local_part, found.ascii_domain or found.domain, smtputf8)


def _accept(local: str, domain: str, smtputf8: bool) -> Address:
    if not local.isascii() and not smtputf8:
        raise InvalidAddress(_shown(f"{local}@{domain}"), "letters like these before the @ cannot be mailed yet")
    if not local.isascii():
        if len(local.encode()) > MAX_LOCAL or len(f"{local}@{domain}".encode()) > MAX_ADDRESS:
            raise InvalidAddress(_shown(f"{local}@{domain}"), "it is longer than mail allows")
        return Address(local, domain.lower())
    return Address.parse(f"{local}@{domain}")


def _plain_reason(typed: str) -> str:
    """The mistakes people make, in the words of people."""
    if not typed:
        return "it is empty"
    if len(typed) > MAX_ADDRESS:
        return "it is longer than mail allows"
    if any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in typed):
        return "it holds a character that cannot be in an address"
    if "<" in typed or ">" in typed or '"' in typed:
        return "write the address alone, without a name around it"
    if "=?" in typed:
        return "it looks like something encoded, not like an address"
    if "@" not in typed:
        return "there is no @ in it"
    if typed.count("@") > 1:
        return "there is more than one @ in it"
    if " " in typed:
        return "there is a space in it"
    local, _, domain = typed.partition("@")
    if not local or not domain:
        return "something is missing " + ("before" if not local else "after") + " the @"
    if "," in domain:
        return "there is a comma where a dot should be"
    if "." not in domain:
        return "the part after the @ should look like example.com"
    if ".." in typed or typed.endswith(".") or local.startswith(".") or local.endswith("."):
        return "there is a dot too many in it"
    return ""


def _worded(error: Exception) -> str:
    words = str(error).strip().rstrip(".")
    return f"{words[:1].lower()}{words[1:200]}" if words else "it should look like name@example.com"


def _shown(text: str) -> str:
    return text[:320].encode("utf-8", "replace").decode()
