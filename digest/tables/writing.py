"""Tables written for people and programs, row by row: CSV that no spreadsheet runs, and JSON with one object a line."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from digest.domain.cells import guarded
from digest.errors import UsageError


def write_csv(out: IO[str], columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a table; returns how many rows it has. Cells that a spreadsheet would run get an apostrophe in front."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    number = 0
    for number, row in enumerate(rows, start=1):  # noqa: B007
        writer.writerow([guarded(cell) for cell in row])
    return number


def write_json(out: IO[str], columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a list of objects; returns how many. What is empty is null."""
    number = 0
    for number, row in enumerate(rows, start=1):
        one: dict[str, Any] = {name: cell or None for name, cell in zip(columns, row, strict=True)}
        out.write(("[\n" if number == 1 else ",\n") + json.dumps(one, ensure_ascii=False))
    out.write("\n]\n" if number else "[]\n")
    return number


def private(path: Path) -> IO[str]:
    """A file that nobody else may read, as it holds people's addresses, written anew. Raises UsageError."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if stat.S_ISREG(os.fstat(number).st_mode):  # one that was there before may be open to all; /dev/stdout stays
            os.fchmod(number, 0o600)
        return os.fdopen(number, "w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


class Errors:
    """The rows that were refused, in a file of their own that comes into being with the first of them."""

    COLUMNS = ("line", "address", "reason", "table")

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        self._file: IO[str] | None = None
        if size and path.exists() and path.stat().st_size >= size:
            self._file = path.open("r+", encoding="utf-8", newline="")

    def write(self, size: int, rows: Iterable[tuple[int, str, str, str]]) -> int:
        """Put some rows behind the first `size` bytes, which stay; returns how many bytes there are now.

        What lay behind them is of a batch that was never finished. It survives the end of this process.
        """
        if self._file is not None and self._file.tell() != size:
            self._file.seek(size)
            self._file.truncate()
        for row in rows:
            if self._file is None:
                self._file = private(self.path)
            if self._file.tell() == 0:
                self._put(self.COLUMNS)
            self._put([str(row[0]), *(guarded(_one_line(cell)) for cell in row[1:])])
        if self._file is None:
            return 0
        self._file.flush()
        return self._file.tell()

    def _put(self, cells: Sequence[str]) -> None:
        assert self._file is not None
        csv.writer(self._file, lineterminator="\n").writerow(cells)

    def close(self) -> None:
        """Done."""
        if self._file is not None:
            self._file.close()


def _one_line(text: str) -> str:
    return " ".join(text.replace("\x00", " ").encode("utf-8", "replace").decode().split(" "))[:320]
