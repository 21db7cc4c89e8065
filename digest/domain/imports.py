"""A list of readers from elsewhere: whose export it is, which column means what, and what a row says.

The peers' columns and words are those of their own exporters: MailPoet, Mailchimp, listmonk, Ghost, Substack,
Buttondown. Any other table will do that has a column with addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from digest.domain import peers
from digest.domain.addresses import Address
from digest.domain.arrivals import STRICTNESS, Arrival, Standing
from digest.domain.cells import name_in, plain
from digest.domain.dates import UnclearDate, moment_in
from digest.domain.peers import Shape
from digest.domain.suppressions import SuppressionKind
from digest.errors import InvalidAddress, UsageError

MAX_COLUMNS = 1000
_DOMAINS = 10_000  # so many are remembered
_RHYTHMS = frozenset({"", "monthly"})


class Refused(Exception):
    """A row that is not taken, and why, for the operator."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Whose export it is and where each field stands; kept with the import, so that it goes on the same way."""

    shape: str
    columns: Mapping[str, int]  # field -> place in the row
    states: tuple[tuple[int, str], ...]  # (place, which words it speaks)
    default: Standing = Standing.CONFIRMED
    notes: tuple[str, ...] = ()

    def shown(self, header: Sequence[str]) -> dict[str, str]:
        """field -> the column's own name."""
        named = [name_in(name) for name in header]
        shown = {name: named[place] for name, place in self.columns.items() if place < len(named)}
        return shown | {f"status ({words})": named[place] for place, words in self.states if place < len(named)}

    def as_json(self) -> dict[str, object]:
        """For the record of the import."""
        states = [list(each) for each in self.states]
        return {"shape": self.shape, "columns": dict(self.columns), "states": states, "default": self.default.value}


def recognise(header: Sequence[str], file_name: str = "", given: Mapping[str, str] | None = None) -> Plan:
    """What the columns mean. `given` says it for some: field -> column name. Raises UsageError."""
    if len(header) > MAX_COLUMNS:
        raise UsageError(f"it has {len(header):,} columns; that is no list of readers")
    names = [peers.normal(name) for name in header]
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name, place)  # Mailchimp has some names twice; the first is the one
    shape = peers.shape_of(frozenset(places))
    columns = _columns(names, shape) | _given(header, names, given or {})
    if "email" not in columns:
        if not _is_text(header):
            raise UsageError(
                f"this is no list of readers; it begins with {_shown(header)}, where a CSV has its columns"
            )
        what = f"there is no column with addresses; its columns are: {_shown(header)}"
        raise UsageError(f"this is no list of readers as it stands: {what}. Say --map email=COLUMN")
    states = [(columns.pop("status"), "status")] if given and "status" in given else []
    columns.pop("status", None)
    if not states:
        states = [(places[name], words) for name, words in shape.states if name in places]
    if "list" in columns and shape.title != peers.OURS:  # a row for each list: its status is of that list
        states = [(place, "status on the list" if words == "status" else words) for place, words in states]
    return Plan(shape.title, columns, tuple(states), shape.default_of(file_name), shape.notes)


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
            return Plan("addresses without a header", {"email": place, **names}, ())
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
        if wanted not in peers.FIELDS:
            raise UsageError(f"--map {wanted}=...: there is no such field; there are: {', '.join(peers.FIELDS)}")
        if peers.normal(column) not in names:
            raise UsageError(f"--map {wanted}={column}: there is no such column; there are: {_shown(header)}")
        found[wanted] = names.index(peers.normal(column))
    return found


