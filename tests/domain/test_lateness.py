"""A draft whose hour has passed: missed, or made for the desk to send."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from digest.domain.editions import LATE_DRAFT, Edition, EditionState, waits_for_a_hand
from digest.domain.periods import Period

HOUR = timedelta(hours=1)
SATURDAY = datetime(2026, 11, 28, 7, tzinfo=UTC)
FRIDAY = SATURDAY - 16 * HOUR
TOO_LATE = SATURDAY + 12 * HOUR
EDITION = Edition(
    1, "weekly", 1, Period(FRIDAY - 168 * HOUR, FRIDAY), EditionState.DRAFTED, "", SATURDAY, created_at=FRIDAY
)


@pytest.mark.parametrize(
    ("created_at", "reason", "running_since", "waits"),
    [
        (FRIDAY, "", FRIDAY - 100 * HOUR, False),  # it was expected, and nothing ran at the hour
        (FRIDAY, "", None, True),  # nothing ever ran
        (FRIDAY, "", SATURDAY + 50 * HOUR, True),  # nothing ran yet
        (FRIDAY, LATE_DRAFT.format(1), FRIDAY - 100 * HOUR, True),  # it was made again after it was missed
        (TOO_LATE + HOUR, "", FRIDAY - 100 * HOUR, True),  # it was made when it was too late already
        (SATURDAY + HOUR, "", FRIDAY - 100 * HOUR, False),  # a little late is no wish of the desk
    ],
)
def test_a_late_draft_waits_for_a_hand_when_nobody_waited_for_it(created_at, reason, running_since, waits):
    edition = replace(EDITION, created_at=created_at, reason=reason)
    assert waits_for_a_hand(edition, TOO_LATE, running_since) is waits
