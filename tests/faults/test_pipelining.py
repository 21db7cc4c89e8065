"""PIPELINING offered: refusals in the midst of groups, and servers that do not keep the promise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.faults.cases import CASES, Case, parameters
from tests.faults.invariants import check_invariants, check_settled
from tests.faults.stage import CHUNKED, HASTY, IN_TURNS, OFFERS, PATIENT, Shelf, reader, staged
from tests.servers.smtpd import Fault, Pipelining, Script, Step

MANY = 12

# What is said about whom, and the state it must end in. Who is not named is sent.
SAID_ABOUT: dict[int, tuple[dict[str, object], str]] = {
    1: ({"at": "RCPT", "reply": "550 5.1.1 {recipient}: no such user"}, "refused"),
    2: ({"at": "RCPT", "reply": "550-5.1.1 {recipient}:\n550-5.1.1 no\n550 5.1.1 such user"}, "refused"),
    3: ({"at": "RCPT", "reply": "450 4.2.0 {recipient}: greylisted"}, "deferred"),
    5: ({"at": "DATA", "reply": "451 4.3.0 {recipient}: later"}, "deferred"),
    6: ({"at": "END", "reply": "554 5.6.0 {recipient}: no"}, "failed"),
    7: ({"at": "END", "reply": "452 4.2.2 {recipient}: full for now"}, "deferred"),
    9: ({"at": "END", "drop": True}, "uncertain"),
    10: ({"at": "RCPT", "reply": "553 5.1.3 {recipient}: odd address"}, "refused"),
}


@pytest.mark.parametrize("connections", [1, 2, 3])
@pytest.mark.parametrize(
    ("offers", "pipelining"),
    [(OFFERS, "works"), (OFFERS, "one packet"), (OFFERS, "byte by byte"), (OFFERS, "goes ahead"), (IN_TURNS, "works")],
    ids=["each at once", "in one packet", "byte by byte", "354 for nobody", "in turns"],
)
def test_each_word_is_taken_by_the_reader_it_is_about(
    shelf: Shelf, offers: Sequence[str], pipelining: Pipelining, connections: int
) -> None:
    faults = [Fault(recipient=reader(n), times=1, **what) for n, (what, _) in SAID_ABOUT.items()]  # type: ignore[arg-type]
    expected = {reader(n): SAID_ABOUT[n][1] if n in SAID_ABOUT else "sent" for n in range(MANY)}
    with staged(shelf, *faults, readers=MANY, connections=connections, offers=offers, pipelining=pipelining) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert stage.states == expected
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        settled = {address: "sent" if state == "deferred" else state for address, state in expected.items()}
        assert stage.states == settled


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize(
    "pipelining", ["forgets group", "forgets after dot", "hangs up", "goes ahead", "one packet", "byte by byte"]
)
def test_a_promise_that_is_not_kept_costs_nobody_the_edition(
    shelf: Shelf, pipelining: Pipelining, connections: int
) -> None:
    seconds = HASTY if pipelining.startswith("forgets") else PATIENT
    with staged(shelf, pipelining=pipelining, connections=connections, seconds=seconds) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) <= {"sent", "queued", "deferred"}
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert set(stage.states.values()) == {"sent"}


class YesToNothing(Script):
    """Calls for the message although nobody is to get it, and says then that all is well."""

    def __call__(self, step: Step) -> Fault | None:
        if step.at == "END" and not step.recipients:
            return Fault(at="END", reply="250 2.0.0 taken, for nobody")
        return super().__call__(step)


@pytest.mark.parametrize(
    ("refusal", "states"),
    [
        (Fault(at="RCPT", recipient=reader(2), reply="550 5.1.1 {recipient}: unknown"), {"refused"}),
        (Fault(at="RCPT", recipient=reader(2), reply="450 4.2.0 {recipient}: later", times=1), {"deferred"}),
        (Fault(at="MAIL", reply="451 4.3.0 later", after=2, times=1), {"deferred", "queued"}),
    ],
    ids=["550", "450", "MAIL"],
)
def test_a_yes_to_a_message_for_nobody_is_no_yes_to_the_reader(shelf: Shelf, refusal: Fault, states: set[str]) -> None:
    with staged(shelf, pipelining="goes ahead") as stage:
        stage.smtpd.script = YesToNothing(refusal)
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert len(stage.smtpd.received) == list(stage.states.values()).count("sent") == len(stage.states) - 1
        assert set(stage.states.values()) - {"sent"} <= states
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)


@pytest.mark.parametrize("offers", [OFFERS, IN_TURNS], ids=["pipelined", "in turns"])
@pytest.mark.parametrize("extra", ["250 2.0.0 taken", "451 4.3.0 later", "550 5.1.1 no"])
def test_an_answer_that_came_with_the_354_is_no_answer_to_the_message(
    shelf: Shelf, extra: str, offers: Sequence[str]
) -> None:
    rash = Fault(at="DATA", recipient=reader(2), reply=f"354 go on\r\n{extra}\r\n".encode(), times=1)
    refusal = Fault(at="END", recipient=reader(2), reply="452 4.3.1 {recipient}: no room", times=1)
    with staged(shelf, rash, refusal, offers=offers) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert stage.states[reader(2)] not in ("refused", "failed")
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)


@pytest.mark.parametrize("drop", [True, "reset"])
@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_line_that_breaks_behind_the_yes_takes_nothing_back(shelf: Shelf, after: int, drop: bool | str) -> None:
    fault = Fault(at="MAIL", drop=drop, after=after, times=1)  # type: ignore[arg-type]
    with staged(shelf, fault, connections=1) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        assert "uncertain" not in stage.states.values()
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)


CHUNK_CASES = {at: [case for case in CASES[at] if not case.seconds_matter] for at in ("BODY", "END", "REPLY")}
CHUNK_CASES["RCPT"] = [case for case in CASES["RCPT"] if case.name in ("450", "550 5.1.1", "a reset")]


@pytest.mark.parametrize("case", parameters(CHUNK_CASES))
def test_the_same_holds_when_chunking_is_offered(shelf: Shelf, case: Case) -> None:
    with staged(shelf, case.fault, offers=CHUNKED) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
