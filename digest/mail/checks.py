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
_NEVER = ("<link", "<script")
_NOT_MORE = ("{{", "{%", "%7b", "%7d")  # a title may hold them; inlining may not make any
_LEADS = re.compile(r"https?://[^/?#\s]|(?:mailto|tel|sms):\S|#", re.I)
_SPACE = re.compile(r"\s+")


def visible_text(html: str) -> str:
    """What a reader sees, with white space folded."""
    body = _page(html).find("body")
    return _SPACE.sub(" ", body.text_content()).strip() if body is not None else ""


def _page(html: str) -> Any:
    from lxml import html as lxml_html  # with the inlining only, see `render`

    return lxml_html.document_fromstring(html)


def check_html(before: str, after: str, mark: str, slots: dict[str, int], name: str = "the html") -> None:
    """Raises RenderError when inlining lost or left something. `slots` says how often each must be there.

    `name` is the template's, for the one who wrote it.
    """
    if not after.lstrip().startswith("<!DOCTYPE html"):
        raise RenderError("doctype", "it is missing, so mail clients would fall into quirks mode")
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
    for address in [*page.xpath("//a/@href"), *page.xpath("//img/@src")]:
        if not _LEADS.match(address):
            remedy = "write it with https:// and its host"
            raise RenderError("links", f"{address!r} leads nowhere from a mail, in {name}: {remedy}")
    check_slots(after, mark, slots, name)
    for each in slots:
        if slot(mark, each) not in page.xpath("//a/@href"):
            raise RenderError("slots", f'{{{{ {each}_link }}}} is in no link of {name}: <a href="...">')


def check_slots(body: str, mark: str, slots: dict[str, int], name: str = "the text") -> None:
    """Each slot stands in the body just as often as it must. Raises RenderError."""
    found = pattern(mark).findall(body)
    for each in sorted({*slots, *found} - OPTIONAL):
        if (times := found.count(each)) != slots.get(each, 0):
            wanted = "once" if slots.get(each) else "not at all"
            raise RenderError(
                "slots", f"{{{{ {each}_link }}}} stands in {name} {times} times, and must stand there {wanted}"
            )


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
    if not re.search(rb"^List-Unsubscribe: <https?://[^ >]+>\r$", content, re.M):
        findings.append("List-Unsubscribe is not one whole URL on one line")
    html = parsed.get_body(("html",))
    if html is not None and (size := len(html.get_content().encode())) > MAX_HTML:
        findings.append(f"the html has {size:,} bytes; Gmail cuts after about 102,000")
    return findings
