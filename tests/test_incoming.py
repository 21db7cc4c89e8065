"""Whole messages that come into the mailbox of reports: who leaves, what is for people, and that none is answered."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.app.bounces import Returns
from digest.domain.reports import ReportKind
from digest.domain.subscribers import SubscriptionState
from digest.mail.inbox.incoming import read_incoming
from digest.scheduler import create_scheduler
from digest.store import suppressions
from digest.store.schema import deliveries, notices
from tests.real.arrivals import wait_until
from tests.servers import dovecot, free_port
from tests.servers.smtpd import RecordingServer
from tests.service import Service

ANNA, BOB = "reader0@example.com", "reader1@example.com"
MAIL = {
    "from": "recap@news.example.com",
    "bounce_address": "bounces@news.example.com",
    "unsubscribe_address": "leave@news.example.com",
}
GOODBYE = {"weekly": {"title": "The Weekly Recap", "goodbye": True}}


class Post:
    """A service that sent an edition, with messages that come back to it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        service.add_readers(3)
        self.edition = service.send()
        self.ids = {each.address: each.id for each in service.listed(self.edition)}
        self.returns = Returns(service.app)

    def take(self, content: bytes):
        return self.returns.take(content, self.service.clock(), "mailbox")

    def leave(self, address: str) -> str:
        return self.service.app.links.leave_by_mail("leave@news.example.com", self.service.find(address).id)

    def verp(self, address: str) -> str:
        return self.service.app.links.envelope_sender("bounces@news.example.com", self.ids[address])

    def waiting(self) -> int:
        """Mails that are queued."""
        with self.service.app.store.read() as tx:
            return tx.scalar(sa.select(sa.func.count()).where(deliveries.c.state == "queued"))

    def told(self) -> list[str]:
        with self.service.app.store.read() as tx:
            return list(tx.scalars(sa.select(notices.c.subject)))


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def make(tmp_path, smtpd):
    made: list[Service] = []

    def make(**more) -> Post:
        settings_ = {"mail": MAIL, "newsletters": GOODBYE, **more}
        made.append(Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, **settings_))
        return Post(made[-1])

    yield make
    for each in made:
        each.close()


@pytest.fixture
def post(make):
    return make()


def bounce(to: str, status: str = "5.1.1", words: str = "no such user") -> bytes:
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.com
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

The mail system says: {words}
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {ANNA}
Action: failed
Status: {status}
Diagnostic-Code: smtp; 550 {status} {words}

--b--
""".encode()


def complaint(message_id: str) -> bytes:
    return f"""From: feedback@provider.example
To: fbl@news.example.com
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: x/1
Version: 1

--b
Content-Type: message/rfc822

Message-ID: {message_id}
Subject: The Weekly Recap

