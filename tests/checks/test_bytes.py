"""Every mail's bytes: what RFC 5322, 2045, 2047, 2369, 2919, 3834 and 8058 ask for, and nothing besides."""

from __future__ import annotations

import email
import email.policy
import re
from collections import Counter
from datetime import timedelta
from email.header import decode_header
from email.utils import parsedate_to_datetime

import pytest
from lxml import html as lxml_html

from digest.mail.checks import MAX_HTML
from tests.checks.specimens import MOST, READER, Mail
from tests.checks.texts import HOSTILE, WORDS

# Every field there may be, each once. Digests have all, the welcome those of leaving.
FIELDS = {
    *("DKIM-Signature", "To", "Date", "Message-ID", "From", "Reply-To", "Subject", "MIME-Version", "Content-Language"),
    *("Auto-Submitted", "Content-Type"),
}
OF_LEAVING = {"List-Unsubscribe", "List-Unsubscribe-Post"}
OF_LISTS = {"List-Id", "Feedback-ID"}
WORD = re.compile(rb"=\?([^?\s]*)\?([^?\s]*)\?([^?\s]*)\?=")


@pytest.fixture
def mails(specimens) -> list[Mail]:
    return specimens.mails


def head_of(mail: Mail) -> bytes:
    return mail.content.partition(b"\r\n\r\n")[0]


def test_a_strict_reader_finds_no_defect(mails):
    found = []
    for mail in mails:
        parsed = email.message_from_bytes(mail.content, policy=email.policy.strict)  # raises at a fault of MIME
        found += [(mail.name, defect) for part in parsed.walk() for defect in part.defects]
        for part in parsed.walk():
            found += [(mail.name, name, defect) for name, value in part.items() for defect in value.defects]
    assert not found


def test_every_field_is_there_once_and_no_other_is(mails):
    for mail in mails:
        counts = Counter(mail.parsed.keys())
        assert counts.pop("DKIM-Signature") == 2, mail.name
        assert set(counts.values()) == {1}, (mail.name, counts)
        expected = FIELDS | OF_LISTS if mail.is_digest else FIELDS
        expected = expected | OF_LEAVING if mail.is_left_with_one_click else expected
        assert {*counts, "DKIM-Signature"} == expected, mail.name


def test_lines_end_with_crlf_and_are_short(mails):
    for mail in mails:
        lines = mail.content.split(b"\r\n")
        assert not any(b"\r" in line or b"\n" in line for line in lines), mail.name
        assert mail.content.isascii(), mail.name
        # One URL stands whole on its line (RFC 2369 section 2); all else keeps to RFC 5322's and 2045's limits.
        long = [line for line in lines if len(line) > 78 and not line.startswith(b"List-Unsubscribe: <")]
        assert not long, (mail.name, long)
        assert max(map(len, lines)) <= 998
        body = mail.content.partition(b"\r\n\r\n")[2]
        assert max(map(len, body.split(b"\r\n"))) <= 76, mail.name
        assert not any(line.endswith((b" ", b"\t")) for line in lines), mail.name


def test_encoded_words_are_whole_and_keep_their_limit(mails):
    for mail in mails:
        for word in WORD.finditer(head_of(mail)):
            assert len(word[0]) <= 75 and word[3], (mail.name, word[0])
            ((decoded, charset),) = decode_header(word[0].decode())
            assert decoded.decode(charset or "ascii"), (mail.name, word[0])  # no character is cut in two
        lines = [line for line in head_of(mail).split(b"\r\n") if WORD.search(line)]
        assert max(map(len, lines), default=0) <= 76, mail.name


def test_the_headers_say_what_was_meant(mails):
    for mail in mails:
        assert mail.parsed["Subject"] == mail.subject, mail.name
        assert mail.subject == " ".join(mail.subject.split(" ")) != ""
        (sender,) = mail.parsed["From"].addresses
        assert sender.display_name == WORDS[mail.language].site
        assert sender.domain == mail.sender.rpartition("@")[2] == "news.example.com"
        assert mail.parsed["To"] == mail.recipient
        assert mail.parsed["Content-Language"] in WORDS
        assert mail.parsed["Auto-Submitted"] == "auto-generated"
        assert mail.parsed["Reply-To"] == "desk@news.example.com"


def test_confirmations_come_from_another_address_than_editions(mails):
    by_kind = {mail.is_digest: set() for mail in mails}
    for mail in mails:
        if mail.is_digest or mail.name.startswith(("confirmation", "already")):
            by_kind[mail.is_digest].add(mail.parsed["From"].addresses[0].addr_spec)
    assert by_kind == {True: {"recap@news.example.com"}, False: {"hello@news.example.com"}}


