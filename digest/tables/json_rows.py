"""Rows out of JSON: a list of objects with one on each line, as we write it, or any small document with such a list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from digest.domain.cells import guarded
from digest.errors import UsageError
from digest.tables.rows import Row

MAX_DOCUMENT = 64 << 20  # characters of a document that is not one object a line
MAX_NAMES = 2_000  # of objects in one text
_LINE = 1 << 20  # characters of a line
_LISTS = ("results", "subscribers", "members", "data")


class Objects:
    """The objects of a text as rows. `header` is the names all of them have, as `names_in` found them.

    `name` is the file's. A line that is no object costs itself only. Raises UsageError.
    """

    def __init__(self, read: Callable[[int], str], name: str, header: list[str]) -> None:
        self._found = _objects(read, name)
        self.header = header
        self.width = 0
        self.place = 0

    def __iter__(self) -> Iterator[Row]:
        header = self.header
        empty = [""] * len(header)
        for line, one in self._found:
            if one is None:
                yield Row(line, empty, "this line is no JSON object")
            else:
                yield Row(line, [_cell(one.get(name)) for name in header])


def names_in(read: Callable[[int], str], name: str) -> list[str]:
    """The names that any object of a text has, in the order they come: one that the first lacks may say who left."""
    names: dict[str, None] = {}
    for _, one in _objects(read, name):
        if one and not one.keys() <= names.keys():
            names.update(dict.fromkeys(one))
            if len(names) > MAX_NAMES:
                break  # whoever reads them refuses so many
    return list(names)


def _objects(read: Callable[[int], str], name: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """(line, object): one on each line, or all of a document; None for a line among others that is none."""
    begun: list[str] = []
    size, number, is_by_line = 0, 0, False
    while line := read(_LINE):
        number += 1
        bare = line.strip().rstrip(",")
        if not begun and (not bare or bare in ("[", "]")):
            continue
        if is_by_line or not begun:
            one = _object(bare)
            if one is not None or is_by_line:
                is_by_line = True
                yield number, one
                _to_its_end(line, read)
                continue
        begun.append(line)
        size += len(line)
        if size > MAX_DOCUMENT:
            raise UsageError(f"{name}: this JSON is too large to be read whole; write one object on each line")
    if begun:
        yield from _of_document(begun, number - len(begun), name)


def _to_its_end(line: str, read: Callable[[int], str]) -> None:
    """Pass over what is left of a line that was too long to be read at once."""
    while len(line) == _LINE and not line.endswith("\n"):
        line = read(_LINE)


def _object(text: str) -> dict[str, Any] | None:
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        one = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_whole = isinstance(one, dict) and not any(isinstance(one.get(name), list) for name in _LISTS)
    return one if is_whole else None


def _of_document(lines: list[str], before: int, name: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    text = "".join(lines).strip()
    is_whole = text[:1] + text[-1:] in ("[]", "{}")
    try:
        found = json.loads(text if is_whole else f"[{text.rstrip(']')}]")  # its [ was passed over
    except (ValueError, RecursionError):
        yield from _line_by_line(lines, before, name)
        return
    while isinstance(found, dict):
        inner = [found[name] for name in _LISTS if isinstance(found.get(name), list | dict)]
        found = inner[0] if inner else [found]
    for number, one in enumerate(found, start=1):
        yield number, one if isinstance(one, dict) else None


def _line_by_line(lines: list[str], before: int, name: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """What is no document may be lines that begin with a bad one."""
    bare = [line.strip().rstrip(",") for line in lines]
    read = [(number, _object(text)) for number, text in enumerate(bare, start=before + 1) if text not in ("", "[", "]")]
    if sum(one is not None for _, one in read) * 2 < len(read):
        raise UsageError(f"{name}: this is no JSON: neither one document, nor one object on each line")
    yield from read


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    # As a cell of a CSV would be: what reads it takes the apostrophe off again.
    return guarded(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
