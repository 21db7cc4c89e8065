"""One SMTP session, command by command, as the recording server holds it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import email
import email.policy
import re
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cached_property
from typing import TYPE_CHECKING

from tests.servers.script import At, Fault, Step
from tests.servers.smtp_wire import HungUp, Wire, defects, unstuff

if TYPE_CHECKING:
    from tests.servers.smtpd import RecordingServer

_PATH = re.compile(r"(?:FROM|TO):( ?)<([^<>]*)>(?: +(.*))?", re.I)
_MAX_COMMAND = 512 + 26 + 17 + 500  # RFC 5321 4.5.3.1.4, and what SIZE, BODY and DSN (RFC 3461) add to it


@dataclass(frozen=True)
class Received:
    """A message the server took. `data` has CRLF line ends, its dots unstuffed, no final dot."""

    mail_from: str
    recipients: list[str]
    data: bytes
    options: tuple[str, ...] = ()  # what MAIL said behind the address
    connection: int = 1
    tls: bool = False
    login: str = ""
    defects: tuple[str, ...] = ()  # what a strict server would not have taken

    @cached_property
    def parsed(self) -> EmailMessage:
        """The message as the standard library reads it."""
        parsed = email.message_from_bytes(self.data, policy=email.policy.SMTP)
        assert isinstance(parsed, EmailMessage)
        return parsed


class Session:
    """Replies to one client; every reply passes the script first."""

    def __init__(self, server: RecordingServer, wire: Wire, number: int) -> None:
        self._server = server
        self._wire = wire
        self._number = number
        self._login = ""
        self._greeted = False
        self._transaction = 0
        self._reset()

    async def run(self) -> None:
        """From the greeting until one side hangs up."""
        try:
            if self._wire.has_more:
                self._object("spoke before the greeting")
            welcome = await self._answer("CONNECT", "220 localhost ESMTP ready")
            while True:
                await self._obey(await self._wire.line(), welcome)
        except HungUp as end:
            if end.reset:
                self._wire.reset()

    async def _obey(self, line: bytes, welcome: bool) -> None:
        text = self._read(line)
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        self._server.commands[verb] += 1
        self._server.lines.append((self._number, "AUTH ***" if verb == "AUTH" else text))
        if not welcome and verb != "QUIT":
            await self._wire.say("503 5.5.1 only QUIT, I said")  # RFC 5321 section 3.1
            return
        obey = getattr(self, f"_{verb.lower()}", None) if verb in _VERBS else None
        if obey is None:
            await self._wire.say("500 5.5.2 command not recognized")
        else:
            await obey(argument)

    async def _ehlo(self, argument: str) -> None:
        offers = list(self._server.offers)
        if self._server.security == "starttls" and not self._wire.is_encrypted:
            offers.append("STARTTLS")
        elif self._server.login:
            offers.append("AUTH PLAIN LOGIN")
        words = ["localhost", *offers]
        lines = [f"250{' ' if word is words[-1] else '-'}{word}" for word in words]
        self._reset()
        self._greeted = await self._answer("EHLO", "\n".join(lines), argument)

    async def _helo(self, argument: str) -> None:
        self._reset()
        self._greeted = await self._answer("EHLO", "250 localhost", argument)

    async def _starttls(self, argument: str) -> None:
        certificate = self._server.certificate
        if certificate is None or self._server.security != "starttls" or self._wire.is_encrypted:
            await self._wire.say("503 5.5.1 not now")
        elif await self._answer("STARTTLS", "220 2.0.0 go ahead", argument):
            if not await self._wire.start_tls(certificate.server_context()):
                self._object("spoke behind STARTTLS in the clear")
            self._greeted = False
            self._login = ""
            self._reset()

    async def _auth(self, argument: str) -> None:
        way, _, first = argument.partition(" ")
        if self._server.login is None or way.upper() not in ("PLAIN", "LOGIN"):
            await self._wire.say("504 5.5.4 not that way")
            return
        if way.upper() == "PLAIN":
            given = (_decoded(first) if first else await self._ask("")).split("\0")[-2:]
        else:
            given = [_decoded(first) if first else await self._ask("Username:"), await self._ask("Password:")]
        good = tuple(given) == self._server.login
        ordinary = "235 2.7.0 welcome" if good else "535 5.7.8 user or password is wrong"
        if await self._answer("AUTH", ordinary, way):
            self._login = given[0]

    async def _mail(self, argument: str) -> None:
        address, options = self._path(argument)
        refusal = self._refusal_of_mail(address, options)
        self._transaction += 1
        if await self._answer("MAIL", refusal or "250 2.1.0 ok", argument, sender=address or ""):
            self._sender, self._options = address, options

    async def _rcpt(self, argument: str) -> None:
        address, _ = self._path(argument)
        refusal = ""
        if self._sender is None:
            refusal = "503 5.5.1 MAIL first"
        elif not address:
            refusal = "501 5.1.3 write RCPT TO:<address>"
        elif not address.isascii() and "SMTPUTF8" not in self._options:
            refusal = "553 5.6.7 that address needs SMTPUTF8"
        if await self._answer("RCPT", refusal or "250 2.1.5 ok", argument, recipient=address or ""):
            self._recipients.append(address or "")

    async def _data(self, argument: str) -> None:
        if self._wire.has_more:
            self._object("sent the message before the 354")
        refusal = "" if self._recipients else "503 5.5.1 RCPT first"
        if await self._answer("DATA", refusal or "354 end with a dot", argument):
            await self._wire.flush()
            await self._take_message()

    async def _take_message(self) -> None:
        fault = self._fault("BODY")
        if fault:
            await asyncio.sleep(fault.delay)
        body = await self._wire.body(fault.after_bytes if fault else None)
        fault = self._fault("END")
        ordinary = "250 2.0.0 taken"
        if self._server.delay:
            await asyncio.sleep(self._server.delay)
        if fault is None or not (fault.is_silent or _is_no(fault.reply)):
            self._server.keep(self._as_received(body))
            fault = fault or self._fault("REPLY")
        self._reset()
        await self._perform(fault, ordinary)

    async def _rset(self, argument: str) -> None:
        self._reset()
        await self._answer("RSET", "250 2.0.0 ok", argument)

    async def _noop(self, argument: str) -> None:
        await self._answer("NOOP", "250 2.0.0 ok", argument)

    async def _quit(self, argument: str) -> None:
        await self._answer("QUIT", "221 2.0.0 bye", argument)
        await self._wire.flush()
        raise HungUp

    async def _answer(
        self, at: At, ordinary: str, argument: str = "", *, sender: str | None = None, recipient: str = ""
    ) -> bool:
        """Send the reply, the ordinary one or the script's; tells whether it was a yes."""
        return await self._perform(self._fault(at, argument, sender, recipient), ordinary)

    def _fault(self, at: At, argument: str = "", sender: str | None = None, recipient: str = "") -> Fault | None:
        return self._server.script(
            Step(
                at=at,
                connection=self._number,
                transaction=self._transaction,
                sender=self._sender or "" if sender is None else sender,
                recipient=recipient,
                recipients=tuple(self._recipients),
                argument=argument,
                open=self._server.open,
            )
        )

    async def _perform(self, fault: Fault | None, ordinary: str) -> bool:
        if fault is None:
            await self._wire.say(ordinary)
            return _is_yes(ordinary)
        await asyncio.sleep(fault.delay)
        if fault.is_silent:
            raise HungUp(reset=fault.drop == "reset")
        reply = fault.reply or ordinary
        await self._wire.say(reply)
        if fault.drop == "after" or _code(reply) == "421":  # who says 421 hangs up: RFC 5321 section 3.8
            await self._wire.flush()
            raise HungUp
        return _is_yes(reply)

    def _refusal_of_mail(self, address: str | None, options: tuple[str, ...]) -> str:
        if not self._greeted:
            return "503 5.5.1 EHLO first"
        if self._server.login and not self._login:
            return "530 5.7.0 log in first"
        if self._sender is not None:
            return "503 5.5.1 one MAIL at a time"
        if address is None:
            return "501 5.1.7 write MAIL FROM:<address>"
        if not address.isascii() and "SMTPUTF8" not in options:
            return "553 5.6.7 that address needs SMTPUTF8"
        return "552 5.3.4 too big" if self._is_too_big(options) else ""

    def _is_too_big(self, options: tuple[str, ...]) -> bool:
        limits = [int(offer.split()[1]) for offer in self._server.offers if offer.startswith("SIZE ")]
        sizes = [int(option[5:]) for option in options if option.startswith("SIZE=")]
        return bool(limits and sizes and sizes[0] > limits[0])

    async def _ask(self, question: str) -> str:
        await self._wire.say(f"334 {base64.b64encode(question.encode()).decode()}")
        return _decoded((await self._wire.line()).decode("ascii", "replace").strip())

    def _as_received(self, body: bytes) -> Received:
        return Received(
            mail_from=self._sender or "",
            recipients=self._recipients,
            data=unstuff(body),
            options=self._options,
            connection=self._number,
            tls=self._wire.is_encrypted,
            login=self._login,
            defects=defects(body, eight_bit=bool({"BODY=8BITMIME", "SMTPUTF8"} & set(self._options))),
        )

    def _read(self, line: bytes) -> str:
        if not line.endswith(b"\r\n"):
            self._object("a command ended in a bare LF")
        if len(line) > _MAX_COMMAND:
            self._object("a command is too long")
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def _path(self, argument: str) -> tuple[str | None, tuple[str, ...]]:
        match = _PATH.fullmatch(argument.rstrip())
        if match is None:
            return None, ()
        if match[1]:
            self._object("a space before the address")
        return match[2], tuple(option.upper() for option in (match[3] or "").split())

    def _object(self, defect: str) -> None:
        self._server.defects.append(f"connection {self._number}: {defect}")

    def _reset(self) -> None:
        self._sender: str | None = None
        self._options: tuple[str, ...] = ()
        self._recipients: list[str] = []


_VERBS = ("EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT")


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _code(reply: str | bytes) -> str:
    return reply[:3].decode("ascii", "replace") if isinstance(reply, bytes) else reply[:3]


def _is_no(reply: str | bytes) -> bool:
    return bool(reply) and not _is_yes(reply)


def _is_yes(reply: str | bytes) -> bool:
    return _code(reply)[:1] in ("2", "3")
