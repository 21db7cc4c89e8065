"""DOOR: the part of the composition root that deals with what comes back: mailbox, pipe and webhooks lead here."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime

from digest import bouncing
from digest.app import App, Clock
from digest.bouncing import Followed, emptying, notes
from digest.bouncing.emptying import Emptied
from digest.domain.reports import Report, ReportKind
from digest.domain.subscribers import Evidence, SubscriptionState, Way
from digest.errors import InvalidToken, MailboxError, UsageError
from digest.mail.inbox import Inbox
from digest.mail.inbox.incoming import Incoming, read_incoming
from digest.store import Transaction
from digest.subscribing import preferring

# Seconds. RFC 2177 asks to renew it within 29 minutes; mail that came just before it began may go untold, so we look.
_LONGEST_IDLE = 60.0
_BEFORE_THE_NEXT = 5.0  # seconds that the session ends before the scheduler begins another
log = logging.getLogger("digest.bounces")


@dataclass(frozen=True)
class Returns:
    """What comes back of our mail, and what follows."""

    app: App

    def take(self, content: bytes, now: datetime, via: str) -> Followed:
        """Act on a whole message, as a mailbox or a pipe brings it."""
        incoming = read_incoming(content)
        with self.app.store.begin() as tx:
            return self._act(tx, incoming, now, via)

    def follow(self, report: Report, now: datetime, via: str) -> Followed:
        """Act on a report, however it came."""
        rule = self.app.config.bounces.rule()
        return bouncing.receive(self.app.store, self.app.links, report, now, via=via, rule=rule)

    def _act(self, tx: Transaction, incoming: Incoming, now: datetime, via: str) -> Followed:
        if incoming.report.kind is ReportKind.OTHER:
            return self._leave(tx, incoming, now)
        rule = self.app.config.bounces.rule()
        return bouncing.act(tx, self.app.links, incoming.report, now, via=via, rule=rule)

    def _leave(self, tx: Transaction, incoming: Incoming, now: datetime) -> Followed:
        """A message to `leave+token@`, whoever it is from: the token says who leaves. Not when a program wrote it."""
        nothing = Followed(ReportKind.OTHER)
        subscription_id = 0 if incoming.is_automatic else self._leaving(incoming)
        if not subscription_id:
            return nothing
        goodbye = [name for name, section in self.app.config.newsletters.items() if section.goodbye]
        found = preferring.end(tx, subscription_id, Evidence(Way.MAILTO), now, goodbye=goodbye)
        kind = ReportKind.LEFT
        if found is None:
            return Followed(kind, consequence="the reader is gone already", is_ours=True)
        new = found.state is SubscriptionState.UNSUBSCRIBED and found.unsubscribed_at == now
        return Followed(kind, consequence="unsubscribed" if new else "had unsubscribed already", is_ours=True)

    def _leaving(self, incoming: Incoming) -> int:
        for address in incoming.addresses:
            try:
                return self.app.links.read_leave_by_mail(address)
            except InvalidToken:
                continue
        return 0

    def inbox(self) -> Inbox:
        """The mailbox in config.toml, not opened yet. Raises UsageError when there is none."""
        # Here, not at the top: who has no mailbox of that kind need not load what reads it.
        settings, folder = self.app.config.bounces, self.app.config.folder
        if settings.inbox == "maildir":
            from digest.mail.inbox.maildir import MaildirInbox

            return MaildirInbox(folder / settings.path, settings.processed)
        if not settings.inbox:
            raise UsageError("no mailbox is configured: set [bounces] inbox in config.toml, or give a report on stdin")
        from digest.mail.inbox.login import Login

        login = Login(
            host=settings.host,
            username=settings.username,
            password=settings.password.get_secret_value(),
            security=settings.security,
            port=settings.port,
            ca_file=str(folder / settings.ca_file) if settings.ca_file else "",
        )
        if settings.inbox == "pop3":
            from digest.mail.inbox.pop3 import Pop3Inbox

            return Pop3Inbox(login)
        from digest.mail.inbox.imap import ImapInbox

        return ImapInbox(login, settings.folder, settings.processed)

    def empty(self, clock: Clock) -> Emptied:
        """Read the mailbox once. Raises MailboxError, UsageError."""
        with self.inbox() as inbox:
            return self._empty(inbox, clock)

    def _empty(self, inbox: Inbox, clock: Clock) -> Emptied:
        def act(tx: Transaction, incoming: Incoming) -> Followed:
            return self._act(tx, incoming, clock(), "mailbox")

        return emptying.empty(self.app.store, inbox, read_incoming, act, clock)

    def watch(self, clock: Clock, stopping: threading.Event) -> None:
        """Read the mailbox, if there is one, and where it tells of new mail, go on until it is time to begin anew."""
        if self.app.config.bounces.inbox:
            try:
                self._watch(clock, stopping)
            except MailboxError as error:
                log.warning("%s", error)
                if emptying.failed(self.app.store, error, clock()):
                    text = f"{error}\n\nIt is tried again every few minutes. See why: digest bounces check"
                    self.app.tell_desk(0, "Bounces cannot be read", text, clock())
        self.tell(clock())

    def _watch(self, clock: Clock, stopping: threading.Event) -> None:
        until = time.monotonic() + self.app.config.bounces.every.total_seconds() - _BEFORE_THE_NEXT
        with self.inbox() as inbox:
            _log(self._empty(inbox, clock))
            while inbox.tells and not stopping.is_set() and (left := until - time.monotonic()) > 0:
                self.tell(clock())
                inbox.wait(min(left, _LONGEST_IDLE), stopping.is_set)
                _log(self._empty(inbox, clock))

    def tell(self, now: datetime) -> None:
        """Tell the desk what it has not heard yet."""
        for note in notes.to_tell(self.app.store, now):
            self.app.tell_desk(note.edition_id, note.subject, note.text, now)


def _log(emptied: Emptied) -> None:
    for (kind, consequence), number in emptied.followed.items():
        if consequence != Followed(ReportKind.OTHER).consequence:
            log.info("%s: %d x %s: %s", emptied.mailbox, number, kind, consequence)
