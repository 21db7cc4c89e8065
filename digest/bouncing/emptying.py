"""FLOW, bouncing's part: the mailbox of reports is read; what was acted on is put away, the rest stays as it is.

What follows from a message is stored before the message is moved or deleted, and our place in the mailbox last: after
a crash in between, it is read once more, which changes nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from digest.bouncing import Followed
from digest.domain.reports import ReportKind
from digest.errors import DigestError, MailboxError
from digest.mail.inbox import MAX_BYTES, Inbox, Waiting
from digest.store import Store, mailboxes

log = logging.getLogger("digest.bounces")
Act = Callable[[bytes], Followed]


@dataclass(slots=True)
class Emptied:
    """What a reading of the mailbox came to."""

    mailbox: str
    read: int = 0  # messages that were not looked at before
    put_away: int = 0  # of those, with a token of ours
    left: int = 0  # of those, for people
    too_large: int = 0  # of those, not read
    followed: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, consequence)


def empty(store: Store, inbox: Inbox, act: Act, clock: Callable[[], datetime]) -> Emptied:
    """Read what has come since the last time. Raises MailboxError; what was read until then is kept."""
    emptied = Emptied(inbox.name)
    with store.read() as tx:
        remembered = mailboxes.known(tx, inbox.name).remembered
    for batch in inbox.waiting(remembered):
        done = _read(inbox, batch, act, emptied)
        inbox.put_away(done)
        remembered = inbox.remember(batch, done)
        with store.begin() as tx:
            mailboxes.keep(tx, inbox.name, remembered, clock())
    if not emptied.read:
        with store.begin() as tx:
            mailboxes.keep(tx, inbox.name, remembered, clock())
    return emptied


def _read(inbox: Inbox, batch: list[Waiting], act: Act, emptied: Emptied) -> list[Waiting]:
    """Act on the messages of a batch; returns those to put away."""
    emptied.read += len(batch)
    small = [each for each in batch if each.size <= MAX_BYTES]
    for each in batch:
        if each.size > MAX_BYTES:
            log.warning("%s: a message of %d bytes is left alone: too large for a report", inbox.name, each.size)
    done: list[Waiting] = []
    for each, content in inbox.contents(small):
        followed = _followed(inbox, act, content)
        emptied.followed[str(followed.kind), followed.consequence] += 1
        if followed.is_ours:
            done.append(each)
    emptied.too_large += len(batch) - len(small)
    emptied.put_away += len(done)
    emptied.left += len(batch) - len(done)
    return done


def _followed(inbox: Inbox, act: Act, content: bytes) -> Followed:
    """What follows from a message. One that we stumble over is left for people: the others must not wait behind it."""
    try:
        return act(content)
    except DigestError:  # the database is away, say: read all of it again
        raise
    except Exception:
        log.exception("%s: a message could not be made sense of and is left where it is; please tell us", inbox.name)
        return Followed(ReportKind.OTHER)


def failed(store: Store, error: MailboxError, now: datetime) -> bool:
    """Note that the mailbox could not be read; whether the desk is to hear of it, which it does once."""
    with store.begin() as tx:
        return mailboxes.fail(tx, error.mailbox, error.reason, now)
