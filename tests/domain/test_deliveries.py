"""What a server's answer means for the reader, and for us."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.deliveries import Receipt, Verdict, judge, retry_wait


@pytest.mark.parametrize(
    ("command", "code", "text", "verdict"),
    [
        ("DATA", 250, "2.0.0 Ok: queued", Verdict.SENT),
        ("RCPT", 450, "4.2.0 greylisted", Verdict.DEFERRED),
        ("RCPT", 421, "4.7.28 slow down", Verdict.DEFERRED),
        ("RCPT", 452, "4.2.2 mailbox full", Verdict.DEFERRED),
        ("RCPT", 552, "too many recipients", Verdict.DEFERRED),  # RFC 5321 section 4.5.3.1.10
        ("MAIL", 451, "4.3.0 try later", Verdict.DEFERRED),
        ("RCPT", 550, "5.1.1 no such user", Verdict.REFUSED),
        ("RCPT", 550, "no such user", Verdict.REFUSED),
        ("DATA", 550, "5.1.1 no such user", Verdict.REFUSED),
        ("RCPT", 550, "5.7.1 you are on a list", Verdict.ABOUT_US),
        ("DATA", 550, "5.7.26 unauthenticated", Verdict.ABOUT_US),
        ("DATA", 550, "5.7.515 access denied", Verdict.ABOUT_US),
        ("MAIL", 550, "sender rejected", Verdict.ABOUT_US),
        ("MAIL", 530, "5.7.0 authenticate first", Verdict.ABOUT_US),
        ("MAIL", 553, "5.1.8 bad sender", Verdict.ABOUT_US),
        ("DATA", 552, "5.3.4 too big", Verdict.FAILED),
        ("DATA", 554, "5.6.0 bad content", Verdict.FAILED),
        ("RCPT", 550, "5.2.2 mailbox full", Verdict.FAILED),
    ],
)
def test_an_answer_is_judged_by_what_it_speaks_about(command, code, text, verdict):
    assert judge(Receipt(code, text), command=command) is verdict


@given(st.sampled_from(["MAIL", "RCPT", "DATA"]), st.integers(-1, 999), st.text(max_size=40))
def test_every_answer_has_a_verdict(command, code, text):
    assert judge(Receipt(code, text), command=command) in Verdict


def test_the_enhanced_code_must_agree_with_the_code():
    assert Receipt(550, "5.1.1 no").enhanced == "5.1.1"
    assert Receipt(250, "5.1.1 odd").enhanced == ""


def test_waits_grow_and_end_at_two_hours():
    first = timedelta(minutes=5)
    waits = [retry_wait(n, first, 0.5) for n in range(1, 9)]
    assert waits[:3] == [timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=20)]
    assert waits[-1] == timedelta(hours=2)
