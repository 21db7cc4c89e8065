"""TLS that fails, in every way and for ever: nothing goes out in the clear, nobody is touched, and it goes on later."""

from __future__ import annotations

import pytest

from digest.domain.editions import EditionState
from tests.faults.invariants import check_invariants, check_settled
from tests.faults.stage import HASTY, LATE, PATIENT, Shelf, Stage, staged
from tests.servers.smtpd import Fault

FAULTS: dict[str, dict[str, object]] = {
    "454": {"at": "STARTTLS", "reply": "454 4.7.0 TLS not available due to temporary reason"},
    "502": {"at": "STARTTLS", "reply": "502 5.5.1 what is that?"},
    "garbage for an answer": {"at": "STARTTLS", "reply": b"\x15\x03\x01\xff\r\n"},
    "the end for an answer": {"at": "STARTTLS", "drop": True},
    "garbage for a handshake": {"at": "TLS", "reply": b"220 you said TLS?\r\n"},
    "an alert": {"at": "TLS", "reply": b"\x15\x03\x03\x00\x02\x02\x28"},  # fatal: handshake_failure
    "the end in the handshake": {"at": "TLS", "drop": True},
    "a reset in the handshake": {"at": "TLS", "drop": "reset"},
    "a handshake that never ends": {"at": "TLS", "delay": LATE},
}


def nothing_happened(stage: Stage) -> None:
    assert stage.edition.state is EditionState.PAUSED
    check_invariants(stage.service, stage.smtpd, stage.edition)
    assert set(stage.states.values()) == {"queued"}
    assert not stage.smtpd.commands["MAIL"], "an envelope went out in the clear"


def everybody_is_sent(stage: Stage) -> None:
    stage.recover()
    check_settled(stage.service, stage.smtpd, stage.edition)
    assert set(stage.states.values()) == {"sent"}


@pytest.mark.parametrize(
    ("name", "security"),
    [*((name, "starttls") for name in FAULTS), ("garbage for a handshake", "tls"), ("the end in the handshake", "tls")],
)
def test_without_tls_nothing_goes_out_and_nobody_is_touched(shelf: Shelf, name: str, security: str) -> None:
    seconds = HASTY if "delay" in FAULTS[name] else PATIENT
    with staged(shelf, Fault(**FAULTS[name]), security=security, seconds=seconds) as stage:  # type: ignore[arg-type]
        stage.deliver()
        nothing_happened(stage)
        everybody_is_sent(stage)


def test_a_word_slipped_in_before_the_handshake_is_not_believed(shelf: Shelf) -> None:
    slipped = Fault(at="STARTTLS", reply=b"220 2.0.0 go ahead\r\n250-evil\r\n250 PIPELINING\r\n", times=1)
    with staged(shelf, slipped, security="starttls") as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        everybody_is_sent(stage)


@pytest.mark.parametrize("name", ["454", "the end in the handshake", "an alert"])
def test_tls_that_fails_now_and_then_costs_nobody_the_edition(shelf: Shelf, name: str) -> None:
    fault = Fault(**FAULTS[name], after=1, times=1)  # type: ignore[arg-type]
    with staged(shelf, fault, security="starttls", connections=3) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        everybody_is_sent(stage)


def test_a_server_that_offers_no_tls_gets_nothing(shelf: Shelf) -> None:
    with staged(shelf, security="none") as plain:
        port = plain.smtpd.port
        with staged(shelf, security="starttls", port=port, host="127.0.0.1") as stage:
            stage.deliver()
            assert stage.edition.state is EditionState.PAUSED
            assert set(stage.states.values()) == {"queued"}
        assert not plain.smtpd.commands["MAIL"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_trusts_gets_nothing(shelf: Shelf, security: str) -> None:
    with staged(shelf, security=security, ca_file="") as stage:
        stage.deliver()
        nothing_happened(stage)


@pytest.mark.parametrize(("at", "state"), [("END", "uncertain"), ("REPLY", "uncertain"), ("RCPT", "sent")])
def test_under_tls_a_broken_line_means_what_it_means_without(shelf: Shelf, at: str, state: str) -> None:
    fault = Fault(at=at, drop=True, after=2, times=1)  # type: ignore[arg-type]
    with staged(shelf, fault, security="starttls") as stage:
        stage.deliver()
        everybody_else = [each for each in stage.states.values() if each != state]
        assert everybody_else == ["sent"] * len(everybody_else)
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
