"""Reports: only what speaks of the mailbox is a hard bounce, and nothing makes the reader of them raise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.reports import ReportKind
from digest.mail.reports import MAX_BYTES, read_report


def dsn(status: str, action: str = "failed") -> bytes:
    return f"""To: bounces+abc@news.example.com
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
MIME-Version: 1.0

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; anna@example.com
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} words

--b
Content-Type: text/rfc822-headers

Message-ID: <17.0123456789abcdef@news.example.com>
To: anna@example.com

--b--
""".encode()


def feedback(kind: str) -> bytes:
    return f"""To: fbl@news.example.com
Content-Type: multipart/report; report-type=feedback-report; boundary="b"
MIME-Version: 1.0

--b
Content-Type: text/plain

A complaint.
--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: x
Version: 1

--b
Content-Type: message/rfc822

Message-ID: <17.0123456789abcdef@news.example.com>
Subject: x

Body
--b--
""".encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("5.1.1", ReportKind.HARD),
        ("5.1.10", ReportKind.HARD),
        ("5.2.1", ReportKind.HARD),
        ("5.2.2", ReportKind.SOFT),  # a full mailbox
        ("5.7.1", ReportKind.POLICY),  # about us
        ("5.7.26", ReportKind.POLICY),
        ("5.0.0", ReportKind.SOFT),  # says nothing about the mailbox
        ("5.4.4", ReportKind.SOFT),
        ("4.2.2", ReportKind.SOFT),
    ],
)
def test_only_some_codes_speak_of_the_mailbox(status, kind):
    # EMAIL 0.12: a careless reader of reports wipes the list
    report = read_report(dsn(status))
    assert report.kind is kind
    assert "bounces+abc@news.example.com" in report.envelope_senders
    assert "17.0123456789abcdef@news.example.com" in report.message_ids


def test_a_delay_is_no_bounce():
    assert read_report(dsn("4.4.1", "delayed")).kind is ReportKind.OTHER


@pytest.mark.parametrize("kind", ["abuse", "fraud", "opt-out", "other", "virus"])
def test_a_complaint_is_one(kind):
    report = read_report(feedback(kind))
    assert report.kind is ReportKind.COMPLAINT
    assert "17.0123456789abcdef@news.example.com" in report.message_ids


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "unheard-of"])
def test_other_feedback_changes_nothing(kind):
    assert read_report(feedback(kind)).kind is ReportKind.OTHER


@pytest.mark.parametrize(
    "content",
    [b"", b"Subject: Out of office\r\n\r\nBack on Monday.", b"\xff\xfe\x00", b"Content-Type: multipart/report\r\n\r\n"],
)
def test_ordinary_mail_is_no_report(content):
    assert read_report(content).kind is ReportKind.OTHER


def test_what_is_too_large_is_refused_at_once():
    assert read_report(dsn("5.1.1") + b"x" * MAX_BYTES).kind is ReportKind.OTHER
    many = b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 1000
    assert read_report(many).kind is ReportKind.OTHER


@given(st.binary(max_size=2000), st.integers(0, 600), st.binary(max_size=20))
def test_no_report_makes_it_raise(garbage, place, patch):
    read_report(garbage)
    good = dsn("5.1.1")
    read_report(good[:place] + patch + good[place + len(patch) :])
