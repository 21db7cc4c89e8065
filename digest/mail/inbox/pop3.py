"""POP3 (RFC 1939, RFC 2595 for TLS). It has no folders and no flags: what was acted on is deleted, the rest stays."""

from __future__ import annotations

import poplib
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from digest.mail.inbox import BATCH, Waiting, leave
from digest.mail.inbox.login import LoggedIn, Login, Protocol

poplib._MAXLINE = 20_480  # type: ignore[attr-defined]  # 2,048 is what it takes; mail programs write longer lines


class Pop3Inbox(LoggedIn[poplib.POP3]):
    """One session. Deleting happens when it ends well (RFC 1939 section 6), after all of ours is stored."""

    protocol = Protocol("POP3", tls_port=995, plain_port=110)
    complaints = (poplib.error_proto,)

    def __init__(self, login: Login) -> None:
        super().__init__(login)
        self._numbers: dict[str, list[int]] = {}  # copies of one message may share their id (RFC 1939 section 7)
        self._left: set[str] = set()
        self._acted_on: set[str] = set()
        self.name = f"pop3 {login.username}@{login.host}"

    def _greet(self, sock: socket.socket) -> poplib.POP3:
        return _Connected(sock, self._login)

    def _start_tls(self, line: poplib.POP3, context: ssl.SSLContext) -> None:
        line.stls(context=context)

    def _log_in(self, line: poplib.POP3) -> None:
        line.user(self._login.username)
        line.pass_(self._login.password)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:  # without QUIT nothing is deleted
                with self._said():
                    self._open.quit()
        finally:
            self._drop()

    def _close(self, line: poplib.POP3) -> None:
        with suppress(OSError):
            line.close()

    def waiting(self, remembered: Mapping[str, Any]) -> Iterator[list[Waiting]]:
        """What the server lists and was not looked at before, by its unique id (RFC 1939 section 7)."""
        with self._said():
            sizes = dict(_pairs(self._open.list()[1]))
            ids = _pairs(self._open.uidl()[1])
        self._numbers = {}
        for number, uid in ids:
            self._numbers.setdefault(uid, []).append(int(number))
        self._left = set(remembered.get("ids", ())) & set(self._numbers)
        self._acted_on = set(remembered.get("acted_on", ())) & set(self._numbers)
        known = [
            Waiting(uid, int(sizes.get(str(numbers[0]), "0")), uid in self._acted_on)
            for uid, numbers in self._numbers.items()
        ]
        fresh = [each for each in known if each.key not in self._left]
        for start in range(0, len(fresh), BATCH):
            yield fresh[start : start + BATCH]

    def contents(self, batch: Sequence[Waiting]) -> Iterator[tuple[Waiting, bytes]]:
        """The messages, one command each."""
        for each in batch:
            try:
                with self._said(but=_refused):
                    lines = self._open.retr(self._numbers[each.key][0])[1]
            except poplib.error_proto as error:
                leave(self.name, each.key, error)
                continue
            yield each, b"\r\n".join(lines) + b"\r\n"

    def put_away(self, done: Sequence[Waiting]) -> None:
        """Mark for deletion at the end of the session."""
        for number in (number for each in done for number in self._numbers[each.key]):
            with self._said():
                self._open.dele(number)

    def remember(self, batch: Sequence[Waiting], done: Sequence[Waiting]) -> Mapping[str, Any]:
        """The ids that stay, and those that go if the session ends well: which only the next one sees."""
        acted_on = {each.key for each in done}
        self._acted_on |= acted_on
        self._left |= {each.key for each in batch} - acted_on
        return {"ids": sorted(self._left), "acted_on": sorted(self._acted_on)}

    @property
    def tells(self) -> bool:
        """POP3 tells nobody."""
        return False

    def wait(self, seconds: float, stop: Callable[[], bool]) -> bool:
        """There is nothing to wait for."""
        return False


class _Connected(poplib.POP3):
    """POP3 on a line that is open already."""

    def __init__(self, sock: socket.socket, login: Login) -> None:
        self._given = sock
        try:
            super().__init__(login.host)
        except BaseException:
            self.close()  # its own reader of the line would stay open
            raise
        sock.settimeout(login.timeout)

    def _create_socket(self, timeout: float) -> socket.socket:
        return self._given


def _refused(error: Exception) -> bool:
    """The server says no to this command; after other errors nobody knows where on the line we are."""
    return bool(error.args) and isinstance(error.args[0], bytes) and error.args[0].startswith(b"-ERR")


def _pairs(lines: list[bytes]) -> list[tuple[str, str]]:
    """`1 uid` of each line as ("1", "uid"); what a server adds behind a size is no part of it (RFC 1939 section 5)."""
    found = (line.decode("latin-1").split() for line in lines)
    return [(words[0], words[1]) for words in found if len(words) > 1 and words[0].isdecimal()]