def test_each_message_has_a_date_with_a_zone_and_an_id_of_its_own(mails):
    for mail in mails:
        raw = re.search(rb"\r\nDate: ([^\r]+)\r\n", b"\r\n" + mail.content)
        assert raw and re.fullmatch(rb"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}", raw[1]), mail.name
        assert parsedate_to_datetime(raw[1].decode()).utcoffset() == timedelta(0)
        assert re.search(rb"\r\nMessage-ID: <[!-;=?A-~]+@news\.example\.com>\r\n", mail.content), mail.name
    for language in WORDS:
        ids = [mail.parsed["Message-ID"] for mail in mails if mail.language == language]
        assert len(set(ids)) == len(ids)


def test_a_list_names_itself_and_one_click_leaves_it(mails):
    for mail in mails:
        if mail.is_left_with_one_click:
            # On one line, whole and raw: a folded or encoded URL is a dead one.
            (url,) = re.findall(rb"^List-Unsubscribe: <(https://[^ >\r]+)>\r$", mail.content, re.M)
            assert url.startswith(b"https://recap.example.com/unsubscribe/")
            assert url.decode() in mail.text and url.decode() in mail.html
            assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in mail.content
        if mail.is_digest:
            assert re.fullmatch(r'(".*" )?<weekly\.news\.example\.com>', mail.parsed["List-Id"])
            assert re.fullmatch(r"[^:\s]+(:[^:\s]+){3}", mail.parsed["Feedback-ID"])


def test_the_body_is_plain_then_html_in_quoted_printable(mails):
    for mail in mails:
        assert mail.parsed.get_content_type() == "multipart/alternative"
        parts = [
            (part.get_content_type(), part.get_content_charset(), part["Content-Transfer-Encoding"])
            for part in mail.parsed.iter_parts()
        ]
        assert parts == [(f"text/{kind}", "utf-8", "quoted-printable") for kind in ("plain", "html")]


def test_no_mail_is_so_long_that_gmail_cuts_it(mails):
    for mail in mails:
        assert len(mail.html.encode()) <= MAX_HTML, mail.name
        assert mail.html.startswith("<!DOCTYPE html"), mail.name


def test_whoever_reads_the_plain_text_gets_every_link(mails):
    for mail in mails:
        links = set(lxml_html.document_fromstring(mail.html).xpath("//a/@href"))
        missing = [link for link in links if link.rstrip("/") not in mail.text]
        assert not missing, (mail.name, missing)
        assert all(link.startswith(("https://", "mailto:")) for link in links), mail.name


# --- hostile titles -------------------------------------------------------------------------------


def named(mails: list[Mail], name: str) -> list[Mail]:
    return [mail for mail in mails if mail.name == f"digest-{name}-{mail.language}"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_after_a_hostile_title_is_lost_and_nothing_is_added(mails, hostile):
    for usual, mail in zip(named(mails, "normal"), named(mails, f"hostile-{hostile}"), strict=True):
        visible = " ".join(lxml_html.document_fromstring(mail.html).text_content().split())
        words = WORDS[mail.language]
        for part in (visible, " ".join(mail.text.split())):
            for _, title, summary in words.stories[1:3]:
                # Non-breaking spaces may stand after short words.
                assert title in part.replace("\xa0", " ") and summary in part.replace("\xa0", " "), mail.name
            assert "ul. Prosta 1" in part.replace("\xa0", " ")
        assert elements(mail) <= elements(usual), mail.name
        assert not set(mail.html + mail.text) & set("\u202e\u202c\u2066\u2067\u200f\u200e\u061c\ud83d\ude00\x85\u2028")
        assert "\N{REPLACEMENT CHARACTER}" not in mail.html + mail.text


def elements(mail: Mail) -> set[tuple[str, ...]]:
    """Which elements with which attributes there are; comments and their kind by what they are."""
    tree = lxml_html.document_fromstring(mail.html)
    return {(str(each.tag), *sorted(each.attrib)) for each in tree.iter()}


def test_the_longest_edition_keeps_all_its_articles(mails):
    for mail in named(mails, "maximal"):
        slugs = set(re.findall(r"https://news\.example\.com/\d{4}-\d{2}-\d{2}/\d+", mail.html))
        assert len(slugs) == MOST, mail.name
        assert mail.recipient == READER
