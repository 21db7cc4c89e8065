"""The transport: TLS that is never optional, login, and what a broken line means."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from digest.domain.deliveries import Verdict, judge
from digest.errors import TransportError
from digest.mail.smtp import ConnectionLost, Server, connect
from tests.servers.smtpd import Fault, RecordingServer

MESSAGE = b"To: anna@example.com\r\nSubject: x\r\n\r\nHello\r\n"


def server(smtpd, security="none", **more):
    made = Server(
        smtpd.host, smtpd.port, security, command_timeout=timedelta(seconds=5), data_timeout=timedelta(seconds=5)
    )
    return replace(made, **more)


def send(settings, message=MESSAGE):
    async def once():
        session = await connect(settings)
        try:
            return await session.send("recap@example.com", "anna@example.com", message)
        finally:
            await session.close()

    return asyncio.run(once())


def test_the_bytes_arrive_as_they_were_made():
    with RecordingServer() as smtpd:
        send(server(smtpd))
        assert smtpd.received[0].data == MESSAGE
        assert smtpd.defects == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls_and_login_work(security):
    with RecordingServer(security=security, login=("recap", "pass word")) as smtpd:
        settings = server(smtpd, security, username="recap", password="pass word", ca_file=smtpd.ca_file)
        assert send(replace(settings, host="localhost")).receipt.code == 250
        assert smtpd.received[0].tls
        assert smtpd.received[0].login


def test_a_server_without_starttls_gets_no_message():
    with RecordingServer() as smtpd, pytest.raises(TransportError):
        send(server(smtpd, "starttls"))
    assert smtpd.received == []


def test_a_certificate_nobody_signed_is_refused():
    with RecordingServer(security="starttls") as smtpd, pytest.raises(TransportError, match="certificate"):
        send(server(smtpd, "starttls"))
    assert smtpd.received == []


def test_a_wrong_password_is_about_us_in_the_servers_words():
    with RecordingServer(login=("recap", "right")) as smtpd, pytest.raises(TransportError) as caught:
        send(server(smtpd, username="recap", password="wrong"))
    assert caught.value.code == 535


def test_nobody_there_is_about_us():
    with RecordingServer() as smtpd:
        settings = server(smtpd)
    with pytest.raises(TransportError):
        send(settings)


@pytest.mark.parametrize("reply", ["421 4.3.2 busy", "554 5.3.2 no mail here"])
def test_a_greeting_that_turns_us_away_is_about_us(reply):
    with RecordingServer() as smtpd:
        smtpd.faults.append(Fault(at="CONNECT", reply=reply))
        with pytest.raises(TransportError) as caught:
            send(server(smtpd))
    assert str(caught.value.code) == reply[:3]


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA", "END"])
def test_421_at_any_place_defers_the_reader(at):
    # EMAIL 0.11: at RCPT it must not look like a refusal
    with RecordingServer() as smtpd:
        smtpd.faults.append(Fault(at=at, reply="421 4.4.2 closing"))
        answer = send(server(smtpd))
    assert answer.receipt.code == 421
    assert judge(answer.receipt, command=answer.command) is Verdict.DEFERRED


@pytest.mark.parametrize(("at", "after_data"), [("MAIL", False), ("RCPT", False), ("END", True), ("REPLY", True)])
def test_a_line_that_breaks_is_uncertain_only_once_the_message_was_under_way(at, after_data):
    with RecordingServer() as smtpd:
        smtpd.faults.append(Fault(at=at, drop=True))
        with pytest.raises(ConnectionLost) as caught:
            send(server(smtpd))
    assert caught.value.after_data is after_data


def test_an_answer_that_comes_too_late_is_uncertain():
    with RecordingServer() as smtpd:
        smtpd.faults.append(Fault(at="REPLY", delay=1.0))
        with pytest.raises(ConnectionLost) as caught:
            send(server(smtpd, data_timeout=timedelta(seconds=0.2)))
    assert caught.value.after_data


def test_after_a_refusal_the_line_serves_the_next_reader():
    async def two(settings):
        session = await connect(settings)
        first = await session.send("recap@example.com", "nobody@example.com", MESSAGE)
        second = await session.send("recap@example.com", "anna@example.com", MESSAGE)
        await session.close()
        return first.receipt.code, second.receipt.code

    with RecordingServer() as smtpd:
        smtpd.faults.append(Fault(at="RCPT", recipient="nobody@example.com", reply="550 5.1.1 no such user"))
        assert asyncio.run(two(server(smtpd))) == (550, 250)
        assert smtpd.connections == 1
