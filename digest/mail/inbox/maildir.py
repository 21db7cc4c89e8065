"""A Maildir (and Maildir++ for the folder beside it), as the local mail server delivers to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from digest.errors import MailboxError
from digest.mail.inbox import BATCH, MAX_BYTES, Waiting


class MaildirInbox:
    """A Maildir at `path`; reports go to its folder `processed` (Maildir++), or are deleted when that is empty.

    A message is known by its name before the flags (`:2,S`), which stays the same when a mail program has shown it.
    """

    def __init__(self, path: Path, processed: str) -> None:
        self._path = path
        self._processed = path / f".{processed.replace('/', '.')}" if processed else None
        self._files: dict[str, Path] = {}
        self._left: set[str] = set()
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
        fresh = [Waiting(_key(name), size) for _, name, _, size in found if _key(name) not in self._left]
        for start in range(0, len(fresh), BATCH):
            yield fresh[start : start + BATCH]

    def _list(self) -> Iterator[os.DirEntry[str]]:
        for folder in ("new", "cur"):
            if (self._path / folder).is_dir():
                with os.scandir(self._path / folder) as entries:
                    yield from (entry for entry in entries if entry.is_file(follow_symlinks=False))

    def contents(self, batch: Sequence[Waiting]) -> Iterator[tuple[Waiting, bytes]]:
        """The messages; one that a mail program moved or deleted meanwhile is left out, and found the next time."""
        for each in batch:
            try:
                with self._files[each.key].open("rb") as file:
                    yield each, file.read(MAX_BYTES + 1)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise MailboxError(self.name, f"{self._files[each.key]}: {error.strerror}") from None

    def put_away(self, done: Sequence[Waiting]) -> None:
        """Into the folder for what was read, or away."""
        try:
            if done and self._processed:
                for folder in ("cur", "new", "tmp"):
                    (self._processed / folder).mkdir(parents=True, exist_ok=True)
                (self._processed / "maildirfolder").touch()
            for each in done:
                self._move(self._files[each.key])
        except OSError as error:
            raise MailboxError(self.name, f"a report cannot be put away: {error.strerror or error}") from None

    def _move(self, file: Path) -> None:
        try:
            if self._processed:
                file.rename(self._processed / "cur" / (file.name if ":2," in file.name else f"{file.name}:2,S"))
            else:
                file.unlink()
        except FileNotFoundError:
            pass

    def remember(self, batch: Sequence[Waiting], done: Sequence[Waiting]) -> Mapping[str, Any]:
        """The names that stay."""
        self._left |= {each.key for each in batch} - {each.key for each in done}
        return {"names": sorted(self._left)}

    @property
    def tells(self) -> bool:
        """A Maildir tells nobody."""
        return False

    def wait(self, seconds: float, stop: Callable[[], bool]) -> bool:
        """There is nothing to wait for."""
        return False


def _key(name: str) -> str:
    return name.partition(":2,")[0]
