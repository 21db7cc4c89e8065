"""Signatures: a verifier of another make believes them, and stops to when anything they cover is changed."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from digest.errors import ConfigurationError
from digest.mail.dkim import OVERSIGNED, load
from tests.servers.smtpd import RecordingServer
from tests.service import Service

_RSA = rsa.generate_private_key(65537, 2048)
_ED25519 = ed25519.Ed25519PrivateKey.generate()
_PEM, _PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
_OPEN = serialization.NoEncryption()


def write_key(path: Path, key, encryption=_OPEN) -> Path:
    path.write_bytes(key.private_bytes(_PEM, _PKCS8, encryption))
    return path


def dns(name: bytes, timeout: int = 5) -> bytes | None:
    """The zone our keys are published in."""
    der = _RSA.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = _ED25519.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    records = {
        b"big._domainkey.news.example.com.": b"v=DKIM1; k=rsa; p=" + base64.b64encode(der),
        b"small._domainkey.news.example.com.": b"v=DKIM1; k=ed25519; p=" + base64.b64encode(raw),
    }
    return records.get(name)


def verdicts(content: bytes) -> list[bool]:
    """What a verifier says about each signature, the first first."""
    count = content.partition(b"\r\n\r\n")[0].count(b"DKIM-Signature:")
    return [_is_good(content, number) for number in range(count)]


def _is_good(content: bytes, number: int) -> bool:
    try:
        return bool(dkim.DKIM(content).verify(idx=number, dnsfunc=dns))
    except dkim.DKIMException:
        return False


@pytest.fixture(scope="module")
def received(tmp_path_factory) -> dict[str, bytes]:
    """A digest and a confirmation as they arrived at a server, signed with both keys."""
    folder = tmp_path_factory.mktemp("signed")
    write_key(folder / "big.pem", _RSA)
    write_key(folder / "small.pem", _ED25519)
    keys = {"selector": "big", "key_file": "big.pem", "ed25519_selector": "small", "ed25519_key_file": "small.pem"}
    with RecordingServer() as smtpd:
        mail = {"from": "Wieści „znad” Wisły <recap@news.example.com>", "reply_to": "desk@news.example.com"}
        service = Service(folder, f"sqlite:///{folder}/digest.db", smtpd.port, dkim=keys, mail=mail)
        service.add_readers(3)
        service.sign_up("newcomer@example.com")
        service.send()
        service.deliver_all()
        service.close()
        assert [each.defects for each in smtpd.received] == [()] * 4
        return {each.recipients[0]: each.data for each in smtpd.received}


@pytest.fixture
def content(received) -> bytes:
    return received["reader1@example.com"]


def tags(content: bytes) -> list[dict[str, str]]:
    """The tags of each signature."""
    fields = re.findall(rb"DKIM-Signature:((?:[^\r\n]|\r\n[ \t])*)\r\n", content)
    flat = [re.sub(r"\s", "", field.decode()) for field in fields]
    return [dict(tag.split("=", 1) for tag in field.split(";") if tag) for field in flat]


def test_every_message_arrives_with_two_good_signatures(received):
    assert len(received) == 4
    assert {reader: verdicts(content) for reader, content in received.items()} == {
        reader: [True, True] for reader in received
    }


def test_the_signatures_name_their_keys_and_leave_no_door_open(content):
    signatures = tags(content)
    assert [(each["a"], each["s"]) for each in signatures] == [("rsa-sha256", "big"), ("ed25519-sha256", "small")]
    for each in signatures:
        assert each["d"] == "news.example.com"
        assert each["c"] == "relaxed/simple"
        assert "l" not in each, "with l= anybody could write on below"
        names = each["h"].split(":")
        there = [line.partition(b":")[0].decode().lower() for line in content.split(b"\r\n\r\n")[0].split(b"\r\n")]
        assert {name: names.count(name) for name in OVERSIGNED} == {name: there.count(name) + 1 for name in OVERSIGNED}
        assert {"list-unsubscribe", "list-unsubscribe-post"} <= set(names)  # RFC 8058 section 4 asks for both
        assert not {"received", "return-path", "dkim-signature"} & set(names)


def test_the_signatures_lines_are_short_and_plain(content):
    head = content.partition(b"\r\nTo:")[0]
    assert head.isascii()
    assert max(head.split(b"\r\n"), key=len)[78:] == b""


TAMPERING = {
    "a word of the body": lambda c: re.sub(rb"(\r\n\r\n.*?)happened", rb"\1is new", c, count=1, flags=re.S),
    "a line added below": lambda c: c + b"one more\r\n",
    "an empty line added below": lambda c: c + b"\r\nx\r\n",
    "the unsubscribe link": lambda c: re.sub(
        rb"List-Unsubscribe: <https://recap", b"List-Unsubscribe: <https://evil", c
    ),
    "one click": lambda c: c.replace(b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Clicks"),
    "one click taken away": lambda c: re.sub(rb"List-Unsubscribe-Post: [^\r]*\r\n", b"", c),
    "the subject": lambda c: re.sub(rb"\r\nSubject: ", b"\r\nSubject: Re: ", c),
    "the reader": lambda c: c.replace(b"To: reader1@", b"To: reader2@", 1),
    "the date": lambda c: re.sub(rb"\r\nDate: \w{3}", b"\r\nDate: Xxx", c),
    "the boundary": lambda c: re.sub(rb'boundary="=_', b'boundary="=x', c, count=1),
    "a From added above": lambda c: b"From: evil@example.com\r\n" + c,
    "a Subject added above": lambda c: b"Subject: You have won\r\n" + c,
    "a List-Unsubscribe added above": lambda c: b"List-Unsubscribe: <https://evil.example/>\r\n" + c,
    "a List-Unsubscribe-Post added above": lambda c: b"List-Unsubscribe-Post: x\r\n" + c,
    "a To added above": lambda c: b"To: evil@example.com\r\n" + c,
    "a Reply-To added above": lambda c: b"Reply-To: evil@example.com\r\n" + c,
    "a Content-Type added above": lambda c: b"Content-Type: text/plain\r\n" + c,
    "a From added below": lambda c: c.replace(b"\r\n\r\n", b"\r\nFrom: evil@example.com\r\n\r\n", 1),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_whoever_changes_what_is_signed_breaks_both(content, name):
    changed = TAMPERING[name](content)
    assert changed != content
    assert verdicts(changed) == [False, False]


HARMLESS = {
    "a Received and a Return-Path": lambda c: (
        b"Return-Path: <x@y.z>\r\nReceived: from a by b;\r\n\tSat, 28 Nov\r\n" + c
    ),
    "a verdict of the relay": lambda c: b"Authentication-Results: mx.example; dkim=pass\r\n" + c,
    "another fold": lambda c: c.replace(b"\r\nSubject: ", b"\r\nSubject:\r\n  ", 1),
    "other letters of a name": lambda c: c.replace(b"\r\nSubject:", b"\r\nSUBJECT:", 1),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_relays_do_breaks_nothing(content, name):
    changed = HARMLESS[name](content)
    assert changed != content
    assert verdicts(changed) == [True, True]


def test_another_readers_signature_is_good_for_nobody_else(received):
    first, second = received["reader1@example.com"], received["reader2@example.com"]
    swapped = first.partition(b"To: ")[0] + b"To: " + second.partition(b"To: ")[2]
    assert verdicts(swapped) == [False, False]


@pytest.mark.parametrize("which", ["rsa", "ed25519"])
def test_one_key_makes_one_signature(tmp_path, which):
    key = write_key(tmp_path / "key.pem", _RSA if which == "rsa" else _ED25519)
    pair = ("big" if which == "rsa" else "small", key)
    sign = load("news.example.com", pair if which == "rsa" else None, pair if which == "ed25519" else None)
    head, body = b"From: recap@news.example.com\r\nSubject:  two  blanks \r\n", [b"one", b" piece\r\n", b"more\r\n"]
    assert verdicts(sign(head, body) + head + b"\r\n" + b"".join(body)) == [True]


# --- keys that will not do ------------------------------------------------------------------------


def complaint(rsa_key: Path | None = None, ed25519_key: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load("x.example", ("a", rsa_key) if rsa_key else None, ("b", ed25519_key) if ed25519_key else None)
    return str(caught.value)


def test_a_key_that_is_not_there_is_named(tmp_path):
    words = complaint(tmp_path / "missing.pem")
    assert "missing.pem" in words and "No such file" in words


@pytest.mark.parametrize(
    "content", [b"", b"no key at all", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_holds_no_key_is_named(tmp_path, content):
    (tmp_path / "key.pem").write_bytes(content)
    words = complaint(tmp_path / "key.pem")
    assert "key.pem" in words and "no private key in PEM" in words


def test_a_key_behind_a_password_is_named(tmp_path):
    locked = write_key(tmp_path / "locked.pem", _RSA, serialization.BestAvailableEncryption(b"secret"))
    words = complaint(locked)
    assert "locked.pem" in words and "without a password" in words


def test_a_public_key_is_not_a_private_one(tmp_path):
    public = _RSA.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    assert "public.pem" in complaint(tmp_path / "public.pem")


def test_keys_in_the_wrong_place_are_named(tmp_path):
    big, small = write_key(tmp_path / "big.pem", _RSA), write_key(tmp_path / "small.pem", _ED25519)
    curve = write_key(tmp_path / "curve.pem", ec.generate_private_key(ec.SECP256R1()))
    assert "small.pem is not an RSA key" in complaint(small)
    assert "big.pem is not an Ed25519 key" in complaint(None, big)
    assert "curve.pem is not an RSA key" in complaint(curve)
    assert "curve.pem is not an Ed25519 key" in complaint(big, curve)


def test_a_service_with_a_wrong_key_does_not_start(tmp_path):
    keys = {"selector": "big", "key_file": "missing.pem"}
    with pytest.raises(ConfigurationError, match=r"missing\.pem"):
        Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25, dkim=keys)
