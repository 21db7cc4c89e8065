"""What the recording server writes down: the messages it took, and what it said about whom."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cached_property

from tests.servers.script import At


@dataclass
class Transaction:
    """A transaction under way: an empty one after EHLO, RSET and the end of each message."""

    number: int = 0
    sender: str | None = None
    options: tuple[str, ...] = ()
    recipients: list[str] = field(default_factory=list)  # those accepted
    named: list[str] = field(default_factory=list)  # by any RCPT
    chunks: bytearray | None = None  # what BDAT brought
    is_spoiled: bool = False  # after a chunk that was refused nothing but RSET helps (RFC 3030 section 2)


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
    transaction: int = 0

    @cached_property
    def parsed(self) -> EmailMessage:
        """The message as the standard library reads it."""
        parsed = email.message_from_bytes(self.data, policy=email.policy.SMTP)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass(frozen=True)
class Said:
    """A reply that went out whole, and the transaction it belongs to. The answer to a message stands `at` END."""

    connection: int
    transaction: int
    at: At
    recipients: tuple[str, ...]  # all that the transaction has named so far; of a RCPT its own
    reply: str
    is_late: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """The reply codes of its lines: one, unless it is garbage."""
        return tuple(dict.fromkeys(line[:3] for line in self.reply.splitlines()))
