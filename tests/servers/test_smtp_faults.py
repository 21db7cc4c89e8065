"""The recording server breaks where it is told to, to the byte, and keeps its promises as badly as it is told to."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from contextlib import suppress

import pytest

from tests.servers.smtpd import OFFERS, Fault, RecordingServer, Said, Script

ENVELOPE = b"MAIL FROM:<me@example.com>\r\nRCPT TO:<anna@example.com>\r\n"
SESSION = b"EHLO me\r\n" + ENVELOPE + b"DATA\r\n"
MESSAGE = b"Subject: x\r\n\r\nhello\r\n.\r\n"
CHUNKED = (*OFFERS, "CHUNKING")


def talk(server: RecordingServer, *pieces: bytes, wait: float = 0.15) -> bytes:
    """Say the pieces, each after the answers to the one before, and return all that was heard."""
    heard = b""
    with socket.create_connection((server.host, server.port), timeout=5) as line:
        line.settimeout(wait)
        for piece in (b"", *pieces):
            try:
                line.sendall(piece)
                heard += hear(line)
            except ConnectionError:
                break
    server.wait_until_quiet()
    return heard


def hear(line: socket.socket) -> bytes:
    """What comes until there is silence."""
    heard = b""
    try:
        while chunk := line.recv(65536):
            heard += chunk
    except TimeoutError:
        pass
    return heard


def codes(heard: bytes) -> list[bytes]:
    """The codes of the replies, without the greeting and what EHLO brought."""
    lines = [line for line in heard.split(b"\r\n") if line and line[3:4] != b"-"]
    return [line[:3] for line in lines][2:]


def test_the_line_breaks_after_so_many_bytes_were_read() -> None:
    whole = SESSION + MESSAGE
    for length in range(0, len(whole) + 1, 3):
        with RecordingServer(Script(Fault(at="WIRE", after_read=length))) as server:
            talk(server, SESSION, MESSAGE, wait=0.02)
            assert server.bytes_read[1] == length
            assert len(server.received) == (length == len(whole))


def test_the_line_breaks_after_so_many_bytes_were_written() -> None:
    with RecordingServer() as server:
        whole = talk(server, SESSION, MESSAGE)
    for length in range(0, len(whole) + 1, 5):
        with RecordingServer(Script(Fault(at="WIRE", after_written=length))) as server:
            assert talk(server, SESSION, MESSAGE, wait=0.02) == whole[:length]


def test_a_reply_cut_short_is_not_written_down() -> None:
    with RecordingServer(Script(Fault(at="WIRE", after_written=10))) as server:
        talk(server)
        assert server.said == []


def test_a_line_cut_by_a_reset_is_known() -> None:
    with RecordingServer(Script(Fault(at="WIRE", after_read=0, drop="reset", times=1))) as server:
        with suppress(ConnectionResetError):  # it may come before we have noticed that there is a line
            talk(server, SESSION)
        talk(server, b"QUIT\r\n")
        assert server.resets == {1}


def test_a_client_that_leaves_ends_a_delay_and_hears_no_more() -> None:
    with RecordingServer(Script(Fault(at="END", delay=60))) as server:
        before = time.monotonic()
        talk(server, SESSION, MESSAGE)
        assert time.monotonic() - before < 5
        assert len(server.received) == 1  # it came whole: a server that is slow takes it all the same
        assert [said.at for said in server.said] == ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"]


def test_replies_name_the_reader_and_are_written_down() -> None:
    refusal = Fault(at="RCPT", recipient="bob@*", reply="550 5.1.1 {recipient}: who?")
    with RecordingServer(Script(refusal)) as server:
        heard = talk(server, SESSION.replace(b"DATA", b"RCPT TO:<bob@example.com>\r\nDATA"), MESSAGE)
        assert b"550 5.1.1 bob@example.com: who?" in heard
        assert b"250 2.0.0 taken for anna@example.com" in heard
        both = ("anna@example.com", "bob@example.com")
        assert server.said[-3:] == [
            Said(1, 1, "RCPT", ("bob@example.com",), "550 5.1.1 bob@example.com: who?"),
            Said(1, 1, "DATA", both, "354 end with a dot"),
            Said(1, 1, "END", both, "250 2.0.0 taken for anna@example.com"),
        ]
        assert server.asked_for == set(both)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("fault", [{"reply": b"no TLS here\r\n"}, {"drop": True}, {"drop": "reset"}])
def test_the_handshake_may_fail(security: str, fault: dict[str, object]) -> None:
    with RecordingServer(Script(Fault(at="TLS", times=1, **fault)), security=security) as server:  # type: ignore[arg-type]
        for fails in (True, False):
            trust = ssl.create_default_context(cafile=server.ca_file)
            try:
                if security == "tls":
                    session: smtplib.SMTP = smtplib.SMTP_SSL("localhost", server.port, context=trust, timeout=5)
                else:
                    session = smtplib.SMTP("localhost", server.port, timeout=5)
                    session.starttls(context=trust)
                session.quit()
                assert not fails
            except OSError:
                assert fails


def test_a_server_may_forget_what_came_behind_a_command() -> None:
    with RecordingServer(pipelining="forgets group") as server:
        assert codes(talk(server, b"EHLO me\r\n", ENVELOPE + b"DATA\r\n")) == [b"250"]


def test_a_server_may_forget_what_came_behind_the_final_dot() -> None:
    with RecordingServer(pipelining="forgets after dot") as server:
        heard = talk(server, SESSION, MESSAGE + ENVELOPE, b"QUIT\r\n")
        assert codes(heard) == [b"250", b"250", b"354", b"250", b"221"]


def test_a_server_may_hang_up_on_a_group() -> None:
    with RecordingServer(pipelining="hangs up") as server:
        assert codes(talk(server, b"EHLO me\r\n", ENVELOPE)) == []
        assert codes(talk(server, b"EHLO me\r\n", b"MAIL FROM:<>\r\n")) == [b"250"]


def test_a_server_may_call_for_a_message_to_nobody() -> None:
    with RecordingServer(Script(Fault(at="RCPT", reply="550 5.1.1 no")), pipelining="goes ahead") as server:
        heard = talk(server, SESSION, b".\r\n", b"RSET\r\n")
        assert codes(heard) == [b"250", b"550", b"354", b"554", b"250"]
        assert server.received == []


def test_answers_to_a_group_may_come_together_or_byte_by_byte() -> None:
    pieces = {}
    for way in ("one packet", "byte by byte"):
        with RecordingServer(pipelining=way) as server, socket.create_connection((server.host, server.port)) as line:  # type: ignore[arg-type]
            line.recv(1000)
            line.sendall(b"EHLO me\r\n")
            time.sleep(0.1)
            line.recv(1000)
            line.sendall(ENVELOPE + b"DATA\r\n")
            heard = [line.recv(1000)]
            while not b"".join(heard).endswith(b"dot\r\n"):
                heard.append(line.recv(1000))
            assert b"".join(heard).count(b"\r\n") == 3
            pieces[way] = len(heard)
    assert pieces["one packet"] == 1 < pieces["byte by byte"]


def test_a_message_may_come_in_chunks_and_its_dots_are_its_own() -> None:
    chunks = b"BDAT 8\r\n.one\r\n.tBDAT 4 LAST\r\nwo\r\n"
    with RecordingServer(offers=CHUNKED) as server:
        heard = talk(server, b"EHLO me\r\n" + ENVELOPE + chunks, ENVELOPE + b"BDAT 3\r\nxx\nBDAT 0 LAST\r\n")
        assert codes(heard) == [b"250"] * 8
        assert [(each.data, each.defects) for each in server.received] == [
            (b".one\r\n.two\r\n", ()),
            (b"xx\n", ("bare LF",)),
        ]
        assert server.defects == []


def test_a_chunk_nobody_is_to_get_is_read_and_refused() -> None:
    with RecordingServer(Script(Fault(at="RCPT", reply="550 5.1.1 no", times=1)), offers=CHUNKED) as server:
        group = ENVELOPE + b"BDAT 6 LAST\r\nRSET\r\n"
        heard = talk(server, b"EHLO me\r\n", group, ENVELOPE, b"RSET\r\n" + group)
        assert codes(heard) == [b"250", b"550", b"503"] + [b"503"] * 2 + [b"250"] * 4
        assert len(server.received) == 1


@pytest.mark.parametrize(
    ("fault", "answers", "taken"),
    [
        (Fault(at="BDAT", reply="451 4.3.0 later"), [b"451", b"503"], 0),
        (Fault(at="END", reply="452 4.3.1 no room"), [b"250", b"452"], 0),
        (Fault(at="REPLY", drop=True), [b"250"], 1),
        (Fault(at="BODY", after_bytes=2), [], 0),
    ],
)
def test_chunks_have_faults_too(fault: Fault, answers: list[bytes], taken: int) -> None:
    with RecordingServer(Script(fault), offers=CHUNKED) as server:
        heard = talk(server, b"EHLO me\r\n" + ENVELOPE, b"BDAT 3\r\na\r\n", b"BDAT 3 LAST\r\nb\r\n")
        assert codes(heard)[2:] == answers
        assert len(server.received) == taken


def test_chunks_without_an_offer_are_not_understood() -> None:
    with RecordingServer() as server:
        assert codes(talk(server, b"EHLO me\r\n" + ENVELOPE, b"BDAT 0 LAST\r\n"))[-1] == b"500"


def test_what_was_not_offered_is_noted() -> None:
    with RecordingServer(offers=()) as server:
        talk(server, b"EHLO me\r\n", b"MAIL FROM:<> SIZE=1 BODY=8BITMIME\r\nRCPT TO:<a@b.example> NOTIFY=NEVER\r\n")
        assert [defect.partition(": ")[2] for defect in server.defects] == [
            "pipelined without an offer",
            "used SIZE without an offer",
            "used 8BITMIME without an offer",
            "used DSN without an offer",
        ]
