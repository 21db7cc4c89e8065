"""Rows out of text that calls itself CSV. Whatever is in it, every line is either part of a row or named as broken.

A quote that is never closed would swallow the rest of the file; here it costs its own line and nothing else.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MAX_RECORD = 65_536  # characters of one row, its line ends included
MAX_LINES = 200  # lines of one row: notes may hold some
DELIMITERS = ",;\t|"


class Row(NamedTuple):
    """One row: the line it begins on, its cells, and, when it cannot be read, why."""

    line: int
    cells: list[str]
    problem: str = ""


class Rows:
    """The rows of one text. `read(limit)` gives its next line with its end, or at most `limit` characters of it.

    `width` is how many columns there are, `place` the one with addresses; both help to tell a row that spans lines
    from a quote that is not closed. With `escapes` a quote within quotes has a backslash before it.
    """

    def __init__(self, read: Callable[[int], str], delimiter: str, *, escapes: bool = False) -> None:
        self._read = read
        self._waiting: deque[str] = deque()
        self._delimiter = delimiter
        self._escapes = escapes
        self._line = 0  # the last one taken
        self.width = 0
        self.place = 0

    def first(self) -> list[str]:
        """The first row that is not empty; an empty list when there is none."""
        for row in self:
            return row.cells
        return []

    def put_back(self, line: str) -> None:
        """A line that was looked at to learn the delimiter."""
        self._waiting.appendleft(line)

    def again(self, escapes: bool) -> None:
        """How quotes are written, once the header has told."""
        self._escapes = escapes

    def __iter__(self) -> Iterator[Row]:
        delimiter = self._delimiter
        while line := self._next():
            number = self._line
            if len(line) > MAX_RECORD:
                yield Row(number, [], f"the line is longer than {MAX_RECORD:,} characters")
            elif '"' not in line:
                text = line.rstrip("\n")
                first = text[:1]
                if first and ((first != delimiter and not first.isspace()) or text.replace(delimiter, " ").strip()):
                    yield self._fitting(number, text.split(delimiter))
            else:
                yield from (row for row in self._quoted(number, line) if row.problem or any(map(str.strip, row.cells)))

    def _next(self) -> str:
        if self._waiting:
            self._line += 1
            return self._waiting.popleft()
        line = self._read(MAX_RECORD + 1)
        if line:
            self._line += 1
        if len(line) > MAX_RECORD:
            rest = line
            while rest and not rest.endswith("\n"):
                rest = self._read(MAX_RECORD)
        return line

    def _quoted(self, number: int, line: str) -> Iterator[Row]:
        lines, quotes = [line], self._quotes(line)
        while quotes % 2 and len(lines) < MAX_LINES and sum(map(len, lines)) < MAX_RECORD:
            following = self._next()
            if not following:
                break
            lines.append(following)
            quotes += self._quotes(following)
        if len(lines) == 1:
            yield self._alone(number, line, is_open=bool(quotes % 2))
        elif quotes % 2 == 0 and (rows := self._together(number, lines)):
            yield from rows
        else:  # the rest is read again, each line for itself
            self._line -= len(lines) - 1
            self._waiting.extendleft(reversed(lines[1:]))
            yield self._alone(number, line, is_open=True)

    def _quotes(self, line: str) -> int:
        return line.count('"') - (line.count('\\"') if self._escapes else 0)

    def _alone(self, number: int, line: str, *, is_open: bool) -> Row:
        cells: list[str] = next(iter(self._parsed([line])), [])
        cells = [cell.rstrip("\n") if is_open else cell for cell in cells]
        if is_open and self.width and len(cells) != self.width:
            return Row(number, cells, "a quote is opened here and not closed")
        return self._fitting(number, cells)

    def _together(self, number: int, lines: list[str]) -> list[Row]:
        """The rows that several lines make; none when they rather are lines with a stray quote among them."""
        reader = self._parsed(lines)
        rows: list[Row] = []
        taken = 0
        for cells in reader:
            rows.append(self._fitting(number + taken, cells))
            taken = reader.line_num
        if len(rows) == 1 and self.width:
            one = rows[0]
            if one.problem or "\n" in one.cells[self.place] or any(self._is_row(line) for line in lines[1:]):
                return []
        return rows

    def _is_row(self, line: str) -> bool:
        cells: list[str] = next(iter(self._parsed([line])), [])
        return len(cells) == self.width and self.width > 1 and "@" in cells[self.place]

    def _parsed(self, lines: list[str]) -> Any:
        escape = "\\" if self._escapes else None
        return csv.reader(lines, delimiter=self._delimiter, escapechar=escape, doublequote=True)

    def _fitting(self, number: int, cells: list[str]) -> Row:
        missing = self.width - len(cells)
        if missing > 0:
            return Row(number, cells + [""] * missing)
        if missing < 0 and self.width and any(cell.strip() for cell in cells[self.width :]):
            return Row(number, cells, f"there are {len(cells)} cells where the header has {self.width}")
        return Row(number, cells)


def delimiter_of(header: str) -> str:
    """What the cells of a header are apart by; Excel may say so itself (sep=;)."""
    if header.lower().startswith("sep=") and len(header.strip()) == 5:
        return header[4]
    outside = "".join(part for place, part in enumerate(header.split('"')) if place % 2 == 0)
    return max(DELIMITERS, key=outside.count)
