"""Rows out of the bytes of a file, CSV, JSON or NDJSON by its name, each with the place where it stands."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from digest.errors import SourceError

Row = tuple[str, dict[str, Any]]  # where it stands, and its values by lower-case column


@dataclass(frozen=True, slots=True)
class Table:
    """What a file holds: its `name` (also the key of its list in JSON) and the columns each row must have."""

    name: str
    columns: tuple[str, ...]

    def rows(self, source: str, place: str, content: bytes, max_bytes: int) -> Iterator[Row]:
        """Every row. Raises SourceError on the first thing that is wrong, with its line or number."""
        name = (urlsplit(place).path if "://" in place else place).lower()
        if name.endswith(".gz"):
            content, name = _unpacked(source, place, content, max_bytes), name.removesuffix(".gz")
        text = _text(source, place, content)
        if name.endswith((".ndjson", ".jsonl")):
            yield from self._complete(source, _lines(source, place, text))
        elif name.endswith(".json"):
            yield from self._complete(source, self._items(source, place, text))
        elif name.endswith(".csv"):
            yield from self._csv(source, place, text)
        else:
            ways = "Name it .csv, .json or .ndjson, each perhaps with .gz"
            raise SourceError(source, place, "its name does not tell what kind of file it is", ways)

    def _csv(self, source: str, place: str, text: str) -> Iterator[Row]:
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        begins = 1  # the line a row begins on; a quoted value may run over several
        try:
            names = [name.strip().lower() for name in next(lines, [])]
            self._check_header(source, f"{place}, line 1", names)
            begins = lines.line_num + 1
            for values in lines:
                where = f"{place}, line {begins}"
                if values and len(values) != len(names):
                    reason = f"it has {len(values)} values, and the first line names {len(names)} columns"
                    raise SourceError(source, where, reason, "Put values that hold a comma in double quotes")
                if values:
                    yield where, dict(zip(names, values, strict=True))
                begins = lines.line_num + 1
        except csv.Error as error:
            quotes = "Double a quote within quotes, and close each"
            raise SourceError(source, f"{place}, line {begins}", f"it is not CSV: {error}", quotes) from None

    def _check_header(self, source: str, where: str, names: list[str]) -> None:
        wanted = f"Wanted are {', '.join(self.columns)}, in any order, separated by commas"
        found = ", ".join(names)[:200] or "nothing"
        if missing := [column for column in self.columns if column not in names]:
            raise SourceError(source, where, f"no column {', '.join(missing)}; found: {found}", wanted)
        if twice := sorted({name for name in names if name and names.count(name) > 1}):
            raise SourceError(source, where, f"two columns are called {twice[0]!r}", wanted)

    def _items(self, source: str, place: str, text: str) -> Iterator[Row]:
        value = _json(source, place, text)
        if isinstance(value, dict):
            value = value.get(self.name)
        if not isinstance(value, list):
            wanted = f'Write a list, or an object with a list: {{"{self.name}": [...]}}'
            raise SourceError(source, place, f"there is no list of {self.name} in it", wanted)
        for number, each in enumerate(value, start=1):
            yield f"{place}, item {number}", each

    def _complete(self, source: str, rows: Iterator[Row]) -> Iterator[Row]:
        for where, values in rows:
            if not isinstance(values, dict):
                raise SourceError(source, where, f"{str(values)[:60]!r} is no object", 'Write {"url": ..., ...}')
            named = {str(name).strip().lower(): value for name, value in values.items()}
            if missing := [column for column in self.columns if column not in named]:
                found = ", ".join(named)[:200] or "nothing"
                wanted = f"Wanted are {', '.join(self.columns)}"
                raise SourceError(source, where, f"no {', '.join(missing)}; found: {found}", wanted)
            yield where, named


def _lines(source: str, place: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{place}, line {number}", _json(source, f"{place}, line {number}", line)


def _json(source: str, place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = place if ", line" in place else f"{place}, line {error.lineno}"
        raise SourceError(source, where, f"it is not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists in lists
        raise SourceError(source, place, "it is not JSON that anybody would write") from None


def _text(source: str, place: str, content: bytes) -> str:
    """UTF-8, with or without a byte order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"it is not UTF-8 (byte {content[error.start]:#04x})"
        raise SourceError(source, f"{place}, line {line}", reason, "Save it as UTF-8") from None


def _unpacked(source: str, place: str, content: bytes, max_bytes: int) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as packed:
            unpacked = packed.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(source, place, f"it is not gzip, or cut short: {error}", "Pack it again") from None
    if len(unpacked) > max_bytes:
        reason = f"unpacked it is larger than {max_bytes:,} bytes"
        raise SourceError(source, place, reason, "Raise the source's max_bytes")
    return unpacked
