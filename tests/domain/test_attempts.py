"""What an attempt comes to: each verdict's outcome, refusals in a row, and when a reader is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.attempts import FEWEST_TRIES, LINES_PER_TRY, Judge, Patience
from digest.domain.deliveries import Delivery, DeliveryState, Mail, Receipt, Verdict, retry_wait

NOW = datetime(2026, 11, 28, 7, tzinfo=UTC)
PATIENCE = Patience(give_up_after=timedelta(hours=24), refusals_in_a_row=5, first_retry=timedelta(minutes=8))
TAKEN = Receipt(250, "2.0.0 taken")
ABOUT_US = Receipt(550, "5.7.1 not from you")
LATER = Receipt(450, "4.2.0 try later")


def delivery(number=1, attempts=1, queued_at=NOW, edition_id=7):
    mail = Mail.DIGEST if edition_id else Mail.CONFIRMATION
    return Delivery(number, mail, edition_id, f"reader{number}@example.com", queued_at, attempts)


def ruling(receipt, command="END", judge=None, lines=1, luck=0.5, now=NOW, **more):
    return (judge or Judge(PATIENCE)).answered(delivery(**more), command, receipt, lines, now, luck)


# --- each verdict ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "receipt", "state", "verdict"),
    [
        ("END", TAKEN, "sent", Verdict.SENT),
        ("RCPT", Receipt(550, "5.1.1 no such user"), "refused", Verdict.REFUSED),
        ("END", Receipt(554, "5.6.0 bad content"), "failed", Verdict.FAILED),
        ("ADDRESS", Receipt(0, "no SMTPUTF8"), "failed", Verdict.FAILED),
        ("END", Receipt(150, "odd"), "uncertain", Verdict.UNCERTAIN),
    ],
)
def test_a_decision_settles_the_reader_with_the_servers_words(command, receipt, state, verdict):
    made = ruling(receipt, command)
    assert made.verdict is verdict
    assert made.outcome == (1, DeliveryState(state), receipt, None, "", None)
    assert made.pause == ""


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "END"])
def test_later_defers_the_reader_to_a_time(command):
    made = ruling(LATER, command)
    assert made.verdict is Verdict.DEFERRED
    assert made.outcome is not None
    assert made.outcome.state is DeliveryState.DEFERRED
    assert made.outcome.due_at == NOW + timedelta(minutes=8)


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_421_before_the_message_tries_another_line_a_few_times(command):
    closing = Receipt(421, "4.3.2 closing")
    assert [ruling(closing, command, lines=n).outcome for n in range(1, LINES_PER_TRY)] == [None] * (LINES_PER_TRY - 1)
    last = ruling(closing, command, lines=LINES_PER_TRY).outcome
    assert last is not None
    assert last.state is DeliveryState.DEFERRED


def test_421_instead_of_the_250_waits_as_the_server_has_seen_the_message():
    made = ruling(Receipt(421, "4.3.2 closing"), "END", lines=1)
    assert made.outcome is not None
    assert made.outcome.state is DeliveryState.DEFERRED


def test_a_line_that_breaks_before_the_message_tries_another_and_after_it_is_uncertain():
    judge = Judge(PATIENCE)
    tries = [judge.lost(delivery(), "broken", n, NOW, 0.5, after_data=False).outcome for n in (1, 2, 3)]
    assert tries[:2] == [None, None]
    assert tries[2] is not None
    assert tries[2].state is DeliveryState.DEFERRED
    after = judge.lost(delivery(), "broken", 1, NOW, 0.5, after_data=True).outcome
    assert after == (1, DeliveryState.UNCERTAIN, Receipt(0, "broken"), None, "", None)


# --- refusals about us ----------------------------------------------------------------------------


def test_a_refusal_about_us_gives_the_reader_back_untouched():
    made = ruling(ABOUT_US)
    assert made.verdict is Verdict.ABOUT_US
    assert made.outcome == (1, DeliveryState.QUEUED, ABOUT_US, None, "", None)


def test_so_many_refusals_in_a_row_pause_the_run_in_the_servers_words():
    judge = Judge(PATIENCE)
    made = [ruling(ABOUT_US, judge=judge, number=n) for n in range(1, 11)]
    assert [each.pause for each in made] == 2 * (["", "", "", "", "550 5.7.1 not from you"])
    assert {each.outcome.state for each in made if each.outcome} == {DeliveryState.QUEUED}


@pytest.mark.parametrize("limit", [1, 3])
def test_how_many_is_configured(limit):
    judge = Judge(Patience(refusals_in_a_row=limit))
    made = [ruling(ABOUT_US, judge=judge, number=n) for n in range(1, limit + 1)]
    assert [bool(each.pause) for each in made] == [False] * (limit - 1) + [True]


def test_a_copy_that_is_taken_breaks_the_row():
    judge = Judge(PATIENCE)
    for number in range(1, 40):
        made = ruling(TAKEN if number % 5 == 0 else ABOUT_US, judge=judge, number=number)
        assert not made.pause


def test_other_answers_do_not_break_the_row():
    judge = Judge(PATIENCE)
    answers = [ABOUT_US, Receipt(550, "5.1.1 no such user"), ABOUT_US, LATER, ABOUT_US, ABOUT_US, ABOUT_US]
    made = [ruling(each, "RCPT", judge=judge, number=n) for n, each in enumerate(answers)]
    assert [bool(each.pause) for each in made] == [False] * 6 + [True]


def test_a_lone_refused_reader_fails_while_others_pass():
    judge = Judge(PATIENCE)
    states = []
    for number in range(100, 110):
        ruling(TAKEN, judge=judge, number=number)
        made = ruling(ABOUT_US, judge=judge, number=1)
        assert not made.pause
        assert made.outcome is not None
        states.append(made.outcome.state)
        if made.outcome.state is DeliveryState.FAILED:
            break
    assert states == [DeliveryState.QUEUED] * 4 + [DeliveryState.FAILED]


def test_a_lone_reader_is_not_failed_before_anybody_has_got_through():
    judge = Judge(PATIENCE)
    made = [ruling(ABOUT_US, judge=judge, number=1) for _ in range(12)]
    assert {each.outcome.state for each in made if each.outcome} == {DeliveryState.QUEUED}
    assert any(each.pause for each in made)


def test_a_confirmation_we_are_refused_over_comes_again_soon_but_not_at_once():
    made = ruling(ABOUT_US, edition_id=0)
    assert made.outcome is not None
    assert made.outcome.state is DeliveryState.QUEUED
    assert made.outcome.due_at == NOW + PATIENCE.soon


# --- giving up ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "waited", "state"),
    [
        (1, timedelta(days=3), "deferred"),  # the clock has jumped, or nothing ran: that is not the reader's fault
        (FEWEST_TRIES - 1, timedelta(days=3), "deferred"),
        (FEWEST_TRIES, timedelta(hours=24), "failed"),
        (FEWEST_TRIES, timedelta(hours=23, minutes=59), "deferred"),
        (50, timedelta(hours=1), "deferred"),
        (50, timedelta(hours=25), "failed"),
    ],
)
def test_giving_up_needs_time_and_tries(attempts, waited, state):
    made = ruling(LATER, attempts=attempts, queued_at=NOW - waited)
    assert made.outcome is not None
    assert made.outcome.state == state
    assert made.outcome.receipt == LATER


def test_broken_lines_end_in_giving_up_too():
    old = delivery(attempts=9, queued_at=NOW - timedelta(days=2))
    made = Judge(PATIENCE).lost(old, "broken", LINES_PER_TRY, NOW, 0.5, after_data=False)
    assert made.outcome is not None
    assert made.outcome.state is DeliveryState.FAILED


# --- waits ----------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.floats(0, 1, exclude_max=True))
def test_waits_are_spread_by_an_eighth_either_way(attempts, luck):
    middle = retry_wait(attempts, timedelta(minutes=5), 0.5)
    wait = retry_wait(attempts, timedelta(minutes=5), luck)
    assert 0.8749 * middle <= wait <= 1.1251 * middle


def test_a_crowd_does_not_come_back_at_once():
    waits = [retry_wait(3, timedelta(minutes=5), n / 100) for n in range(100)]
    assert len(set(waits)) == 100
    assert max(waits) - min(waits) > timedelta(minutes=4)


@given(st.integers(1, 39), st.floats(0, 1, exclude_max=True))
def test_waits_never_shrink_with_the_tries(attempts, luck):
    first = timedelta(minutes=5)
    assert retry_wait(attempts, first, luck) <= retry_wait(attempts + 1, first, luck)


@given(st.integers(0, 10_000), st.timedeltas(timedelta(0), timedelta(days=2)))
def test_a_wait_ends_for_any_number_of_tries(attempts, first):
    assert timedelta(0) <= retry_wait(attempts, first, 0.9) <= 1.125 * max(first, timedelta(hours=2))


def test_the_luck_of_the_moment_decides_when_a_reader_comes_again():
    early, late = (ruling(LATER, luck=luck).outcome for luck in (0.0, 0.999))
    assert early is not None and late is not None
    assert early.due_at is not None and late.due_at is not None
    assert early.due_at < NOW + PATIENCE.first_retry < late.due_at
