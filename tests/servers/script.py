"""What goes wrong at the SMTP server, told as plain rules: which command, for whom, how often, and what then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

At: TypeAlias = Literal[
    "WIRE", "CONNECT", "EHLO", "STARTTLS", "TLS", "AUTH",
    "MAIL", "RCPT", "DATA", "BDAT", "BODY", "END", "REPLY", "RSET", "NOOP", "QUIT",
]  # fmt: skip

# How a server that offers PIPELINING (RFC 2920) keeps its word. Only the first, and the last two, do.
Pipelining: TypeAlias = Literal[
    "works",
    "forgets group",  # what came together with a command is thrown away
    "forgets after dot",  # what came together with the final dot is thrown away
    "goes ahead",  # 354 to DATA although every recipient was refused
    "hangs up",  # when there is something behind a command
    "one packet",  # legal: the answers to a group travel together
    "byte by byte",  # legal, and slow
]


@dataclass(frozen=True)
class Step:
    """Where a session stands when the server is about to reply."""

    at: At
    connection: int  # the first one is 1
    transaction: int = 0  # counts the MAIL commands of this connection
    sender: str = ""
    recipient: str = ""  # the one a RCPT names
    recipients: tuple[str, ...] = ()  # those accepted so far
    argument: str = ""  # what stood behind the command
    open: int = 1  # connections open now, this one included


@dataclass(frozen=True, eq=False)  # each is counted on its own, like as they may be
class Fault:
    """One thing the server does at `at` instead of its ordinary reply.

    CONNECT is the greeting and BODY the message while it is read. END comes after the final dot, before the
    message is taken: a refusal or a broken line there loses it. REPLY comes when it has been taken, and only
    the word that says so can still go wrong. BDAT is a chunk that is not the last. TLS is the handshake: a
    `reply` is sent in its place. WIRE stands for a whole connection, cut after so many bytes.
    Example: `Fault(at="RCPT", recipient="bob@*", reply="450 4.2.0 {recipient}, try later", times=1)`.
    """

    at: At
    reply: str | bytes = ""  # empty: the ordinary one. A newline makes several lines; bytes go out as they are
    recipient: str = "*"  # a pattern: of the RCPT, later of any accepted recipient
    sender: str = "*"
    times: int | None = None  # how often; None: always
    after: int = 0  # how many such steps go well first
    per: Literal["server", "connection", "transaction", "recipient"] = "server"  # what `times` and `after` count in
    delay: float = 0  # seconds before the reply; the server notices a client that leaves, except at BODY
    drop: bool | Literal["before", "after", "reset"] = False  # hang up: before the reply (True), after it, with a RST
    after_bytes: int | None = None  # BODY only: hang up after so many bytes of the message
    after_read: int | None = None  # WIRE only: hang up after so many bytes from the client, and what they called for
    after_written: int | None = None  # WIRE only: hang up after so many bytes of replies

    @property
    def is_silent(self) -> bool:
        """Whether it hangs up without a reply."""
        return self.drop in (True, "before", "reset")

    def concerns(self, step: Step) -> bool:
        """Whether this is its place and its reader."""
        return (
            self.at == step.at
            and fnmatchcase(step.sender.lower(), self.sender.lower())
            and (self.recipient == "*" or any(map(self._is_for, (step.recipient, *step.recipients))))
        )

    def _is_for(self, address: str) -> bool:
        return bool(address) and fnmatchcase(address.lower(), self.recipient.lower())


Policy: TypeAlias = Callable[[Step], Fault | None]


class Script:
    """A policy made of rules: the first that concerns the step and is neither early nor spent acts."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)  # may be changed while the server runs
        self.acted: Counter[Fault] = Counter()  # how often each did its work
        self._seen: Counter[tuple[Fault, object]] = Counter()

    def __call__(self, step: Step) -> Fault | None:
        """The fault for this step, or None."""
        for fault in list(self.faults):
            if not fault.concerns(step):
                continue
            scope = fault, _scope(fault, step)
            self._seen[scope] += 1
            turn = self._seen[scope] - fault.after
            if turn >= 1 and (fault.times is None or turn <= fault.times):
                self.acted[fault] += 1
                return fault
        return None


def _scope(fault: Fault, step: Step) -> object:
    return {
        "server": (),
        "connection": step.connection,
        "transaction": (step.connection, step.transaction),
        "recipient": step.recipient or step.recipients,
    }[fault.per]
