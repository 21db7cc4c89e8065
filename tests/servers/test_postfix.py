"""The private Postfix takes mail, keeps every mailbox, bounces, and lets nothing out."""

from __future__ import annotations

import email
import email.policy
import smtplib
import ssl
from collections.abc import Iterator

import pytest

from tests.servers import postfix as postfix_server

MESSAGE = b"From: desk@mail.test\r\nTo: alice@mail.test\r\nSubject: hello\r\n\r\nread\r\n"


@pytest.fixture(scope="module")
def postfix() -> Iterator[postfix_server.Postfix]:
    with postfix_server.running() as server:
        yield server


def send(server: postfix_server.Postfix, recipient: str, sender: str = "desk@mail.test") -> None:
    with smtplib.SMTP(server.host, server.port, timeout=10) as session:
        session.sendmail(sender, [recipient], MESSAGE)


def test_any_address_has_a_mailbox_of_its_own(postfix: postfix_server.Postfix) -> None:
    send(postfix, "alice@mail.test")
    send(postfix, "Bob+news@mail.test")
    (stored,) = postfix.wait_for("alice@mail.test")
    message = email.message_from_bytes(stored, policy=email.policy.default)
    assert (message["Return-Path"], message["Subject"]) == ("<desk@mail.test>", "hello")
    assert len(postfix.wait_for("bob+news@mail.test")) == 1
    assert postfix.received("carol@mail.test") == []


def test_an_unknown_mailbox_is_refused_at_once(postfix: postfix_server.Postfix) -> None:
    for name, code in (("nobody", 550), ("later", 450)):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            send(postfix, f"{name}-1@mail.test")
        assert refused.value.recipients[f"{name}-1@mail.test"][0] == code


def test_a_mailbox_that_is_gone_bounces_to_the_envelope_sender(postfix: postfix_server.Postfix) -> None:
    send(postfix, "gone-1@mail.test", sender="bounces+token@mail.test")
    (stored,) = postfix.wait_for("bounces+token@mail.test")
    report = email.message_from_bytes(stored, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report"
    assert b"Status: 5.1.1" in stored and b"gone-1@mail.test" in stored


def test_nothing_leaves(postfix: postfix_server.Postfix) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(postfix, "alice@example.com")


def test_two_run_at_once_and_one_speaks_tls(postfix: postfix_server.Postfix) -> None:
    with postfix_server.running(domain="other.test", tls=True) as other:
        with smtplib.SMTP("localhost", other.port, timeout=10) as session:
            session.starttls(context=ssl.create_default_context(cafile=other.ca_file))
            session.sendmail("desk@mail.test", ["alice@other.test"], MESSAGE)
        assert len(other.wait_for("alice@other.test")) == 1
    assert postfix.received("alice@other.test") == []
    send(postfix, "dora@mail.test")
    assert len(postfix.wait_for("dora@mail.test")) == 1


def test_a_password_is_asked_for_over_tls_only() -> None:
    with postfix_server.running(tls=True, login=("digest", "open sesame")) as server:
        context = ssl.create_default_context(cafile=server.ca_file)
        with smtplib.SMTP("localhost", server.port, timeout=10) as session:
            session.ehlo()
            assert "auth" not in session.esmtp_features
            session.starttls(context=context)
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                session.sendmail("desk@mail.test", ["alice@mail.test"], MESSAGE)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                session.login("digest", "wrong")
        with smtplib.SMTP_SSL("localhost", server.tls_port, timeout=10, context=context) as session:
            session.ehlo()
            assert set(session.esmtp_features["auth"].split()) == {"PLAIN", "LOGIN", "CRAM-MD5"}
            session.login("digest", "open sesame")
            session.sendmail("desk@mail.test", ["alice@mail.test"], MESSAGE)
        assert len(server.wait_for("alice@mail.test")) == 1


def test_it_can_be_told_any_setting_and_stopped_and_started_again() -> None:
    with postfix_server.running(settings={"message_size_limit": "10240"}) as server:
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            send(server, "alice@mail.test")
        server.start()
        with smtplib.SMTP(server.host, server.port, timeout=10) as session:
            session.ehlo()
            assert session.esmtp_features["size"] == "10240"


def test_a_mailbox_may_open_later() -> None:
    with postfix_server.running() as server:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(server, "later-1@mail.test")
        server.open_later()
        send(server, "later-1@mail.test")
        assert len(server.wait_for("later-1@mail.test")) == 1
