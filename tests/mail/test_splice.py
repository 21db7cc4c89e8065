"""A message joined from pieces reads like one that `email.message` built whole, whatever its slots hold."""

from __future__ import annotations

import email
import email.policy
import os
import re
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from digest.domain.deliveries import Delivery, Mail
from digest.domain.editions import Rendering
from digest.domain.links import Links
from digest.errors import InvalidAddress
from digest.mail.addresses import parse
from digest.mail.clean import clean_header
from digest.mail.envelope import Offers, Parcel, commands
from digest.mail.letters import LONGEST_NAME, Letters, Publication, Senders
from digest.mail.render import Rendered
from digest.mail.slots import slot
from digest.mail.wire import Compiled, Heading, Reader

MARK = "0123456789abcdef"
NOW = datetime(2026, 11, 28, 7, 0, 5, tzinfo=UTC)
HEADING = Heading(
    from_name="Wieści „znad” Wisły, Inc.",
    from_address="recap@news.example.com",
    subject="Zażółć gęślą jaźń, or: the week’s most read",
    language="pl",
    list_id="weekly.news.example.com",
    list_name='The "Weekly" Recap',
    reply_to="desk@news.example.com",
    feedback_id="7:weekly:digest:news",
)
thoroughly = settings(max_examples=int(os.environ.get("DIGEST_WIRE_EXAMPLES", "300")), deadline=None)

# --- hostile values -------------------------------------------------------------------------------

