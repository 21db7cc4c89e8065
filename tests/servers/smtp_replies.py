"""How a session answers: the script is asked first, and what went out whole is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.servers.script import At, Fault, Step
from tests.servers.smtp_record import Said, Transaction
from tests.servers.smtp_wire import HungUp, Wire

if TYPE_CHECKING:
    from tests.servers.smtpd import RecordingServer

_RHYTHMS = {"one packet": "together", "byte by byte": "bytes"}


class Replies:
    """The replies of one connection. Every one passes the script."""

    def __init__(self, server: RecordingServer, wire: Wire, connection: int) -> None:
        self._server = server
        self._wire = wire
        self._connection = connection
        self.transaction = Transaction()
        self.were_late = False  # a client may have lost patience, and speak out of turn for it

    async def answer(
        self, at: At, ordinary: str, argument: str = "", *, sender: str | None = None, recipient: str = ""
    ) -> bool:
        """Send the reply, the ordinary one or the script's; tells whether it was a yes. Raises HungUp."""
        fault = self.fault(at, argument, sender, recipient)
        await self.wait(fault)
        return await self.give(fault, at, ordinary, recipient)

    def fault(self, at: At, argument: str = "", sender: str | None = None, recipient: str = "") -> Fault | None:
        """What the script wants here."""
        transaction = self.transaction
        return self._server.script(
            Step(
                at=at,
                connection=self._connection,
                transaction=transaction.number,
                sender=transaction.sender or "" if sender is None else sender,
                recipient=recipient,
                recipients=tuple(transaction.recipients),
                argument=argument,
                open=self._server.open,
            )
        )

    async def wait(self, fault: Fault | None) -> None:
        """The fault's delay."""
        if fault is not None and fault.delay:
            self.were_late = True
            await self._wire.pause(fault.delay)

    async def give(self, fault: Fault | None, at: At, ordinary: str, recipient: str = "") -> bool:
        """Send the reply without asking or waiting; tells whether it was a yes. Raises HungUp."""
        reply = (fault.reply if fault else "") or ordinary
        if fault is not None and fault.is_silent:
            raise HungUp(reset=fault.drop == "reset")
        if isinstance(reply, str):
            reply = reply.replace("{recipient}", recipient or " ".join(self.transaction.recipients))
        self._wire.rhythm = _RHYTHMS.get(self._server.pipelining, "each")  # type: ignore[assignment]
        await self._wire.say(reply)
        self._note(at, reply, recipient, late=fault is not None and fault.delay > 0)
        if fault is not None and (fault.drop == "after" or code_of(reply) == "421"):
            await self._wire.flush()  # who says 421 hangs up: RFC 5321 section 3.8
            raise HungUp
        return is_yes(reply)

    def _note(self, at: At, reply: str | bytes, recipient: str, *, late: bool) -> None:
        text = reply.decode("ascii", "replace") if isinstance(reply, bytes) else reply
        transaction = self.transaction
        if recipient:
            transaction.named.append(recipient)
        about = (recipient,) if recipient else tuple(transaction.named)
        self._server.said.append(Said(self._connection, transaction.number, at, about, text, late))
        if any(line.startswith("354") for line in text.splitlines()):
            self._server.asked_for.update(transaction.named)


def code_of(reply: str | bytes) -> str:
    """Its three digits, or what stands in their place."""
    return reply[:3].decode("ascii", "replace") if isinstance(reply, bytes) else reply[:3]


def is_yes(reply: str | bytes) -> bool:
    """Whether the session goes on as the client wished."""
    return code_of(reply)[:1] in ("2", "3")


def is_no(reply: str | bytes) -> bool:
    """Whether a script's reply refuses; an empty one is the ordinary reply."""
    return bool(reply) and not is_yes(reply)
