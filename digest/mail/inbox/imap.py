"""IMAP (RFC 9051): read with PEEK, moved with MOVE (RFC 6851), told of new mail by IDLE (RFC 2177)."""

from __future__ import annotations

import imaplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientError

from digest.errors import MailboxError
from digest.mail.inbox import BATCH, Waiting
from digest.mail.inbox.login import LoggedIn, Login, Protocol

_AT_ONCE = 2_000_000  # bytes asked for in one command
_GLANCE = 1.0  # seconds between two looks at whether to stop
_SIZES_AT_ONCE = 1000  # messages whose sizes are asked for in one command


class ImapInbox(LoggedIn[IMAPClient]):
    """One session on `folder`. What was acted on is moved to `processed`, or deleted when that is empty.

    UIDs only grow (RFC 9051 section 2.3.1.1), so the last one that was looked at is all there is to remember, as long
    as the folder's UIDVALIDITY stays the same; when it changes, everything is looked at once more.
    """

    protocol = Protocol("IMAP", tls_port=993, plain_port=143)
    complaints = (IMAPClientError, imaplib.IMAP4.error)

    def __init__(self, login: Login, folder: str, processed: str) -> None:
        super().__init__(login)
        self._folder = folder
        self._processed = processed
        self._validity = 0
        self._last = 0  # UID that was looked at
        self.name = f"imap {login.username}@{login.host} {folder}"

    def __enter__(self) -> ImapInbox:
        super().__enter__()
        try:
            with self._said():
                self._validity = int(self._open.select_folder(self._folder)[b"UIDVALIDITY"])
        except MailboxError:
            self._drop()
            raise
        return self

    def _greet(self, sock: socket.socket) -> IMAPClient:
        return _Client(sock, self._login)

    def _start_tls(self, line: IMAPClient, context: ssl.SSLContext) -> None:
        line.starttls(context)

    def _log_in(self, line: IMAPClient) -> None:
        line.login(self._login.username, self._login.password)

    def __exit__(self, *_: object) -> None:
        with suppress(*self.complaints, OSError):
            self._open.logout()
        self._drop()

    def _close(self, line: IMAPClient) -> None:
        with suppress(*self.complaints, OSError):
            line.shutdown()

    def waiting(self, remembered: Mapping[str, Any]) -> Iterator[list[Waiting]]:
        """What has a UID beyond the last one, or was acted on; sizes are asked for first (RFC822.SIZE)."""
        known = remembered if remembered.get("validity") == self._validity else {}
        self._last = last = int(known.get("uid", 0))
        acted_on = {int(uid) for uid in known.get("acted_on", ())}
        with self._said():
            # `n:*` always names the last message, also when its UID is smaller than n.
            fresh = {uid for uid in self._open.search(["UID", f"{last + 1}:*"]) if uid > last}
            found = sorted(
                fresh.union(self._open.search(["UID", ",".join(map(str, sorted(acted_on)))]) if acted_on else ())
            )
        for start in range(0, len(found), _SIZES_AT_ONCE):
            with self._said():
                sizes = self._open.fetch(found[start : start + _SIZES_AT_ONCE], ["RFC822.SIZE"])
            waiting = [Waiting(str(uid), int(sizes[uid][b"RFC822.SIZE"]), uid in acted_on) for uid in sorted(sizes)]
            for place in range(0, len(waiting), BATCH):
                yield waiting[place : place + BATCH]

    def contents(self, batch: Sequence[Waiting]) -> Iterator[tuple[Waiting, bytes]]:
        """The messages, as many in one command as fit into two megabytes; BODY.PEEK leaves them unseen."""
        for few in _by_size(batch):
            by_uid = {int(each.key): each for each in few}
            with self._said():
                fetched = self._open.fetch(list(by_uid), ["BODY.PEEK[]"])
            for uid, parts in sorted(fetched.items()):
                if uid in by_uid and b"BODY[]" in parts:
                    yield by_uid[uid], parts[b"BODY[]"]

    def put_away(self, done: Sequence[Waiting]) -> None:
        """Move, or delete. Where the server knows no MOVE: copy, mark, and expunge these very messages (RFC 4315)."""
        if not done:
            return
        uids = [int(each.key) for each in done]
        session = self._open
        with self._said():
            if self._processed and not session.folder_exists(self._processed):
                session.create_folder(self._processed)
            if self._processed and session.has_capability("MOVE"):
                session.move(uids, self._processed)
                return
            if self._processed:
                session.copy(uids, self._processed)
            session.delete_messages(uids, silent=True)
            if session.has_capability("UIDPLUS"):
                session.uid_expunge(uids)
            # Without UIDPLUS they stay marked: EXPUNGE would delete what somebody else has marked too.

    def remember(self, batch: Sequence[Waiting], done: Sequence[Waiting]) -> Mapping[str, Any]:
        """The last UID that was looked at, of which life of the folder it is, and what is to go."""
        self._last = max([self._last, *(int(each.key) for each in batch)])
        acted_on = [int(each.key) for each in done]
        return {"validity": self._validity, "uid": self._last, "acted_on": acted_on}

    @property
    def tells(self) -> bool:
        """Whether the server offers IDLE."""
        return bool(self._open.has_capability("IDLE"))

    def wait(self, seconds: float, stop: Callable[[], bool]) -> bool:
        """IDLE until something comes; the caller renews it before the server hangs up (29 minutes)."""
        until = time.monotonic() + seconds
        told: list[Any] = []
        with self._said():
            self._open.idle()
            while not _is_new_mail(told) and not stop() and time.monotonic() < until:
                told += self._open.idle_check(timeout=_GLANCE)
            told += self._open.idle_done()[1]
        return _is_new_mail(told)


class _Client(IMAPClient):  # type: ignore[misc]  # it has no types
    """IMAPClient on a line that is open already."""

    def __init__(self, sock: socket.socket, login: Login) -> None:
        self._given = sock
        super().__init__(login.host, ssl=False, timeout=SocketTimeout(connect=None, read=login.timeout))

    def _create_IMAP4(self) -> imaplib.IMAP4:
        return _Connected(self._given, self.host)


class _Connected(imaplib.IMAP4):
    def __init__(self, sock: socket.socket, host: str) -> None:
        self._given = sock
        super().__init__(host)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._given


def _is_new_mail(told: Sequence[Any]) -> bool:
    return any(isinstance(each, tuple) and b"EXISTS" in each for each in told)


def _by_size(batch: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    few: list[Waiting] = []
    size = 0
    for each in batch:
        if few and size + each.size > _AT_ONCE:
            yield few
            few, size = [], 0
        few.append(each)
        size += each.size
    if few:
        yield few
