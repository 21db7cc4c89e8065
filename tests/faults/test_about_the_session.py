"""Faults that name no reader: at the greeting, at EHLO, MAIL, RSET and QUIT, and servers that have had enough."""

from __future__ import annotations

from collections import Counter

import pytest

from digest.domain.editions import EditionState
from tests.faults.cases import GARBAGE, KILOBYTES_100, MANY_LINES, VICTIM
from tests.faults.invariants import check_invariants, check_settled
from tests.faults.stage import HASTY, IN_TURNS, LATE, OFFERS, PATIENT, READERS, Shelf, reader, staged
from tests.servers.smtpd import Fault

ANSWERS: dict[str, dict[str, object]] = {
    "421": {"reply": "421 4.3.2 closing"},
    "451": {"reply": "451 4.3.0 later"},
    "554": {"reply": "554 5.3.2 no mail here"},
    "550 5.7.1": {"reply": "550 5.7.1 not from you"},
    "354": {"reply": "354 go on"},
    "a line of 100 kB": {"reply": f"250 {KILOBYTES_100}"},
    "100 kB of lines": {"reply": MANY_LINES},
    "two replies": {"reply": b"250 2.0.0 ok\r\n250 2.0.0 ok, I said\r\n"},
    "the end": {"drop": True},
    "a reset": {"drop": "reset"},
    "an answer and the end": {"drop": "after"},
    "no digits": {"reply": GARBAGE["no digits"]},
    "binary": {"reply": GARBAGE["binary"]},
    "a code of no class": {"reply": GARBAGE["a code of no class"]},
    "a late answer": {"delay": LATE},
    "an empty line": {"reply": GARBAGE["an empty line"]},
}
SILENT = ("a late answer", "an empty line")
BEFORE_MAIL = ("421", "554", "354", "100 kB of lines", "two replies", "a reset", "no digits")
STUBBORN = ("421", "550 5.7.1", "354", "two replies", "a reset", "binary", "a late answer")
UNTOUCHED = {"sent", "queued", "deferred"}


def seconds_for(name: str) -> float:
    return HASTY if name in SILENT else PATIENT


@pytest.mark.parametrize(
    ("at", "name"), [(at, name) for at in ("CONNECT", "EHLO") for name in BEFORE_MAIL] + [("MAIL", n) for n in ANSWERS]
)
def test_a_fault_that_names_nobody_costs_nobody_the_edition(shelf: Shelf, at: str, name: str) -> None:
    fault = Fault(at=at, times=2, after=1, **ANSWERS[name])  # type: ignore[arg-type]
    with staged(shelf, fault, seconds=seconds_for(name)) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) <= UNTOUCHED
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) == {"sent"}


@pytest.mark.parametrize(
    ("at", "name"), [("CONNECT", "a reset"), ("EHLO", "binary"), *(("MAIL", name) for name in STUBBORN)]
)
def test_a_server_that_never_gets_beyond_its_fault_touches_nobody(shelf: Shelf, at: str, name: str) -> None:
    with staged(shelf, Fault(at=at, **ANSWERS[name]), seconds=seconds_for(name)) as stage:  # type: ignore[arg-type]
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) <= UNTOUCHED
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) == {"sent"}


@pytest.mark.parametrize(
    ("at", "reply"),
    [
        ("CONNECT", "554 5.7.1 we know you"),
        ("EHLO", "550 5.7.1 we know you"),
        ("MAIL", "550 5.7.1 we know you"),
        ("MAIL", "553 5.1.8 we do not like your sender"),
        ("RCPT", "550 5.7.26 unauthenticated"),
        ("END", "554 5.7.1 spam, all of it"),
    ],
)
def test_a_refusal_about_us_pauses_the_run_and_leaves_all_in_the_queue(shelf: Shelf, at: str, reply: str) -> None:
    with staged(shelf, Fault(at=at, reply=reply)) as stage:  # type: ignore[arg-type]
        assert stage.deliver().state is EditionState.PAUSED
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) == {"queued"}
        assert reply[:3] in stage.edition.reason
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) == {"sent"}


@pytest.mark.parametrize(
    ("name", "offers"),
    [*((name, OFFERS) for name in ANSWERS), *((name, IN_TURNS) for name in ("421", "two replies", "a reset"))],
    ids=lambda value: value if isinstance(value, str) else "pipelined" if "PIPELINING" in value else "in turns",
)
def test_the_answer_to_a_reset_changes_no_verdict(shelf: Shelf, name: str, offers: tuple[str, ...]) -> None:
    refusal = Fault(at="RCPT", recipient=VICTIM, reply="550 5.1.1 {recipient}: no such user")
    answer = Fault(at="RSET", **ANSWERS[name])  # type: ignore[arg-type]
    with staged(shelf, refusal, answer, offers=offers, seconds=seconds_for(name)) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert stage.states[VICTIM] == "refused"
        assert set(stage.states.values()) <= UNTOUCHED | {"refused"}
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert Counter(stage.states.values()) == {"sent": READERS - 1, "refused": 1}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_to_a_good_bye_changes_nothing(shelf: Shelf, name: str) -> None:
    with staged(shelf, Fault(at="QUIT", **ANSWERS[name]), seconds=seconds_for(name)) as stage:  # type: ignore[arg-type]
        assert stage.deliver().state is EditionState.SENT
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) == {"sent"}


@pytest.mark.parametrize("tries", [1, 2])
def test_greylisting_turns_every_reader_away_and_then_takes_each(shelf: Shelf, tries: int) -> None:
    grey = Fault(at="RCPT", reply="450 4.2.0 {recipient} greylisted", times=tries, per="recipient")
    with staged(shelf, grey) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) == {"deferred"}
        stage.recover(well=False)
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) == {"sent"}
        assert stage.smtpd.script.acted[grey] == tries * READERS  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "enough",
    [
        Fault(at="MAIL", reply="452 4.3.1 no room", after=2, times=3),
        Fault(at="RCPT", reply="452 4.5.3 {recipient}: too many", after=3, times=2),
        Fault(at="MAIL", reply="421 4.7.0 enough for one session", after=1, per="connection"),
        Fault(at="END", reply="452 4.3.1 {recipient}: no room", after=4, times=2),
        Fault(at="REPLY", drop="after", per="connection"),
        Fault(at="CONNECT", reply="421 4.7.0 too many connections", after=1, times=3),
    ],
    ids=["452 at MAIL", "452 at RCPT", "421 a session", "452 at the end", "one message a connection", "421 at once"],
)
def test_a_server_that_has_had_enough_gets_the_rest_later(shelf: Shelf, enough: Fault) -> None:
    with staged(shelf, enough, readers=12, connections=3) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) <= UNTOUCHED
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert stage.states == dict.fromkeys(map(reader, range(12)), "sent")


def test_a_connection_still_being_made_does_not_outlive_the_run(shelf: Shelf) -> None:
    with staged(shelf, Fault(at="EHLO", delay=LATE, after=1)) as stage:
        assert stage.deliver().state is EditionState.SENT  # over the other one
        check_settled(stage.service, stage.smtpd, stage.edition)
