"""The recording server speaks SMTP with two clients that were not written for it, and every fault is seen."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import aiosmtplib
import pytest

from tests.servers.smtpd import Fault, RecordingServer, Script, Step

MESSAGE = b"Subject: hello\r\nMessage-ID: <1@test>\r\n\r\n.leading dot\r\n\xc4\x85\r\n"


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as running:
        yield running


def client(server: RecordingServer) -> smtplib.SMTP:
    return smtplib.SMTP(server.host, server.port, timeout=5)


def raw(server: RecordingServer, *pieces: bytes, wait: float = 0.2) -> bytes:
    """Write pieces without reading first, then read what there is until the server hangs up or is silent."""
    with socket.create_connection((server.host, server.port), timeout=5) as line:
        heard = line.recv(1000)
        for piece in pieces:
            line.sendall(piece)
            time.sleep(0.02)
        line.settimeout(wait)
        try:
            while chunk := line.recv(65536):
                heard += chunk
        except TimeoutError:
            pass
    return heard


def send(server: RecordingServer, recipient: str = "alice@example.com", message: bytes = MESSAGE) -> dict[str, object]:
    with client(server) as session:
        return session.sendmail("desk@example.com", [recipient], message, mail_options=["BODY=8BITMIME"])


def test_a_message_arrives_byte_for_byte(server: RecordingServer) -> None:
    send(server)
    (got,) = server.wait_for(1)
    assert (got.mail_from, got.recipients) == ("desk@example.com", ["alice@example.com"])
    assert got.data == MESSAGE
    assert got.defects == () and server.defects == []
    assert got.parsed["Subject"] == "hello"
    assert server.received_by("alice@example.com") == [got]
    assert server.received_by("bob@example.com") == []


def test_an_empty_message_and_one_in_pieces_arrive(server: RecordingServer) -> None:
    start = b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\n"
    raw(server, start, b"DATA\r\n", b".\r\n", b"MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n")
    raw(server, start, b"DATA\r\n", b"one\r", b"\n.", b"\r", b"\n")
    assert [each.data for each in server.received] == [b"", b"one\r\n"]


def test_aiosmtplib_keeps_a_connection_for_many_messages(server: RecordingServer) -> None:
    async def run() -> None:
        async with aiosmtplib.SMTP(hostname=server.host, port=server.port) as session:
            for number in range(20):
                await session.sendmail("desk@example.com", [f"r{number}@example.com"], b"x\r\n")

    asyncio.run(run())
    assert (server.connections, server.max_open, server.messages_per_connection[1]) == (1, 1, 20)


def test_connections_at_the_same_time_are_counted(server: RecordingServer) -> None:
    with client(server), client(server):
        pass
    with client(server):
        pass
    assert (server.connections, server.max_open) == (3, 2)


def test_pipelined_commands_are_answered_in_order(server: RecordingServer) -> None:
    heard = raw(
        server, b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n", b"x\r\n.\r\nQUIT\r\n"
    )
    assert [line[:4] for line in heard.split(b"\r\n")[-7:-1]] == [b"250 ", b"250 ", b"250 ", b"354 ", b"250 ", b"221 "]
    assert server.defects == []


@pytest.mark.parametrize(
    ("body", "defect"),
    [
        (b"bare\nfeed\r\n", "bare LF"),
        (b"bare\rreturn\r\n", "bare CR"),
        (b"x" * 999 + b"\r\n", "line over 998 bytes"),
        (b"zero \0\r\n", "NUL byte"),
        (b".dot\r\n", "dot not stuffed"),
        (b"caf\xc3\xa9\r\n", "8-bit bytes without BODY=8BITMIME"),
    ],
)
def test_what_a_strict_server_would_refuse_is_noted(server: RecordingServer, body: bytes, defect: str) -> None:
    raw(server, b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\n", b"DATA\r\n", body + b".\r\nQUIT\r\n")
    assert server.received[0].defects == (defect,)


def test_careless_commands_are_noted(server: RecordingServer) -> None:
    raw(server, b"EHLO me\nMAIL FROM: <a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
    assert [defect.partition(": ")[2] for defect in server.defects] == [
        "a command ended in a bare LF",
        "a space before the address",
        "sent the message before the 354",
    ]


def test_a_dot_between_bare_line_feeds_ends_nothing(server: RecordingServer) -> None:
    raw(server, b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\n", b"DATA\r\n", b"x\n.\nMAIL FROM:<>\r\n.\r\n")
    assert len(server.received) == 1


def test_commands_out_of_order_are_refused(server: RecordingServer) -> None:
    with client(server) as session:
        assert session.docmd("MAIL", "FROM:<a@example.com>")[0] == 503
        session.ehlo()
        session.command_encoding = "utf-8"
        assert session.docmd("RCPT", "TO:<a@example.com>")[0] == 503
        assert session.docmd("DATA")[0] == 503
        assert session.docmd("MAIL", "a@example.com")[0] == 501
        assert session.docmd("MAIL", "FROM:<żółw@example.com>")[0] == 553
        assert session.docmd("MAIL", "FROM:<a@example.com> SIZE=999999999")[0] == 552
        assert session.docmd("TURN")[0] == 500


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls_and_login(security: str) -> None:
    with RecordingServer(security=security, login=("user", "secret")) as server:  # type: ignore[arg-type]
        trust = ssl.create_default_context(cafile=server.ca_file)
        if security == "tls":
            session: smtplib.SMTP = smtplib.SMTP_SSL("localhost", server.port, context=trust, timeout=5)
        else:
            session = smtplib.SMTP("localhost", server.port, timeout=5)
            session.ehlo()
            assert not session.has_extn("auth")
            session.starttls(context=trust)
        with session:
            session.ehlo()
            assert session.docmd("MAIL", "FROM:<a@example.com>")[0] == 530
            with pytest.raises(smtplib.SMTPAuthenticationError):
                session.login("user", "wrong")
            session.user, session.password = "user", "secret"
            assert session.auth("PLAIN", session.auth_plain)[0] == 235
            assert session.auth("PLAIN", session.auth_plain, initial_response_ok=False)[0] == 235
            assert session.auth("LOGIN", session.auth_login)[0] == 235
            session.sendmail("a@example.com", ["b@example.com"], b"x\r\n")
        assert server.received[0].tls and server.received[0].login == "user"
        assert "secret" not in str(server.lines)


def test_aiosmtplib_logs_in_over_starttls() -> None:
    async def run(server: RecordingServer) -> None:
        trust = ssl.create_default_context(cafile=server.ca_file)
        session = aiosmtplib.SMTP(hostname="localhost", port=server.port, start_tls=True, tls_context=trust)
        async with session:
            await session.login("user", "secret")
            await session.sendmail("a@example.com", ["b@example.com"], b"x\r\n" * 50_000)

    with RecordingServer(security="starttls", login=("user", "secret")) as server:
        asyncio.run(run(server))
        assert len(server.received[0].data) == 150_000


def test_the_record_is_on_disk_before_the_client_hears_yes(tmp_path: Path) -> None:
    with RecordingServer(record=tmp_path / "record") as server:
        send(server)
        (line,) = (tmp_path / "record").read_text().splitlines()
    assert json.loads(line)["message_id"] == "<1@test>"
    assert json.loads(line)["recipients"] == ["alice@example.com"]


def test_the_relay_goes_down_and_comes_back_on_its_port(server: RecordingServer) -> None:
    send(server)
    waiting = client(server)
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        client(server)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        waiting.ehlo()
    waiting.close()
    server.start()
    send(server)
    assert len(server.received) == 2


def test_a_delay_holds_back_the_last_yes_only() -> None:
    with RecordingServer(delay=0.2) as server:
        before = time.monotonic()
        send(server)
        assert 0.2 <= time.monotonic() - before < 2


@pytest.mark.parametrize("reply", ["421 4.3.2 closing", "554 5.7.1 not you"])
def test_the_greeting_may_be_a_refusal(server: RecordingServer, reply: str) -> None:
    server.script = Script(Fault(at="CONNECT", reply=reply, times=1))
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        client(server)
    assert refused.value.smtp_code == int(reply[:3])
    send(server)


@pytest.mark.parametrize(
    ("at", "error"),
    [
        ("MAIL", smtplib.SMTPSenderRefused),
        ("RCPT", smtplib.SMTPRecipientsRefused),
        ("DATA", smtplib.SMTPDataError),
        ("END", smtplib.SMTPDataError),
    ],
)
def test_any_command_may_be_refused_and_the_session_goes_on(
    server: RecordingServer, at: str, error: type[Exception]
) -> None:
    server.script = Script(Fault(at=at, reply="451 4.3.0 later", times=1))  # type: ignore[arg-type]
    with client(server) as session:
        with pytest.raises(error, match="4.3.0"):
            session.sendmail("desk@example.com", ["alice@example.com"], b"one\r\n")
        session.rset()
        session.sendmail("desk@example.com", ["alice@example.com"], b"x\r\n")
    assert [each.data for each in server.received] == [b"x\r\n"]


@pytest.mark.parametrize("drop", [True, "after", "reset"])
@pytest.mark.parametrize("at", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_the_line_breaks_at_any_command(server: RecordingServer, at: str, drop: object) -> None:
    server.script = Script(Fault(at=at, drop=drop, times=1))  # type: ignore[arg-type]
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        send(server)
    assert server.received == []
    send(server)
    assert len(server.received) == 1


def test_the_line_breaks_in_the_middle_of_a_message(server: RecordingServer) -> None:
    server.script = Script(Fault(at="BODY", after_bytes=100_000))
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        send(server, message=b"0123456789\r\n" * 100_000)
    assert server.received == []


@pytest.mark.parametrize(
    ("fault", "taken", "heard"),
    [
        (Fault(at="END", drop=True), 0, False),
        (Fault(at="REPLY", drop=True), 1, False),
        (Fault(at="REPLY", drop="reset"), 1, False),
        (Fault(at="REPLY", drop="after"), 1, True),
        (Fault(at="END", drop="after"), 1, True),
        (Fault(at="REPLY", reply="451 4.3.0 no"), 1, False),
        (Fault(at="END", reply=b"what? \xff\r\n"), 0, False),
    ],
)
def test_the_last_reply_may_be_lost_whether_the_message_was_taken_or_not(
    server: RecordingServer, fault: Fault, taken: int, heard: bool
) -> None:
    server.script = Script(fault)
    said_yes = False
    with client(server) as session:
        try:
            session.sendmail("desk@example.com", ["alice@example.com"], b"x\r\n")
            said_yes = True
        except (smtplib.SMTPException, OSError):
            pass
    assert (len(server.received), said_yes) == (taken, heard)


def test_rules_may_change_while_the_server_runs(server: RecordingServer) -> None:
    for _ in range(2):
        server.faults.append(Fault(at="MAIL", reply="451 4.3.0 later", times=1))
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(server)
        send(server)
        server.faults.clear()


def test_a_late_reply_outlasts_the_client(server: RecordingServer) -> None:
    server.script = Script(Fault(at="END", delay=60))
    with smtplib.SMTP(server.host, server.port, timeout=0.3) as session, pytest.raises(smtplib.SMTPServerDisconnected):
        session.sendmail("desk@example.com", ["alice@example.com"], b"x\r\n")


def test_replies_may_have_many_lines_or_a_very_long_one(server: RecordingServer) -> None:
    server.script = Script(
        Fault(at="RCPT", recipient="many@*", reply="450-4.2.0 one\n450 4.2.0 two"),
        Fault(at="RCPT", recipient="long@*", reply="450 " + "x" * 9000),
        Fault(at="RCPT", recipient="odd@*", reply=b"\xff\xfe garbage \0\r\n"),
    )
    with client(server) as session:
        session.ehlo()
        session.mail("desk@example.com")
        assert session.rcpt("many@example.com") == (450, b"4.2.0 one\n4.2.0 two")
        assert session.rcpt("odd@example.com")[0] == -1
    with client(server) as session, pytest.raises(smtplib.SMTPResponseException, match="too long"):
        session.ehlo()
        session.mail("desk@example.com")
        session.rcpt("long@example.com")


def test_greylisting_turns_each_recipient_away_once(server: RecordingServer) -> None:
    grey = Fault(at="RCPT", reply="450 4.2.0 greylisted", times=1, per="recipient")
    script = server.script = Script(grey)
    for name in ("alice", "bob"):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(server, f"{name}@example.com")
        send(server, f"{name}@example.com")
    assert script.acted[grey] == 2


def test_a_server_may_have_enough_after_some_recipients_or_messages(server: RecordingServer) -> None:
    server.script = Script(
        Fault(at="RCPT", reply="452 4.5.3 too many", after=2, per="transaction"),
        Fault(at="MAIL", reply="421 4.7.0 enough for one session", after=2, per="connection"),
    )
    with client(server) as session:
        refused = session.sendmail("desk@example.com", [f"{name}@example.com" for name in "abc"], b"x\r\n")
        assert list(refused) == ["c@example.com"]
        session.sendmail("desk@example.com", ["d@example.com"], b"x\r\n")
        with pytest.raises(smtplib.SMTPSenderRefused, match="enough"):
            session.sendmail("desk@example.com", ["e@example.com"], b"x\r\n")
    send(server)
    assert len(server.received) == 3


def test_a_policy_may_be_any_function(server: RecordingServer) -> None:
    def only_two_lines(step: Step) -> Fault | None:
        return Fault(at="CONNECT", reply="421 4.7.0 busy") if step.at == "CONNECT" and step.open > 2 else None

    server.script = only_two_lines
    with client(server), client(server), pytest.raises(smtplib.SMTPConnectError):
        client(server)
