"""The columns of other programs' exports and the words in them. Names are compared without case, marks and spaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from digest.domain.arrivals import Standing
from digest.domain.cells import plain

OURS = "Digest"
FIELDS = (
    *("email", "name", "first_name", "last_name", "status", "language", "list"),
    *("requested_at", "requested_ip", "confirmed_at", "confirmed_ip", "left_at"),
)
_APART = re.compile(r"[\s_\-.:/\u00a0\u2010-\u2015]+")


@lru_cache(maxsize=1024)
def normal(name: str) -> str:
    """A column's name, or a word, as it is compared."""
    return _APART.sub(" ", plain(name).strip(" \t\r\n\"'\ufeff").casefold()).strip()


def _by_name(**fields: str) -> dict[str, str]:
    return {name.strip(): known for known, names in fields.items() for name in names.split("|")}


# In English, Polish, Ukrainian, German, French and Spanish; what is missing can be said with --map.
COLUMNS = _by_name(
    email="email|e mail|mail|email address|e mail address|emailaddress|address|adres email|adres e mail|adres"
    "|adres poczty|електронна пошта|ел пошта|пошта|e mail adresse|adresse e mail|adresse email|courriel"
    "|correo electrónico|correo",
    name="name|full name|fullname|imię i nazwisko|nazwa|ім'я та прізвище|ім’я та прізвище|nom complet|nombre completo",
    first_name="first name|firstname|fname|given name|imię|ім'я|ім’я|vorname|prénom|nombre",
    last_name="last name|lastname|lname|surname|family name|nazwisko|прізвище|nachname|nom|apellido|apellidos",
    status="status|state|stan|статус|statut|estado",
    language="language|lang|locale|język|мова|sprache|langue|idioma",
    list="list|list name|lista|список|liste",
    requested_at="requested at|created at|created|creation date|subscription time|subscription date|subscribed at"
    "|subscribed on|signed up at|signed up on|signup date|sign up date|optin time|opt in time|optin date|opt in date"
    "|opted in at|date added|date joined|joined at|start date|registered at"
    "|data zapisu|data subskrypcji|data utworzenia|data rejestracji|дата підписки|дата створення|anmeldedatum",
    requested_ip="requested ip|subscription ip|subscribed ip|signup ip|optin ip|opt in ip|ip address|ip|adres ip"
    "|ip адреса",
    confirmed_at="confirmed at|confirmed on|confirmation time|confirmation date|confirm time|consent date|consent at"
    "|consent time|consented at|double opt in date|double opt in time|data potwierdzenia|data zgody"
    "|дата підтвердження|дата згоди",
    confirmed_ip="confirmed ip|confirmation ip|confirm ip|ip potwierdzenia",
)

_CONFIRMED, _PENDING, _NEVER = Standing.CONFIRMED, Standing.PENDING, Standing.NEVER
_LEFT, _LEFT_LIST, _BOUNCED = Standing.UNSUBSCRIBED, Standing.LEFT_LIST, Standing.BOUNCED
_COMPLAINED, _BLOCKED = Standing.COMPLAINED, Standing.BLOCKED


def _words(**words: str) -> dict[str, Standing]:
    return {word.strip(): Standing(standing) for standing, many in words.items() for word in many.split("|")}


_COMMON = _words(
    confirmed="confirmed|subscribed|active|enabled|opted in|optin|opt in|potwierdzony|potwierdzona|zapisany"
    "|zapisana|aktywny|aktywna|підтверджено|підписаний|підписана|активний|bestätigt|abonné|suscrito",
    pending="pending|unconfirmed|not confirmed|unactivated|awaiting confirmation|niepotwierdzony|niepotwierdzona"
    "|oczekujący|непідтверджений|очікує|unbestätigt|non confirmé",
    never="nonsubscribed|non subscribed|not subscribed|transactional",
    unsubscribed="unsubscribed|opted out|optout|opt out|left|removed|deleted|wypisany|wypisana|niezapisany"
    "|відписаний|відписана|abgemeldet|désabonné|cancelado",
    bounced="bounced|bounce|hard bounced|hard bounce|cleaned|undeliverable|odbity|odbita",
    complained="complained|complaint|spam|marked as spam|reported as spam|abuse|junk",
    blocked="blocklisted|blacklisted|blocked|suppressed|disabled|banned|zablokowany|zablokowana|заблокований",
)
_ON_A_LIST = {word: _LEFT_LIST if standing is _LEFT else standing for word, standing in _COMMON.items()}
# What a column's words mean; a word that is not here is not guessed at.
WORDS: dict[str, dict[str, Standing]] = {
    "status": {**_COMMON, "": _CONFIRMED},
    "status on the list": {**_ON_A_LIST, "": _CONFIRMED},
    "MailPoet on the list": {**_ON_A_LIST, "inactive": _CONFIRMED, "": _NEVER},
    "MailPoet everywhere": {**_COMMON, "inactive": _CONFIRMED, "": _CONFIRMED},  # inactive: does not open its mail
    "wants mail": {"true": _CONFIRMED, "1": _CONFIRMED, "yes": _CONFIRMED, "": _CONFIRMED}
    | {"false": _LEFT, "0": _LEFT, "no": _LEFT},
    "wants no mail": {"true": _LEFT, "1": _LEFT, "yes": _LEFT}
    | {"false": _CONFIRMED, "0": _CONFIRMED, "no": _CONFIRMED, "": _CONFIRMED},
    "Buttondown": {
        **_COMMON,
        **dict.fromkeys(("regular", "premium", "trialed", "gifted", "churning", "churned", "past due"), _CONFIRMED),
        **dict.fromkeys(("unpaid", "upcoming"), _PENDING),
        **dict.fromkeys(("malformed", "undeliverable"), _BOUNCED),
        "spammy": _BLOCKED,
        "paused": _LEFT,
        "": _CONFIRMED,
    },
}
# Columns that hold a date once something has happened.
_HAPPENED = {"left once set": _LEFT, "bounced once set": _BOUNCED}


