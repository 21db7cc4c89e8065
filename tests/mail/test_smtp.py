"""The transport: TLS that is never optional, login, and what a broken line means."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from digest.domain.deliveries import Verdict, judge
from digest.errors import TransportError
from digest.mail.envelope import Answer, Loss, Parcel
from digest.mail.smtp import ConnectionLost, Server, connect, send_one
from tests.servers.smtpd import OFFERS, Fault, RecordingServer

MESSAGE = b"To: anna@example.com\r\nSubject: x\r\n\r\nHello\r\n"


def server(smtpd, security="none", **more):
    made = Server(
        smtpd.host, smtpd.port, security, command_timeout=timedelta(seconds=5), end_timeout=timedelta(seconds=5)
    )
    return replace(made, **more)


def parcel(recipient="anna@example.com", message=MESSAGE):
    return Parcel(recipient, "recap@example.com", recipient, message, "12.ab@example.com")


class Basket:
    """A feed that hands out parcels and keeps what became of each."""

    def __init__(self, *parcels, wanted=True):
        self.left = list(parcels)
        self.wanted = wanted
        self.became: dict[str, object] = {}

    def take(self):
        return self.left.pop(0) if self.left else None

    def is_wanted(self, _):
        return self.wanted

    def answered(self, parcel, answer):
        self.became[parcel.recipient] = answer

    def lost(self, parcel, words, loss):
        self.became[parcel.recipient] = loss

    def hungry(self, session):
        if session.is_resting:
            session.close()


def converse(settings, *parcels, wanted=True, lockstep=False):
    """Send over one connection until it ends; returns the basket and how the line ended."""

    async def all_of_them():
        basket = Basket(*parcels, wanted=wanted)
        session = await connect(settings, basket, lockstep=lockstep)
        return basket, await asyncio.wait_for(session.ended, 20)

    return asyncio.run(all_of_them())


def send(settings, message=MESSAGE):
    return asyncio.run(send_one(settings, parcel(message=message)))


def test_the_bytes_arrive_as_they_were_made():
    with RecordingServer() as smtpd:
        send(server(smtpd))
        assert smtpd.received[0].data == MESSAGE
        assert smtpd.defects == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls_and_login_work(security):
    with RecordingServer(security=security, login=("recap", "pass word")) as smtpd:
        settings = server(smtpd, security, username="recap", password="pass word", ca_file=smtpd.ca_file)
        assert send(replace(settings, host="localhost")).code == 250
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
        basket, _ = converse(server(smtpd), parcel())
    answer = basket.became["anna@example.com"]
    assert answer == Answer(at, answer.receipt)
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
            send(server(smtpd, end_timeout=timedelta(seconds=0.2)))
    assert caught.value.after_data


READERS = [f"reader{n}@example.com" for n in range(6)]
NO_PIPELINING = ("SIZE 36700160", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES")


@pytest.mark.parametrize("offers", [OFFERS, NO_PIPELINING])
@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA", "END"])
def test_after_a_refusal_the_line_serves_the_next_reader(at, offers):
    with RecordingServer(offers=offers) as smtpd:
        smtpd.faults.append(
            Fault(
                at=at,
                recipient="*" if at == "MAIL" else READERS[2],
                reply="550 5.1.1 no",
                after=2 if at == "MAIL" else 0,
                times=1,
            )
        )
        basket, words = converse(server(smtpd), *map(parcel, READERS))
        assert words == ""
        assert [basket.became[reader].receipt.code for reader in READERS] == [250, 250, 550, 250, 250, 250]
        assert basket.became[READERS[2]].command == at
        assert smtpd.connections == 1
        assert smtpd.defects == []


def test_the_next_envelope_goes_out_before_the_message_is_answered():
    # RFC 2920: one round trip a message. This server answers a message only once it has seen the next one's DATA.
    said, basket = asyncio.run(_against_a_server_that_waits(b"250-x\r\n250 PIPELINING\r\n", wait_for=b"DATA\r\n"))
    assert [basket.became[reader].receipt.code for reader in READERS[:3]] == [250, 250, 250]
    assert said.count(b"MAIL FROM:") == 3


def test_without_pipelining_nothing_is_said_before_the_answer():
    said, basket = asyncio.run(_against_a_server_that_waits(b"250 x\r\n", wait_for=b""))
    assert [basket.became[reader].receipt.code for reader in READERS[:3]] == [250, 250, 250]
    assert all(chunk.count(b"\r\n") == 1 or chunk.endswith(b"\r\n.\r\n") for chunk in said.split(b"|")[:-1])


async def _against_a_server_that_waits(ehlo: bytes, wait_for: bytes):
    """Three messages to a server that reads `wait_for` behind each but the last before it answers; what it heard."""
    heard: list[bytes] = []
    count = 0

    async def serve(reader, writer):
        nonlocal count

        async def more() -> bytes:
            heard.append(await reader.read(1 << 16))
            if not heard[-1]:
                raise ConnectionResetError
            return heard[-1]

        writer.write(b"220 x\r\n")
        buffer = b""
        with contextlib.suppress(ConnectionResetError):
            while True:
                while b"\r\n" not in buffer:
                    buffer += await more()
                line, _, buffer = buffer.partition(b"\r\n")
                if line.startswith(b"EHLO"):
                    writer.write(ehlo)
                elif line == b"DATA":
                    writer.write(b"354 go\r\n")
                    while b"\r\n.\r\n" not in buffer:
                        buffer += await more()
                    _, _, buffer = buffer.partition(b"\r\n.\r\n")
                    count += 1
                    while count < 3 and wait_for not in buffer:
                        buffer += await more()
                    writer.write(b"250 taken\r\n")
                else:
                    writer.write(b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings = Server("127.0.0.1", listening.sockets[0].getsockname()[1], "none", command_timeout=timedelta(seconds=5))
    basket = Basket(*map(parcel, READERS[:3]))
    session = await connect(settings, basket)
    await asyncio.wait_for(session.ended, 20)
    listening.close()
    return b"|".join(heard), basket


@pytest.mark.parametrize("lockstep", [False, True])
@pytest.mark.parametrize("end", [{"drop": True}, {"reply": "421 4.7.0 enough for one connection"}])
def test_a_line_that_ends_between_messages_says_nothing_of_the_next(end, lockstep):
    with RecordingServer() as smtpd:
        smtpd.faults.append(Fault(at="MAIL", after=1, **end))
        basket, words = converse(server(smtpd), *map(parcel, READERS[:2]), lockstep=lockstep)
        assert basket.became[READERS[0]].receipt.code == 250
        assert basket.became[READERS[1]] is Loss.FAREWELL
        assert words.startswith("the server closed the connection")


def test_a_line_that_ends_at_its_first_message_or_at_a_reader_is_a_failed_try():
    with RecordingServer() as smtpd:
        smtpd.faults.extend([Fault(at="MAIL", drop=True, times=1), Fault(at="RCPT", after=1, drop=True)])
        assert converse(server(smtpd), parcel())[0].became == {"anna@example.com": Loss.UNSENT}
        basket, _ = converse(server(smtpd), *map(parcel, READERS[:2]))
        assert basket.became[READERS[1]] is Loss.UNSENT


def test_what_is_not_wanted_any_more_stops_before_the_message():
    with RecordingServer() as smtpd:
        basket, words = converse(server(smtpd), parcel(), wanted=False)
        assert basket.became == {"anna@example.com": Loss.UNSENT}
        assert words == ""
    assert smtpd.received == []


def test_size_and_delivery_reports_are_asked_for_where_they_are_offered():
    with RecordingServer() as smtpd:
        send(server(smtpd))
        said = [line for _, line in smtpd.lines if line.startswith(("MAIL", "RCPT"))]
    assert said == [
        f"MAIL FROM:<recap@example.com> SIZE={len(MESSAGE)} RET=HDRS ENVID=12.ab@example.com",
        "RCPT TO:<anna@example.com> NOTIFY=FAILURE ORCPT=rfc822;anna@example.com",
    ]


def test_letters_beyond_ascii_need_a_server_that_knows_them():
    reader = "żółw@example.com"
    with RecordingServer() as smtpd:
        assert converse(server(smtpd), parcel(reader))[0].became[reader].receipt.code == 250
        assert "SMTPUTF8" in smtpd.received[0].options
    with RecordingServer(offers=NO_PIPELINING) as smtpd:
        answer = converse(server(smtpd), parcel(reader), parcel())[0].became[reader]
        assert judge(answer.receipt, command=answer.command) is Verdict.FAILED
        assert len(smtpd.received) == 1


def test_a_connection_carries_no_more_messages_than_it_may():
    with RecordingServer() as smtpd:
        basket, words = converse(server(smtpd, messages_per_connection=4), *map(parcel, READERS))
        assert words == ""
        assert len(basket.became) == len(smtpd.received) == 4
        assert basket.left == [parcel(READERS[4]), parcel(READERS[5])]
