"""What must be true of a mail after rendering, and of its bytes. A mail that fails is not sent."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from typing import Any

from digest.errors import RenderError
from digest.mail.slots import OPTIONAL, pattern, slot

MAX_HTML = 100_000  # bytes: Gmail hides what comes after about 102 kB, the unsubscribe link with it
_NEVER = ("<link", "<script")  # mail programs load none and run none
_NOT_MORE = ("{{", "{%", "%7b", "%7d")  # a title may hold them; inlining may not make any
_LEADS = re.compile(r"https?://[^/?#\s]|(?:mailto|tel|sms):\S|#", re.I)
_SPACE = re.compile(r"\s+")
_ROLE = re.compile(r"""\brole=["']?(presentation|none)\b""")
_WIDTH = re.compile(r"""\bwidth=["']?\d+["'\s/>]""")


def visible_text(html: str) -> str:
    """What a reader sees, with white space folded."""
    body = _page(html).find("body")
    return _SPACE.sub(" ", body.text_content()).strip() if body is not None else ""


def _page(html: str) -> Any:
    from lxml import html as lxml_html  # with the inlining only, see `render`

    return lxml_html.document_fromstring(html)


def check_template(html: str, place: str) -> None:
    """What a template must not hold, and must, as mail clients are. Raises RenderError; `place` names the file."""
    lowered = html.lower()
    for word in _NEVER:
        if word in lowered:
            raise RenderError("leftover", f"{place} has {word}>: mail programs take none. Take it out")
    if any("@import" in style for style in re.findall(r"<style[^>]*>(.*?)</style>", lowered, re.S)):
        raise RenderError("leftover", f"{place} has @import in its styles: write those rules into it instead")
    if bare := next((tag for tag in re.findall(r"<table\b[^>]*>", html) if not _ROLE.search(tag)), ""):
        text = f'{place} has {bare[:60]} without role="presentation": it would be read out as a table of figures'
        raise RenderError("tables", text)
    if bare := next((tag for tag in re.findall(r"<img\b[^>]*>", html) if not _WIDTH.search(tag)), ""):
        raise RenderError(
            "pictures", f'{place} has {bare[:80]} without width="...": Outlook would show it at full size'
        )


def check_html(before: str, after: str, mark: str, slots: dict[str, int], place: str = "the html") -> None:
    """Raises RenderError when inlining lost or left something, or a link leads nowhere.

    `slots` says how often each must be there; `place` names the template, for the one who wrote it.
    """
    if not after.lstrip().startswith("<!DOCTYPE html"):
        raise RenderError("doctype", f"{place} has no <!DOCTYPE html>, so mail clients would fall into quirks mode")
    if visible_text(before) != visible_text(after):
        raise RenderError("text", "inlining the styles changed what the reader sees")
    if _ignored_styles(before) != _ignored_styles(after):
        raise RenderError("style", "inlining changed the rules for dark mode and phones")
    lowered = after.lower()
    for leftover in _NEVER:
        if leftover in lowered:
            raise RenderError("leftover", f"{leftover!r} is left in the html")
    for leftover in _NOT_MORE:
        if lowered.count(leftover) > before.lower().count(leftover):
            raise RenderError("leftover", f"inlining made {leftover!r}")
    page = _page(after)
    if any("{" in each or "}" in each for each in page.xpath("//@style")):
        raise RenderError("style", "a style attribute holds a brace")
    check_slots(after, mark, slots, place)
    for address in [*page.xpath("//a/@href"), *page.xpath("//img/@src")]:
        if not _LEADS.match(address):
            remedy = "write it with https:// and its host"
            raise RenderError("links", f"{place} has {address!r}, which leads nowhere from a mail: {remedy}")
    for each in slots.keys() - OPTIONAL:
        if slot(mark, each) not in page.xpath("//a/@href"):
            raise RenderError("slots", f'{{{{ {each}_link }}}} must stand in a link of {place}: <a href="...">')


def check_slots(body: str, mark: str, slots: dict[str, int], place: str = "the text") -> None:
    """Each slot stands in the body just as often as it must. Raises RenderError."""
    found = pattern(mark).findall(body)
    for each in sorted({*slots, *found} - OPTIONAL):
        there, wanted = found.count(each), slots.get(each, 0)
        if there != wanted:
            must = "must stand exactly once" if wanted else "must not stand"
            raise RenderError("slots", f"{{{{ {each}_link }}}} {must} in {place}; it is there {there} times")


def _ignored_styles(html: str) -> list[str]:
    return re.findall(r"<style[^>]*>(.*?)</style>", html, re.S)[-1:]


def check_message(content: bytes, subject: str) -> list[str]:
    """What is wrong with a message's bytes, one line each; empty when all is well (RFC 5322, 2045, 8058)."""
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    findings = [f"defect: {defect!r}" for part in parsed.walk() for defect in part.defects]
    findings += [f"{name}: {defect!r}" for name, value in parsed.items() for defect in getattr(value, "defects", ())]
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "List-Unsubscribe"):
        if (count := len(parsed.get_all(name, []))) != 1:
            findings.append(f"{name} is there {count} times, not once")
    if parsed["Subject"] != subject:
        findings.append(f"the subject reads {parsed['Subject']!r}, not {subject!r}")
    if any(byte > 127 for byte in content):
        findings.append("a byte above 127 is on the wire")
    lines = content.split(b"\r\n")
    if any(b"\n" in line or b"\r" in line for line in lines):
        findings.append("a line ends with something other than CRLF")
    if max(map(len, lines)) > 998:
        findings.append("a line is longer than 998 octets")
    if not re.search(rb"^List-Unsubscribe: <https?://[^ >]+>(?:,\r\n <mailto:[^ >]+>)?\r$", content, re.M):
        findings.append("List-Unsubscribe is not one whole URL on one line")
    html = parsed.get_body(("html",))
    if html is not None and (size := len(html.get_content().encode())) > MAX_HTML:
        findings.append(f"the html has {size:,} bytes; Gmail cuts after about 102,000")
    return findings
