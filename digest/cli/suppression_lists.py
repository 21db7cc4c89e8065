"""Lists of suppressions as files: a CSV somebody else made, or the one `digest suppressions export` writes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO

from digest.domain.suppressions import SuppressionKind
from digest.errors import InvalidAddress, UsageError
from digest.mail.addresses import parse
from digest.subscribing.suppressing import Listed

COLUMNS = ("email", "domain", "hash", "kind", "reason", "by", "at", "secret")
_NAMES = {"e-mail": "email", "email address": "email", "address": "email", "recipient": "email"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
FOREIGN = "this hash was made with another [web] secret, so nobody can tell whose it is"
_LONGEST = 300  # characters of a reason


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that cannot be read."""

    line: int
    why: str


@dataclass(slots=True)
class Refusals:
    """The lines that cannot be read: how many, how many of them for the secret alone, and the first of them."""

    at_most: int
    count: int = 0
    foreign: int = 0
    first: list[Refused] = field(default_factory=list)

    def add(self, each: Refused) -> None:
        """One more."""
        self.count += 1
        self.foreign += each.why == FOREIGN
        if len(self.first) < self.at_most:
            self.first.append(each)


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a CSV, read one by one; what is wrong with others is told to `refuse`.

    `fingerprint` is of the secret of this installation; `kind`, `reason` and `now` are for lines that do not say.
    """

    text: IO[str]
    fingerprint: str
    kind: SuppressionKind
    reason: str
    now: datetime
    refuse: Callable[[Refused], None]

    def __iter__(self) -> Iterator[Listed]:
        """Raises UsageError when no column is of use, or when no reason is given anywhere."""
        reader = csv.reader(self.text)
        first = next(reader, [])
        has_names = not any("@" in cell for cell in first)
        names = [_named(cell) for cell in first] if has_names else ["email"]
        if not set(names) & {"email", "domain", "hash"}:
            raise UsageError(f"there is no column email, domain or hash; there are: {', '.join(names) or 'none'}")
        if not self.reason and "reason" not in names:
            raise UsageError("these lines do not say why; give --reason TEXT, which is kept in the log")
        if not has_names and (listed := self._listed(1, dict(zip(names, map(_plain, first), strict=False)))):
            yield listed
        for cells in reader:
            if any(cells) and (
                listed := self._listed(reader.line_num, dict(zip(names, map(_plain, cells), strict=False)))
            ):
                yield listed

    def _listed(self, line: int, row: dict[str, str]) -> Listed | None:
        try:
            return self._read(row)
        except (InvalidAddress, ValueError, OverflowError) as error:
            self.refuse(Refused(line, str(error)))
            return None

    def _read(self, row: dict[str, str]) -> Listed:
        kind = SuppressionKind(row.get("kind", "").strip().lower() or self.kind)
        moment = datetime.fromisoformat(row["at"]) if row.get("at") else self.now
        at = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if at > self.now:  # nobody may be taken for forgotten after they came back
            raise ValueError("it is dated in the future")
        reason = (row.get("reason", "").strip() or self.reason)[:_LONGEST]
        if not reason:
            raise ValueError("it does not say why, and --reason is not given")
        domain = parse(f"anybody@{row['domain'].strip()}").domain if row.get("domain", "").strip() else ""
        said = (kind, reason, row.get("by", "").strip() or "an import", at)
        if email := row.get("email", "").strip():
            return Listed(*said, address=parse(email), domain=domain if kind is SuppressionKind.DOMAIN else "")
        if address_hash := row.get("hash", "").strip().lower():
            return Listed(*said, address_hash=self._own(address_hash, row.get("secret", "")), domain=domain)
        if not domain:
            raise ValueError("it has neither an address, nor a domain, nor a hash")
        return Listed(*said, domain=domain)

    def _own(self, address_hash: str, made_with: str) -> str:
        if len(address_hash) != 64 or not set(address_hash) <= set("0123456789abcdef"):
            raise ValueError("this hash is none of ours")
        if made_with.strip() != self.fingerprint:
            raise ValueError(FOREIGN)
        return address_hash


def _named(cell: str) -> str:
    name = cell.strip().lower()
    return _NAMES.get(name, name)


def guarded(text: str) -> str:
    """A cell no spreadsheet takes for a formula; `Lines` reads it back."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(cell: str) -> str:
    cell = cell.replace("\x00", "")  # no database keeps it
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
