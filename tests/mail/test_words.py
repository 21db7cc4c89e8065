"""Header text: read back as it was meant, in lines and encoded words of the allowed length."""

from __future__ import annotations

import email
import email.policy
import re
from email.header import decode_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from digest.mail.words import mailbox_field, text_field

ADDRESS = "recap@news.example.com"
_text = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200).map(
    lambda t: " ".join(t.split())
)


def read(field: str):
    message = email.message_from_bytes(f"{field}\r\n\r\nbody".encode("ascii"), policy=email.policy.default)
    assert len(message.keys()) == 1
    (value,) = message.values()
    assert not value.defects
    return value


def check_lines(field: str) -> None:
    for word in re.findall(r"=\?utf-8\?([bq])\?([^?]*)\?=", field):
        assert word[1], "an encoded word is never empty (RFC 2047 section 2)"
    for word in re.findall(r"=\?[^?]+\?[bq]\?[^?]*\?=", field):
        assert len(word) <= 75
        ((decoded, charset),) = decode_header(word)
        assert decoded.decode(charset)  # whole characters
    assert all(len(line) <= 76 and not line.endswith(" ") for line in field.split("\r\n"))


@given(_text)
@example("x" * 300)
@example("ą" * 300)
@example("= ?utf-8?q?x?= and =?utf-8?q?y?=")
@example("The night tram that brought a district back to life · The Weekly Recap")
def test_a_subject_is_read_back_as_it_was_meant(text):
    field = text_field("Subject", text)
    check_lines(field)
    assert read(field) == text


@given(_text)
@example('Wieści „znad” Wisły, "dziennik" (od 1902)')
@example("O'Neill & Sons, Ltd.")
@example("")
def test_a_name_and_its_address_are_read_back(name):
    field = mailbox_field("From", name, ADDRESS)
    check_lines(field)
    (one,) = read(field).addresses
    assert one.addr_spec == ADDRESS
    # The standard library's reader puts a space between two encoded words of a name.
    assert one.display_name.replace(" ", "") == name.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("The week", "Subject: The week"),
        ("Tydzień", "Subject: =?utf-8?q?Tydzie=C5=84?="),
        ("Тиждень", "Subject: =?utf-8?b?0KLQuNC20LTQtdC90Yw=?="),
        ("a\r\nBcc: x@y.z", "Subject: =?utf-8?b?YQ0KQmNjOiB4QHkueg==?="),
    ],
)
def test_the_shorter_encoding_is_taken_and_none_where_none_is_needed(text, field):
    assert text_field("Subject", text) == field
