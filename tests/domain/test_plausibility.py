"""When the counts of a period are believed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from digest.domain.newsletters import Plausibility
from digest.domain.periods import Period
from digest.domain.plausibility import Counted, odd_about

END = datetime(2026, 11, 28, 7, tzinfo=UTC)
WEEK = Period(END - timedelta(days=7), END)
USUAL = Counted(
    total=10_000,
    of_most_read=900,
    oldest=WEEK.start + timedelta(hours=1),
    newest=END - timedelta(hours=1),
    before=(9_000, 11_000, 10_000, 10_000),
)


def odd(**changes):
    return odd_about(replace(USUAL, **changes), WEEK, Plausibility())


def test_a_usual_week_is_believed():
    assert odd() == []
    assert odd(before=()) == []
    assert odd(before=(1,)) == []  # one week says nothing of the mean


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"total": 0, "of_most_read": 0, "newest": None}, "no view was counted"),
        ({"newest": END - timedelta(days=3, seconds=1)}, "too long before the period closed"),
        ({"newest": END - timedelta(days=4), "before": ()}, "too long before the period closed"),
        ({"total": 1_999, "of_most_read": 10}, "0.2 times the mean of the 4 periods before, 10,000"),
        ({"total": 50_001}, "5 times the mean"),
        ({"of_most_read": 9_501}, "one article has 9,501 of all 10,000 views"),
    ],
)
def test_what_cannot_be_right_is_said(changes, words):
    (line,) = odd(**changes)
    assert words in line


@pytest.mark.parametrize(
    "changes",
    [
        {"newest": END - timedelta(days=3)},
        {"total": 2_000, "of_most_read": 10},
        {"total": 50_000},
        {"of_most_read": 9_500},
        {"newest": END - timedelta(days=4), "oldest": END - timedelta(days=4, hours=3), "before": ()},  # just begun
        {"total": 999, "of_most_read": 999, "before": ()},
    ],
)
def test_the_limits_themselves_are_believed(changes):
    assert odd(**changes) == []
