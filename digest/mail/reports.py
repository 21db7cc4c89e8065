"""Reading reports: delivery status notifications (RFC 3464) and feedback reports (RFC 5965). Never raises."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import Message

from digest.domain.reports import Report, ReportKind, kind_of_status

MAX_BYTES = 2_000_000
MAX_PARTS = 100
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other", "opt-out"})
_ADDRESS_FIELDS = ("To", "Delivered-To", "X-Original-To", "Return-Path", "Original-Mail-From")


def read_report(content: bytes) -> Report:
    """What a message from the bounce mailbox is; ordinary mail, and anything absurd, is OTHER."""
    if len(content) > MAX_BYTES:
        return Report(ReportKind.OTHER, "too large for a report")
    # compat32 never parses a field's value, so no hostile value can make it raise
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    parts = list(_walk(message))
    senders = tuple(_fields(parts, _ADDRESS_FIELDS))
    message_ids = tuple(_fields(parts[1:], ("Message-ID",)))
    kind, words = _judge(message, parts)
    return Report(kind, words, senders, message_ids)


def _judge(message: Message, parts: list[Message]) -> tuple[ReportKind, str]:
    if len(parts) > MAX_PARTS or message.get_content_type() != "multipart/report":
        return ReportKind.OTHER, ""
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            return _judge_feedback(part)
    statuses = [each for part in parts if (each := _field(part, "Status")) and _field(part, "Action") == "failed"]
    if not statuses:
        return ReportKind.OTHER, ""
    words = next((each for part in parts if (each := _field(part, "Diagnostic-Code"))), statuses[0])
    return kind_of_status(statuses[0].split()[0]), words


def _judge_feedback(part: Message) -> tuple[ReportKind, str]:
    fields = email.message_from_string(_text(part))
    feedback = (_field(fields, "Feedback-Type") or _field(part, "Feedback-Type")).lower()
    return (ReportKind.COMPLAINT, feedback) if feedback in _COMPLAINTS else (ReportKind.OTHER, feedback)


def _walk(message: Message) -> Iterator[Message]:
    """The message, its parts, and the fields inside text parts that hold a returned header."""
    for number, part in enumerate(message.walk()):
        if number > MAX_PARTS:
            return
        yield part
        if part.get_content_type() in ("text/rfc822-headers", "message/feedback-report"):
            yield email.message_from_string(_text(part))


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if isinstance(payload, bytes):
        return payload.decode("utf-8", "replace")
    inner = part.get_payload()
    return "\n".join(str(each) for each in inner) if isinstance(inner, list) else str(inner)


def _fields(parts: list[Message], names: tuple[str, ...]) -> Iterator[str]:
    for part in parts:
        for name in names:
            for value in part.get_all(name, []):
                yield str(value).strip().removeprefix("rfc822;").strip("<> \t\r\n")


def _field(part: Message, name: str) -> str:
    return " ".join(str(part.get(name, "")).split())
