"""The readers' mailbox: a real SMTP server on loopback that keeps every message as it came."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A message in the mailbox, its envelope, and where its files lie."""

    number: int
    sender: str
    recipient: str
    path: Path

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        parsed = email.message_from_bytes(self.path.read_bytes(), policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, subtype: str) -> str:
        """The html or plain text of the message."""
        body = self.message.get_body((subtype,))
        return str(body.get_content()) if body is not None else ""


class Mailbox:
    """Takes mail for everybody. Use it in a `with` block; `port` is known inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._pictures: tuple[str, Callable[[str], bytes]] | None = None
        self._received: list[ReceivedMail] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> Mailbox:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._socket.getsockname()[1]
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._socket.close()

    def keep_pictures(self, prefix: str, draw: Callable[[str], bytes]) -> None:
        """From now on keep what `draw` makes of the names of pictures whose address begins with `prefix`."""
        self._pictures = prefix, draw

    @property
    def received(self) -> list[ReceivedMail]:
        """All mail so far, in the order it came."""
        with self._lock:
            return list(self._received)

    def to(self, address: str) -> list[ReceivedMail]:
        """The mail of one reader."""
        return [each for each in self.received if each.recipient == address]

    def wait_for(self, address: str, count: int = 1, seconds: float = 30) -> ReceivedMail:
        """The reader's mail number `count`, once it is there. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while len(mails := self.to(address)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no mail for {address} within {seconds:g} seconds")
            time.sleep(0.01)
        return mails[count - 1]

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keep a message; called by the server."""
        content = envelope.original_content or b""
        for recipient in envelope.rcpt_tos:
            self._keep(envelope.mail_from or "", recipient, content)
        return "250 2.0.0 Kept"

    def _keep(self, sender: str, recipient: str, content: bytes) -> None:
        with self._lock:
            number = len(self._received) + 1
            stem = self.folder / f"{number:04}-{re.sub(r'[^A-Za-z0-9.@+-]', '_', recipient)[:80]}"
            part = stem.with_name(stem.name + ".part")
            part.write_bytes(content)
            mail = ReceivedMail(number, sender, recipient, part.rename(stem.with_name(stem.name + ".eml")))
            if html := mail.part("html"):
                stem.with_name(stem.name + ".html").write_text(self._with_pictures(html), encoding="utf-8")
            self._received.append(mail)

    def _with_pictures(self, html: str) -> str:
        """The html with the site's pictures from files beside it: the site is gone when the demonstration ends."""
        if self._pictures is None:
            return html
        prefix, draw = self._pictures

        def beside(found: re.Match[str]) -> str:
            path = self.folder / "pictures" / found[1]
            if not path.is_file():
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(draw(found[1]))
            return f"pictures/{found[1]}"

        return re.sub(re.escape(prefix) + r"([\w-]+\.png)", beside, html)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(self._loop.create_server(self._protocol, sock=self._socket))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(server.wait_closed())

    def _protocol(self) -> Any:
        return SMTP(self, hostname="mailbox.demo", ident="Digest's demo mailbox", enable_SMTPUTF8=True, loop=self._loop)
