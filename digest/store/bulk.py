"""Many rows for a table as fast as the driver takes them: PostgreSQL gets them by COPY, SQLite in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection


def fill(tx: Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """New rows for a table, as fast as the driver takes them."""
    driver: Any = tx.connection.driver_connection
    if tx.dialect.name == "sqlite":
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        driver.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608
        return
    if content := "".join(map(_line, rows)):
        with driver.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            copy.write(content)


def _line(row: tuple[Any, ...]) -> str:
    """A row in COPY's text format."""
    line = "\t".join(["\x01" if cell is None else str(cell) for cell in row])
    if "\\" in line or line.count("\t") != len(row) - 1 or "\n" in line or "\r" in line:
        return "\t".join(["\\N" if cell is None else _escaped(str(cell)) for cell in row]) + "\n"
    return line.replace("\x01", "\\N") + "\n"


def _escaped(cell: str) -> str:
    cell = cell.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return cell.replace("\r", "\\r").replace("\x00", "")


def text(tx: Connection, moment: datetime | None) -> str | None:
    """A moment as the database's own column type keeps it."""
    return None if moment is None else _written(moment, tx.dialect.name == "sqlite")


@lru_cache(maxsize=4096)
def _written(moment: datetime, for_sqlite: bool) -> str:
    return moment.isoformat(" ", "microseconds")[:26] if for_sqlite else moment.isoformat()
