"""The faults of mail servers, one by one: what the server does, and what must then stand in the books."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.faults.stage import LATE, reader
from tests.servers.smtpd import Fault

VICTIM = reader(2)

SENT = frozenset({"sent"})
LATER = frozenset({"deferred"})
# A line that breaks before the message, or closes with a 421, may be tried anew at once, or later.
TRIED_ANEW = frozenset({"sent", "deferred"})
UNCERTAIN = frozenset({"uncertain"})
NOT_TAKEN = frozenset({"refused", "failed"})

KILOBYTES_100 = "x" * 100_000
LONG_LINE = f"250 2.0.0 for {{recipient}} {KILOBYTES_100}"
MANY_LINES = "\n".join([*("250-2.0.0 " + "x" * 90 for _ in range(1000)), "250 2.0.0 for {recipient}"])
GARBAGE: dict[str, bytes] = {
    "no digits": b"hello there\r\n",
    "binary": b"\x00\xff\xfe\x80\r\n",
    "an empty line": b"\r\n",
    "a code cut short": b"25\r\n",
    "a negative code": b"-50 what\r\n",
    "a code of no class": b"950 2.0.0 what\r\n",
    "codes that disagree": b"250-2.0.0 yes\r\n550 5.0.0 no\r\n",
    "a reply that never ends": b"250-2.0.0 yes\r\n",
}


@dataclass(frozen=True)
class Case:
    """A fault and what comes of it. Who is not the victim has the edition after the first run."""

    name: str
    fault: Fault
    victim: frozenset[str]  # the victim's states after the first run
    at_last: frozenset[str] = SENT  # and when the server is well again
    seconds_matter: bool = False  # the server keeps silent: the sender must be hasty

    @property
    def is_brief(self) -> bool:
        """Whether it is an ordinary answer, or none, and comes at once."""
        return not (self.seconds_matter or "garbage" in self.name or "100 kB" in self.name)


def _for_victim(at: str, **what: Any) -> Fault:
    return Fault(at=at, recipient=VICTIM, **{"times": 1, **what})  # type: ignore[arg-type]


_rcpt, _data, _body, _end, _reply = (partial(_for_victim, at) for at in ("RCPT", "DATA", "BODY", "END", "REPLY"))

AT_RCPT = [
    Case("450", _rcpt(reply="450 4.2.0 {recipient}: try later"), LATER),
    Case("421", _rcpt(reply="421 4.3.2 {recipient}: closing"), TRIED_ANEW),
    Case("452", _rcpt(reply="452 4.5.3 {recipient}: too many"), LATER),
    Case("552, which is a 452", _rcpt(reply="552 5.5.3 {recipient}: too many"), LATER),
    Case("550 5.1.1", _rcpt(reply="550 5.1.1 {recipient}: no such user"), frozenset({"refused"}), NOT_TAKEN),
    Case("550 alone", _rcpt(reply="550 {recipient}: no"), frozenset({"refused"}), NOT_TAKEN),
    Case("550 and no words", _rcpt(reply=b"550\r\n"), frozenset({"refused"}), NOT_TAKEN),
    Case("550 in many lines", _rcpt(reply="550-5.1.1 {recipient}\n550 5.1.1 no"), frozenset({"refused"}), NOT_TAKEN),
    Case("5.7.1 once", _rcpt(reply="550 5.7.1 {recipient}: not from you"), TRIED_ANEW),
    Case("251", _rcpt(reply="251 2.1.5 {recipient} has moved; will forward"), SENT),
    Case("354 in place of 250", _rcpt(reply="354 {recipient}"), TRIED_ANEW),
    Case("two replies", _rcpt(reply=b"250 2.1.5 ok\r\n250 2.1.5 did I say ok?\r\n"), TRIED_ANEW),
    Case("a line of 100 kB", _rcpt(reply=LONG_LINE), TRIED_ANEW),
    Case("100 kB of lines", _rcpt(reply=MANY_LINES), TRIED_ANEW),
    Case("no answer but the end", _rcpt(drop=True), TRIED_ANEW),
    Case("a reset", _rcpt(drop="reset"), TRIED_ANEW),
    Case("an answer and the end", _rcpt(drop="after"), TRIED_ANEW),
    Case("never an answer", _rcpt(drop=True, times=None), LATER),
    Case("a late answer", _rcpt(delay=LATE), TRIED_ANEW, seconds_matter=True),
]
AT_DATA = [
    Case("451", _data(reply="451 4.3.0 {recipient}: later"), LATER),
    Case("421", _data(reply="421 4.3.2 {recipient}: closing"), TRIED_ANEW),
    Case("550 5.6.0", _data(reply="550 5.6.0 {recipient}: no"), NOT_TAKEN, NOT_TAKEN),
    Case("5.7.1 once", _data(reply="554 5.7.1 {recipient}: not from you"), SENT),
    Case("250 in place of 354", _data(reply="250 2.0.0 {recipient}: fine"), TRIED_ANEW),
    Case("a line of 100 kB", _data(reply=LONG_LINE.replace("250", "354", 1)), TRIED_ANEW | UNCERTAIN, SENT | UNCERTAIN),
    Case("no answer but the end", _data(drop=True), TRIED_ANEW),
    Case("a reset", _data(drop="reset"), TRIED_ANEW),
    Case("354 and the end", _data(drop="after"), UNCERTAIN, UNCERTAIN),
    Case("a late 354", _data(delay=LATE), TRIED_ANEW, seconds_matter=True),
]
IN_THE_MESSAGE = [
    Case("the end at once", _body(after_bytes=0), UNCERTAIN, UNCERTAIN),
    Case("the end in the middle", _body(after_bytes=10_000), UNCERTAIN, UNCERTAIN),
    Case("the server reads nothing", _body(delay=LATE), UNCERTAIN, UNCERTAIN, seconds_matter=True),
]
AT_THE_END = [
    Case("450", _end(reply="450 4.2.0 {recipient}: later"), LATER),
    Case("452", _end(reply="452 4.3.1 {recipient}: no room"), LATER),
    Case("421", _end(reply="421 4.3.2 {recipient}: closing"), TRIED_ANEW),
    Case("552", _end(reply="552 5.2.2 {recipient}: full"), NOT_TAKEN, NOT_TAKEN),
    Case("550 5.1.1", _end(reply="550 5.1.1 {recipient}: unknown"), frozenset({"refused"}), NOT_TAKEN),
    Case("554", _end(reply="554 5.6.0 {recipient}: no"), NOT_TAKEN, NOT_TAKEN),
    Case("5.7.1 once", _end(reply="550 5.7.1 {recipient}: spam"), SENT),
    Case("the end", _end(drop=True), UNCERTAIN, UNCERTAIN),
    Case("a reset", _end(drop="reset"), UNCERTAIN, UNCERTAIN),
    Case("late and untaken", _end(delay=LATE, drop=True), UNCERTAIN, UNCERTAIN, seconds_matter=True),
]
WHEN_TAKEN = [
    Case("no word", _reply(drop=True), UNCERTAIN, UNCERTAIN),
    Case("a reset", _reply(drop="reset"), UNCERTAIN, UNCERTAIN),
    Case("yes and the end", _reply(drop="after"), SENT),
    Case("a late yes", _reply(delay=LATE), UNCERTAIN, UNCERTAIN, seconds_matter=True),
    Case("354", _reply(reply="354 {recipient}: more?"), UNCERTAIN, UNCERTAIN),
    Case("451, a lie", _reply(reply="451 4.3.0 {recipient}: later"), LATER),
    Case("554, a lie", _reply(reply="554 5.6.0 {recipient}: no"), NOT_TAKEN, NOT_TAKEN),
    Case("a line of 100 kB", _reply(reply=LONG_LINE), SENT | UNCERTAIN, SENT | UNCERTAIN),
    Case("100 kB of lines", _reply(reply=MANY_LINES), SENT | UNCERTAIN, SENT | UNCERTAIN),
    Case("yes twice", _reply(reply=b"250 2.0.0 taken\r\n250 2.0.0 taken, I said\r\n"), SENT),
    Case("yes and an unasked 421", _reply(reply=b"250 2.0.0 taken\r\n421 4.4.2 idle\r\n", drop="after"), SENT),
]


_AMBIGUOUS = "codes that disagree"  # of two words either may be believed
_ENDLESS = "a reply that never ends"  # the answer to what comes next may end it
_WAITED_FOR = (_ENDLESS, "an empty line")


def _garbage_at(at: str, states: frozenset[str], at_last: frozenset[str]) -> list[Case]:
    def case(name: str, words: bytes) -> Case:
        doubt = NOT_TAKEN | SENT if name == _AMBIGUOUS else SENT if name == _ENDLESS else frozenset()
        fault = _for_victim(at, reply=words)
        return Case(f"garbage: {name}", fault, states | doubt, at_last | doubt, seconds_matter=name in _WAITED_FOR)

    return [case(name, words) for name, words in GARBAGE.items()]


CASES = {
    "RCPT": AT_RCPT + _garbage_at("RCPT", TRIED_ANEW, SENT),
    "DATA": AT_DATA + _garbage_at("DATA", TRIED_ANEW, SENT),
    "BODY": IN_THE_MESSAGE,
    "END": AT_THE_END + _garbage_at("END", UNCERTAIN, UNCERTAIN),
    "REPLY": WHEN_TAKEN + _garbage_at("REPLY", UNCERTAIN, UNCERTAIN),
}


def parameters(cases: dict[str, list[Case]], *, only_brief: bool = False) -> list[Any]:
    """For `pytest.mark.parametrize`; `only_brief` leaves out silence, garbage and very long replies."""
    chosen = [(at, case) for at, listed in cases.items() for case in listed if case.is_brief or not only_brief]
    return [pytest.param(case, id=f"{at}: {case.name}") for at, case in chosen]
