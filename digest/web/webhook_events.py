"""Providers' events as reports, by their documented shapes; what says nothing of a mailbox or a reader is left out.

A provider's word for an event decides what it may be at most; where it quotes the receiving server, that server's
words and codes decide, as they do in a report by mail. Every text that may hold a token of ours is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from digest.domain.diagnosis import diagnose
from digest.domain.reports import Report, ReportKind
from digest.mail.reports import read_report

Json = Mapping[str, Any]
HARD, SOFT, POLICY = ReportKind.HARD, ReportKind.SOFT, ReportKind.POLICY
COMPLAINT, LEFT = ReportKind.COMPLAINT, ReportKind.LEFT
_MOST_TEXTS = 60  # of one event that are looked at for tokens
_IN_BRACKETS = re.compile(r"<([^<>\s]{3,2000})>")
_NO_COMPLAINTS = frozenset({"not-spam", "auth-failure"})


def of_ses(message: Json) -> Iterator[Report]:
    """A notification or an event of Amazon SES, as SNS carries it in `Message`."""
    kind = _text(message, "notificationType") or _text(message, "eventType")
    mail = _object(message, "mail")
    tokens = [_text(mail, "source"), _text(_object(mail, "commonHeaders"), "messageId")]
    for header in _objects(mail, "headers"):
        if _text(header, "name").lower() in ("message-id", "return-path", "list-unsubscribe"):
            tokens.append(_text(header, "value"))
    if kind == "Bounce":
        bounce = _object(message, "bounce")
        reader = next(iter(_objects(bounce, "bouncedRecipients")), {})
        words = _text(reader, "diagnosticCode")
        said = _of_ses_bounce(_text(bounce, "bounceType"), _text(bounce, "bounceSubType"))
        yield _report(said, _text(reader, "status"), words, tokens)
    elif kind == "Complaint":
        feedback = _text(_object(message, "complaint"), "complaintFeedbackType")
        if feedback not in _NO_COMPLAINTS:
            yield _told(COMPLAINT, feedback or "complaint", tokens)
    elif kind == "Reject":
        yield _told(POLICY, _text(_object(message, "reject"), "reason"), tokens)


def _of_ses_bounce(kind: str, detail: str) -> ReportKind:
    if detail in ("MessageTooLarge", "ContentRejected", "AttachmentRejected"):
        return POLICY
    # Suppressed: SES did not even try, because of what came back of other mail, perhaps of others' mail.
    return HARD if kind == "Permanent" and "Suppress" not in detail else SOFT


def of_mailgun(message: Json) -> Iterator[Report]:
    """`event-data` of a Mailgun webhook."""
    event = _object(message, "event-data")
    kind, reason = _text(event, "event"), _text(event, "reason")
    headers = _object(_object(event, "message"), "headers")
    tokens = [_text(_object(event, "envelope"), "sender"), _text(headers, "message-id")]
    tokens += _texts(event.get("user-variables"))
    if kind == "complained" or reason == "suppress-complaint":
        yield _told(COMPLAINT, "complaint", tokens)
    elif kind == "unsubscribed" or reason == "suppress-unsubscribe":
        yield _told(LEFT, "unsubscribed at Mailgun", tokens)
    elif kind == "rejected":
        yield _told(POLICY, _text(_object(event, "reject"), "reason"), tokens)
    elif kind == "failed" and _text(event, "severity") == "permanent":  # else it is tried again
        status = _object(event, "delivery-status")
        words = _text(status, "message") or _text(status, "description")
        said = SOFT if reason in ("old", "suppress-bounce") else HARD
        yield _report(said, _text(status, "enhanced-code"), words, tokens, in_doubt=SOFT)


_POSTMARK = {
    "HardBounce": HARD,
    "BadEmailAddress": HARD,
    "SoftBounce": SOFT,
    "DnsError": SOFT,
    "Blocked": POLICY,
    "SpamNotification": POLICY,
    "VirusNotification": POLICY,
    "DMARCPolicy": POLICY,
    "SpamComplaint": COMPLAINT,
    "Unsubscribe": LEFT,
}


def of_postmark(message: Json) -> Iterator[Report]:
    """A bounce, complaint or subscription change of Postmark; `Content` is the report by mail, where that is sent."""
    record, kind = _text(message, "RecordType"), _POSTMARK.get(_text(message, "Type"))
    if record == "SpamComplaint":
        kind = COMPLAINT
    elif record == "SubscriptionChange":
        gone = message.get("SuppressSending") is True and _text(message, "SuppressionReason") == "ManualSuppression"
        kind = LEFT if gone and _text(message, "Origin") == "Recipient" else None
    elif record != "Bounce":
        kind = None
    if kind is None:
        return
    tokens = _texts(message.get("Metadata"))
    inner = read_report(_text(message, "Content").encode("utf-8", "replace"))
    tokens += [*inner.envelope_senders, *inner.message_ids, *inner.unsubscribe_links]
    words = _text(message, "Details") or _text(message, "Description")
    yield _report(kind, inner.status, words, tokens) if kind in (HARD, SOFT) else _told(kind, words, tokens)


def of_sendgrid(event: Json) -> Iterator[Report]:
    """One event of SendGrid's; unique arguments stand beside its own fields."""
    kind, reason = _text(event, "event"), _text(event, "reason")
    tokens = [_text(event, "smtp-id"), *_texts(event)]
    if kind == "spamreport" or (kind == "dropped" and "spam" in reason.lower()):
        yield _told(COMPLAINT, "complaint", tokens)
    elif kind in ("unsubscribe", "group_unsubscribe") or (kind == "dropped" and "unsubscribed" in reason.lower()):
        yield _told(LEFT, "unsubscribed at SendGrid", tokens)
    elif kind == "dropped":  # it did not even try, because of what came back before
        yield _told(SOFT, reason, tokens)
    elif kind == "bounce":
        said = POLICY if _text(event, "type") == "blocked" else HARD
        yield _report(said, _text(event, "status"), reason, tokens)


