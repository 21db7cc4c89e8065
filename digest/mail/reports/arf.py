"""Complaints: the abuse reporting format (RFC 5965, 6650), and the shapes that are older or simpler than it."""

from __future__ import annotations

import re

from digest.domain.reports import ReportKind
from digest.mail.reports.parts import Part, unencoded

# not-spam (RFC 6430) and auth-failure (RFC 6591) ask nothing of a reader
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other", "opt-out", "opt-out-list", "complaint", "miscategorized"})
_FEEDBACK_TYPE = re.compile(r"^feedback-type:[ \t]*([\w-]{1,40})", re.I | re.M)
_JUNK_REPORT = re.compile(r"complaint about message from \S", re.I)  # Outlook.com's, and of SES in its likeness
_SUBJECT = re.compile(r"\babuse report\b|^(?:e-?mail )?(?:spam|abuse) (?:complaint|report)\b", re.I)
_SENDERS = re.compile(
    r"staff@hotmail\.com|complaints@[\w.-]*amazonses\.com|feedback(?:loop)?@|\bfbl@|scomp@aol\.|@fbl\.|@arf\.|abuse-?reports?@",
    re.I,
)
_WHO = re.compile(r"^(?:original-rcpt-to|redacted-address):[ \t]*<?([^\s<>]{1,320})", re.I | re.M)


def feedback_type(parts: list[Part]) -> str:
    """The kind of feedback a message is, in lower case; "" when it is none."""
    for part in parts:
        if part.content_type == "message/feedback-report" and not part.returned:
            fields = "\n".join(f"{name}: {value}" for name, value in part.fields)
            match = _FEEDBACK_TYPE.search(fields) or _FEEDBACK_TYPE.search(part.text)
            return match[1].lower() if match else "abuse"
    message = parts[0]
    if message.parameter("report-type").lower() == "feedback-report":
        match = _FEEDBACK_TYPE.search(message.text)
        return match[1].lower() if match else ""
    subject = unencoded(message.get("subject"))
    has_original = any(part.content_type == "message/rfc822" for part in parts)
    if _JUNK_REPORT.search(subject) and has_original:
        return "abuse"
    is_known = _SENDERS.search(message.get("from")) and _SUBJECT.search(subject)
    return "abuse" if is_known and (has_original or message.content_type.startswith("text/")) else ""


def judge(feedback: str) -> ReportKind:
    """What kind of report that is; one that nobody has registered asks nothing (RFC 6650 section 4.5)."""
    return ReportKind.COMPLAINT if feedback in _COMPLAINTS else ReportKind.OTHER


def recipient(parts: list[Part]) -> str:
    """Who complained, if it says so: a hint, often redacted."""
    names = ("original-rcpt-to", "x-hmxmroriginalrecipient", "redacted-address")
    for part in parts:
        for value in part.all(names):
            return value.strip("<> ")
        if part.content_type == "message/feedback-report":
            return match[1] if (match := _WHO.search(part.text)) else ""
    return ""
