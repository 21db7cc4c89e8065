"""FLOW, importing's part: which lists a file has, and whether it is clear which of them is meant."""

from __future__ import annotations

from collections.abc import Iterable

from digest.domain.cells import name_in
from digest.domain.peers import normal
from digest.errors import UsageError

_SHOWN = 20
_APART = 10_000  # names that are counted; more are no lists


class Lists:
    """The lists of a file with the rows of each, by the names as they are compared."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._rows: dict[str, int] = {}

    def count(self, names: Iterable[str]) -> None:
        """The list of each row; empty where a row is of none."""
        for name in names:
            key = normal(name)
            if key and (key in self._names or len(self._names) < _APART):
                self._names.setdefault(key, name_in(name)[:80])
                self._rows[key] = self._rows.get(key, 0) + 1

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return normal(name) in self._names

    def __str__(self) -> str:
        most = sorted(self._rows, key=lambda key: -self._rows[key])
        shown = [f"{self._names[key]} {self._rows[key]:,}" for key in most[:_SHOWN]]
        return ", ".join(shown) + (", ..." if len(most) > _SHOWN else "")


def several(lists: Lists) -> str:
    """Why a file is not brought in whole: who is on one of its lists has not agreed to another."""
    return f"this file has {len(lists)} lists: {lists}. Say which one to bring in: --list NAME"


def expect(lists: Lists, only_list: str) -> None:
    """Raises UsageError when there is no such list in the file."""
    if only_list not in lists:
        raise UsageError(f"--list {only_list!r}: there is no such list; there are: {lists or 'none'}")
