"""Understanding what comes back: delivery reports, bounces in prose, complaints, and what only looks like them.

One pure function, `read_report`: bytes in, a `Report` out. It never raises and does bounded work on anything.
"""

from __future__ import annotations

from digest.domain.diagnosis import best_status, diagnose
from digest.domain.reports import Report, ReportKind
from digest.mail.reports import arf, automatic, dsn, prose, traces
from digest.mail.reports.parts import Absurd, Part, take_apart

MAX_BYTES = 2_000_000
LONGEST_WORDS = 300  # characters

_NOT_FAILED = frozenset({"delayed", "delivered", "relayed", "expanded", "deliverable"})  # the last: a probe's
_MOST_JUDGED = 20  # recipients of one report; ours went to one
_SEVERITY = (ReportKind.HARD, ReportKind.POLICY, ReportKind.SOFT)  # the last one found is the milder


def read_report(content: bytes) -> Report:
    """What a message from the bounce mailbox is; ordinary mail, and anything absurd, is OTHER."""
    if len(content) > MAX_BYTES:
        return Report(ReportKind.OTHER, "too large for a report")
    try:
        parts = take_apart(content)
    except Absurd:
        return Report(ReportKind.OTHER, "too many parts for a report")
    kind, words, status, recipient = _judge(parts)
    return Report(
        kind,
        " ".join(words.split())[:LONGEST_WORDS],
        traces.envelope_senders(parts),
        traces.message_ids(parts),
        status,
        recipient[:320],
        traces.unsubscribe_links(parts),
    )


_Verdict = tuple[ReportKind, str, str, str]  # kind, words, status, final recipient


def _judge(parts: list[Part]) -> _Verdict:
    if feedback := arf.feedback_type(parts):
        return arf.judge(feedback), feedback, "", arf.recipient(parts)
    if automatic.is_receipt(parts):
        return ReportKind.OTHER, "a receipt", "", ""
    text = prose.before_the_copy(parts)
    message = parts[0]
    from_daemon = prose.is_from_daemon(message)
    named = dsn.recipients(parts) or dsn.recipients_in(_fields_in(text))
    if not named and from_daemon and prose.is_bounce(message, text):
        named = dsn.recipients(parts, is_wrapped=True)  # a gateway may wrap the report whole
    if automatic.is_challenge(message, text) and not any(each.words for each in named if each.action == "failed"):
        return ReportKind.OTHER, "a challenge", "", ""
    is_no_report = automatic.says_so(message, from_daemon=from_daemon)
    if named and not (is_no_report and not message.parameter("report-type")):
        return _judge_status(named, text)
    if is_no_report or not prose.is_bounce(message, text):
        return ReportKind.OTHER, "", "", ""
    if prose.is_only_late(message, text):
        return ReportKind.OTHER, "only late", "", ""
    bounce = prose.judge(text)
    return bounce.diagnosis.kind, bounce.words, bounce.diagnosis.status, message.get("x-failed-recipients")


def _fields_in(text: str) -> str:
    """A text that holds the fields of a status part without being one."""
    lower = text.lower()
    return text if "final-recipient:" in lower or "diagnostic-code:" in lower else ""


def _judge_status(named: list[dsn.Recipient], text: str) -> _Verdict:
    """One verdict over all recipients of one mail of ours: gone only if gone for everyone it went on to."""
    failed = [each for each in named if each.action not in _NOT_FAILED]
    if not failed:
        return ReportKind.OTHER, named[0].action, best_status(named[0].status, ""), named[0].address
    judged = [(_judge_recipient(each, text if len(failed) == 1 else ""), each) for each in failed[:_MOST_JUDGED]]
    bounce, mildest = max(judged, key=lambda pair: _SEVERITY.index(pair[0].diagnosis.kind))
    kind = bounce.diagnosis.kind
    if kind is ReportKind.HARD and len(failed) < len(named):
        kind = ReportKind.SOFT
    return kind, bounce.words, bounce.diagnosis.status, mildest.address


def _judge_recipient(recipient: dsn.Recipient, text: str) -> prose.Bounce:
    """By its own words, or else by those around it; a code of the mailbox alone stands unless the text acquits it."""
    words = recipient.words or recipient.status
    diagnosis = diagnose(recipient.status, words)
    if diagnosis.told or not text:
        return prose.Bounce(diagnosis, words)
    around = prose.judge(text)
    acquits = around.diagnosis.kind is ReportKind.SOFT or (around.quotes and around.diagnosis.kind is ReportKind.POLICY)
    if around.diagnosis.told and (acquits or diagnosis.kind is not ReportKind.HARD):
        status = diagnosis.status or around.diagnosis.status
        return prose.Bounce(around.diagnosis._replace(status=status), around.words)
    return prose.Bounce(diagnosis, words or around.words)
