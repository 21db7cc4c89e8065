"""A list of readers from elsewhere: what a row of it says, once the plan (plans.py) has told the columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from digest.domain import peers, speaking
from digest.domain.addresses import Address
from digest.domain.arrivals import STRICTNESS, Arrival, Standing
from digest.domain.cells import name_in, plain
from digest.domain.dates import UnclearDate, moment_in
from digest.domain.intake_rows import Carried
from digest.domain.plans import Plan
from digest.domain.subscribers import Way
from digest.domain.suppressions import SuppressionKind
from digest.errors import InvalidAddress

_DOMAINS = 10_000  # so many are remembered
_LIFTED_BY_CONFIRMING = (Standing.UNSUBSCRIBED, Standing.BOUNCED)
_LONGEST = 2_000  # characters of what a consent rests on
_WAYS = frozenset(Way)
_RHYTHMS = frozenset({"", "monthly"})


class Refused(Exception):
    """A row that is not taken, and why, for the operator."""


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
        standing, left_at = self._standing(row)
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
            language = self.newsletters[newsletter]
            return Arrival(line, address, address.key, typed, standing, newsletter, "", language, left_at=left_at)
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
            left_at or self._moment(_cell(row, columns, "left_at")),
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
            carried=self._carried(row),
            is_ours=True,
        )

    def _carried(self, row: Sequence[str]) -> Carried | None:
        columns = self.plan.columns
        way = _cell(row, columns, "consent_way").strip()
        if way not in _WAYS or not _cell(row, columns, "consent_at").strip():
            return None
        form = plain(_cell(row, columns, "consent_form")).strip()[:_LONGEST]
        wording_id = _cell(row, columns, "consent_wording").strip().lower()
        return Carried(Way(way), form, wording_id if re.fullmatch(r"[0-9a-f]{64}", wording_id) else "")

    def _standing(self, row: Sequence[str]) -> tuple[Standing, datetime | None]:
        """(the strictest that the columns say, since when where one of them tells)."""
        strictest, since = self.plan.default, None
        for place, words in self.plan.states:
            cell = row[place]
            said = speaking.said_in(words, cell)
            if said is None:
                raise Refused(self._unknown(place, words, cell))
            if said is Standing.CONFIRMED:
                continue
            moment = self._moment(cell) if words in speaking.ONCE_SET else None
            if moment and said in _LIFTED_BY_CONFIRMING and self._has_confirmed_since(row, moment):
                continue
            if moment and (since is None or moment > since):
                since = moment
            if STRICTNESS[said] > STRICTNESS[strictest]:
                strictest = said
        return strictest, since

    def _has_confirmed_since(self, row: Sequence[str], moment: datetime) -> bool:
        if self.plan.shape != peers.OTHER.title:  # with the others, confirming anew empties the column
            return False
        confirmed_at = self._moment(_cell(row, self.plan.columns, "confirmed_at"))
        return confirmed_at is not None and confirmed_at > moment

    def _unknown(self, place: int, words: str, cell: str) -> str:
        text = plain(cell).strip()[:40]
        if words not in ("subscribed", *speaking.FIELDS):
            return f"the status {text!r} is not one we know"
        return f"{text!r} in the column {self.plan.names[place]!r} says neither yes nor no"

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
