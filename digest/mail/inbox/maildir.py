"""A Maildir (and Maildir++ for the folder beside it), as the local mail server delivers to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from digest.errors import MailboxError
from digest.mail.inbox import BATCH, MAX_BYTES, Waiting, leave


class MaildirInbox:
    """A Maildir at `path`; reports go to its folder `processed` (Maildir++), or are deleted when that is empty.

    A message is known by its name before the flags (`:2,S`), which stays the same when a mail program has shown it.
    """

    def __init__(self, path: Path, processed: str) -> None:
        self._path = path
        self._processed = path / f".{processed.replace('/', '.')}" if processed else None
        self._files: dict[str, Path] = {}
        self._left: set[str] = set()
        self._acted_on: set[str] = set()
        self.name = f"maildir {path}"

    def __enter__(self) -> MaildirInbox:
        if not (self._path / "new").is_dir():
            raise MailboxError(self.name, "there is no Maildir: no folder new/ in it")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def waiting(self, remembered: Mapping[str, Any]) -> Iterator[list[Waiting]]:
        """What lies in new/ and cur/ and was not looked at before."""
        try:
            found = sorted(
                ((entry.stat().st_mtime, entry.name, Path(entry.path), entry.stat().st_size) for entry in self._list()),
            )
        except OSError as error:
            raise MailboxError(self.name, error.strerror or str(error)) from None
        self._files = {_key(name): path for _, name, path, _ in found}
        self._left = set(remembered.get("names", ())) & set(self._files)
        self._acted_on = set(remembered.get("acted_on", ())) & set(self._files)
        known = [Waiting(_key(name), size, _key(name) in self._acted_on) for _, name, _, size in found]
        fresh = [each for each in known if each.key not in self._left]
        for start in range(0, len(fresh), BATCH):
            yield fresh[start : start + BATCH]

    def _list(self) -> Iterator[os.DirEntry[str]]:
        for folder in ("new", "cur"):
            if (self._path / folder).is_dir():
                with os.scandir(self._path / folder) as entries:
                    yield from (entry for entry in entries if entry.is_file(follow_symlinks=False))

    def contents(self, batch: Sequence[Waiting]) -> Iterator[tuple[Waiting, bytes]]:
        """The messages; one that a mail program renamed meanwhile is looked for, one that is gone is left out."""
        for each in batch:
            try:
                content = self._read(each.key)
                if content is None:
                    self._look_again()
                    content = self._read(each.key)
            except OSError as error:
                leave(self.name, each.key, error.strerror)
                content = None
            if content is None:  # of one that is there and not remembered, the next reading tries again
                self._files.pop(each.key, None)
            else:
                yield each, content

    def _read(self, key: str) -> bytes | None:
        if key not in self._files:
            return None
        try:
            with self._files[key].open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None

    def _look_again(self) -> None:
        """Where everything is now: an IMAP server moves what it sees from new/ to cur/, all at once."""
        self._files = {_key(entry.name): Path(entry.path) for entry in self._list()}

    def put_away(self, done: Sequence[Waiting]) -> None:
        """Into the folder for what was read, or away."""
        try:
            if done and self._processed:
                for folder in ("cur", "new", "tmp"):
                    (self._processed / folder).mkdir(parents=True, exist_ok=True)
                (self._processed / "maildirfolder").touch()
            for each in done:
                if each.key in self._files and self._move(self._files[each.key]):
                    self._acted_on.discard(each.key)
        except OSError as error:
            raise MailboxError(self.name, f"a report cannot be put away: {error.strerror or error}") from None

    def _move(self, file: Path) -> bool:
        """False: a mail program was quicker; if it only renamed it, the next time finds it."""
        try:
            if self._processed:
                file.rename(self._processed / "cur" / (file.name if ":2," in file.name else f"{file.name}:2,S"))
            else:
                file.unlink()
        except FileNotFoundError:
            return False
        return True

    def remember(self, batch: Sequence[Waiting], done: Sequence[Waiting]) -> Mapping[str, Any]:
        """The names that stay, and those that are to go."""
        acted_on = {each.key for each in done}
        self._acted_on |= acted_on
        self._left |= {each.key for each in batch if each.key in self._files} - acted_on
        return {"names": sorted(self._left), "acted_on": sorted(self._acted_on)}

    @property
    def tells(self) -> bool:
        """A Maildir tells nobody."""
        return False

    def wait(self, seconds: float, stop: Callable[[], bool]) -> bool:
        """There is nothing to wait for."""
        return False


def _key(name: str) -> str:
    base = os.fsencode(name.partition(":2,")[0])
    return base.decode("utf-8", "backslashreplace")  # a name may be any bytes; PostgreSQL keeps no lone surrogates
