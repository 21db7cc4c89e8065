"""FLOW, importing's part: what a file of readers says, row by row, and the report of what came of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from digest.domain.addresses import Address
from digest.domain.arrivals import Arrival, Outcome
from digest.domain.cells import name_in
from digest.domain.imports import Reading, Refused
from digest.domain.masking import masked
from digest.domain.peers import OURS, Shape, is_escaping, normal, shape_of
from digest.domain.plans import Plan, list_of_addresses, recognise
from digest.domain.subscribers import ConfirmationLimits
from digest.errors import InvalidAddress, UsageError
from digest.subscribing.listing import Lists, expect, several
from digest.tables.files import Table, is_packed, tables_of
from digest.tables.rows import Row

_EXAMPLES = 5
_REFUSED = 20
_REASONS = 50  # that are counted apart


@dataclass(frozen=True, slots=True)
class Request:
    """A file to bring in, and how. `newsletter` may be empty for our own exports, which name it themselves."""

    path: Path
    newsletter: str
    newsletters: Mapping[str, str]  # all there are, each with its language
    languages: frozenset[str]
    admit: Callable[[Address], Address]  # the gate; raises InvalidAddress
    parse: Callable[[str], Address]
    consent: str = ""
    given: Mapping[str, str] = field(default_factory=dict)  # field -> column
    ignored: tuple[str, ...] = ()  # columns that are not looked at
    only_list: str = ""
    encoding: str = ""
    asks: bool = False
    dry_run: bool = False
    again: bool = False
    errors: Path | None = None
    limits: ConfirmationLimits = field(default_factory=ConfirmationLimits)

    def as_plan(self) -> dict[str, Any]:
        """What must be the same for an import to go on where it was cut off."""
        ignored = {"ignored": list(self.ignored)} if self.ignored else {}
        return ignored | {
            "map": dict(self.given),
            "list": self.only_list,
            "asks": self.asks,
            "encoding": self.encoding,
            "consent": self.consent,
        }


class Said(NamedTuple):
    """One row and what it says: somebody arrives, or why nobody does."""

    line: int
    shown: str  # the cell with the address, as it stands there
    table: str
    arrival: Arrival | None
    why: str = ""


@dataclass(slots=True)
class Report:
    """What came of a file, or would come. The numbers of `counts` add up to `rows`."""

    file: str
    rows: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {each.value: 0 for each in Outcome})
    why: dict[str, int] = field(default_factory=dict)  # of those refused
    warnings: dict[str, int] = field(default_factory=dict)
    shape: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> its shape, columns, and those not used
    notes: list[str] = field(default_factory=list)
    examples: list[list[str]] = field(default_factory=list)  # [address, outcome]
    first_refused: list[list[Any]] = field(default_factory=list)  # [line, address, why, table]
    errors: str = ""  # the file with all that were refused
    refused: list[tuple[int, str, str, str]] = field(default_factory=list)  # of the batch at hand
    resumed_at: int = 0
    finished_before: datetime | None = None

    def count(self, said: Said, outcome: Outcome, why: str = "") -> None:
        """One row more."""
        self.counts[outcome.value] += 1
        self.rows += 1
        if outcome is Outcome.REFUSED:
            why = name_in(why)
            self.refused.append((said.line, said.shown, why, said.table))
            self.point_out(said, why)
            key = why if why in self.why or len(self.why) < _REASONS else "other reasons"
            self.why[key] = self.why.get(key, 0) + 1
        elif len(self.examples) < _EXAMPLES:
            self.examples.append([said.shown, outcome.value])

    def point_out(self, said: Said, why: str) -> None:
        """Keep the first few of those refused."""
        if len(self.first_refused) < _REFUSED:
            self.first_refused.append([said.line, said.shown[:320], why, said.table])

    def copy(self) -> Report:
        """One to count a batch in, which may have to be done again."""
        copied = {name: type(value)(value) for name in _COUNTED if (value := getattr(self, name)) is not None}
        return replace(self, refused=[], **copied)

    def take(self, other: Report) -> None:
        """Be as the other one, which was the copy."""
        self.rows, self.errors, self.refused = other.rows, other.errors, []
        for name in _COUNTED:
            setattr(self, name, getattr(other, name))

    def kept(self) -> dict[str, Any]:
        """What is stored with the import: numbers, and nobody's address.

        A reason may quote a cell, and where columns were mixed up that is an address or a name: no erasure looks here.
        """
        why: Counter[str] = Counter()
        for words, number in self.why.items():
            why[masked(_QUOTED.sub("'...'", words))] += number
        return {name: getattr(self, name) for name in _KEPT} | {"why": dict(why)}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Take what was stored."""
        for name in _KEPT:
            if name in kept:
                setattr(self, name, {**self.counts, **kept[name]} if name == "counts" else kept[name])


