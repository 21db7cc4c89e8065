"""FLOW, bouncing's part: the mailbox of reports is read; what was acted on is put away, the rest stays as it is.

Messages are read first, some at a time, as a mailbox may be slow. Then what follows from them and our place in the
mailbox are stored together, and only then are they moved or deleted. After a crash before that moment they are read
anew; after one behind it they are put away unread. So each is acted on once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from digest.bouncing import Followed
from digest.domain.reports import ReportKind
from digest.errors import DigestError, MailboxError, StoreConflict
from digest.mail.inbox import MAX_BYTES, Inbox, Waiting
from digest.store import Store, Transaction, mailboxes
from digest.store.engine import apart

log = logging.getLogger("digest.bounces")
Message = TypeVar("Message")  # what a message is once it was read
Read = Callable[[bytes], Message]
Act = Callable[[Transaction, Message], Followed]
Step = Callable[[Transaction], AbstractContextManager[None]]
_TRIES = 5  # of a batch that somebody else's transaction gets in the way of


@dataclass(slots=True)
class Emptied:
    """What a reading of the mailbox came to."""

    mailbox: str
    read: int = 0  # messages that were not looked at before
    put_away: int = 0  # of those, with a token of ours
    left: int = 0  # of those, for people
    too_large: int = 0  # of those, not read
    followed: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, consequence)


def empty(store: Store, inbox: Inbox, read: Read[Message], act: Act[Message], clock: Callable[[], datetime]) -> Emptied:
    """Read what has come since the last time. Raises MailboxError; what was read until then is kept."""
    emptied = Emptied(inbox.name)
    with store.read() as tx:
        remembered = mailboxes.known(tx, inbox.name).remembered
    for batch in inbox.waiting(remembered):
        messages: list[tuple[Waiting, Message]] = []
        broken: MailboxError | None = None
        try:
            messages.extend(_read(inbox, batch, read))
        except MailboxError as error:  # what was read until then is acted on, the rest is looked at the next time
            broken = error
            read_keys = {each.key for each, _ in messages}
            batch = [each for each in batch if each.is_acted_on or each.key in read_keys]
        followed = _act_on_all(store, inbox, batch, messages, act, clock())
        if broken:
            raise broken
        inbox.put_away(_done(batch, followed))
        _count(emptied, batch, followed)
    with store.begin() as tx:
        mailboxes.keep(tx, inbox.name, inbox.remember((), ()), clock())
    return emptied


def _read(inbox: Inbox, batch: Sequence[Waiting], read: Read[Message]) -> Iterator[tuple[Waiting, Message]]:
    """The messages of a batch that are to be acted on. One that we stumble over is left for people."""
    for each in batch:
        if each.size > MAX_BYTES:
            log.warning("%s: a message of %d bytes is left alone: too large for a report", inbox.name, each.size)
    for each, content in inbox.contents([each for each in batch if each.size <= MAX_BYTES and not each.is_acted_on]):
        try:
            yield each, read(content)
        except Exception:
            _say_that_we_stumbled(inbox)


def _act_on_all(
    store: Store,
    inbox: Inbox,
    batch: Sequence[Waiting],
    messages: Sequence[tuple[Waiting, Message]],
    act: Act[Message],
    now: datetime,
) -> Mapping[str, Followed]:
    """What follows from a batch, by the messages' keys; stored with our place, or nothing of it is."""
    step: Step = _at_once  # a savepoint for each would cost an eighth of it all, for what hardly ever happens
    for tries_left in reversed(range(_TRIES)):
        try:
            with store.begin() as tx:
                followed = {each.key: _act_on(tx, inbox, act, message, step) for each, message in messages}
                mailboxes.keep(tx, inbox.name, inbox.remember(batch, _done(batch, followed)), now)
                return followed
        except StoreConflict:
            if not tries_left:
                raise
        except _Stumbled:
            step = apart
    raise StoreConflict("others came first each time")


def _act_on(tx: Transaction, inbox: Inbox, act: Act[Message], message: Message, step: Step) -> Followed:
    """What follows from a message. One that we stumble over is left for people, and takes none of the others along."""
    try:
        with step(tx):
            return act(tx, message)
    except (DigestError, _Stumbled):  # the database is away, say: read all of it again
        raise
    except Exception:
        _say_that_we_stumbled(inbox)
        return Followed(ReportKind.OTHER)


class _Stumbled(Exception):
    """All of a batch is to be done again, each message apart."""


@contextmanager
def _at_once(tx: Transaction) -> Iterator[None]:
    try:
        yield
    except DigestError:
        raise
    except Exception as error:
        raise _Stumbled from error


def _say_that_we_stumbled(inbox: Inbox) -> None:
    log.exception("%s: a message could not be made sense of and is left where it is; please tell us", inbox.name)


def _done(batch: Sequence[Waiting], followed: Mapping[str, Followed]) -> list[Waiting]:
    """What is to be put away."""
    return [each for each in batch if each.is_acted_on or (each.key in followed and followed[each.key].is_ours)]


def _count(emptied: Emptied, batch: Sequence[Waiting], followed: Mapping[str, Followed]) -> None:
    fresh = [each for each in batch if not each.is_acted_on]
    done = sum(each.is_ours for each in followed.values())
    emptied.read += len(fresh)
    emptied.put_away += done
    emptied.left += len(fresh) - done
    emptied.too_large += sum(each.size > MAX_BYTES for each in fresh)
    emptied.followed.update((str(each.kind), each.consequence) for each in followed.values())


def failed(store: Store, error: MailboxError, now: datetime) -> bool:
    """Note that the mailbox could not be read; whether the desk is to hear of it, which it does once."""
    with store.begin() as tx:
        return mailboxes.fail(tx, error.mailbox, error.reason, now)
