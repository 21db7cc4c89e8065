"""What settings are made of: lengths of time, web addresses, mailboxes, zones; each with the remedy for a mistake."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from digest.domain.addresses import Address
from digest.errors import InvalidAddress

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_LONGEST = timedelta(weeks=5200)  # a hundred years; no calendar goes on much longer than some
_IN_PATH = "/:@!$&()*+,;=~-._%"
_LONGEST_LINE = 100  # characters of a name or a title
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _duration(value: object) -> object:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        length = float(match[1]) * timedelta(**{_UNITS[match[2]]: 1}).total_seconds()
        if length > _LONGEST.total_seconds():
            raise ValueError("write a hundred years (5200w) at most")
        return timedelta(seconds=length)
    if isinstance(value, str | int | float):  # a bare number could be of anything
        raise ValueError('write a number and a unit in quotes: "30s", "15m", "12h", "3d" or "2w"')
    return value


def _as_typed(value: timedelta) -> str:
    """As a person would write it: "90m" becomes that again, in the largest unit that leaves no rest."""
    seconds = value.total_seconds()
    lengths = {unit: timedelta(**{name: 1}).total_seconds() for unit, name in reversed(_UNITS.items())}
    unit = next((unit for unit, length in lengths.items() if seconds and seconds % length == 0), "s")
    number = f"{seconds / lengths[unit]:f}"  # to the microsecond, and never with an exponent
    return f"{number.rstrip('0').rstrip('.')}{unit}"


def between(why: str, *, least: timedelta | None = None, most: timedelta | None = None) -> AfterValidator:
    """A length of time that makes sense; `why` says what would come of any other, and what to write."""

    def look_at(value: timedelta) -> timedelta:
        if (least is not None and value < least) or (most is not None and value > most):
            raise ValueError(why)
        return value

    return AfterValidator(look_at)


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write a full web address, such as https://news.example.com")
    return value.rstrip("/")


def _public_address(value: str) -> str:
    """Where readers reach us, in ASCII: it begins every link in a mail, and the one in a header too (RFC 2369)."""
    plain = _web_address(value)
    try:
        parts = urlsplit(plain)
        host = (parts.hostname or "").encode("idna").decode() + (f":{parts.port}" if parts.port else "")
    except ValueError:  # of a port, a bracket, or a name that no host has
        raise ValueError("write a full web address, such as https://recap.example.com") from None
    if "@" in parts.netloc or parts.query or parts.fragment or re.search(r"[\s\x00-\x1f\"'<>\\]", value):
        raise ValueError("write scheme, host and perhaps a path, such as https://recap.example.com, and nothing else")
    if ":" in (parts.hostname or ""):
        host = parts.netloc
    return f"{parts.scheme}://{host}{quote(parts.path, safe=_IN_PATH)}"


def _web_page(value: str) -> str:
    """A page's address as it was given: to some servers /feed and /feed/ are two."""
    _web_address(value)
    return value


def _line(value: str) -> str:
    """A name or a title: it goes into headers, subjects and pages."""
    if any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in value):
        raise ValueError("it must be one line, without tabs or control characters")
    if len(value) > _LONGEST_LINE:
        raise ValueError(f"it has {len(value)} characters; write {_LONGEST_LINE} at most")
    return value


def _mailbox(value: str) -> str:
    """`Name <address>` or an address."""
    name, address = split_mailbox(value)
    try:
        Address.parse(address)
    except InvalidAddress as error:
        raise ValueError(f"{error.reason}; a name may stand before it: The Recap <recap@example.com>") from None
    if "<" in name:
        raise ValueError("write one mailbox, such as The Recap <recap@example.com>")
    _line(name)
    return value


def zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("write the name of a time zone, such as Europe/Warsaw") from None
    return value


def _picture(value: str) -> str:
    """A picture's address that a mail can show; one in one's own network, to try it, may do without TLS."""
    found = re.fullmatch(r"(https?)://([^/?#@\s\"'<>\\]+)(?:[/?#][^\s\"'<>\\]*)?", value)
    if value and not (found and (found[1] == "https" or is_private(found[2].partition(":")[0]))):
        raise ValueError("write an https address, such as https://news.example.com/logo.png")
    return value


def _colour(value: str) -> str:
    """#rrggbb; #rgb is the same in short."""
    if re.fullmatch(r"#[0-9a-fA-F]{3}", value):
        return "#" + "".join(digit * 2 for digit in value[1:])
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ValueError("write a colour as #rrggbb, such as #00539f")
    return value


def _fonts(value: str) -> str:
    """Font names as a style sheet lists them; they stand in one, so nothing else may."""
    if not re.fullmatch(rf"{_FONT}(?:, *{_FONT})*", value):
        raise ValueError(
            "write names of fonts with commas between, those of several words in ': Georgia, 'Open Sans', serif"
        )
    return value


def _pixels(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+)\s*px\s*", value)):
        raise ValueError(f"write a number of pixels without quotes and unit: {match[1]}")
    return value


_FONT = r"(?:'[A-Za-z0-9 ]+'|[A-Za-z-]+)"
Colour = Annotated[str, BeforeValidator(lambda v: _colour(v) if isinstance(v, str) else v)]
Fonts = Annotated[str, BeforeValidator(lambda v: _fonts(v) if isinstance(v, str) else v)]
Pixels = Annotated[int, BeforeValidator(_pixels)]
Picture = Annotated[str, BeforeValidator(lambda v: _picture(v) if isinstance(v, str) else v)]
Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(_as_typed, when_used="json")]
WebAddress = Annotated[str, BeforeValidator(lambda v: _web_address(v) if isinstance(v, str) else v)]
PublicAddress = Annotated[str, BeforeValidator(lambda v: _public_address(v) if isinstance(v, str) else v)]
WebPage = Annotated[str, BeforeValidator(lambda v: _web_page(v) if isinstance(v, str) else v)]
Mailbox = Annotated[str, BeforeValidator(lambda v: _mailbox(v) if isinstance(v, str) else v)]
Line = Annotated[str, Field(min_length=1), BeforeValidator(lambda v: _line(v) if isinstance(v, str) else v)]
Zone = Annotated[str, BeforeValidator(lambda v: zone(v) if isinstance(v, str) else v)]


def split_mailbox(text: str) -> tuple[str, str]:
    """`The Recap <recap@example.com>` as (name, address); the name may be empty."""
    match = re.fullmatch(r"\s*(?:(.*?)\s*<([^<>]+)>|([^<>]+))\s*", text)
    if match is None:
        return "", text
    return (match[1] or "").strip('" '), match[2] or match[3].strip()


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def is_private(host: str | None) -> bool:
    """Whether `host` can only be reached from one's own network."""
    try:
        return ip_address(host or "").is_private
    except ValueError:
        return bool(host) and ("." not in str(host) or str(host).endswith((".local", ".localhost", ".test")))


def is_loopback(host: str) -> bool:
    """Whether `host` names this very machine."""
    return host in ("localhost", "::1", "[::1]") or host.startswith("127.")