Hello
--b--
""".encode()


def letter(to: str, *more: str, field: str = "To") -> bytes:
    lines = [f"{field}: {to}", "From: Anna <anna@elsewhere.example>", "Subject: anything", *more]
    return "\r\n".join([*lines, "", "Please.", ""]).encode()


@pytest.mark.parametrize("field", ["To", "Delivered-To", "X-Original-To", "Cc", "Envelope-To"])
def test_a_message_to_the_leave_address_unsubscribes_whoever_it_is_from_and_says_goodbye(post, field):
    followed = post.take(letter(f"Leave <{post.leave(ANNA).upper()}>", field=field))
    assert (followed.consequence, followed.is_ours) == ("unsubscribed", True)
    assert post.service.find(ANNA).state is SubscriptionState.UNSUBSCRIBED
    assert post.service.find(BOB).state is SubscriptionState.CONFIRMED
    assert post.waiting() == 1
    assert post.take(letter(post.leave(ANNA), field=field)).consequence == "had unsubscribed already"
    assert post.waiting() == 1, "one goodbye"


@pytest.mark.parametrize(
    "mark",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated (vacation)",
        "Auto-Submitted: auto-notified; owner-email=x",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "X-Autorespond: away",
        "Return-Path: <>",
        "Content-Type: multipart/report; boundary=b",
    ],
)
def test_what_a_program_wrote_unsubscribes_nobody(post, mark):
    followed = post.take(letter(post.leave(ANNA), mark))
    assert (followed.kind, followed.is_ours) == (ReportKind.OTHER, False)
    assert post.service.find(ANNA).state is SubscriptionState.CONFIRMED


@pytest.mark.parametrize("mark", ["Auto-Submitted: no", "Precedence: bulk", "Return-Path: <anna@example.com>"])
def test_what_a_person_sent_is_not_taken_for_a_programs(post, mark):
    assert post.take(letter(post.leave(ANNA), mark)).consequence == "unsubscribed"


def test_a_leave_address_without_or_with_a_forged_token_is_left_for_people(post):
    unsubscribe = post.service.app.links.unsubscribe(post.service.find(ANNA).id).rpartition("/")[2]
    for address in ("leave@news.example.com", "leave+@x.example", f"leave+{unsubscribe}@x.example", post.verp(ANNA)):
        assert not post.take(letter(address)).is_ours
    assert post.service.find(ANNA).state is SubscriptionState.CONFIRMED


def test_no_mail_is_ever_answered(post):
    vacation = letter(post.verp(ANNA), "Auto-Submitted: auto-replied", "Subject: Out of office")
    arf = complaint(post.service.app.links.message_id(post.ids[BOB], "news.example.com"))
    replies = [post.take(each) for each in (vacation, bounce(post.verp(ANNA)), arf, letter(post.verp(ANNA)))]
    assert [each.is_ours for each in replies] == [False, True, True, False]
    assert [each.consequence for each in replies] == ["nothing changes", "suppressed", "suppressed", "nothing changes"]
    assert post.waiting() == 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600), st.text(max_size=60))
def test_nothing_that_comes_in_makes_the_reader_of_it_raise(content, text):
    read_incoming(content)
    read_incoming(f"To: {text}\r\nAuto-Submitted: {text}\r\n\r\n".encode("utf-8", "replace") + content)


# --- the mailbox, watched ------------------------------------------------------------------------


def imap(server: dovecot.Dovecot, **more) -> dict:
    known = {"inbox": "imap", "host": "127.0.0.1", "port": server.imap, "security": "none"}
    return known | {"username": dovecot.USER, "password": dovecot.PASSWORD} | more


def test_while_it_is_watched_a_report_is_acted_on_as_it_comes(make):
    with dovecot.running() as server:
        post = make(bounces=imap(server))
        stopping = threading.Event()
        watching = threading.Thread(target=post.returns.watch, args=(post.service.clock, stopping))
        watching.start()
        server.put(bounce(post.verp(ANNA)))
        try:
            wait_until(lambda: _is_suppressed(post, ANNA), server.log)
        finally:
            stopping.set()
            watching.join(30)
        assert not watching.is_alive()


def _is_suppressed(post: Post, address: str) -> bool:
    with post.service.app.store.read() as tx:
        return suppressions.of(tx, post.service.app.links.address_hash(address)) is not None


def test_the_desk_hears_once_that_the_mailbox_cannot_be_read(make):
    known = {"inbox": "imap", "host": "127.0.0.1", "port": free_port(), "username": "x", "password": "y"}
    post = make(bounces=known)
    for _ in range(3):
        post.returns.watch(post.service.clock, threading.Event())
    assert post.told().count("Bounces cannot be read") == 1


def test_the_desk_hears_of_refusals_also_when_there_is_no_mailbox(post):
    post.take(bounce(post.verp(ANNA), "5.7.1", "rejected by our spam policy"))
    post.returns.watch(post.service.clock, threading.Event())
    assert post.told() == ["example.com refuses our mail"]


def test_the_schedule_has_a_job_for_what_comes_back(make):
    post = make(bounces={"every": "10m"})

    async def jobs():
        return {job.id: job.trigger for job in create_scheduler(post.service.app, post.service.clock).get_jobs()}

    assert asyncio.run(jobs())["bounces"].interval == timedelta(minutes=10)


# --- the command ---------------------------------------------------------------------------------


class Command:
    """`digest bounces` over the service's database."""

    def __init__(self, post: Post, folder: Path, **more: str) -> None:
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")} | more
        self.folder = folder
        config = post.service.app.config
        site = f'[site]\nname = "x"\nurl = "{config.site.url}"\n[database]\nurl = "{config.database_url}"\n'
        web = f'[web]\nbase_url = "{config.web.base_url}"\nsecret = "{config.web.secret.get_secret_value()}"\n'
        mail = "[mail]\n" + "".join(f'{key} = "{value}"\n' for key, value in MAIL.items())
        (folder / "config.toml").write_text(f'{site}{web}{mail}[newsletters.weekly]\ntitle = "x"\n')

    def run(self, *words: str, stdin: bytes = b"", status: int = 0) -> str:
        command = [sys.executable, "-m", "digest", "bounces", *words]
        done = subprocess.run(command, cwd=self.folder, env=self.environ, input=stdin, capture_output=True, timeout=60)
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == status, said
        return said


def test_the_command_reads_lists_and_checks_the_mailbox(post, tmp_path):
    maildir = tmp_path / "post"
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True)
    (maildir / "new" / "1.a").write_bytes(bounce(post.verp(ANNA)))
    (maildir / "new" / "2.a").write_bytes(letter("bounces@news.example.com"))
    command = Command(post, tmp_path, DIGEST_BOUNCES__INBOX="maildir", DIGEST_BOUNCES__PATH="post")
    assert "2 messages not looked at yet" in command.run("check")
    assert "2 messages not looked at yet" in command.run("check"), "it changes nothing"
    said = command.run("read")
    assert "hard bounce" in said and "suppressed" in said and "1 put away, 1 left" in said
    assert json.loads(command.run("read", "--inbox", "--json"))["read"] == 0
    assert "unsubscribed" in command.run("read", stdin=letter(post.leave(BOB)))
    (listed,) = json.loads(command.run("list", "--json", "--kind", "hard", "--days", "10000"))
    assert (listed["address"], listed["provider"], listed["outcome"]) == (ANNA, "example.com", "suppressed")
    assert "Nothing is held" in command.run("held")
    assert "no held bounces at gmail.com" in command.run("apply", "gmail.com", status=1)
    assert "write one of hard, soft" in command.run("list", "--kind", "x", status=2)


def test_without_a_mailbox_the_command_says_what_to_set(post, tmp_path):
    command = Command(post, tmp_path)
    assert "set [bounces] inbox" in command.run("read", "--inbox", status=2)
    assert "set [bounces] inbox" in command.run("check", status=2)
    assert "ordinary mail: nothing changes" in command.run("read")


def test_the_mailbox_settings_are_checked_together(post, tmp_path):
    command = Command(post, tmp_path, DIGEST_BOUNCES__INBOX="imap")
    assert "imap needs host and username too" in command.run("check", status=2)
    command.environ |= {"DIGEST_BOUNCES__HOST": "x", "DIGEST_BOUNCES__USERNAME": "y"}
    assert "password_file" in command.run("check", status=2)
