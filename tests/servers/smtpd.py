"""A fast, real SMTP server (RFC 5321) that records what it is told, and goes wrong where a `Script` says so."""

from __future__ import annotations

import asyncio
import contextlib
import email
import hashlib
import json
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Literal

from tests.servers.certificates import Certificate, self_signed
from tests.servers.script import Fault, Pipelining, Policy, Script, Step
from tests.servers.smtp_record import Received, Said
from tests.servers.smtp_session import Session
from tests.servers.smtp_wire import Wire

__all__ = ["OFFERS", "Fault", "Policy", "Received", "RecordingServer", "Said", "Script", "Step"]

OFFERS = ("PIPELINING", "SIZE 36700160", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


class RecordingServer:
    """Use it in a `with`, or `start` and `stop` it: it keeps its port and what it received over restarts.

    `security` starttls offers STARTTLS, tls speaks it from the first byte; clients trust `ca_file`.
    `login` (user, password) is then required. `record`: a file that gets a JSON line a message before the 250.
    `offers` may name CHUNKING too. `pipelining` tells how it keeps that promise.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        script: Policy | None = None,
        *,
        security: Literal["none", "starttls", "tls"] = "none",
        login: tuple[str, str] | None = None,
        offers: Sequence[str] = OFFERS,
        pipelining: Pipelining = "works",
        delay: float = 0,
        record: Path | None = None,
        keep_data: bool = True,
        port: int = 0,
    ) -> None:
        self.script: Policy = script or Script()
        self.security = security
        self.login = login
        self.offers = tuple(offers)
        self.pipelining = pipelining
        self.delay = delay  # seconds before the 250 after a message
        self.record = record
        self.keep_data = keep_data  # False: everything but the bytes, for very long runs
        self.port = port
        self.received: list[Received] = []
        self.defects: list[str] = []  # of commands; those of messages are theirs
        self.commands: Counter[str] = Counter()
        self.lines: list[tuple[int, str]] = []  # (connection, command line), without the secrets of AUTH
        self.said: list[Said] = []  # every reply that went out whole
        self.asked_for: set[str] = set()  # recipients whose message was called for by a 354, or came by BDAT
        self.resets: set[int] = set()  # connections hung up on with a RST
        self.bytes_read: Counter[int] = Counter()  # by connection, when it is over
        self.bytes_written: Counter[int] = Counter()
        self.connections = 0
        self.open = 0
        self.max_open = 0
        self.messages_per_connection: Counter[int] = Counter()
        self.certificate: Certificate | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._arrived = threading.Condition()
        self._crashes: list[BaseException] = []

    def __enter__(self) -> RecordingServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        if self._folder is not None:
            self._folder.cleanup()
        assert not self._crashes, f"the test's own SMTP server broke: {self._crashes}"

    @property
    def faults(self) -> list[Fault]:
        """The rules of its script, to be added to and cleared while it runs."""
        assert isinstance(self.script, Script), "this server has a policy of another kind"
        return self.script.faults

    @property
    def ca_file(self) -> str:
        """The certificate a client may trust."""
        assert self.certificate is not None, "the server speaks no TLS"
        return str(self.certificate.authority)

    def start(self) -> None:
        """Listen. Before `start` and after `stop` connections are refused, as by a relay that is down."""
        if self.security != "none" and self.certificate is None:
            self._folder = tempfile.TemporaryDirectory(prefix="digest-smtpd-")
            self.certificate = self_signed(Path(self._folder.name))
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="smtpd", daemon=True)
        self._thread.start()
        self.port = started.result(10)

    def stop(self) -> None:
        """Hang up on everybody and listen no more."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        self._thread = None

    def received_by(self, address: str) -> list[Received]:
        """The messages for one recipient, in order."""
        return [each for each in self.received if address in each.recipients]

    def wait_for(self, count: int, timeout: float = 10) -> list[Received]:
        """Wait until `count` messages are there."""
        with self._arrived:
            enough = self._arrived.wait_for(lambda: len(self.received) >= count, timeout)
        assert enough, f"{len(self.received)} of {count} messages came within {timeout} s"
        return self.received

    def wait_until_quiet(self, timeout: float = 10) -> None:
        """Wait until every connection is over: what a client left behind has been dealt with."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: not self.open, timeout), f"{self.open} connections are still open"

    def keep(self, message: Received) -> None:
        """Count a message as taken. Called by sessions, before they say so."""
        if self.record is not None:
            with self.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_as_line(message)) + "\n")
        with self._arrived:
            self.received.append(message if self.keep_data else replace(message, data=b""))
            self.messages_per_connection[message.connection] += 1
            self._arrived.notify_all()

    def _run(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, started: Future[int]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._meet, self.host, self.port, backlog=1024)
        started.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()  # asyncio.run then cancels the sessions

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.max_open = max(self.max_open, self.open)
        number, wire = self.connections, Wire(reader, writer)
        try:
            await Session(self, wire, number).run()
        except asyncio.CancelledError:
            pass  # the server stops
        except Exception as error:
            self._crashes.append(error)
        finally:
            self.bytes_read[number], self.bytes_written[number] = wire.bytes_read, wire.bytes_written
            with self._arrived:
                self.open -= 1
                self._arrived.notify_all()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await wire.close()


def _as_line(message: Received) -> dict[str, object]:
    headers = email.message_from_bytes(message.data.partition(b"\r\n\r\n")[0])
    return {
        "mail_from": message.mail_from,
        "recipients": message.recipients,
        "message_id": headers["Message-ID"],
        "size": len(message.data),
        "sha256": hashlib.sha256(message.data).hexdigest(),
    }