_TRICKS = (
    *(".", "..", "\n.\n", "\r\n.\r\n", ".\r\n", "From ", "\nFrom me", "=", "=\n", "=3D", "=\r\n", "=2E", " ", "\t"),
    *(" \n", "\t\r\n", "\r", "\n", "\r\n\r\n", "Bcc: x@y.z", "\r\nBcc: x@y.z\r\n", "--=_0123456789abcdef_parts"),
    *("\n--=_0123456789abcdef_parts--\n", "=?utf-8?q?evil=0d=0aBcc=3a_x=40y?=", "<b>&amp;\"'</b>", "</a><script>"),
    *(
        "https://slot.invalid/ffffffffffffffff/name",
        "x" * 74,
        "x" * 75,
        "x" * 76,
        "ą" * 40,
        "👨‍👩‍👧‍👦" * 9,
        "مرحبا",
        "\0",
        "\x7f",
    ),
    *("\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\ufeff", "\u202e", "&#13;&#10;", "%0d%0a", "{{ name }}"),
)
_letters = st.text(st.characters(exclude_categories=("Cs",)), max_size=90)
text = st.lists(st.one_of(st.sampled_from(_TRICKS), _letters), max_size=6).map("".join)
anything = st.lists(st.one_of(st.sampled_from((*_TRICKS, "\ud83d", "\udc00")), _letters), max_size=6).map("".join)
# What a header may hold whole is printable ASCII: links and Message-IDs are made of that, and never of more.
_printable = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="<>"), max_size=300)
link = st.builds("https://recap.example.com/{}".format, st.one_of(_printable, _printable.map("Ab1-_".join)))
message_id = st.builds("<{}.{}@news.example.com>".format, st.integers(1, 1 << 63), st.text("0123456789abcdef"))
_atom = st.text("abcXYZ019!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=20)
_local = st.one_of(
    st.lists(_atom, min_size=1, max_size=4).map(".".join),
    st.sampled_from(["a" * 64, "-", "'", "x+=2E=20", "?=", "--", "`rm`", "{{name}}", "%0d%0a"]),
)
_label = st.text("abc019-", min_size=1, max_size=40).map(lambda label: f"a{label}z")
_domain = st.one_of(
    st.sampled_from(["example.com", "żółw.pl", "bücher.example", "xn--w-uga1v8h.pl"]),
    st.lists(_label, min_size=2, max_size=5).map(".".join),
)
# What looks like an encoded word has a test of its own, below.
typed_address = st.builds("{}@{}".format, _local, _domain).filter(lambda typed: "=?" not in typed)
SLOTS = ("unsubscribe", "confirm", "name")
body = st.lists(st.one_of(text, st.sampled_from(SLOTS).map(lambda name: slot(MARK, name))), max_size=8).map("".join)


def torn(name: str, body: str) -> bool:
    """Half of a CRLF in the body and half in the name: built whole it is one line end. Letters clean both."""
    return ("\r" in body and name.startswith("\n")) or name.endswith("\r")


def accepted(typed: str) -> str:
    """The address as our door takes it; what it refuses can be no reader's."""
    try:
        return parse(typed).text
    except InvalidAddress:
        assume(False)
        raise


# --- the whole build ------------------------------------------------------------------------------


def built(reader: Reader, plain: str, html: str) -> bytes:
    """The same message, made by the standard library for this one reader."""
    message = EmailMessage(policy=email.policy.SMTP.clone(max_line_length=100_000))
    message["To"] = reader.address
    message["Date"] = format_datetime(reader.date)
    message["Message-ID"] = reader.message_id
    if reader.one_click:
        message["List-Unsubscribe"] = f"<{reader.one_click}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["From"] = email.headerregistry.Address(HEADING.from_name, addr_spec=HEADING.from_address)
    message["Reply-To"] = HEADING.reply_to
    message["Subject"] = HEADING.subject
    message["List-Id"] = '"The \\"Weekly\\" Recap" <weekly.news.example.com>'
    message["Feedback-ID"] = HEADING.feedback_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(filled(plain, reader, is_html=False))
    message.add_alternative(filled(html, reader, is_html=True), subtype="html")
    message["Content-Language"] = HEADING.language  # last: content sets all Content-... anew
    return message.as_bytes()


def filled(template: str, reader: Reader, *, is_html: bool) -> str:
    """The body with the reader's values in it, as anybody would fill it in."""
    for name in SLOTS:
        value = reader.values[name]
        template = template.replace(slot(MARK, name), escape(value) if is_html else value)
    return template


def parsed(content: bytes) -> EmailMessage:
    """As a parser reads it that accepts no defect."""
    message = email.message_from_bytes(content, policy=email.policy.strict)
    assert isinstance(message, EmailMessage)
    assert not [defect for part in message.walk() for defect in part.defects]
    return message


def headers(message: EmailMessage) -> dict[str, list[str]]:
    """Every header field with what it says; which boundary parts them is nobody's business."""
    left_out = ("content-type", "mime-version", "content-transfer-encoding")
    names = [name for name in message if name.lower() not in left_out]
    return {name.lower(): [str(each) for each in message.get_all(name, [])] for name in names}


def read(message: EmailMessage, subtype: str) -> str:
    """A body as a reader's program shows it; the last line's end belongs to nobody."""
    part = message.get_body((subtype,))
    assert part is not None
    return re.sub(r"\r\n|\r|\n", "\n", part.get_content()).rstrip("\n")


def check_bytes(content: bytes, reader: Reader) -> None:
    """What a transport and every relay may count on."""
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert content.endswith(b"\r\n")
    assert content.isascii()
    raw = f"List-Unsubscribe: <{reader.one_click}>".encode()
    whole = (f"To: {reader.address}".encode(), f"Message-ID: {reader.message_id}".encode())  # one word each
    for line in content.split(b"\r\n"):
        assert not line.startswith((b".", b"From "))
        assert not line.endswith((b" ", b"\t"))
        assert len(line) <= 78 or line == raw or (line in whole and len(line) <= 998)
    if reader.one_click:
        assert content.count(b"\r\n" + raw + b"\r\n") == 1


def check_alike(content: bytes, reader: Reader, plain: str, html: str) -> None:
    """Ours and the standard library's say the same."""
    check_bytes(content, reader)
    ours, theirs = parsed(content), email.message_from_bytes(built(reader, plain, html), policy=email.policy.default)
    assert isinstance(theirs, EmailMessage)
    assert headers(ours) == headers(theirs)
    assert [part.get_content_type() for part in ours.walk()] == [part.get_content_type() for part in theirs.walk()]
    for subtype in ("plain", "html"):
        assert read(ours, subtype) == read(theirs, subtype)


# --- the properties -------------------------------------------------------------------------------


@thoroughly
@given(text, link, link, typed_address, message_id, body, body)
@example(".", "https://recap.example.com/", "https://recap.example.com/.", "a@b.cz", "<1.a@news.example.com>", "", "")
@example(
    "=?utf-8?q?x?=",
    "https://recap.example.com/?a=b&c=d",
    "https://recap.example.com/=2E",
    "'@b.cz",
    "<1.a@news.example.com>",
    f".{slot(MARK, 'name')}.\n{slot(MARK, 'name')}\n.",
    f"{slot(MARK, 'unsubscribe')}{slot(MARK, 'confirm')} \n",
)
def test_a_spliced_message_says_what_one_built_whole_would(name, leave, confirm, typed, mid, plain, html):
    assume(not torn(name, plain + html))
    values = {"name": name, "unsubscribe": leave, "confirm": confirm}
    reader = Reader(accepted(typed), mid, NOW, values, leave)
    check_alike(Compiled(HEADING, plain, html, MARK).message(reader), reader, plain, html)


@thoroughly
@given(st.lists(st.tuples(text, link, typed_address), min_size=2, max_size=4), body, body)
def test_one_rendering_serves_many_readers_and_mixes_nobody_up(people, plain, html):
    compiled = Compiled(HEADING, plain, html, MARK)
    for name, leave, typed in people:
        assume(not torn(name, plain + html))
        values = {"name": name, "unsubscribe": leave, "confirm": ""}
        reader = Reader(accepted(typed), "<1.a@news.example.com>", NOW, values, leave)
        check_alike(compiled.message(reader), reader, plain, html)


LINKS = Links("a secret of at least thirty-two characters", "https://recap.example.com")
PLAIN = f"Hello {slot(MARK, 'name')}.\n{slot(MARK, 'name')}\n\nLeave: {slot(MARK, 'unsubscribe')}\n"
HTML = f'<!DOCTYPE html><p>{slot(MARK, "name")}</p>\n<a href="{slot(MARK, "unsubscribe")}">leave</a>\n'
CONFIRM = f"Confirm: {slot(MARK, 'confirm')}\n{slot(MARK, 'name')}\nLeave: {slot(MARK, 'unsubscribe')}\n"


def letters() -> Letters:
    """Letters as the service makes them, over an edition that uses every slot."""
    return Letters(
        LINKS,
        Senders(
            ("The Vistula Post", "recap@news.example.com"), ("Hello", "hello@news.example.com"), "", "b@example.com"
        ),
        {"weekly": Publication("weekly", "The Weekly Recap", "en")},
        lambda edition_id: [Rendering(edition_id, "en", "The week", "", HTML, PLAIN, MARK)],
        lambda mail, newsletter, language, already, at: Rendered(
            "Please confirm", "", f"<p>{CONFIRM}</p>", CONFIRM, MARK, "en"
        ),
        lambda notice_id: Rendered("A notice", "", "<p>x</p>", "x", MARK, "en"),
    )


@thoroughly
@given(anything, typed_address, st.integers(1, (1 << 63) - 1), st.sampled_from(["digest", "confirmation"]))
def test_a_readers_own_letter_is_whole_whatever_they_call_themselves(name, typed, number, mail):
    address = accepted(typed)
    edition_id = 7 if mail == "digest" else 0
    delivery = Delivery(
        number, Mail(mail), edition_id, address, NOW, 1, number, "weekly", "en", name, requested_at=NOW - timedelta(1)
    )
    parcel = letters().write(delivery)
    message = parsed(parcel.content)
    text_shown, html_shown = read(message, "plain"), read(message, "html")
    shown = clean_header(name, LONGEST_NAME) if mail == "digest" else ""
    assert f"\n{shown}\n" in text_shown
    assert escape(shown) in html_shown
    assert LINKS.unsubscribe(number) in text_shown
    assert (LINKS.confirm(number, NOW - timedelta(1)) in text_shown) is (mail == "confirmation")
    assert message["To"].addresses[0].addr_spec == address
    assert LINKS.read_message_id(message["Message-ID"]) == number
    one_click = LINKS.unsubscribe(number) if mail == "digest" else ""
    check_bytes(parcel.content, Reader(address, str(message["Message-ID"]), NOW, {}, one_click))


@pytest.mark.parametrize(
    "typed",
    [
        "=?utf-8?q?evil=40x=2Ey?=@example.com",
        "=?utf-8?b?4pyTCkJjYzogeEB5Lno=?=@example.com",
        "a=?us-ascii?q?=3Cb?=@x.pl",
    ],
)
def test_an_address_that_looks_like_an_encoded_word_is_refused_or_reads_as_it_was_typed(typed):
    # RFC 2047 section 5 allows none there, but programs decode it: another address, a line break in an address
    try:
        address = parse(typed).text
    except InvalidAddress:
        return
    delivery = Delivery(1, Mail.DIGEST, 7, address, NOW, 1, 1, "weekly", "en")
    message = parsed(letters().write(delivery).content)
    assert [each.addr_spec for each in message["To"].addresses] == [address]


OFFERS = (Offers(), Offers(True, True, True, True), Offers(pipelining=True, dsn=True))


@thoroughly
@given(typed_address, st.integers(1, (1 << 63) - 1), st.sampled_from(OFFERS))
def test_an_envelope_is_three_lines_and_names_this_reader(typed, number, offers):
    address = accepted(typed)
    sender = LINKS.envelope_sender("bounces@news.example.com", number)
    envelope_id = LINKS.message_id(number, "news.example.com")[1:-1]
    said = [command for _, command in commands(Parcel(None, sender, address, b"x\r\n", envelope_id), offers)]
    assert [command.partition(b" ")[0].rstrip() for command in said] == [b"MAIL", b"RCPT", b"DATA"]
    assert all(command.endswith(b"\r\n") and command.count(b"\n") == command.count(b"\r") == 1 for command in said)
    assert all(command.isascii() and len(command) <= 512 + 26 + 17 + 500 for command in said)
    assert said[0].startswith(f"MAIL FROM:<{sender}>".encode())
    assert said[1].startswith(f"RCPT TO:<{address}>".encode())
    assert len(sender.partition("@")[0]) <= 64
    if offers.dsn:
        xtext = said[1].partition(b"ORCPT=rfc822;")[2].strip()
        assert re.sub(rb"\+([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), xtext) == address.encode()


@thoroughly
@given(
    st.text(
        st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs"), exclude_characters='<>@"(),:;[]\\'),
        min_size=1,
        max_size=30,
    )
)
def test_letters_beyond_ascii_stand_in_the_to_line_only(local):
    assume(not local.isascii())
    address = f"{local}@example.com"
    values = {"name": "", "unsubscribe": "", "confirm": ""}
    content = Compiled(HEADING, "x", "x", MARK).message(Reader(address, "<1.a@news.example.com>", NOW, values))
    own, rest = content.split(b"\r\n", 1)
    assert own == f"To: {address}".encode()
    assert rest.isascii()
