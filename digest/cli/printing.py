"""How commands speak: calm tables for people, plain JSON for scripts, one line for an error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from typing import IO, Any
from zoneinfo import ZoneInfo

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
# Control characters but tab and line feed; and those that turn the direction of writing, and so what a line says.
_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_AROUND, _BETWEEN, _LEAST = (
    2,
    3,
    8,
)  # characters a table has at its sides and between columns; the least of one that is cut
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str = "", style: str = "") -> None:
    """A line for a person. `text` is never markup: titles come from outside."""
    console.print(Text(tame(text), style=style))


def fail(text: str) -> None:
    """A line about what went wrong, to standard error."""
    _errors.print(Text(tame(text), style="red"))


def tame(text: str) -> str:
    """The text without what would steer the terminal it is shown on: names and servers' words come from anybody."""
    return _STEERS.sub("\ufffd", text)


def print_json(value: Any) -> None:
    """The same for scripts. Times are ISO 8601 in UTC."""
    print(_json(value, indent=2))


def print_json_list(values: Iterable[Any], stream: IO[str] | None = None) -> None:
    """A list for scripts, written as it is read: it may be long. Into `stream`, or printed."""
    between = "[\n  "
    for value in values:
        print(between + _json(value), end="", file=stream)
        between = ",\n  "
    print("[]" if between.startswith("[") else "\n]", file=stream)


def _json(value: Any, indent: int | None = None) -> str:
    """JSON people can read, with all that steers a terminal written as \\u009b and the like."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=plain)
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = (), cut: Sequence[str] = ()
) -> None:
    """A table without noise. Columns named in `right` hold numbers; those in `cut` give way so that no line wraps."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    shown = [[tame(_shown(value)) for value in row] for row in rows]
    if cut:
        shown = fitted(columns, shown, cut, console.width - _AROUND)
    for row in shown:
        made.add_row(*map(Text, row))
    console.print(made)


def fitted(columns: Sequence[str], rows: list[list[str]], cut: Sequence[str], width: int) -> list[list[str]]:
    """The rows with the longest cells of the columns named in `cut` shortened, so that all are `width` cells wide."""
    widths = [max(map(cell_len, [name, *(row[at] for row in rows)])) for at, name in enumerate(columns)]
    giving = [at for at, name in enumerate(columns) if name in cut]
    while sum(widths) + _BETWEEN * (len(columns) - 1) > width and max(widths[at] for at in giving) > _LEAST:
        widths[max(giving, key=lambda at: widths[at])] -= 1
    return [[_shortened(cell, widths[at]) if at in giving else cell for at, cell in enumerate(row)] for row in rows]


def _shortened(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def local(moment: datetime | None, zone: ZoneInfo) -> str:
    """A time as people at the desk read it."""
    return f"{moment.astimezone(zone):%a %d %b %Y %H:%M}" if moment else "never"


def many(number: int, one: str, several: str = "") -> str:
    """A number with its word: 1 reader, 1,200 readers."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def span(length: timedelta) -> str:
    """A length of time as people say it, in its two largest units: 5 minutes, 1 hour 30 minutes."""
    left, parts = round(length.total_seconds()), []
    for seconds, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        number, left = divmod(left, seconds)
        if number:
            parts.append(many(number, unit))
    return " ".join(parts[:2]) or "0 seconds"


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def plain(value: Any) -> Any:
    """What JSON has no word for, in its plainest form."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
