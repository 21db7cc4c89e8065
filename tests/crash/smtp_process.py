"""An SMTP server in a process of its own, made for speed and to be killed.

python -m tests.crash.smtp_process PORT RECORD [--delay SECONDS] [--plain] [--greylist N]

Every copy is a line "Message-ID recipient" in RECORD before its 250 is said. One write appends it, so it stays when
this process is killed. Unlike `tests.servers.smtpd` it judges nothing. `XOPEN` asks how many others are connected.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import zlib
from collections.abc import Sequence

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^>\s]*>)", re.I | re.M)
_PATH = re.compile(r"(?:FROM|TO):\s*<([^<>]*)>", re.I)


class Desk:
    """What all sessions share: the record, the manners, and who was turned away once."""

    def __init__(self, record: str, delay: float, greylist: int, offers: Sequence[str]) -> None:
        self._file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.delay = delay
        self.offers = offers
        self.open = 0
        self._greylist = greylist
        self._seen: set[str] = set()

    def keep(self, recipients: Sequence[str], message: bytes) -> None:
        """Write the copies down: the kernel has them when this returns."""
        found = _MESSAGE_ID.search(message[: message.find(b"\r\n\r\n") + 2])
        message_id = found[1].decode() if found else "<none>"
        os.write(self._file, "".join(f"{message_id} {each}\n" for each in recipients).encode())

    def turns_away(self, recipient: str) -> bool:
        """Whether to say 450 to this one now: to one in so many, the first time."""
        if not self._greylist or recipient in self._seen or zlib.crc32(recipient.encode()) % self._greylist:
            return False
        self._seen.add(recipient)
        return True


class Session(asyncio.Protocol):
    """One client. Commands may come pipelined, and are answered in order."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._buffer = bytearray()
        self._searched = 0
        self._in_message = False
        self._is_waiting = False
        self._sender: str | None = None
        self._recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._line = transport
        self._desk.open += 1
        self._say("220 localhost ESMTP ready")

    def connection_lost(self, error: Exception | None) -> None:
        """The client has gone; what it left half said is forgotten."""
        self._desk.open -= 1

    def data_received(self, data: bytes) -> None:
        """Take the bytes and answer all that is complete."""
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        while not self._is_waiting and not self._line.is_closing():
            if not (self._take_message() if self._in_message else self._take_command()):
                return

    def _take_command(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = self._buffer[:end].decode("utf-8", "replace")
        del self._buffer[: end + 2]
        verb, _, argument = line.partition(" ")
        getattr(self, f"_{verb.lower()}", self._unknown)(argument)
        return True

    def _take_message(self) -> bool:
        if self._buffer.startswith(b".\r\n"):
            message, used = b"", 3
        else:
            end = self._buffer.find(b"\r\n.\r\n", self._searched)
            if end < 0:
                self._searched = max(0, len(self._buffer) - 4)
                return False
            message, used = bytes(self._buffer[: end + 2]), end + 5
        del self._buffer[:used]
        self._searched = 0
        self._in_message = False
        self._desk.keep(self._recipients, message)
        self._reset()
        if self._desk.delay:
            self._is_waiting = True
            asyncio.get_running_loop().call_later(self._desk.delay, self._taken)
        else:
            self._say("250 2.0.0 taken")
        return True

    def _taken(self) -> None:
        self._is_waiting = False
        if not self._line.is_closing():
            self._say("250 2.0.0 taken")
            self._go_on()

    def _ehlo(self, argument: str) -> None:
        self._reset()
        words = ["localhost", *self._desk.offers]
        self._say("\r\n".join(f"250{' ' if word is words[-1] else '-'}{word}" for word in words))

    def _helo(self, argument: str) -> None:
        self._reset()
        self._say("250 localhost")

    def _mail(self, argument: str) -> None:
        path = _PATH.match(argument)
        if path is None or self._sender is not None:
            self._say("503 5.5.1 one MAIL FROM:<address> at a time")
            return
        self._sender = path[1]
        self._say("250 2.1.0 ok")

    def _rcpt(self, argument: str) -> None:
        path = _PATH.match(argument)
        if self._sender is None or path is None:
            self._say("503 5.5.1 MAIL first, then RCPT TO:<address>")
        elif self._desk.turns_away(path[1]):
            self._say("450 4.2.0 come again")
        else:
            self._recipients.append(path[1])
            self._say("250 2.1.5 ok")

    def _data(self, argument: str) -> None:
        self._in_message = bool(self._recipients)
        self._say("354 end with a dot" if self._recipients else "503 5.5.1 RCPT first")

    def _rset(self, argument: str) -> None:
        self._reset()
        self._say("250 2.0.0 ok")

    def _noop(self, argument: str) -> None:
        self._say("250 2.0.0 ok")

    def _xopen(self, argument: str) -> None:
        self._say(f"250 {self._desk.open - 1}")

    def _quit(self, argument: str) -> None:
        self._say("221 2.0.0 bye")
        self._line.close()

    def _unknown(self, argument: str) -> None:
        self._say("500 5.5.2 command not recognized")

    def _reset(self) -> None:
        self._sender = None
        self._recipients = []

    def _say(self, reply: str) -> None:
        self._line.write(f"{reply}\r\n".encode())


async def _serve(desk: Desk, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Session(desk), "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    options = argparse.ArgumentParser()
    options.add_argument("port", type=int)
    options.add_argument("record")
    options.add_argument("--delay", type=float, default=0)
    options.add_argument("--greylist", type=int, default=0)
    options.add_argument("--plain", action="store_true", help="offer no PIPELINING")
    given = options.parse_args()
    offers = ["SIZE 36700160", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]
    if not given.plain:
        offers.insert(0, "PIPELINING")
    asyncio.run(_serve(Desk(given.record, given.delay, given.greylist, offers), given.port))


if __name__ == "__main__":
    main()