_QUOTED = re.compile(r"'.*'|\".*\"")  # as repr() writes it
_COUNTED = ("counts", "why", "examples", "first_refused")
_KEPT = ("rows", "counts", "why", "warnings", "shape", "columns", "tables", "notes", "errors")


class Reader:
    """The rows of a file, each with what it says."""

    def __init__(self, request: Request, report: Report, now: datetime) -> None:
        self._request, self._report, self._now = request, report, now
        self._table: Table | None = None
        self._company = _company(request)
        self._names = set[str]()

    def tell(self) -> int:
        """Bytes that were read."""
        return self._table.tell() if self._table else 0

    def __iter__(self) -> Iterator[Said]:
        for table in tables_of(self._request.path, self._request.encoding):
            reading, has_header = self._plan(table)
            place = reading.plan.columns["email"]
            self._table = table
            if not has_header:
                yield _said(reading, Row(1, table.header), place, table.name)
            for row in table:
                yield _said(reading, row, place, table.name)
        if self._table is None:
            raise UsageError(f"{self._request.path} is empty")

    def look_at_lists(self) -> None:
        """See that it is clear which list is meant: who is on one has not agreed to another. Raises UsageError.

        A dry run goes on with a note where several are left open.
        """
        request, lists = self._request, Lists()
        for table in tables_of(request.path, request.encoding):
            reading, _ = self._plan(table)
            if "list" in reading.plan.columns:
                lists.count(reading.list_of(row.cells) for row in table if not row.problem)
            elif request.only_list:
                raise UsageError(f"{table.name}: this file has no column of lists; say --map list=COLUMN")
        if unknown := [name for name in request.ignored if normal(name) not in self._names]:
            raise UsageError(f"--ignore {unknown[0]}: there is no such column")
        if request.only_list:
            expect(lists, request.only_list)
        elif len(lists) > 1:
            if not request.dry_run:
                raise UsageError(f"{request.path.name}: {several(lists)}")
            self._report.notes.append(several(lists))

    def _plan(self, table: Table) -> tuple[Reading, bool]:
        request, report = self._request, self._report
        headless = None if request.given else list_of_addresses(table.header)
        plan = headless or _recognised(table, request, self._company)
        self._names.update(map(normal, table.header))
        if not request.newsletter and plan.shape != OURS:
            raise UsageError(f"which newsletter? Give --newsletter with one of: {', '.join(request.newsletters)}")
        table.expect(plan.columns["email"], escapes=is_escaping(plan.shape))
        report.shape = plan.shape
        report.columns = plan.shown(table.header) if headless is None else {}
        meant = {"shape": plan.shape, "columns": report.columns, "unused": list(plan.unused)}
        report.tables[table.name] = meant
        report.notes += [note for note in plan.notes if note not in report.notes]
        reading = Reading(
            plan=plan,
            newsletter=request.newsletter,
            newsletters=request.newsletters,
            languages=request.languages,
            now=self._now,
            parse=request.parse,
            admit=request.admit,
            asks=request.asks,
            only_list=request.only_list,
            seen=report.warnings,
        )
        return reading, headless is None


def _company(request: Request) -> Shape | None:
    """Whose tables lie in a ZIP, where the names of its files say something: Mailchimp's."""
    if not is_packed(request.path):
        return None
    tables = tables_of(request.path, request.encoding)
    shapes = (shape_of(frozenset(map(normal, table.header))) for table in tables)
    return next((shape for shape in shapes if shape.by_file), None)


def _recognised(table: Table, request: Request, company: Shape | None) -> Plan:
    try:
        return recognise(table.header, table.name, request.given, request.ignored, company)
    except UsageError as error:
        raise UsageError(f"{table.name}: {error}") from None


def _said(reading: Reading, row: Row, place: int, table: str) -> Said:
    line, cells, problem = row
    if not problem:
        try:
            arrival = reading.read(line, cells)
        except Refused as refused:
            problem = str(refused)
        except InvalidAddress as error:
            problem = error.reason
        else:
            return Said(line, arrival.typed, table, arrival)
    return Said(line, cells[place] if place < len(cells) else "", table, None, problem)