_BREVO = {
    "hard_bounce": HARD,
    "invalid_email": HARD,
    "soft_bounce": SOFT,
    "blocked": SOFT,  # it did not even try
    "error": SOFT,
    "spam": COMPLAINT,
    "complaint": COMPLAINT,
    "unsubscribe": LEFT,
    "unsubscribed": LEFT,
}


def of_brevo(event: Json) -> Iterator[Report]:
    """One event of Brevo's."""
    kind = _BREVO.get(_text(event, "event"))
    tokens = [_text(event, "message-id"), *_texts(event)]
    words = _text(event, "reason")
    if kind in (HARD, SOFT):
        yield _report(kind, "", words, tokens)
    elif kind is not None:
        yield _told(kind, words or str(kind), tokens)


def _report(
    said: ReportKind, status: str, words: str, tokens: list[str], *, in_doubt: ReportKind | None = None
) -> Report:
    """What `said` comes to once the receiving server is heard: it may be milder than the provider's word, not harder.

    `in_doubt` stands where the server said neither words we know nor a code.
    """
    found = diagnose(status, words)
    if found.kind is POLICY:
        return _told(POLICY, words, tokens, found.status)
    if said is HARD and (found.told or found.status not in ("", "5.0.0")):
        return _told(found.kind, words, tokens, found.status)
    return _told(in_doubt or said if said is HARD else said, words, tokens, found.status)


def _told(kind: ReportKind, words: str, tokens: list[str], status: str = "") -> Report:
    """A report with every place a token may stand in."""
    places = [inner for text in tokens for inner in (_IN_BRACKETS.findall(text) or [text.strip()]) if inner]
    links = tuple(each for each in places if "://" in each or each.lower().startswith("mailto:"))
    others = tuple(each for each in places if each not in links)
    return Report(kind, words[:2_000], others, others, status=status, unsubscribe_links=links)


def _text(event: Json, name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _object(event: Json, name: str) -> Json:
    value = event.get(name)
    return value if isinstance(value, Mapping) else {}


def _objects(event: Json, name: str) -> list[Json]:
    value = event.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    """The texts in an object, or in JSON that stands in a text; only those that can hold an address."""
    found = value.values() if isinstance(value, Mapping) else [value]
    return [each for each in found if isinstance(each, str) and "@" in each and len(each) < 1_000][:_MOST_TEXTS]
