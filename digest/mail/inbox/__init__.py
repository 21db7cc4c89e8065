"""Mailboxes that reports come into: IMAP, POP3 or a Maildir, read without touching what stays in them.

Each is opened with `with`. It lists what was not looked at before, in batches; each message's size is known before it
is read; what was put away is moved or deleted; the rest keeps its flags. What was looked at is remembered in the
mailbox's own terms (UIDs, names), so a message that stays is read once. What was acted on is remembered too until it is
away: one that was not put away in time is only put away the next time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

BATCH = 100  # messages that are acted on in one transaction
MAX_BYTES = 2_000_000  # of a message that is read; a report is much smaller
_log = logging.getLogger("digest.bounces")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in the mailbox, by the name it has there, and its size in bytes.

    `is_acted_on`: it is only to be put away, which failed before.
    """

    key: str
    size: int
    is_acted_on: bool = False


class Inbox(AbstractContextManager["Inbox"], Protocol):
    """A mailbox that can be read. Every method raises MailboxError when the mailbox cannot be used."""

    name: str  # what it is remembered under; says where it is, no secret

    def waiting(self, remembered: Mapping[str, Any]) -> Iterator[list[Waiting]]:
        """What was not looked at before, or not put away, in batches, oldest first."""
        ...

    def contents(self, batch: Sequence[Waiting]) -> Iterator[tuple[Waiting, bytes]]:
        """The messages, one after the other; those that are gone, or that it does not give out, are left out."""
        ...

    def remember(self, batch: Sequence[Waiting], done: Sequence[Waiting]) -> Mapping[str, Any]:
        """What to remember now that this batch was looked at, `done` of it acted on, and all before put away."""
        ...

    def put_away(self, done: Sequence[Waiting]) -> None:
        """Move or delete messages that were acted on. What has gone already is no error."""
        ...

    @property
    def tells(self) -> bool:
        """Whether it can tell of new mail as it comes."""
        ...

    def wait(self, seconds: float, stop: Callable[[], bool]) -> bool:
        """Where it `tells`: whether new mail came within so long, and before `stop` said to stop."""
        ...


def leave(name: str, key: str, why: object) -> None:
    """Say that the mailbox `name` does not give out one message: the others are read all the same."""
    _log.warning("%s: message %s cannot be read and is left where it is: %s", name, key, why)