@dataclass(slots=True)
class Reading:
    """Reads rows by a plan. `parse` makes an address of what is none at first sight; raises InvalidAddress.

    `seen` counts what the operator should look at: dates that are unclear or in the future, ...
    """

    plan: Plan
    newsletter: str
    newsletters: Mapping[str, str]  # those there are, each with its language
    languages: frozenset[str]
    now: datetime
    parse: Callable[[str], Address]
    admit: Callable[[Address], Address]  # the gate; raises InvalidAddress
    asks: bool = False
    only_list: str = ""
    seen: dict[str, int] = field(default_factory=dict)
    welcome: set[str] = field(default_factory=set)  # domains the gate has let through

    def read(self, line: int, row: Sequence[str]) -> Arrival:
        """What a row says. Raises Refused, InvalidAddress."""
        columns = self.plan.columns
        if self.only_list and peers.normal(_cell(row, columns, "list")) != peers.normal(self.only_list):
            raise Refused(f"of another list than {self.only_list!r}")
        typed = plain(row[columns["email"]]).strip()
        try:
            address = Address.parse(typed)
        except InvalidAddress:
            address = self.parse(typed)
        standing = self._standing(row)
        if standing is Standing.PENDING and not self.asks:
            raise Refused("they have not confirmed there; --ask asks them by mail")
        if standing is Standing.NEVER:
            raise Refused("they never asked for mail there")
        if standing in (Standing.CONFIRMED, Standing.PENDING):
            self._look_at(address)
        newsletter, is_ours = self.newsletter, self.plan.shape == peers.OURS
        if is_ours:
            newsletter = self._newsletter(_cell(row, columns, "newsletter"))
        if len(columns) == 1:
            return Arrival(line, address, address.key, typed, standing, newsletter, "", self.newsletters[newsletter])
        arrival = Arrival(
            line,
            address,
            address.key,
            typed,
            standing,
            newsletter,
            self._name(row, columns),
            self._language(_cell(row, columns, "language"), newsletter),
            *(self._moment(_cell(row, columns, "requested_at")), network_of(_cell(row, columns, "requested_ip"))),
            *(self._moment(_cell(row, columns, "confirmed_at")), network_of(_cell(row, columns, "confirmed_ip"))),
            self._moment(_cell(row, columns, "left_at")),
        )
        return self._ours(arrival, row) if is_ours else arrival

    def list_of(self, row: Sequence[str]) -> str:
        """Which list a row is of; empty when it is of none. MailPoet also writes a row for who is on no list."""
        for place, words in self.plan.states:
            if words == "MailPoet on the list" and place < len(row) and not row[place].strip():
                return ""
        place = self.plan.columns["list"]
        return plain(row[place]).strip() if place < len(row) else ""

    def _ours(self, arrival: Arrival, row: Sequence[str]) -> Arrival:
        columns = self.plan.columns
        rhythm = _cell(row, columns, "rhythm").strip()
        return arrival._replace(
            rhythm=rhythm if rhythm in _RHYTHMS else "",
            paused_until=self._moment(_cell(row, columns, "paused_until"), may_come=True),
            suppressed=_suppression(_cell(row, columns, "suppressed")),
            is_ours=True,
        )

    def _standing(self, row: Sequence[str]) -> Standing:
        strictest = self.plan.default
        for place, words in self.plan.states:
            said = peers.standing_of(words, row[place])
            if said is None:
                raise Refused(f"the status {plain(row[place]).strip()[:40]!r} is not one we know")
            if STRICTNESS[said] > STRICTNESS[strictest]:
                strictest = said
        return strictest

    def _newsletter(self, cell: str) -> str:
        named = plain(cell).strip() or self.newsletter
        if self.newsletter and named != self.newsletter:
            raise Refused(f"of another newsletter: {named[:40]!r}")
        if named not in self.newsletters:
            raise Refused(f"there is no newsletter {named[:40]!r} here")
        return named

    def _name(self, row: Sequence[str], columns: Mapping[str, int]) -> str:
        if name := name_in(_cell(row, columns, "name")):
            return name
        parts = [name_in(_cell(row, columns, each)) for each in ("first_name", "last_name") if each in columns]
        return " ".join(filter(None, parts))

    def _language(self, cell: str, newsletter: str) -> str:
        if not cell:
            return self.newsletters[newsletter]
        code = cell.strip().lower()[:2]
        return code if code in self.languages else self.newsletters[newsletter]

    def _moment(self, cell: str, *, may_come: bool = False) -> datetime | None:
        if not cell:
            return None
        try:
            moment = moment_in(plain(cell))
        except UnclearDate:
            self._see("dates that are not clear, and are left out")
            return None
        if moment is not None and moment > self.now and not may_come:
            self._see("dates in the future, and are left out")
            return None
        return moment

    def _look_at(self, address: Address) -> None:
        if address.domain not in self.welcome:
            self.admit(address)
            if len(self.welcome) > _DOMAINS:
                self.welcome.clear()
            self.welcome.add(address.domain)
        if address.local.lower() in peers.ROLES:
            self._see("addresses of a role, such as info@, behind which nobody in particular agreed")

    def _see(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1


def _cell(row: Sequence[str], columns: Mapping[str, int], name: str) -> str:
    """A row's cell by field; empty where there is no such column."""
    place = columns.get(name)
    return "" if place is None else row[place]


def _suppression(cell: str) -> SuppressionKind | None:
    word = cell.strip().lower()
    return SuppressionKind(word) if word in set(SuppressionKind) else None


def network_of(cell: str) -> str:
    """The network of an IP address, /24 or /48; empty when it is none."""
    return _network_of(cell) if cell else ""


@lru_cache(maxsize=8192)
def _network_of(cell: str) -> str:
    text = plain(cell).strip().partition("/")[0].partition(",")[0].strip()
    if not text or not re.fullmatch(r"[0-9A-Fa-f:.]+", text):
        return ""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False).network_address)
