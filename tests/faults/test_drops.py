"""The line breaks at every byte of a session: in what we say, and in what we hear.

By default a walk in steps. With DIGEST_FAULT_EXAMPLES set, every single position: that takes some hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pytest

from tests.faults.invariants import check_invariants, check_settled
from tests.faults.stage import IN_TURNS, LONG_RUN, OFFERS, Shelf, Stage, reader, staged
from tests.servers.smtpd import Fault

THREE = 3  # readers: one before, one in the middle, one behind
STEP = 31  # bytes; each walk begins at another place, so that together they meet more
STEP_IN_MESSAGES = 4999  # where one byte is like the next
NEAR = 8  # bytes before the end of a message that matter

WALKS = [
    pytest.param(OFFERS, "none", True, 0, id="pipelined"),
    pytest.param(OFFERS, "none", "reset", 7, id="pipelined, reset"),
    pytest.param(IN_TURNS, "none", True, 15, id="in turns"),
    pytest.param(OFFERS, "starttls", True, 23, id="under TLS"),
]

pytestmark = pytest.mark.timeout(0 if LONG_RUN else 180)


def quiet_session(shelf: Shelf, offers: Sequence[str], security: str) -> Stage:
    """The session as it goes when nothing breaks."""
    with staged(shelf, readers=THREE, connections=1, articles=1, offers=offers, security=security) as stage:
        stage.deliver()
        assert stage.smtpd.connections == 1
        return stage


def places_in_what_we_say(stage: Stage, first: int) -> Iterable[int]:
    """Positions: dense in commands and around the ends of messages, sparse within."""
    smtpd = stage.smtpd
    bodies = [len(re.sub(rb"(?m)^\.", b"..", message.data)) + len(b".\r\n") for message in smtpd.received]
    places: set[int] = set()
    at = 0
    for _, line in smtpd.lines:
        places.update(place for place in range(at, at + len(line) + 2) if place % STEP == first)
        at += len(line) + 2
        if line == "DATA":
            end = at + bodies.pop(0)
            places.update(range(at, end, STEP_IN_MESSAGES), range(end - NEAR + first % 4, end + 4, 4))
            at = end
    assert at == smtpd.bytes_read[1], "the walk has lost its way"
    return range(at + 1) if LONG_RUN else sorted(places)


def places_in_what_we_hear(stage: Stage, first: int) -> Iterable[int]:
    """Positions in the replies."""
    end = stage.smtpd.bytes_written[1] + 1
    return range(end) if LONG_RUN else range(first, end, STEP)


def break_the_line(shelf: Shelf, cut: Fault, offers: Sequence[str], security: str) -> None:
    """One run over a line that breaks once, and another when it holds."""
    with staged(shelf, cut, readers=THREE, connections=1, articles=1, offers=offers, security=security) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        states = list(stage.states.values())
        assert set(states) <= {"sent", "uncertain"}
        assert states.count("uncertain") <= 1, "one line carries one message at a time"


@pytest.mark.parametrize(("offers", "security", "drop", "first"), WALKS)
def test_a_line_may_break_at_any_byte_that_we_say(
    shelf: Shelf, offers: Sequence[str], security: str, drop: bool | str, first: int
) -> None:
    session = quiet_session(shelf, offers, security)
    for place in places_in_what_we_say(session, first):
        cut = Fault(at="WIRE", after_read=place, drop=drop, times=1)  # type: ignore[arg-type]
        break_the_line(shelf, cut, offers, security)


@pytest.mark.parametrize(("offers", "security", "drop", "first"), WALKS)
def test_a_line_may_break_at_any_byte_that_we_hear(
    shelf: Shelf, offers: Sequence[str], security: str, drop: bool | str, first: int
) -> None:
    session = quiet_session(shelf, offers, security)
    for place in places_in_what_we_hear(session, first):
        cut = Fault(at="WIRE", after_written=place, drop=drop, times=1)  # type: ignore[arg-type]
        break_the_line(shelf, cut, offers, security)


def test_the_walk_passes_every_reader(shelf: Shelf) -> None:
    session = quiet_session(shelf, OFFERS, "none")
    assert {message.recipients[0] for message in session.smtpd.received} == set(map(reader, range(THREE)))
