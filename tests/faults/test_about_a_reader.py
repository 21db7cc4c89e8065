"""One fault for one reader: the state is the true one, the reader is the right one, and the others have their mail."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.faults.cases import CASES, VICTIM, Case, parameters
from tests.faults.invariants import check_invariants, check_settled
from tests.faults.stage import HASTY, IN_TURNS, OFFERS, PATIENT, READERS, Shelf, reader, staged
from tests.servers.smtpd import Fault


@pytest.mark.parametrize("case", parameters(CASES))
def test_a_fault_for_one_reader_touches_that_reader_alone(shelf: Shelf, case: Case) -> None:
    touch_one_reader(shelf, case, OFFERS)


@pytest.mark.parametrize("case", parameters(CASES, only_brief=True))
def test_so_it_is_without_pipelining(shelf: Shelf, case: Case) -> None:
    touch_one_reader(shelf, case, IN_TURNS)


def touch_one_reader(shelf: Shelf, case: Case, offers: Sequence[str]) -> None:
    seconds = HASTY if case.seconds_matter else PATIENT
    with staged(shelf, case.fault, offers=offers, seconds=seconds) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        states = stage.states
        assert stage.smtpd.script.acted[case.fault], "the server had no occasion"  # type: ignore[attr-defined]
        assert states[VICTIM] in case.victim
        if not case.seconds_matter:  # on a busy machine the hasty may give up on others too
            assert states == dict.fromkeys(map(reader, range(READERS)), "sent") | {VICTIM: states[VICTIM]}
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert stage.states[VICTIM] in case.at_last


@pytest.mark.parametrize("at", ["RCPT", "END"])
def test_a_server_that_dislikes_us_for_one_reader_only_loses_us_that_reader_only(shelf: Shelf, at: str) -> None:
    dislike = Fault(at=at, recipient=VICTIM, reply="550 5.7.1 {recipient}: not from you")  # type: ignore[arg-type]
    with staged(shelf, dislike) as stage:
        stage.recover(well=False)
        check_settled(stage.service, stage.smtpd, stage.edition)
        assert stage.states == dict.fromkeys(map(reader, range(READERS)), "sent") | {VICTIM: "failed"}
