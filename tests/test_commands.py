"""The commands, as an operator types them: from an empty folder to a mail in a reader's mailbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.smtpd import Fault, RecordingServer


class Operator:
    """Types commands in a folder."""

    def __init__(self, folder: Path, smtp_port: int) -> None:
        self.folder = folder
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")},
            "DIGEST_SMTP__HOST": "127.0.0.1",
            "DIGEST_SMTP__PORT": str(smtp_port),
            "DIGEST_SMTP__CONNECTIONS": "3",
        }

    def run(self, *words: str, status: int = 0, stdin: bytes = b"") -> str:
        """Run a command; its exit status must be the one expected."""
        done = subprocess.run(
            [sys.executable, "-m", "digest", *words],
            cwd=self.folder,
            env=self.environ,
            input=stdin,
            capture_output=True,
            timeout=60,
        )
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == status, f"{words} ended with {done.returncode}: {said}"
        return said

    def json(self, *words: str, status: int = 0):
        """Run a command with --json."""
        return json.loads(self.run(*words, "--json", status=status))


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def operator(tmp_path, smtpd) -> Operator:
    made = Operator(tmp_path, smtpd.port)
    made.run("init", "--site-url", "https://news.example.com", "--from", "recap@news.example.com")
    published = "2026-10-26T10:00+01:00"
    (tmp_path / "articles.csv").write_text(
        "url,title,published_at,summary\n" + "".join(f"/s{n},Story {n},{published},What happened\n" for n in range(6))
    )
    (tmp_path / "views.csv").write_text(
        "url,at,views\n" + "".join(f"/s{n},2026-10-27T10:00+01:00,{n * 10}\n" for n in range(6))
    )
    config = (tmp_path / "config.toml").read_text()
    files = '[[sources]]\nname = "files"\nkind = "files"\narticles = "articles.csv"\nviews = "views.csv"\n'
    (tmp_path / "config.toml").write_text(config + files)
    return made


@pytest.fixture
def at() -> str:
    """The Saturday whose closed week holds the sample views."""
    return "2026-10-31T08:00"


def test_from_an_empty_folder_to_a_readers_mailbox(operator, smtpd, at):
    assert "6 articles" in operator.run("collect", "--check")
    operator.run("collect")
    operator.run(
        "subscribers", "add", "anna@example.com", "--newsletter", "weekly", "--confirmed", "--consent-from", "letter"
    )
    draft = operator.json("edition", "draft", "--newsletter", "weekly", "--at", at)
    assert [(each["position"], each["title"], each["views"]) for each in draft["picks"]] == [
        (n, f"Story {6 - n}", (6 - n) * 10) for n in range(1, 6)
    ]
    assert draft["state"] == "drafted"
    assert {each["title"]: each["reason"] for each in draft["candidates"]}["Story 0"] == "no views in the period"
    sent = operator.json("edition", "send")
    assert sent["state"] == "sent"
    assert sent["counts"]["sent"] == 1
    assert operator.json("edition", "send")["counts"]["sent"] == 1
    said = operator.run("edition", "send")
    assert "Edition 1 went out on " in said and said.rstrip().endswith(", 1 sent; nothing was left to send.")
    assert len(smtpd.received) == 1
    assert smtpd.received[0].parsed["To"] == "anna@example.com"
    listed = operator.json("edition", "deliveries", "--state", "sent")
    assert [each["address"] for each in listed] == ["anna@example.com"]


def test_a_preview_is_the_very_mail(operator, at, tmp_path):
    operator.run("collect")
    operator.run("edition", "draft", "--at", at)
    paths = operator.json("edition", "preview", "--out", "look")
    eml = (tmp_path / paths["eml"]).read_bytes()
    assert b"List-Unsubscribe: <https://" in eml
    assert "Story 5" in (tmp_path / paths["text"]).read_text()
    assert operator.json("edition", "check")["html_bytes"] > 1000


def test_one_copy_goes_to_the_desk_and_nobody_else(operator, smtpd, at):
    operator.run("collect")
    operator.run("edition", "draft", "--at", at)
    operator.run("edition", "test", "desk@example.com")
    assert [each.recipients for each in smtpd.received] == [["desk@example.com"]]


def test_a_server_that_is_down_is_said_and_touches_nobody(operator, smtpd, at):
    operator.run("collect")
    operator.run("subscribers", "add", "anna@example.com", "--confirmed", "--consent-from", "letter")
    operator.run("edition", "draft", "--at", at)
    smtpd.faults.append(Fault(at="CONNECT", reply="554 5.3.2 closed for today"))
    said = operator.run("edition", "send", status=1)
    assert "closed for today" in said
    assert operator.json("edition", "show")["counts"]["queued"] == 1
    smtpd.faults.clear()
    assert operator.json("edition", "send")["counts"]["sent"] == 1


def test_an_import_needs_a_statement_and_names_each_bad_line(operator, tmp_path):
    (tmp_path / "readers.csv").write_text("email,name\nanna@example.com,Anna\nnonsense,\nbob@example.com,Bob\n")
    operator.run("subscribers", "import", "readers.csv", status=2)
    done = operator.json("subscribers", "import", "readers.csv", "--consent-from", "fair 2026")
    assert (done["added"], [each["line"] for each in done["errors"]]) == (2, [3])
    shown = operator.json("subscribers", "show", "anna@example.com")
    assert shown["events"][0]["evidence"]["form"] == "fair 2026"
    operator.run("subscribers", "unsubscribe", "anna@example.com")
    again = operator.json("subscribers", "import", "readers.csv", "--consent-from", "fair 2026", "--again")
    assert (again["added"], again["already"], again["unsubscribed"]) == (0, 1, 1)


def test_pins_and_bans_are_obeyed(operator, at):
    operator.run("collect")
    operator.run("articles", "pin", "/s1")
    operator.run("articles", "ban", "https://news.example.com/s5/")
    draft = operator.json("edition", "draft", "--at", at)
    assert [each["title"] for each in draft["picks"]] == ["Story 1", "Story 4", "Story 3", "Story 2"]


def test_mistakes_end_in_one_line_and_status_two(operator, tmp_path):
    for words in (
        ("edition", "draft", "--newsletter", "daily"),
        ("edition", "draft", "--at", "yesterday"),
        ("collect", "--source", "nothing"),
        ("subscribers", "add", "anna@example.com", "--confirmed"),
    ):
        said = operator.run(*words, status=2)
        assert "Traceback" not in said
    for words in (("edition", "show"), ("edition", "show", "99"), ("subscribers", "show", "nobody@example.com")):
        assert "Traceback" not in operator.run(*words, status=1)
    (tmp_path / "config.toml").write_text((tmp_path / "config.toml").read_text().replace("[smtp]", "[smpt]"))
    assert "did you mean 'smtp'" in operator.run("config", "check", status=2)


def test_a_wrong_answer_to_init_leaves_nothing_behind(tmp_path, smtpd):
    operator = Operator(tmp_path / "new", smtpd.port)
    operator.folder.mkdir()
    assert "--from: " in operator.run("init", "--from", "notanaddress", status=2)
    assert not (operator.folder / "config.toml").exists()
    operator.run("init", "--from", "recap@news.example.com")
    operator.run("edition", "list")


def test_an_edition_without_articles_says_what_to_do(operator):
    drafted = operator.json("edition", "draft")
    assert drafted["state"] == "skipped"
    for words in (("preview",), ("test", "desk@example.com"), ("check",)):
        assert "digest collect" in operator.run("edition", *words, status=1)


def test_a_port_that_is_taken_is_one_line(operator, smtpd):
    said = operator.run("serve", "--port", str(smtpd.port), status=2)
    assert "cannot listen" in said
    assert "Traceback" not in said


def test_init_leaves_what_is_there(operator, tmp_path):
    before = (tmp_path / "config.toml").read_text(), (tmp_path / "digest.secret").read_text()
    assert "stays as it is" in operator.run("init", "--site-name", "Other")
    assert ((tmp_path / "config.toml").read_text(), (tmp_path / "digest.secret").read_text()) == before


def test_an_older_database_is_refused_with_what_to_do(operator, tmp_path):
    (tmp_path / "digest.db").unlink()
    assert "digest migrate" in operator.run("edition", "list", status=1)
    operator.run("migrate")
    operator.run("edition", "list")


def test_a_bounce_with_our_token_suppresses_its_reader_and_a_forged_one_nobody(operator, smtpd, at):
    operator.environ["DIGEST_MAIL__BOUNCE_ADDRESS"] = "bounces@news.example.com"
    operator.run("collect")
    operator.run("subscribers", "add", "anna@example.com", "--confirmed", "--consent-from", "letter")
    operator.run("edition", "draft", "--at", at)
    operator.run("edition", "send")
    sender = smtpd.received[0].mail_from
    assert sender.startswith("bounces+")
    assert "nothing changes" in operator.run("bounces", "read", stdin=_report("bounces+forged@news.example.com"))
    assert "suppressed" in operator.run("bounces", "read", stdin=_report(sender))
    assert operator.json("subscribers", "show", "anna@example.com")["suppressed"]


def _report(to: str) -> bytes:
    return f"""From: MAILER-DAEMON@mx.example.com
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

No such user.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; anna@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b--
""".replace("\n", "\r\n").encode()
