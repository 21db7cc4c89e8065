"""Whose export a table is, and which of its columns means what.

The peers' columns and words are those of their own exporters: MailPoet, Mailchimp, listmonk, Ghost, Substack,
Buttondown. Any other table will do that has a column with addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from digest.domain import peers, speaking
from digest.domain.addresses import Address
from digest.domain.arrivals import STRICTNESS, Standing
from digest.domain.cells import name_in, plain
from digest.domain.peers import Shape
from digest.errors import InvalidAddress, UsageError

MAX_COLUMNS = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """Whose export it is and where each field stands; kept with the import, so that it goes on the same way."""

    shape: str
    columns: Mapping[str, int]  # field -> place in the row
    states: tuple[tuple[int, str], ...]  # (place, which words it speaks)
    default: Standing = Standing.CONFIRMED
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of the columns, as they stand there
    unused: tuple[str, ...] = ()  # those nothing is taken from

    def shown(self, header: Sequence[str]) -> dict[str, str]:
        """field -> the column's own name."""
        named = [name_in(name) for name in header]
        shown = {name: named[place] for name, place in self.columns.items() if place < len(named)}
        for place, words in self.states:
            said = words if words in speaking.ONCE_SET else f"status ({words})"
            shown[said if said not in shown else f"{said}, {named[place]}"] = named[place]
        return shown

    def as_json(self) -> dict[str, object]:
        """For the record of the import."""
        states = [list(each) for each in self.states]
        return {"shape": self.shape, "columns": dict(self.columns), "states": states, "default": self.default.value}


def recognise(
    header: Sequence[str],
    file_name: str = "",
    given: Mapping[str, str] | None = None,
    ignored: Sequence[str] = (),
    company: Shape | None = None,
) -> Plan:
    """What the columns mean. `given` says it for some: field -> column name; `ignored` are not looked at.

    `company` is whose other tables lie in the same ZIP: the file's name counts for all of them. Raises UsageError.
    """
    if len(header) > MAX_COLUMNS:
        raise UsageError(f"it has {len(header):,} columns; that is no list of readers")
    names = [peers.normal(name) for name in header]
    shape = peers.shape_of(frozenset(names))
    said, unheard = _given(header, names, given or {}), {peers.normal(name) for name in ignored}
    states = speaking.columns_of(names, shape, said, unheard)
    columns = {name: place for name, place in _columns(names, shape).items() if names[place] not in unheard} | said
    columns = {name: place for name, place in columns.items() if name != "status" and name not in speaking.FIELDS}
    if "email" not in columns:
        raise UsageError(_no_addresses(header))
    used = {*columns.values(), *(place for place, _ in states)}
    if shape is peers.OTHER:  # where a peer says who wants mail, we know; its other columns are the publisher's own
        speaking.expect_clear(names, header, used, unheard)
    if "list" in columns and shape.title != peers.OURS:  # a row for each list: its status is of that list
        states = [(place, "status on the list" if words == "status" else words) for place, words in states]
    shown = tuple(name_in(name)[:80] for name in header)
    unused = tuple(name for place, name in enumerate(shown) if place not in used and name)
    default = max((each.default_of(file_name) for each in (shape, company) if each), key=lambda one: STRICTNESS[one])
    return Plan(shape.title, columns, tuple(states), default, shape.notes, shown, unused)


def _no_addresses(header: Sequence[str]) -> str:
    if not _is_text(header):
        return f"this is no list of readers; it begins with {_shown(header)}, where a CSV has its columns"
    what = f"there is no column with addresses; its columns are: {_shown(header)}"
    return f"this is no list of readers as it stands: {what}. Say --map email=COLUMN"


def _is_text(header: Sequence[str]) -> bool:
    """Whether these are names of columns, and not bytes of something else."""
    return all(name.replace("\n", " ").replace("\t", " ").isprintable() and "\ufffd" not in name for name in header)


def _shown(header: Sequence[str]) -> str:
    """The columns' names; of what is no text the few letters a person can read."""
    if _is_text(header):
        return ", ".join(repr(name.strip()[:40]) for name in header[:20]) or "none"
    letters = "".join(letter for letter in "".join(header)[:200] if letter.isascii() and letter.isprintable())
    return repr(letters.strip()[:12])


def list_of_addresses(first: Sequence[str]) -> Plan | None:
    """The plan of a table without a header, whose first row holds an address already."""
    for place, cell in enumerate(first):
        if "@" in cell and _is_address(plain(cell).strip()):
            names = {"name": place + 1} if len(first) == place + 2 else {}
            unused = tuple(
                f"column {number}"
                for number in range(1, len(first) + 1)
                if number - 1 not in (place, names.get("name"))
            )
            return Plan("addresses without a header", {"email": place, **names}, (), unused=unused)
    return None


def _is_address(text: str) -> bool:
    try:
        Address.parse(text)
    except InvalidAddress:
        return False
    return True


def _columns(names: Sequence[str], shape: Shape) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        known = shape.columns.get(name) or peers.COLUMNS.get(name)
        if known:
            found.setdefault(known, place)
    return found


def _given(header: Sequence[str], names: Sequence[str], given: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for wanted, column in given.items():
        if wanted not in (fields := (*peers.FIELDS, *speaking.FIELDS)):
            raise UsageError(f"--map {wanted}=...: there is no such field; there are: {', '.join(fields)}")
        if peers.normal(column) not in names:
            raise UsageError(f"--map {wanted}={column}: there is no such column; there are: {_shown(header)}")
        found[wanted] = names.index(peers.normal(column))
    return found
