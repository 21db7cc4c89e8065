"""Rows out of JSON: a list of objects with one on each line, as we write it, or any small document with such a list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from digest.domain.cells import guarded
from digest.errors import UsageError
from digest.tables.rows import Row

MAX_DOCUMENT = 64 << 20  # characters of a document that is not one object a line
_LINE = 1 << 20
_LISTS = ("results", "subscribers", "members", "data")


class Objects:
    """The objects of a text as rows; the first one's names are the header. `name` is the file's. Raises UsageError."""

    def __init__(self, read: Callable[[int], str], name: str) -> None:
        self._read = read
        self._name = name
        self._line = 0
        self.width = 0
        self.place = 0
        self._found = self._objects()
        self._first = next(self._found, None)
        self.header = list(self._first[1]) if self._first else []

    def __iter__(self) -> Iterator[Row]:
        if self._first is None:
            return
        first, self._first = self._first, None
        yield self._row(*first)
        for line, one in self._found:
            yield self._row(line, one)

    def _row(self, line: int, one: dict[str, Any] | None) -> Row:
        if one is None:
            return Row(line, [""] * len(self.header), "this line is no JSON object")
        return Row(line, [_cell(one.get(name)) for name in self.header])

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        begun = ""
        while line := self._read(_LINE):
            self._line += 1
            bare = line.strip().rstrip(",")
            if not bare or (bare in ("[", "]") and not begun):
                continue
            if not begun and (one := _object(bare)) is not None:
                yield self._line, one
                continue
            begun += line
            if len(begun) > MAX_DOCUMENT:
                raise UsageError(
                    f"{self._name}: this JSON is too large to be read whole; write one object on each line"
                )
        if begun:
            yield from _of_document(begun, self._name)


def _object(text: str) -> dict[str, Any] | None:
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        one = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_whole = isinstance(one, dict) and not any(isinstance(one.get(name), list) for name in _LISTS)
    return one if is_whole else None


def _of_document(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    text = text.strip()
    try:
        found = json.loads(text if text[:1] in "[{" and text[-1:] in "]}" else f"[{text.rstrip(']')}]")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: this is no JSON: {error}") from None
    while isinstance(found, dict):
        inner = [found[name] for name in _LISTS if isinstance(found.get(name), list | dict)]
        found = inner[0] if inner else [found]
    for number, one in enumerate(found, start=1):
        if isinstance(one, dict):
            yield number, one


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    # As a cell of a CSV would be: what reads it takes the apostrophe off again.
    return guarded(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
