"""Moments as other programs write them into their exports."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # 0000-00-00, 1970-01-01: never
# 2024-01-02 10:00:00.123 +0000 UTC, as Go writes it; also with a T, without seconds, with a zone's short name only.
_LONG = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]+(\d{1,2}):(\d\d)(?::(\d\d))?(?:[.,]\d+)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)?(?:\s+[A-Z]{1,5}|\s+[+-]\d{2,4})?(?:\s+m=.*)?",
    re.I,
)
# 31.12.2024 10:00 or 31/12/2024 or 12/31/2024; which of them, the numbers must say.
_SHORT = re.compile(r"(\d{1,2})([./-])(\d{1,2})[./-](\d{4})(?:[T ,]+(\d{1,2}):(\d\d)(?::(\d\d))?)?\s*(AM|PM)?", re.I)


class UnclearDate(ValueError):
    """It may be a moment, but nobody can say which."""


@lru_cache(maxsize=8192)
def moment_in(cell: str) -> datetime | None:
    """The moment a cell names, in UTC when it names no zone; None for an empty or a zero one. Raises UnclearDate."""
    text = cell.strip()
    if not text or text.casefold() in ("null", "none", "never", "n/a", "-"):
        return None
    try:
        moment = _read(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        if text.startswith("0000-00-00"):
            return None
        raise UnclearDate(text[:40]) from None
    return moment if moment >= _EARLIEST else None


def _read(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    if text.isascii() and text.isdecimal() and len(text) in (10, 13):  # seconds or milliseconds since 1970
        return datetime.fromtimestamp(int(text[:10]), UTC)
    if found := _LONG.fullmatch(text):
        year, month, day, hour, minute, second, offset = found.groups()
        zone = f"{offset[:3]}:{offset[-2:]}" if offset and offset[0] in "+-" else "+00:00"
        day_and_time = f"{year}-{int(month):02}-{int(day):02}T{int(hour or 0):02}:{minute or '00'}:{second or '00'}"
        return datetime.fromisoformat(day_and_time + zone)
    if found := _SHORT.fullmatch(text):
        return _of_parts(*found.groups())
    raise UnclearDate(text)


def _of_parts(
    one: str, mark: str, two: str, year: str, hour: str | None, minute: str | None, second: str | None, half: str | None
) -> datetime:
    day, month = int(one), int(two)
    if month > 12 or (mark == "/" and half):  # an American one
        day, month = month, day
    elif mark == "/" and day <= 12 and day != month:
        raise UnclearDate("which is the month?")
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + (12 if half.upper() == "PM" else 0)
    return datetime(int(year), month, day, hours, int(minute or 0), int(second or 0), tzinfo=UTC)
