"""Reports: only what speaks of the mailbox is a hard bounce, and every one leads back to its delivery.

The samples in `reports/` stand in a folder each kind; we wrote them, in the shapes of the systems they are named after.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from digest.domain.reports import ReportKind
from digest.mail.reports import LONGEST_WORDS, read_report

SAMPLES = sorted((Path(__file__).parent / "reports").glob("*/*.eml"))
BOUNCES = [each for each in SAMPLES if each.parent.name in ("hard", "soft", "policy")]
VERP = "bounces+aaaaaaaaaaaaaahs27n5qtlk4me6y@news.example.com"
MESSAGE_ID = "17.0123456789abcdef@news.example.com"
LINK = "https://news.example.com/unsubscribe/AAAAAAAAABE0123456789"


def name_of(sample: Path) -> str:
    """hard/postfix"""
    return f"{sample.parent.name}/{sample.stem}"


def sample(name: str) -> bytes:
    """A sample by that name."""
    return (Path(__file__).parent / "reports" / f"{name}.eml").read_bytes()


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


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_each_sample_is_what_its_folder_says(path):
    report = read_report(path.read_bytes())
    assert report.kind.name.lower() == path.parent.name, report.words
    assert len(report.words) <= LONGEST_WORDS
    assert "\n" not in report.words


@pytest.mark.parametrize("path", BOUNCES, ids=name_of)
def test_each_bounce_leads_back_to_its_delivery(path):
    assert read_report(path.read_bytes()).envelope_senders[0] == VERP


@pytest.mark.parametrize(
    "name",
    ["hard/postfix", "hard/exim-text", "hard/gmx", "hard/international", "complaint/jmrp", "complaint/arf-abuse"],
)
def test_the_returned_message_names_itself(name):
    report = read_report(sample(name))
    assert MESSAGE_ID in report.message_ids
    assert report.unsubscribe_links[0] == LINK


def test_a_report_without_a_copy_names_what_it_answers():
    content = sample("hard/gmail").replace(b"<17.0123456789abcdef", b"<other", 1)
    assert MESSAGE_ID in read_report(content).message_ids


def test_the_envelope_id_we_gave_comes_back():
    # RFC 3461 section 4: our ENVID is the Message-ID, in xtext
    fields = b"Reporting-MTA: dns; mx.example.com\nOriginal-Envelope-Id: 17.0123456789abcdef+40news.example.com"
    content = dsn("5.1.1").replace(b"Reporting-MTA: dns; mx.example.com", fields).replace(b"Message-ID:", b"X-Gone:")
    assert read_report(content).message_ids == (MESSAGE_ID,)


def test_what_came_with_the_envelope_is_trusted_first():
    content = sample("hard/postfix").replace(VERP.encode(), b"bounces+first@news.example.com", 1)
    assert read_report(content).envelope_senders[:2] == ("bounces+first@news.example.com", VERP)


def test_no_token_is_taken_from_where_a_stranger_may_write():
    content = sample("hard/postfix").replace(VERP.encode(), b"bounces@news.example.com")
    forged = f"\n\nReply to {VERP} or see https://news.example.com/unsubscribe/x\n".encode()
    content = content.replace(b"We could not pass", forged + b"We could not pass")
    content = content.replace(b"To: anna@example.net", f"To: {VERP}".encode())  # the reader's own address stands there
    report = read_report(content)
    assert report.kind is ReportKind.HARD
    assert VERP not in report.envelope_senders
    assert "https://news.example.com/unsubscribe/x" not in report.unsubscribe_links


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("5.1.1", ReportKind.HARD),
        ("5.1.10", ReportKind.HARD),
        ("5.2.1", ReportKind.HARD),
        ("5.2.2", ReportKind.SOFT),  # a full mailbox
        ("5.7.1", ReportKind.POLICY),  # about us
        ("5.7.26", ReportKind.POLICY),
        ("5.1.8", ReportKind.POLICY),  # our own address
        ("5.0.0", ReportKind.SOFT),  # says nothing about the mailbox
        ("5.4.4", ReportKind.SOFT),
        ("4.2.2", ReportKind.SOFT),
    ],
)
def test_only_some_codes_speak_of_the_mailbox(status, kind):
    # EMAIL 0.12: a careless reader of reports wipes the list
    report = read_report(dsn(status))
    assert (report.kind, report.status) == (kind, status)
    assert "bounces+abc@news.example.com" in report.envelope_senders
    assert MESSAGE_ID in report.message_ids


@pytest.mark.parametrize("action", ["delayed", "Delayed", "delivered", "relayed", "expanded"])
def test_only_what_failed_is_a_bounce(action):
    report = read_report(dsn("5.1.1", action))
    assert report.kind is ReportKind.OTHER
    assert report.words == action.lower()


def test_the_recipient_it_names_is_a_hint():
    assert read_report(sample("hard/postfix")).final_recipient == "anna@example.net"
    assert read_report(sample("hard/international")).final_recipient == "żółw@example.net"
    assert read_report(sample("hard/exim-text")).final_recipient == "anna@example.net"
    assert read_report(sample("complaint/jmrp")).final_recipient == "anna@hotmail.example"


def test_the_words_are_the_telling_ones():
    assert read_report(sample("hard/polish-text")).words == "Powód: nie ma takiego użytkownika"
    assert read_report(sample("hard/mail-ru")).words == "Такого пользователя не существует"
    assert read_report(sample("hard/japanese-text")).words == "宛先のメールアドレスが見つかりません。"
    assert read_report(sample("complaint/arf-abuse")).words == "abuse"


@pytest.mark.parametrize(
    "content",
    [b"", b"Subject: Out of office\r\n\r\nBack on Monday.", b"\xff\xfe\x00", b"Content-Type: multipart/report\r\n\r\n"],
)
def test_ordinary_mail_is_no_report(content):
    assert read_report(content).kind is ReportKind.OTHER