def standing_of(words: str, cell: str) -> Standing | None:
    """What a cell of a status column says; None when we do not know the word."""
    if words in _HAPPENED:
        return _HAPPENED[words] if cell.strip() else _CONFIRMED
    return WORDS[words].get(normal(cell))


@dataclass(frozen=True, slots=True)
class Shape:
    """One program's export: the columns by which it is known, and those that say where somebody stands."""

    title: str
    signs: tuple[frozenset[str], ...]  # any of these sets of columns
    states: tuple[tuple[str, str], ...] = (("status", "status"),)
    columns: Mapping[str, str] = field(default_factory=dict)  # what its names mean beside COLUMNS
    by_file: tuple[tuple[str, Standing], ...] = ()  # what the beginning of a file's name says
    notes: tuple[str, ...] = ()
    escapes: bool = False  # a quote within quotes has a backslash before it

    def default_of(self, file_name: str) -> Standing:
        """Where somebody stands of whom the columns say nothing."""
        name = file_name.rpartition("/")[2].casefold()
        return next((standing for start, standing in self.by_file if name.startswith(start)), _CONFIRMED)


def _signs(*sets: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(each.split("|")) for each in sets)


SHAPES = (
    Shape(
        OURS,
        _signs("email|newsletter|status|consent way"),
        columns={name: name.replace(" ", "_") for name in ("newsletter", "rhythm", "paused until", "suppressed")}
        | {"unsubscribed at": "left_at", "consent ip": "confirmed_ip"}
        | {name: name.replace(" ", "_") for name in ("consent at", "consent way", "consent form", "consent wording")},
    ),
    Shape(
        "MailPoet",
        _signs("list status", "global status", "status listy", "globalny status", "статус списку"),
        states=tuple((name, "MailPoet on the list") for name in ("list status", "status listy", "статус списку"))
        + tuple((name, "MailPoet everywhere") for name in ("global status", "globalny status", "глобальний статус")),
        columns={"czas subskrypcji": "requested_at", "czas potwierdzenia": "confirmed_at"},
        notes=("MailPoet writes one row for each list a reader is on; --list NAME takes one of them",),
        escapes=True,
    ),
    Shape(
        "Mailchimp",
        _signs("optin time|confirm time", "member rating|optin time", "email address|leid|euid"),
        states=(("unsub time", "left once set"), ("clean time", "bounced once set"), ("status", "status")),
        by_file=(
            *(("unsubscribed", _LEFT), ("cleaned", _BOUNCED)),
            *(("nonsubscribed", _NEVER), ("non subscribed", _NEVER), ("non-subscribed", _NEVER)),
            *(("non_subscribed", _NEVER), ("archived", _LEFT)),
        ),
    ),
    Shape(
        "listmonk",
        _signs("uuid|email|attributes|status"),
        columns={"created at": "requested_at"},
        notes=(
            "listmonk's export says enabled also of those who have not confirmed a list or have left it: "
            "export with the subscription status `confirmed` chosen",
        ),
    ),
    Shape(
        "Ghost",
        _signs("email|subscribed to emails", "email|complimentary plan"),
        states=(("subscribed to emails", "wants mail"), ("subscribed", "wants mail"), ("deleted at", "left once set")),
        columns={"deleted at": "left_at"},
    ),
    Shape(
        "Substack", _signs("email|active subscription", "email|email disabled"), (("email disabled", "wants no mail"),)
    ),
    Shape(
        "Buttondown",
        _signs(
            "subscriber type",
            "email|type|creation date",
            "email address|type|creation date",
            "email|notes|metadata|tags",
        ),
        states=(
            *(("subscriber type", "Buttondown"), ("type", "Buttondown"), ("status", "Buttondown")),
            *(("unsubscription date", "left once set"), ("undeliverability date", "bounced once set")),
        ),
    ),
)
OTHER = Shape("a table", (), ())
# Behind these stands an office, or nobody; nobody in particular can have agreed.
ROLES = frozenset(
    (
        *("abuse", "admin", "administrator", "billing", "biuro", "contact", "help", "hostmaster", "info", "kontakt"),
        *("mail", "marketing", "news", "newsletter", "no-reply", "noc", "noreply", "office", "postmaster", "redakcja"),
        *("root", "sales", "sekretariat", "spam", "support", "webmaster"),
    )
)


PEERS = frozenset(shape.title for shape in SHAPES) - {OURS}


def is_escaping(title: str) -> bool:
    """Whether this program puts a backslash before a quote within quotes."""
    return any(shape.title == title and shape.escapes for shape in SHAPES)


def shape_of(names: frozenset[str]) -> Shape:
    """Whose export has these columns, normalised."""
    return next((shape for shape in SHAPES if any(signs <= names for signs in shape.signs)), OTHER)
