"""No address leaves in words that come from outside: a server's, a browser's, a library's."""

from __future__ import annotations

import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.cli.logs import Masking
from digest.domain.addresses import Address
from digest.domain.masking import masked, without


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("550 5.1.1 <anna.k@example.com>: no", "550 5.1.1 <a***@example.com>: no"),
        ("rfc822;Anna@EXAMPLE.com, otto@x.example", "rfc822;A***@EXAMPLE.com, o***@x.example"),
        ("GET /subscribe/anna%40example.com 404", "GET /subscribe/a***%40example.com 404"),
        ("żółć@example.pl", "ż***@example.pl"),
        ("at 5 @ noon", "at 5 @ noon"),
        ("nothing here", "nothing here"),
    ],
)
def test_an_address_is_masked_wherever_it_stands(text, left):
    assert masked(text) == left


def test_a_servers_words_lose_the_readers_name_too_and_keep_the_code_in_front():
    said = "5.1.1 Anna.Kowalska is unknown; anna.kowalskamost is another"
    assert without(said, "anna.kowalska@example.com") == "5.1.1 a*** is unknown; anna.kowalskamost is another"
    assert without("5.1.1 unknown", "5.1.1@example.com") == "5.1.1 unknown"
    assert without("box full", "bo@example.com") == "box full", "two letters are an ordinary word"


@given(
    st.text(alphabet=" <>:;,'()\"[]", max_size=3),
    st.from_regex(r"[a-z][a-z0-9.+_-]{2,20}[a-z0-9]", fullmatch=True),
    st.text(alphabet=" <>:;,'()\"[]", max_size=3),
)
def test_whatever_stands_around_an_address_it_does_not_stay(before, local, after):
    address = Address(local, "example.com")
    for text in (address.text, address.text.upper(), address.text.replace("@", "%40")):
        assert local not in without(f"{before}{text}{after}", address.text).lower()


def test_a_line_of_the_log_is_masked_with_its_traceback():
    try:
        raise ValueError("cannot write to anna.kowalska@example.com")
    except ValueError:
        record = logging.LogRecord("x", 40, __file__, 1, "sent to %s", ("otto@example.com",), sys.exc_info())
    line = Masking("%(message)s").format(record)
    assert "otto@" not in line
    assert "anna.kowalska" not in line
    assert "Traceback" in line
