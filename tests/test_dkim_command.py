"""`digest dkim`: what it prints can be pasted, and a verifier of another make is content with it."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import dkim
import pytest

from tests.servers.smtpd import RecordingServer
from tests.test_commands import Operator


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def operator(tmp_path, smtpd) -> Operator:
    made = Operator(tmp_path, smtpd.port)
    made.run("init", "--site-url", "https://news.example.com", "--from", "recap@news.example.com")
    return made


def printed_record(said: str) -> tuple[str, str]:
    """(name, text) of the zone entry that was printed, as a name server reads it."""
    entry = re.search(r"^(\S+)\. IN TXT \(\n(.*?)\n\)", said, re.S | re.M)
    assert entry, said
    pieces = re.findall(r'"([^"]*)"', entry[2])
    assert all(len(piece) <= 255 for piece in pieces)
    return entry[1], "".join(pieces)


def paste(folder: Path, said: str) -> None:
    """Put the printed lines under [dkim] in config.toml, as a person would."""
    lines = re.search(r"In the \[dkim\] section of config\.toml, set:\n\n((?:\w+ = \".*\"\n)+)", said)
    assert lines, said
    config = folder / "config.toml"
    text = config.read_text()
    for line in lines[1].splitlines():
        name = line.partition(" ")[0]
        text, count = re.subn(rf'(?m)^{name} = "".*$', line, text, count=1)
        assert count == 1, name
    config.write_text(text)


def send_one(operator: Operator, smtpd: RecordingServer) -> bytes:
    published = "2026-10-26T10:00+01:00"
    rows = "".join(f"/s{n},Story {n},{published},What happened\n" for n in range(4))
    (operator.folder / "a.csv").write_text("url,title,published_at,summary\n" + rows)
    views = "".join(f"/s{n},2026-10-27T10:00+01:00,{n * 10 + 5}\n" for n in range(4))
    (operator.folder / "v.csv").write_text("url,at,views\n" + views)
    config = operator.folder / "config.toml"
    source = '[[sources]]\nname = "files"\nkind = "files"\narticles = "a.csv"\nviews = "v.csv"\n'
    config.write_text(config.read_text() + source)
    operator.run("collect")
    operator.run("subscribers", "add", "anna@example.com", "--confirmed", "--consent-from", "letter")
    operator.run("edition", "draft", "--at", "2026-10-31T08:00")
    operator.run("edition", "send")
    return smtpd.received[-1].data


def verified(content: bytes, records: dict[str, str]) -> list[bool]:
    zone = {f"{name}.".encode(): text.encode() for name, text in records.items()}
    count = content.partition(b"\r\n\r\n")[0].count(b"DKIM-Signature:")
    verifier = dkim.DKIM(content)
    return [bool(verifier.verify(idx=n, dnsfunc=lambda name, timeout=5: zone.get(name))) for n in range(count)]


def test_mail_signed_with_new_keys_is_verified_by_the_printed_records(operator, smtpd, tmp_path):
    records = {}
    for words in (("--selector", "digest2026"), ("--selector", "digest2026e", "--ed25519")):
        said = operator.run("dkim", "new", *words)
        name, text = printed_record(said)
        records[name] = text
        paste(tmp_path, said)
    assert list(records) == [f"digest2026{letter}._domainkey.news.example.com" for letter in ("", "e")]
    content = send_one(operator, smtpd)
    assert verified(content, records) == [True, True]
    assert verified(content.replace(b"Subject: ", b"Subject: Re: "), records) == [False, False]


def test_only_its_owner_may_read_a_key_and_none_is_ever_overwritten(operator, tmp_path):
    operator.run("dkim", "new", "--selector", "one")
    path = tmp_path / "one.pem"
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = operator.run("dkim", "new", "--selector", "one", status=2)
    assert "stays as it is" in said and "Traceback" not in said
    assert path.read_bytes() == before
    operator.run("dkim", "new", "--selector", "one", "--out", "keys")
    assert (tmp_path / "keys" / "one.pem").read_bytes() != before


def test_a_key_in_another_folder_is_named_as_config_toml_finds_it(operator, tmp_path):
    assert 'key_file = "keys/one.pem"' in operator.run("dkim", "new", "--selector", "one", "--out", "keys")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    shown = operator.json("dkim", "new", "--selector", "two", "--out", str(elsewhere))
    assert shown["config"][1] == f'key_file = "{elsewhere}/two.pem"'


@pytest.mark.parametrize("bits", [2048, 4096])
def test_a_long_record_is_split_into_strings_the_dns_can_hold(operator, bits):
    shown = operator.json("dkim", "new", "--selector", "one", "--bits", str(bits))
    assert len(shown["strings"]) == {2048: 2, 4096: 3}[bits]
    assert max(map(len, shown["strings"])) == 255
    assert "".join(shown["strings"]) == shown["record"]
    assert shown["record"].startswith("v=DKIM1; k=rsa; p=MII")


def test_it_reminds_of_spf_and_of_dmarc_without_pct(operator):
    said = operator.run("dkim", "new", "--selector", "one")
    assert '"v=spf1 ' in said
    assert '_dmarc.news.example.com. IN TXT "v=DMARC1; p=none; rua=mailto:' in said
    assert "pct" not in said


@pytest.mark.parametrize("words", [("--selector", "a.b c"), ("--selector", "one", "--bits", "512")])
def test_what_cannot_be_meant_makes_no_key(operator, tmp_path, words):
    assert "Traceback" not in operator.run("dkim", "new", *words, status=2)
    assert not list(tmp_path.glob("*.pem"))


# --- comparing with the DNS ----------------------------------------------------------------------


@pytest.fixture
def made(operator) -> dict:
    return operator.json("dkim", "new", "--selector", "one")


def test_a_record_fits_however_it_is_printed(operator, made):
    as_dig = " ".join(f'"{each}"' for each in made["strings"])
    escaped = as_dig.replace(";", "\\;")
    spaced = made["record"].replace("; ", ";").replace("p=", "p= ")
    for text in (made["record"], as_dig, escaped, spaced):
        assert "fits" in operator.run("dkim", "check", "--selector", "one", "--record", text)
    assert operator.json("dkim", "check", "--selector", "one", "--record", as_dig)["fits"]
    assert "fits" in operator.run("dkim", "check", "--selector", "one", "--record", "-", stdin=as_dig.encode())


def test_a_record_that_does_not_fit_says_why(operator, made):
    record = made["record"]
    other = operator.json("dkim", "new", "--selector", "two")["record"]
    wrong = {
        other: "another key",
        made["strings"][0]: "cut off",
        record.replace("k=rsa", "k=ed25519"): "k=ed25519",
        re.sub(r"p=.*", "p=", record): "revoked",
        record.replace("v=DKIM1; ", "") + "; v=DKIM1": "begin with v=DKIM1",
        record.replace("p=", "t=y; p="): "only a test",
        record.replace("p=", "h=sha1; p="): "sha256",
        record.replace("p=", "s=tls; p="): "does not allow mail",
        "v=spf1 -all": "this is the SPF record",
        "v=DMARC1; p=none": "another key",
        "v=DMARC1": "this is the DMARC record",
        "v=DKIM1; k=rsa": "no p=",
        "": "there is no record",
    }
    for text, words in wrong.items():
        said = operator.run("dkim", "check", "--selector", "one", "--record", text, status=1)
        assert words in said, (words, said)
        assert record in said.replace("\n", "")


def test_without_a_key_it_says_how_to_get_one(operator):
    assert "digest dkim new" in operator.run("dkim", "check", "--record", "v=DKIM1", status=2)
    said = operator.run("dkim", "check", "--selector", "none", "--record", "v=DKIM1", status=2)
    assert "[dkim] in config.toml has no selector 'none'" in said and "Traceback" not in said
