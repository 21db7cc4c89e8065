"""What came into the mailbox of reports: a report, a reader's wish to leave, or mail for people. Never raises."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import Message

from digest.domain.reports import Report, ReportKind
from digest.mail.reports import read_report

# Where the address a message was sent to stands: the server's own words first, then the sender's.
_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "Cc")
_AUTOMATIC = ("X-Autoreply", "X-Autorespond", "X-Vacation", "X-Mail-Autoreply")
_ADDRESS = re.compile(r"[^\s<>,;:\"()]+@[^\s<>,;:\"()]+")
_LONGEST = 20_000  # characters of such fields that are looked at


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message: the report it is, or the addresses it came to; `is_automatic` when no person wrote it."""

    report: Report
    addresses: tuple[str, ...] = ()
    is_automatic: bool = False


def read_incoming(content: bytes) -> Incoming:
    """Look at a whole message."""
    report = read_report(content)
    if report.kind is not ReportKind.OTHER:
        return Incoming(report, is_automatic=True)
    head = content[:200_000].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    message = email.message_from_bytes(head, policy=email.policy.compat32)
    said = [str(value) for name in _TO for value in message.get_all(name, [])]
    return Incoming(report, tuple(dict.fromkeys(_ADDRESS.findall(" ".join(said)[:_LONGEST]))), _is_automatic(message))


def _is_automatic(message: Message) -> bool:
    """Whether a program wrote it by itself: RFC 3834 section 2, RFC 5321 section 6.1, and what was used before them."""
    if _said(message, "Auto-Submitted") not in ("", "no"):
        return True
    if any(name in message for name in _AUTOMATIC) or _said(message, "Precedence") in ("auto_reply", "junk"):
        return True
    return str(message.get("Return-Path", "")).strip() == "<>" or message.get_content_type() == "multipart/report"


def _said(message: Message, name: str) -> str:
    return str(message.get(name, "")).partition(";")[0].strip().lower()
