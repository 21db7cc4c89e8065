"""Bringing in a list of a million readers, beside the bare load of the same rows into the same two tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.databases import Databases
from bench.errors import BenchBroken
from bench.figures import AT_MOST, Findings, per_round
from bench.processes import Watched, tail
from bench.stage import Stage
from digest.store import Store, imports
from digest.store.migrate import migrate

TARGET = 6.0
GROWTH = 1.2  # memory, the longest list beside one of a tenth
_PATIENCE = 3600.0
_COPY = "COPY {table} ({names}) FROM STDIN"
_SUBSCRIBERS = ("id", "address", "address_key", "variant_key", "name", "created_at")
_SUBSCRIPTIONS = ("id", "subscriber_id", "newsletter", "state", "language", "requested_at", "confirmed_at")


@dataclass(frozen=True, slots=True)
class Brought:
    """One list, in by us and in by the database alone."""

    ours: float  # seconds of `digest subscribers import`, its start included
    cpu: float  # seconds of that process; PostgreSQL's are not in it
    peak: int  # bytes
    bare: float  # seconds of the load alone, its commit included


def run(stage: Stage) -> Findings:
    """Ours and the bare load in turns, both databases; then the memory by the length of the list."""
    options = stage.options
    sizes = (2_000, 5_000, 20_000) if options.quick else (10_000, 100_000, 1_000_000)
    findings = Findings(settings={"rows": sizes[-1], "rounds": options.rounds})
    kinds = (stage.sqlite, stage.postgresql)
    found: dict[str, list[Brought]] = {kind.name: [] for kind in kinds}
    for number in range(1, options.rounds + 1):
        for kind in kinds:
            brought = _measure(stage, kind, sizes[-1])
            found[kind.name].append(brought)
            findings.keep(number, kind.name, brought)
            stage.say(f"round {number}: {kind.name}: ours {brought.ours:.1f} s, the bare load {brought.bare:.1f} s")
    for name, rows in found.items():
        ours, bare = [each.ours for each in rows], [each.bare for each in rows]
        findings.add("Importing / the bare load of the same rows", name, "x", per_round(ours, bare), AT_MOST, TARGET)
        findings.add("Rows a second", f"{name}, ours", "/s", [sizes[-1] / each for each in ours])
        findings.add("Rows a second", f"{name}, bare", "/s", [sizes[-1] / each for each in bare])
        findings.add("CPU of the importing process", name, "s", [each.cpu for each in rows])
    for kind in kinds:
        peaks = [_measure(stage, kind, size, bare=False).peak for size in sizes[:-1]]
        peaks.append(found[kind.name][0].peak)
        for size, peak in zip(sizes, peaks, strict=True):
            findings.add("Peak memory of an import", f"{kind.name}, {size:,} rows", "MB", [peak / 2**20])
        growth = [peaks[-1] / peaks[-2]]  # the shortest does not fill SQLite's cache of pages, which is 64 MB
        findings.add("Memory, the longest list / one of a tenth", kind.name, "x", growth, AT_MOST, GROWTH)
    return findings


def _measure(stage: Stage, kind: Databases, rows: int, *, bare: bool = True) -> Brought:
    path = _list(stage.folder, rows)
    url = _empty(kind)
    wall, cpu, peak = _ours(stage, url, path, rows)
    kind.drop(url)
    took = 0.0
    if bare:
        url = _empty(kind)
        took = _bare(url, rows)
        kind.drop(url)
    return Brought(wall, cpu, peak, took)


def _empty(kind: Databases) -> str:
    url = kind.new()
    store = Store(url)
    migrate(store)
    store.close()
    return url


def _list(folder: Path, rows: int) -> Path:
    path = folder / f"readers-{rows}.csv"
    if not path.exists():
        with path.open("w") as file:
            file.write("email,name,confirmed_at\n")
            for number in range(rows):
                file.write(
                    f"{_local(number)}@{_domain(number)},Reader {number},2024-03-{1 + number % 28:02} 10:00:00\n"
                )
    return path


def _local(number: int) -> str:
    return f"{number * 2_654_435_761 % 2**32:08x}.reader{number}"  # in no order, as people are


def _domain(number: int) -> str:
    return ("example.com", "mail.example.org", "example.net", "poczta.example.com")[number % 4]


def _ours(stage: Stage, url: str, path: Path, rows: int) -> tuple[float, float, int]:
    words = ("subscribers", "import", path, "--newsletter", "weekly", "--consent-from", "the bench", "--json")
    command: list[str | Path] = [sys.executable, "-m", "digest", "--config", stage.config, *words]
    with stage.said.open("wb") as out:
        process = Watched(command, stage.log, env={"DIGEST_DATABASE__URL": url}, out=out)
        deadline = time.monotonic() + _PATIENCE
        while not process.ended():
            process.look()
            if time.monotonic() > deadline:
                process.stop()
                raise BenchBroken("an import did not end")
            time.sleep(0.02)
    if process.code or f'"added": {rows},' not in stage.said.read_text():
        raise BenchBroken(f"the import ended with {process.code}: {tail(stage.log)}")
    return process.wall, process.cpu, max(process.peaks.values())


def _bare(url: str, rows: int) -> float:
    """The rows are made beforehand; nothing is parsed, looked up, hashed or recorded."""
    store = Store(url)
    at = "2024-03-01 10:00:00.000000"
    readers = [_reader(number, at) for number in range(1, rows + 1)]
    placed = [(number, number, "weekly", "confirmed", "en", at, at) for number in range(1, rows + 1)]
    tables = (("subscribers", _SUBSCRIBERS, readers), ("subscriptions", _SUBSCRIPTIONS, placed))
    texts = ["".join(_lines(each)) for _, _, each in tables] if not store.is_sqlite else []
    began = time.perf_counter()
    with store.begin() as tx:
        imports.tune(tx)  # the same cache
        driver: Any = tx.connection.driver_connection
        for place, (table, columns, values) in enumerate(tables):
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            if store.is_sqlite:
                driver.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
            else:
                with driver.cursor().copy(_COPY.format(table=table, names=names)) as copy:
                    copy.write(texts[place])
    took = time.perf_counter() - began
    store.close()
    return took


def _reader(number: int, at: str) -> tuple[Any, ...]:
    address = f"{_local(number)}@{_domain(number)}"
    return (number, address, address, address, f"Reader {number}", at)


def _lines(rows: list[tuple[Any, ...]]) -> Iterator[str]:
    for row in rows:
        yield "\t".join(map(str, row)) + "\n"
