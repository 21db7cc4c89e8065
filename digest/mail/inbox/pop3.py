"""POP3 (RFC 1939, RFC 2595 for TLS). It has no folders and no flags: what was acted on is deleted, the rest stays."""

from __future__ import annotations

import poplib
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from digest.errors import MailboxError
from digest.mail.inbox import BATCH, Waiting
from digest.mail.inbox.login import Login, refused, trust, unreachable

poplib._MAXLINE = 20_480  # type: ignore[attr-defined]  # 2,048 is what it takes; mail programs write longer lines


class Pop3Inbox:
    """One session. Deleting happens when it ends well (RFC 1939 section 6), after all of ours is stored."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._session: poplib.POP3 | None = None
        self._numbers: dict[str, int] = {}
        self._left: set[str] = set()
        self._acted_on: set[str] = set()
        self.name = f"pop3 {login.username}@{login.host}"

    def __enter__(self) -> Pop3Inbox:
        try:
            with self._said():
                self._connect()
        except MailboxError:
            self._drop()
            raise
        return self

    def _connect(self) -> None:
        login = self._login
        place = (login.host, login.effective_port(995, 110))
        is_tls = login.security == "tls"
        session = self._session = (
            poplib.POP3_SSL(*place, timeout=login.timeout, context=trust(login))
            if is_tls
            else poplib.POP3(*place, timeout=login.timeout)
        )
        if login.security == "starttls":
            session.stls(context=trust(login))
        session.user(login.username)
        session.pass_(login.password)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:  # without QUIT nothing is deleted
                with self._said():
                    self._open.quit()
        finally:
            self._drop()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(OSError):
                session.close()

    @property
    def _open(self) -> poplib.POP3:
        assert self._session is not None, "use `with`"
        return self._session

    def waiting(self, remembered: Mapping[str, Any]) -> Iterator[list[Waiting]]:
        """What the server lists and was not looked at before, by its unique id (RFC 1939 section 7)."""
        with self._said():
            sizes = dict(_pairs(self._open.list()[1]))
            ids = _pairs(self._open.uidl()[1])
        self._numbers = {uid: int(number) for number, uid in ids}
        self._left = set(remembered.get("ids", ())) & set(self._numbers)
        self._acted_on = set(remembered.get("acted_on", ())) & set(self._numbers)
        known = [Waiting(uid, int(sizes.get(number, "0")), uid in self._acted_on) for number, uid in ids]
        fresh = [each for each in known if each.key not in self._left]
        for start in range(0, len(fresh), BATCH):
            yield fresh[start : start + BATCH]

    def contents(self, batch: Sequence[Waiting]) -> Iterator[tuple[Waiting, bytes]]:
        """The messages, one command each."""
        for each in batch:
            with self._said():
                lines = self._open.retr(self._numbers[each.key])[1]
            yield each, b"\r\n".join(lines) + b"\r\n"

    def put_away(self, done: Sequence[Waiting]) -> None:
        """Mark for deletion at the end of the session."""
        for each in done:
            with self._said():
                self._open.dele(self._numbers[each.key])

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

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except poplib.error_proto as error:
            raise MailboxError(self.name, refused(error.args[0] if error.args else error)) from None
        except (ssl.SSLError, OSError, EOFError) as error:
            raise MailboxError(self.name, unreachable(error)) from None


def _pairs(lines: list[bytes]) -> list[tuple[str, str]]:
    """`1 uid` of each line as ("1", "uid")."""
    found = (line.decode("latin-1").split(None, 1) for line in lines)
    return [(pair[0], pair[1].strip()) for pair in found if len(pair) == 2 and pair[0].isdecimal()]
