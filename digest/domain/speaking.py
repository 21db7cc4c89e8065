"""Columns that speak of consent, in any table: what those we know say, and which ones we must ask about.

A column that says who left, read by nobody, would mail those who left. So what is plain is understood, and a name that
sounds like it and is not plain keeps the file out until the operator has said what it means.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from digest.domain.arrivals import Standing
from digest.domain.cells import name_in
from digest.domain.dates import UnclearDate, moment_in
from digest.domain.peers import COLUMNS, OTHER, OURS, Shape, normal, standing_of
from digest.errors import UsageError


def _by_name(**fields: str) -> dict[str, str]:
    return {name.strip(): known for known, names in fields.items() for name in names.split("|")}


# What may be said with --map: where a yes stands for this, or a date once it has happened.
FIELDS = (
    *("subscribed", "opted_in", "confirmed", "opted_out", "unsubscribed", "bounced", "complained", "blocked"),
    *("unsubscribed_at", "bounced_at", "complained_at", "blocked_at"),
)
ONCE_SET = {
    "left_at": Standing.UNSUBSCRIBED,
    "bounced_at": Standing.BOUNCED,
    "complained_at": Standing.COMPLAINED,
    "blocked_at": Standing.BLOCKED,
}
_SAME = {"opted_out": "unsubscribed", "unsubscribed_at": "left_at"}
# (what a yes says, what a no says, what an empty cell says; None: that nobody can know)
_FLAGS: dict[str, tuple[Standing, Standing, Standing | None]] = {
    "subscribed": (Standing.CONFIRMED, Standing.UNSUBSCRIBED, None),
    "opted_in": (Standing.CONFIRMED, Standing.NEVER, Standing.NEVER),
    "confirmed": (Standing.CONFIRMED, Standing.PENDING, Standing.PENDING),
    "unsubscribed": (Standing.UNSUBSCRIBED, Standing.CONFIRMED, Standing.CONFIRMED),
    "bounced": (Standing.BOUNCED, Standing.CONFIRMED, Standing.CONFIRMED),
    "complained": (Standing.COMPLAINED, Standing.CONFIRMED, Standing.CONFIRMED),
    "blocked": (Standing.BLOCKED, Standing.CONFIRMED, Standing.CONFIRMED),
}
_SPEAKING = frozenset(("status", "left_at", *FIELDS))
_NAMES = _by_name(
    subscribed="subscribed|is subscribed|active|is active|enabled|is enabled|wants mail|aktywny|zapisany|активний"
    "|підписаний|abonniert|suscrito",
    opted_in="opt in|optin|opted in|is opted in|email opt in|accepts marketing|accepts email marketing"
    "|email marketing consent|marketing consent|newsletter consent|zgoda|zgoda marketingowa|згода",
    confirmed="confirmed|is confirmed|double opt in|doi|potwierdzony|підтверджено|bestätigt",
    unsubscribed="unsubscribed|is unsubscribed|opt out|optout|opted out|is opted out|email opt out"
    "|has opted out of email|deleted|is deleted|removed|left|do not email|do not mail|do not contact"
    "|wypisany|відписаний|abgemeldet|désabonné",
    bounced="bounced|is bounced|hard bounced|cleaned|undeliverable",
    complained="complained|spam complaint|marked as spam|complaint",
    blocked="blocked|is blocked|blacklisted|is blacklisted|blocklisted|suppressed|banned|zablokowany|заблокований",
    left_at="left at|left on|unsubscribed at|unsubscribed on|unsubscribed date|unsubscription date|unsubscription time"
    "|unsubscribe date|unsubscribe time|unsubscribe at|unsub time|unsub date|unsubscribed time|date unsubscribed"
    "|opt out time|optout time|opt out date|optout date|opted out at|opted out on|opted out date|optout at|opt out at"
    "|deleted at|removed at|deactivated at|data wypisania|data rezygnacji|дата відписки",
    bounced_at="bounced at|bounced on|bounce date|bounce time|bounced date|hard bounced at|cleaned at|clean time"
    "|undeliverability date",
    complained_at="complained at|complained on|complaint date|complaint time|spam reported at|marked as spam at",
    blocked_at="blocked at|blocked on|blocklisted at|blacklisted at|suppressed at|banned at",
    status="status|state|stan|статус|statut|estado|subscription status|subscriber status|newsletter status"
    "|email status|status subskrypcji|статус підписки",
)
_SOUNDS = re.compile(
    r"unsub|subscribed|opt(ed)? ?(in|out)\b|\b(in)?active\b|enabled|disabled|bounc|complain|\bspam\b|abuse|block"
    r"|black ?list|deleted|removed|deactivat|suppress|\bban(ned)?\b|status|\bstat[eu]t?\b|consent|gdpr|permission"
    r"|\bdo not\b|cleaned|confirm|verified|archived|cancel|\bcan (e ?)?mail\b|accepts|marketing|^newsletter$"
    r"|^subscription$|\bleft\b|wypis|zgod|odbit|zablok|aktywn|usunięt|potwierdz|статус|згод|відпис|заблок|актив|abgemeldet"
    r"|abonn|einwillig"
)
_BESIDE = re.compile(
    r"\b(reason|campaign|title|url|link|source|text|wording|ip|token|uuid|id|hash|via|by|count|rate)\b"
)
_SILENT = frozenset({"active subscription"})  # Substack's: whether they pay
_YES = frozenset(["yes", "y", "true", "t", "1", "on", "x", "tak", "так", "ja", "oui", "sí", "si"])
_NO = frozenset(["no", "n", "false", "f", "0", "off", "nie", "ні", "nein", "non"])
_UNSET = frozenset(("", "null", "none", "never", "n/a", "\\n", "nan", "nat", "undefined"))


def columns_of(
    names: Sequence[str], shape: Shape, given: Mapping[str, int], ignored: Collection[str]
) -> list[tuple[int, str]]:
    """(place, which words it speaks) of the columns that say where somebody stands; `names` are normalised.

    `given` is what the operator said: field -> place. They may name one by its field, and ignore what they want.
    """
    if shape.title == OURS:
        return [(names.index("status"), "status")]
    by_shape: dict[int, str] = {}
    for name, words in shape.states:
        if name in names:
            by_shape.setdefault(names.index(name), words)
    said = {place: _SAME.get(field, field) for field, place in given.items() if field in _SPEAKING}
    found: list[tuple[int, str]] = []
    for place, name in enumerate(names):
        known = _NAMES.get(name, "")
        if place in said:
            words = said[place]
            if words == "status" and known != "status" and name not in dict(shape.states):
                words = known or "status"  # opted_out given as the status still speaks its own way
            if words == "status":
                words = by_shape.get(place, "status")
            found.append((place, words))
        elif name in ignored or place in given.values():
            continue
        elif place in by_shape:
            found.append((place, by_shape[place]))
        elif known and (known != "status" or shape is OTHER) and name not in dict(shape.states):
            found.append((place, known))
    return found


def expect_clear(names: Sequence[str], header: Sequence[str], used: Collection[int], ignored: Collection[str]) -> None:
    """Raises UsageError where a column sounds of consent, and nobody has said what it means."""
    unclear = [place for place, name in enumerate(names) if place not in used and _sounds(name) and name not in ignored]
    if not unclear:
        return
    name = name_in(header[unclear[0]])[:40]
    more = f" (and {_listed(header[place] for place in unclear[1:])})" if len(unclear) > 1 else ""
    raise UsageError(
        f"the column {name!r}{more} may say who wants no mail, and we do not know how. Say --map subscribed={name!r} "
        f"if yes means that they want mail, --map unsubscribed={name!r} if it means that they do not, "
        f"--map status={name!r} if it has words, or --ignore {name!r} if it says nothing of the kind"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name_in(name)[:40]) for name in list(names)[:10])


def _sounds(name: str) -> bool:
    return (
        name not in _SILENT
        and name not in COLUMNS
        and _SOUNDS.search(name) is not None
        and _BESIDE.search(name) is None
    )


def said_in(words: str, cell: str) -> Standing | None:
    """What a cell says; None when we do not know the word."""
    if words in ONCE_SET:
        return ONCE_SET[words] if is_set(cell) else Standing.CONFIRMED
    flags = _FLAGS.get(words)
    if flags is None:
        return standing_of(words, cell)
    word = normal(cell)
    if word in _YES:
        return flags[0]
    if word in _NO:
        return flags[1]
    if not is_set(cell):
        return flags[2]
    return flags[0] if _is_date(cell) else None  # since when it has been so


def is_set(cell: str) -> bool:
    """Whether a column of what has happened says that it has: also by a date nobody can read, or by a yes."""
    text = normal(cell)
    return text not in _UNSET and text not in _NO and not text.startswith("0000 00 00")


def _is_date(cell: str) -> bool:
    try:
        return moment_in(cell) is not None
    except UnclearDate:
        return re.fullmatch(r"\d{1,2}[./-]\d{1,2}[./-]\d{4}.*", cell.strip()) is not None
