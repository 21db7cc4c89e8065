"""What is handed to a mail server, what it may be asked, and the words for it (RFC 5321, 1870, 3461, 6531)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from digest.domain.deliveries import Receipt


class Parcel(NamedTuple):
    """A message with its envelope, ready for the wire. `key` is its owner's business."""

    key: object
    sender: str
    recipient: str
    content: bytes  # CRLF line ends, none begins with a dot, ends in CRLF
    envelope_id: str = ""


class Answer(NamedTuple):
    """The reply that decided a transaction, and the command it answered: MAIL, RCPT, DATA or END, the final dot.

    ADDRESS: we decided ourselves, as this server cannot be told such an address.
    """

    command: str
    receipt: Receipt


class Loss(Enum):
    """What a line that broke says of the message it was to carry."""

    FAREWELL = "farewell"  # nothing: it had carried others, and ended before this one's MAIL was answered
    UNSENT = "unsent"  # that it was not taken
    UNKNOWN = "unknown"  # that it may have been


class Feed(Protocol):
    """Where a session's work comes from and where its results go. Nothing here may wait or raise."""

    def take(self) -> Parcel | None:
        """The next message for the wire; None: nothing now, `Session.wake` says when there is."""
        ...

    def is_wanted(self, parcel: Parcel) -> bool:
        """Asked right before the message itself goes out, when only its envelope has."""
        ...

    def answered(self, parcel: Parcel, answer: Answer) -> None:
        """The server has decided."""
        ...

    def lost(self, parcel: Parcel, words: str, loss: Loss) -> None:
        """The line broke."""
        ...

    def hungry(self, session: Any) -> None:
        """The session would take a message now; it waits for `wake`."""
        ...


class Ask(Enum):
    """What a reply can answer."""

    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "END"
    DOT = "DOT"  # an empty message, the way out when DATA was answered 354 although nobody will get it
    QUIT = "QUIT"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds (RFC 5321 section 4.5.3.2), and how many messages one connection carries."""

    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    idle: float = 30.0
    messages: int = 0  # 0: any number


@dataclass(frozen=True, slots=True)
class Offers:
    """What the server said it can do."""

    pipelining: bool = False
    size: bool = False
    dsn: bool = False
    smtputf8: bool = False


def commands(parcel: Parcel, offers: Offers) -> list[tuple[Ask, bytes]]:
    """The commands of a message's envelope, with the options this server offers and the message can use.

    8BITMIME, BINARYMIME and CHUNKING are not among them: our messages are seven-bit lines already.
    """
    mail = f"MAIL FROM:<{parcel.sender}>"
    rcpt = f"RCPT TO:<{parcel.recipient}>"
    if offers.size:
        mail += f" SIZE={len(parcel.content)}"
    if not parcel.recipient.isascii():
        mail += " SMTPUTF8"
    elif offers.dsn and parcel.envelope_id:
        # RFC 3461: bounces name the delivery and carry the headers only.
        mail += f" RET=HDRS ENVID={_xtext(parcel.envelope_id)}"
        rcpt += f" NOTIFY=FAILURE ORCPT=rfc822;{_xtext(parcel.recipient)}"
    return [(Ask.MAIL, f"{mail}\r\n".encode()), (Ask.RCPT, f"{rcpt}\r\n".encode()), (Ask.DATA, b"DATA\r\n")]


_XTEXT = re.compile(r"[^!-*,-<>-~]")


def _xtext(text: str) -> str:
    """RFC 3461 section 4: `+`, `=` and what is not printable as +XX."""
    return _XTEXT.sub(lambda match: f"+{ord(match[0]):02X}", text)
