"""Messages on the wire: correct by construction, whatever the titles and the readers hold."""

from __future__ import annotations

import email
import email.policy
import quopri
import re
from datetime import UTC, datetime
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.checks import check_message
from digest.mail.clean import clean_header
from digest.mail.slots import slot
from digest.mail.wire import Compiled, Heading, Reader, encode

MARK = "0123456789abcdef"
NOW = datetime(2026, 11, 28, 7, 0, 5, tzinfo=UTC)
LONG_LINK = "https://recap.example.com/unsubscribe/" + "Ab1-_" * 60


def heading(subject="The week", name="The Vistula Post", **more):
    return Heading(name, "recap@news.example.com", subject, "en", list_id="weekly.news.example.com", **more)


def message(
    subject="The week", text="Hello", html="<!DOCTYPE html><p>Hello</p>", link=LONG_LINK, name="The Vistula Post"
):
    text, html = f"{text}\n{slot(MARK, 'unsubscribe')}\n", f'{html}<a href="{slot(MARK, "unsubscribe")}">x</a>'
    compiled = Compiled(heading(subject, name), text, html, MARK)
    return compiled.message(Reader("anna@example.com", "<1.a@news.example.com>", NOW, {"unsubscribe": link}, link))


def parsed(content):
    return email.message_from_bytes(content, policy=email.policy.strict)


def test_a_long_unsubscribe_link_stays_raw_and_whole():
    # EMAIL 0.1: the standard library would write =?utf-8?q?=3Chttps...
    assert f"List-Unsubscribe: <{LONG_LINK}>\r\n".encode() in message()
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in message()


def test_a_message_is_bytes_with_crlf_that_a_transport_need_not_touch():
    content = message(text="one\ntwo\rthree\r\nfour\n.dot\n..dots\n")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert not re.search(rb"^\.", content, re.M)
    assert b"Bcc" not in content


@pytest.mark.parametrize(
    "title",
    [
        "=?utf-8?q?evil=0d=0aBcc=3a_x=40y=2ez?=",
        "a\r\nBcc: x@y.z",
        "a\nb\x0bc\x85d\u2028e\u2029f",
        "\ud83d lone \udc00",
        '<script>alert(1)</script> & "quotes"',
        "مرحبا بالعالم \u202e reversed",
        "👨‍👩‍👧‍👦 family",
        "Zażółć gęślą jaźń " * 20,
        "x" * 300,
        "",
    ],
)
def test_a_hostile_title_adds_no_header_and_breaks_no_message(title):
    # EMAIL 0.3, 0.4
    subject = clean_header(title, 110)
    content = message(subject=subject, name=clean_header(title, 60))
    assert [name for name in parsed(content)] == [name for name in parsed(message())]  # noqa: C416
    assert check_message(content, subject) == []


def test_encoded_words_keep_their_limit_and_lines_theirs():
    # EMAIL 0.9: at most 75 characters an encoded word (RFC 2047), 76 a line of quoted-printable (RFC 2045)
    content = message(subject="Zażółć gęślą jaźń " * 12, text="ą" * 500, html="<!DOCTYPE html><p>" + "ł" * 500)
    assert all(len(word) <= 75 for word in re.findall(rb"=\?[^?]+\?[bq]\?[^?]*\?=", content))
    body = content.split(b"\r\n\r\n", 1)[1]
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert max(map(len, content.replace(LONG_LINK.encode(), b"").split(b"\r\n"))) <= 78


def test_an_idn_address_is_written_in_its_a_labels():
    # EMAIL 0.10
    from digest.mail.addresses import parse

    compiled = Compiled(heading(), "x", "<!DOCTYPE html>", MARK)
    address = parse("anna@żółw.pl").text
    content = compiled.message(Reader(address, "<1.a@x>", NOW, {}))
    assert b"To: anna@xn--w-uga1v8h.pl\r\n" in content


@pytest.mark.parametrize("value", ["a\r\nBcc: x@y.z", "a\nb", "a\x85b", "a\u2028b", "a\x00b", "a\ud83d"])
def test_no_value_of_a_reader_can_open_a_header(value):
    compiled = Compiled(heading(), "x", "<!DOCTYPE html>", MARK)
    for reader in (
        Reader(value, "<1>", NOW, {}),
        Reader("a@b.c", value, NOW, {}),
        Reader("a@b.c", "<1>", NOW, {}, value),
    ):
        with pytest.raises(ValueError, match="header value"):
            compiled.message(reader)


def test_no_article_can_pretend_to_be_a_slot():
    content = message(text="https://slot.invalid/ffffffffffffffff/unsubscribe")
    assert "slot.invalid/ffffffffffffffff" in parsed(content).get_body(("plain",)).get_content()


_anything = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=400)


@given(_anything, _anything, st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=300))
def test_a_spliced_message_reads_like_one_built_whole(text, html, path):
    link = "https://recap.example.com/" + path
    content = message(text=text, html=html, link=link)
    got = parsed(content)
    whole = email.message.EmailMessage(policy=email.policy.SMTP)
    whole.set_content(f"{text}\n{link}\n")
    whole.add_alternative(f'{html}<a href="{escape(link)}">x</a>\n', subtype="html")
    built = parsed(whole.as_bytes())
    for subtype in ("plain", "html"):
        ours, theirs = (each.get_body((subtype,)).get_content() for each in (got, built))
        assert ours.replace("\r\n", "\n").strip("\n") == theirs.replace("\r\n", "\n").strip("\n")
    assert not any(part.defects for part in got.walk())
    assert max(map(len, content.split(b"\r\n\r\n", 1)[1].split(b"\r\n"))) <= 76


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=300))
def test_quoted_printable_is_read_back_and_needs_no_dot_stuffing(text):
    encoded = encode(text)
    assert quopri.decodestring(encoded).decode() == text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    assert all(len(line) <= 76 and not line.startswith(b".") for line in encoded.split(b"\r\n"))
    assert not re.search(rb"[ \t]\r\n", encoded)


@pytest.mark.parametrize("name", ["a\tb\r\nBcc: x@y.z", "Recap " * 700, "=?utf-8?q?evil=0d=0a?=", 'The "Recap" \\'])
def test_the_lists_name_is_one_short_line_whatever_the_newsletter_is_called(name):
    content = Compiled(heading(list_name=name), "x", "<p>x</p>", MARK).message(
        Reader("anna@example.com", "<1.a@news.example.com>", NOW, {})
    )
    assert parsed(content)["List-Id"].endswith("<weekly.news.example.com>")
    assert max(map(len, content.split(b"\r\n"))) < 200
    assert "Bcc" not in parsed(content)
    assert b"=?" not in content
