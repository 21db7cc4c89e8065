"""The private Exim takes mail over TLS after a login, keeps every mailbox, and lets nothing out."""

from __future__ import annotations

import email
import email.policy
import smtplib
import ssl
from collections.abc import Iterator

import pytest

from tests.servers import exim as exim_server

LOGIN = ("digest", "open sesame")
MESSAGE = b"From: desk@exim.test\r\nTo: alice@exim.test\r\nSubject: hello\r\n\r\n.read\r\n"


@pytest.fixture(scope="module")
def exim() -> Iterator[exim_server.Exim]:
    with exim_server.running(login=LOGIN, messages_per_connection=3) as server:
        yield server


def session(server: exim_server.Exim, *, wrapped: bool = False) -> smtplib.SMTP:
    """An open session that spoke TLS and has not logged in."""
    context = ssl.create_default_context(cafile=server.ca_file)
    if wrapped:
        return smtplib.SMTP_SSL("localhost", server.tls_port, timeout=10, context=context)
    opened = smtplib.SMTP("localhost", server.port, timeout=10)
    opened.starttls(context=context)
    return opened


def send(server: exim_server.Exim, recipient: str, *, wrapped: bool = False) -> None:
    with session(server, wrapped=wrapped) as opened:
        opened.login(*LOGIN)
        opened.sendmail("desk@exim.test", [recipient], MESSAGE)


@pytest.mark.parametrize("wrapped", [False, True])
def test_any_address_has_a_mailbox_of_its_own(exim: exim_server.Exim, wrapped: bool) -> None:
    send(exim, f"alice-{wrapped}@exim.test", wrapped=wrapped)
    send(exim, f"Bob-{wrapped}+news@exim.test", wrapped=wrapped)
    (stored,) = exim.wait_for(f"alice-{wrapped}@exim.test")
    message = email.message_from_bytes(stored, policy=email.policy.default)
    assert (message["Return-Path"], message["Subject"]) == ("<desk@exim.test>", "hello")
    assert message.get_content() == ".read\n"
    assert len(exim.wait_for(f"bob-{wrapped}+news@exim.test")) == 1
    assert exim.received("carol@exim.test") == []


def test_what_it_offers(exim: exim_server.Exim) -> None:
    with session(exim) as opened:
        opened.ehlo()
        assert {"pipelining", "chunking", "size", "8bitmime"} <= set(opened.esmtp_features)
        assert opened.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
    with smtplib.SMTP(exim.host, exim.port, timeout=10) as opened:
        opened.ehlo()
        assert "auth" not in opened.esmtp_features, "no password without TLS"


def test_nobody_sends_without_the_right_password(exim: exim_server.Exim) -> None:
    with session(exim) as opened:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            opened.login(LOGIN[0], "wrong")
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            opened.sendmail("desk@exim.test", ["alice@exim.test"], MESSAGE)
    assert refused.value.smtp_code == 530


@pytest.mark.parametrize(("reader", "code"), [("nobody-1@exim.test", 550), ("a@example.com", 550)])
def test_unknown_mailboxes_and_the_rest_of_the_world_are_refused(
    exim: exim_server.Exim, reader: str, code: int
) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(exim, reader)
    assert refused.value.recipients[reader][0] == code


def test_a_mailbox_may_open_later(exim: exim_server.Exim) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(exim, "later-1@exim.test")
    assert refused.value.recipients["later-1@exim.test"] == (450, b"4.2.1 come back later")
    exim.open_later()
    send(exim, "later-1@exim.test")
    assert len(exim.wait_for("later-1@exim.test")) == 1


def test_a_connection_may_carry_so_many_messages(exim: exim_server.Exim) -> None:
    with session(exim) as opened:
        opened.login(*LOGIN)
        for n in range(3):
            opened.sendmail("desk@exim.test", [f"dora-{n}@exim.test"], MESSAGE)
        assert opened.mail("desk@exim.test")[0] == 421
        opened.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_keeps_its_port_and_its_mail_over_a_restart(exim: exim_server.Exim, end: str) -> None:
    send(exim, f"eve-{end}@exim.test")
    getattr(exim, end)()
    with pytest.raises(ConnectionRefusedError):
        session(exim)
    exim.start()
    assert exim.wait_for(f"eve-{end}@exim.test"), "what it said yes to is delivered in the end"
    send(exim, f"fay-{end}@exim.test")
    assert len(exim.wait_for(f"fay-{end}@exim.test")) == 1


@pytest.mark.parametrize(("in_one_go", "noted"), [(True, "L."), (False, "L.-")])
def test_its_log_tells_who_pipelines(exim: exim_server.Exim, in_one_go: bool, noted: str) -> None:
    before = len(exim.log())
    commands = [b"MAIL FROM:<desk@exim.test>\r\n", b"RCPT TO:<gus@exim.test>\r\n", b"DATA\r\n"]
    with session(exim) as opened:
        opened.login(*LOGIN)
        for group in [b"".join(commands)] if in_one_go else commands:
            opened.send(group)
            assert [opened.getreply()[0] for _ in range(group.count(b"\r\n"))][-1] in (250, 354)
        opened.send(MESSAGE.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert opened.getreply()[0] == 250
    exim.wait_for("gus@exim.test")
    assert f" P=esmtpsa {noted} " in exim.log()[before:]
