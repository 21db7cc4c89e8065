"""A file of readers, opened: its tables one after the other, whatever it is packed in and written with."""

from __future__ import annotations

import codecs
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from digest.errors import UsageError
from digest.tables import json_rows
from digest.tables.rows import Row, Rows, delimiter_of

_CHUNK = 1 << 20
_NOT_TABLES = ("posts", "deliver", "opens", "__macosx")  # beside the readers, in a whole account's export


@dataclass(slots=True)
class Table:
    """One table of a file. Cells may hold anything; bytes that are no UTF-8 were read as `fallback`."""

    name: str
    header: list[str]
    rows: Rows | json_rows.Objects
    tell: Callable[[], int]  # bytes of the file that were read so far

    def expect(self, place: int, *, escapes: bool) -> None:
        """Tell the reader which column has the addresses, and how quotes are written."""
        self.rows.width, self.rows.place = len(self.header), place
        if isinstance(self.rows, Rows):
            self.rows.again(escapes)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, by which an import knows it again. Raises UsageError."""
    with _read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_packed(path: Path) -> bool:
    """Whether several tables may be in it."""
    return zipfile.is_zipfile(path)


def size_of(path: Path) -> int:
    """Bytes in all, unpacked."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return sum(archive.getinfo(name).file_size for name in _members(archive, path))
    return path.stat().st_size


def tables_of(path: Path, encoding: str = "", fallback: str = "cp1250") -> Iterator[Table]:
    """The tables of a file, each to be read before the next is asked for. Raises UsageError."""
    if encoding:
        _known(encoding)
    with _read(path) as file:
        if not zipfile.is_zipfile(file):
            yield from _table(path.name, partial(_again, file), encoding, fallback, 0)
            return
        with zipfile.ZipFile(file) as archive:
            done = 0
            for name in _members(archive, path):
                yield from _table(name, partial(archive.open, name), encoding, fallback, done)
                done += archive.getinfo(name).file_size


def _again(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def _known(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise UsageError(f"--encoding {encoding!r}: no such encoding; utf-8, windows-1250, iso-8859-2, ...") from None


@contextmanager
def _read(path: Path) -> Iterator[io.BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    # zipfile raises RuntimeError of a file with a password, and a kind of it of a packing it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        if type(error) is RuntimeError and "password" not in str(error) and "encrypted" not in str(error):
            raise
        raise UsageError(f"{path} cannot be unpacked: {error}") from None


def _members(archive: zipfile.ZipFile, path: Path) -> list[str]:
    names = archive.namelist()
    if "[Content_Types].xml" in names:
        raise UsageError(f"{path} is a workbook; save it as CSV")
    found = [name for name in names if name.lower().endswith((".csv", ".tsv", ".txt", ".json"))]
    kept = [name for name in found if not any(word in name.lower() for word in _NOT_TABLES)]
    if not kept:
        raise UsageError(f"{path} holds no table of readers; it holds: {', '.join(names[:10]) or 'nothing'}")
    return kept


def _table(name: str, begin: Callable[[], IO[bytes]], encoding: str, fallback: str, before: int) -> Iterator[Table]:
    """The table in a file that `begin` opens from its start."""
    read, counted, start = _opened(begin(), encoding, fallback)

    def tell() -> int:
        return before + counted.taken

    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        header = json_rows.names_in(read, name)
        read, counted, _ = _opened(begin(), encoding, fallback)
        yield Table(name, header, json_rows.Objects(read, name, header), tell)
        return
    line = read(_CHUNK)
    while line and not line.strip():
        line = read(_CHUNK)
    rows = _rows_after(line, read)
    header = rows.first()
    if header:
        yield Table(name, header, rows, tell)


def _opened(file: IO[bytes], encoding: str, fallback: str) -> tuple[Callable[[int], str], _Counted, bytes]:
    """(what gives its lines, what counts its bytes, how it starts)."""
    counted = _Counted(file)
    buffered = io.BufferedReader(counted, _CHUNK)
    start = buffered.peek(4096)[:4096]
    text = io.TextIOWrapper(buffered, encoding or _encoding(start), errors="surrogateescape", newline=None)
    if encoding or _encoding(start) != "utf-8-sig":
        text.reconfigure(errors="replace")
    return _mended(text, fallback), counted, start


def _rows_after(line: str, read: Callable[[int], str]) -> Rows:
    """The rows of a text whose first line was read already."""
    delimiter = delimiter_of(line)
    if line.lower().startswith("sep="):
        return Rows(read, delimiter)
    rows = Rows(read, delimiter)
    rows.put_back(line)
    return rows


class _Counted(io.RawIOBase):
    """Bytes as they are, counted."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.taken = 0

    def readable(self) -> bool:
        """It is read from only."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As io.RawIOBase wants it."""
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self.taken += len(content)
        return len(content)


def _encoding(start: bytes) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if start[1::2].count(0) > len(start) // 3:  # ASCII as UTF-16 has a zero in every other place
        return "utf-16-le"
    if start[0::2].count(0) > len(start) // 3:
        return "utf-16-be"
    return "utf-8-sig"


def _mended(text: io.TextIOWrapper, fallback: str) -> Callable[[int], str]:
    """Lines of a text; one that is no UTF-8 is read as `fallback`, as the old programs around here write."""
    readline = text.readline

    def read(limit: int) -> str:
        line = readline(limit)
        if line.isascii():
            return line
        try:
            line.encode()
        except UnicodeEncodeError:
            return line.encode("utf-8", "surrogateescape").decode(fallback, "replace")
        return line

    return read
