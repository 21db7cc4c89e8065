"""Resized pictures on disk: a folder that never grows beyond its space, shared by any number of processes."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path

from digest.web.guards import log

_OURS = re.compile(r"\d+-[0-9a-f]{16}\.jpg|\.new-.*")  # whatever else lies there is not ours to remove
_WHOLE = (b"\xff\xd8", b"\xff\xd9")  # how a JPEG begins and ends
_TOUCH_EVERY = 3600  # seconds
_ROOM = 0.9  # of the space is used after a sweep, so that not every picture sweeps


class ImageFolder:
    """Pictures by article and version. Every method may block: call them in a thread."""

    def __init__(self, folder: Path, space: int) -> None:
        self._folder, self._space = folder, space

    def get(self, article_id: int, version: bytes) -> bytes | None:
        """The picture, if it is there and whole."""
        path = self._path(article_id, version)
        try:
            content = path.read_bytes()
            if time.time() - path.stat().st_mtime > _TOUCH_EVERY:
                os.utime(path)  # what is asked for stays the longest
        except OSError:
            return None
        return content if content.startswith(_WHOLE[0]) and content.endswith(_WHOLE[1]) else None

    def put(self, article_id: int, version: bytes, content: bytes) -> None:
        """Keep a picture: others see all of it or nothing. A folder that takes none is told to the operator only."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fd, name = tempfile.mkstemp(prefix=".new-", dir=self._folder)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(content)
                Path(name).replace(self._path(article_id, version))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._sweep()
        except OSError as error:
            log.warning("a resized picture cannot be kept: %s", error)

    def _path(self, article_id: int, version: bytes) -> Path:
        return self._folder / f"{article_id}-{version.hex()}.jpg"

    def _sweep(self) -> None:
        """Remove what was not asked for the longest, if there is too much."""
        with os.scandir(self._folder) as entries:
            found = [(each.stat(), each.path) for each in entries if _OURS.fullmatch(each.name)]
        used = sum(stat.st_size for stat, _ in found)
        if used <= self._space:
            return
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime):
            if used <= self._space * _ROOM:
                return
            with contextlib.suppress(FileNotFoundError):  # another process sweeps too
                Path(path).unlink()
            used -= stat.st_size
