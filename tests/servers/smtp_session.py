"""One SMTP session, command by command, as the recording server holds it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from typing import TYPE_CHECKING

from tests.servers.smtp_record import Received, Transaction
from tests.servers.smtp_replies import Replies, is_no
from tests.servers.smtp_wire import HungUp, Wire, defects, unstuff

if TYPE_CHECKING:
    from tests.servers.smtpd import RecordingServer

_PATH = re.compile(r"(?:FROM|TO):( ?)<([^<>]*)>(?: +(.*))?", re.I)
_CHUNK = re.compile(r"(\d{1,9})( LAST)?", re.I)
_MAX_COMMAND = 512 + 26 + 17 + 500  # RFC 5321 4.5.3.1.4, and what SIZE, BODY and DSN (RFC 3461) add to it
_OFFERED_BY = {
    "SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8",
    "RET": "DSN", "ENVID": "DSN", "NOTIFY": "DSN", "ORCPT": "DSN",
}  # fmt: skip
_ENDS_A_GROUP = ("EHLO", "DATA", "STARTTLS", "AUTH", "QUIT", "NOOP")  # RFC 2920 section 3.1


class Session:
    """Obeys one client."""

    def __init__(self, server: RecordingServer, wire: Wire, number: int) -> None:
        self._server = server
        self._wire = wire
        self._number = number
        self._replies = Replies(server, wire, number)
        self._answer = self._replies.answer
        self._login = ""
        self._greeted = False

    @property
    def _mail_now(self) -> Transaction:
        return self._replies.transaction

    async def run(self) -> None:
        """From the greeting until one side hangs up."""
        try:
            if cut := self._replies.fault("WIRE"):
                self._wire.cut_after(read=cut.after_read, written=cut.after_written, reset=cut.drop == "reset")
            if self._server.security == "tls":
                await self._encrypt()
            if self._wire.has_more:
                self._object("spoke before the greeting")
            welcome = await self._answer("CONNECT", "220 localhost ESMTP ready")
            while True:
                await self._obey(await self._wire.line(), welcome)
        except HungUp as end:
            if end.reset:
                self._server.resets.add(self._number)
                self._wire.reset()

    async def _obey(self, line: bytes, welcome: bool) -> None:
        text = self._read(line)
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        self._server.commands[verb] += 1
        self._server.lines.append((self._number, "AUTH ***" if verb == "AUTH" else text))
        self._mind_what_follows(verb)
        if not welcome and verb != "QUIT":
            await self._wire.say("503 5.5.1 only QUIT, I said")  # RFC 5321 section 3.1
            return
        obey = getattr(self, f"_{verb.lower()}", None) if verb in _VERBS and self._knows(verb) else None
        if obey is None:
            await self._wire.say("500 5.5.2 command not recognized")
        else:
            await obey(argument)

    def _mind_what_follows(self, verb: str) -> None:
        """Whether there is more behind a command, and what a server that cannot bear it does then."""
        if not self._wire.has_more or verb == "BDAT":
            return
        if "PIPELINING" not in self._server.offers and verb not in _ENDS_A_GROUP and not self._replies.were_late:
            self._object("pipelined without an offer")
        if self._server.pipelining == "hangs up":
            raise HungUp
        if self._server.pipelining == "forgets group":
            self._wire.forget()

    def _knows(self, verb: str) -> bool:
        return verb != "BDAT" or "CHUNKING" in self._server.offers

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
        if self._server.security != "starttls" or self._wire.is_encrypted:
            await self._wire.say("503 5.5.1 not now")
        elif await self._answer("STARTTLS", "220 2.0.0 go ahead", argument):
            await self._encrypt()
            self._greeted = False
            self._login = ""
            self._reset()

    async def _encrypt(self) -> None:
        assert self._server.certificate is not None
        if fault := self._replies.fault("TLS"):
            answer = fault.reply.encode() if isinstance(fault.reply, str) else fault.reply
            await self._wire.spoil_tls(answer, fault.delay, reset=fault.drop == "reset")
        if not await self._wire.start_tls(self._server.certificate.server_context()):
            self._object("spoke behind STARTTLS in the clear")

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
        self._object_to(options)
        refusal = self._refusal_of_mail(address, options)
        number = self._mail_now.number + 1
        if self._mail_now.sender is None:
            self._replies.transaction = Transaction()
        self._mail_now.number = number
        if await self._answer("MAIL", refusal or "250 2.1.0 ok", argument, sender=address or ""):
            self._mail_now.sender, self._mail_now.options = address, options

    async def _rcpt(self, argument: str) -> None:
        address, options = self._path(argument)
        self._object_to(options)
        refusal = ""
        if self._mail_now.sender is None or self._mail_now.is_spoiled:
            refusal = "503 5.5.1 MAIL first"
        elif not address:
            refusal = "501 5.1.3 write RCPT TO:<address>"
        elif not address.isascii() and "SMTPUTF8" not in self._mail_now.options:
            refusal = "553 5.6.7 that address needs SMTPUTF8"
        if await self._answer("RCPT", refusal or "250 2.1.5 {recipient} ok", argument, recipient=address or ""):
            self._mail_now.recipients.append(address or "")

    async def _data(self, argument: str) -> None:
        if self._wire.has_more:
            self._object("sent the message before the 354")
        refusal = ""
        if self._mail_now.chunks is not None or self._mail_now.is_spoiled:
            refusal = "503 5.5.1 not after BDAT"
        elif not self._mail_now.recipients and self._server.pipelining != "goes ahead":
            refusal = "503 5.5.1 RCPT first"
        if await self._answer("DATA", refusal or "354 end with a dot", argument):
            await self._wire.flush()
            fault = self._replies.fault("BODY")
            if fault:
                await asyncio.sleep(fault.delay)  # reading nothing
            await self._take(await self._wire.body(fault.after_bytes if fault else None), stuffed=True)

    async def _bdat(self, argument: str) -> None:
        chunk = _CHUNK.fullmatch(argument.strip())
        if chunk is None:
            await self._wire.say("501 5.5.4 write BDAT and a size, and LAST behind the last")
            return
        self._server.asked_for.update(self._mail_now.named)
        fault = self._replies.fault("BODY")
        if fault:
            await asyncio.sleep(fault.delay)
        octets = await self._wire.octets(int(chunk[1]), fault.after_bytes if fault else None)
        mail = self._mail_now
        if not mail.recipients or mail.is_spoiled:
            mail.is_spoiled = True
            await self._wire.say("503 5.5.1 RCPT first, or RSET")
            return
        mail.chunks = (mail.chunks or bytearray()) + octets
        if chunk[2]:
            await self._take(bytes(mail.chunks), stuffed=False)
        elif not await self._answer("BDAT", f"250 2.0.0 {chunk[1]} octets", argument):
            mail.is_spoiled = True

    async def _take(self, body: bytes, *, stuffed: bool) -> None:
        if self._server.pipelining == "forgets after dot":
            self._wire.forget()
        if self._server.delay:
            await self._wire.pause(self._server.delay)
        fault = self._replies.fault("END")
        await self._replies.wait(fault)
        ordinary = "250 2.0.0 taken for {recipient}"
        if not self._mail_now.recipients:
            ordinary = "554 5.5.1 no recipient was any good"
        elif fault is None or not (fault.is_silent or is_no(fault.reply)):
            self._server.keep(self._as_received(body, stuffed=stuffed))
            if fault is None:
                fault = self._replies.fault("REPLY")
                await self._replies.wait(fault)
        await self._replies.give(fault, "END", ordinary)
        self._reset()

    async def _rset(self, argument: str) -> None:
        self._reset()
        await self._answer("RSET", "250 2.0.0 ok", argument)

    async def _noop(self, argument: str) -> None:
        await self._answer("NOOP", "250 2.0.0 ok", argument)

    async def _quit(self, argument: str) -> None:
        await self._answer("QUIT", "221 2.0.0 bye", argument)
        await self._wire.flush()
        raise HungUp

    def _refusal_of_mail(self, address: str | None, options: tuple[str, ...]) -> str:
        if not self._greeted:
            return "503 5.5.1 EHLO first"
        if self._server.login and not self._login:
            return "530 5.7.0 log in first"
        if self._mail_now.sender is not None or self._mail_now.is_spoiled:
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

    def _as_received(self, body: bytes, *, stuffed: bool) -> Received:
        mail = self._mail_now
        eight_bit = bool({"BODY=8BITMIME", "SMTPUTF8"} & set(mail.options))
        return Received(
            mail_from=mail.sender or "",
            recipients=mail.recipients,
            data=unstuff(body) if stuffed else body,
            options=mail.options,
            connection=self._number,
            tls=self._wire.is_encrypted,
            login=self._login,
            defects=defects(body, eight_bit=eight_bit, stuffed=stuffed),
            transaction=mail.number,
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

    def _object_to(self, options: tuple[str, ...]) -> None:
        offered = {offer.partition(" ")[0] for offer in self._server.offers}
        for option in options:
            needed = _OFFERED_BY.get(option.partition("=")[0])
            if needed is not None and needed not in offered:
                self._object(f"used {needed} without an offer")

    def _object(self, defect: str) -> None:
        self._server.defects.append(f"connection {self._number}: {defect}")

    def _reset(self) -> None:
        self._replies.transaction = Transaction(self._mail_now.number)


_VERBS = ("EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT")


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""
