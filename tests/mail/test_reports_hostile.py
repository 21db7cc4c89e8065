"""Reports from strangers: whatever arrives, the reader of them neither raises nor works without end."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.domain.reports import Report, ReportKind
from digest.mail.reports import LONGEST_WORDS, MAX_BYTES, read_report
from digest.mail.reports.parts import MAX_DEPTH, MAX_PARTS, Absurd, take_apart

SAMPLES = [each.read_bytes() for each in sorted((Path(__file__).parent / "reports").glob("*/*.eml"))]
STATUS = b"Content-Type: message/delivery-status\n\n"
MARKUP = b"From: postmaster@example.net\nSubject: Undeliverable\nContent-Type: text/html\n\n"
# what regular expressions and parsers have been slow at; each fills a whole message
UNITS = [b"a", b"<", b"<a", b"<style>", b"<head", b"&#", b"a@", b"a.", b"5.1.", b"550 ", b"user a ", b"user unknow "]
UNITS += [
    b"\n",
    b" ",
    b"> \n",
    b"=?utf-8?b?",
    b"Return-Path: <x>\n",
    b"Action: failed\n\n",
    b"--b\n",
    b"\xff\xfe",
    b"\0",
]


def filled(before: bytes, unit: bytes) -> bytes:
    """A message of the largest size that is read, filled up with one thing."""
    return (before + unit * (MAX_BYTES // len(unit)))[:MAX_BYTES]


def check(report: Report) -> None:
    assert len(report.words) <= LONGEST_WORDS
    assert max(len(report.envelope_senders), len(report.message_ids), len(report.unsubscribe_links)) <= 40


def test_what_is_too_large_is_refused_at_once():
    report = read_report(SAMPLES[0] + b"x" * 30_000_000)
    assert (report.kind, report.words) == (ReportKind.OTHER, "too large for a report")


def test_a_thousand_parts_are_refused():
    many = b"Content-Type: multipart/report; boundary=b\n\n" + b"--b\n\nx\n" * 1000
    assert read_report(many) == Report(ReportKind.OTHER, "too many parts for a report")
    with pytest.raises(Absurd):
        take_apart(many)


@pytest.mark.parametrize(
    "layer", ["Content-Type: multipart/mixed; boundary=b{0}\n\n--b{0}\n", "Content-Type: message/rfc822\n\n"]
)
def test_parts_within_parts_are_followed_a_few_levels(layer):
    parts = take_apart("".join(layer.format(level) for level in range(30_000)).encode())
    assert MAX_DEPTH <= len(parts) <= MAX_PARTS


@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_no_filling_keeps_it_busy(unit):
    for before in (MARKUP, b"From: MAILER-DAEMON\nSubject: failure\n\n", STATUS, b"Subject: ", b"Content-Type: a/b; "):
        check(read_report(filled(before, unit)))


@given(st.binary(max_size=3000))
def test_no_bytes_make_it_raise(garbage):
    check(read_report(garbage))


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.integers(0, 4000), st.binary(max_size=40), st.integers(0, 60))
def test_no_damaged_report_makes_it_raise(content, place, patch, length):
    check(read_report(content[:place] + patch + content[place + length :]))


@given(st.sampled_from(SAMPLES), st.sampled_from(SAMPLES), st.integers(0, 3000), st.integers(0, 3000))
def test_no_two_reports_run_together_make_it_raise(first, second, end, start):
    check(read_report(first[:end] + second[start:]))


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-7", "unicode-1-1-utf-7", "x-unknown", "idna", "base64", "undefined", ""]
)
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "uuencode", "8bit", ""])
def test_no_lie_about_the_text_makes_it_raise(charset, encoding):
    head = (
        f'From: MAILER-DAEMON\nContent-Type: text/plain; charset="{charset}"\nContent-Transfer-Encoding: {encoding}\n'
    )
    check(read_report(head.encode() + "\nżółć =FF =?x?b?y?= \0 550 User unknown\n".encode("cp1250")))


def test_fields_with_eight_bits_and_nuls_are_read():
    content = b"From: MAILER-DAEMON\0@x\nSubject: b\xb3\xb1d dor\xeaczenia \0\nTo: \xff@x\n\n550 User unknown\0\n"
    assert read_report(content).kind is ReportKind.HARD
