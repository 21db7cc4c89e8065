"""Saturday at 08:00 in Warsaw, whatever the clocks do."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.periods import Period, Schedule, day_bucket, hour_bucket

WARSAW = ZoneInfo("Europe/Warsaw")
SATURDAY = Schedule.parse("sat 08:00", WARSAW)


def warsaw(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=WARSAW).astimezone(UTC)


def test_saturday_eight_is_seven_in_winter_and_six_in_summer():
    assert SATURDAY.last(warsaw(2026, 11, 28, 9)) == datetime(2026, 11, 28, 7, tzinfo=UTC)
    assert SATURDAY.last(warsaw(2026, 7, 4, 9)) == datetime(2026, 7, 4, 6, tzinfo=UTC)


def test_the_cut_off_itself_belongs_to_the_period_it_opens():
    cut_off = warsaw(2026, 11, 28, 8)
    assert SATURDAY.last(cut_off) == cut_off
    assert SATURDAY.last(cut_off - timedelta(seconds=1)) == warsaw(2026, 11, 21, 8)
    assert SATURDAY.next(cut_off) == warsaw(2026, 12, 5, 8)


@pytest.mark.parametrize(
    ("at", "hours"),
    [((2026, 3, 28, 8), 168), ((2026, 4, 4, 8), 167), ((2026, 10, 31, 8), 169), ((2026, 11, 7, 8), 168)],
)
def test_a_week_in_which_the_clocks_change_is_an_hour_shorter_or_longer(at, hours):
    assert SATURDAY.period(warsaw(*at)).hours == hours


def test_an_hour_the_clocks_jump_over_means_an_hour_later():
    nightly = Schedule.parse("sun 02:30", WARSAW)
    assert nightly.last(warsaw(2026, 3, 29, 12)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_an_hour_that_comes_twice_means_the_first():
    nightly = Schedule.parse("sun 02:30", WARSAW)
    assert nightly.last(warsaw(2026, 10, 25, 12)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))
def test_every_moment_lies_in_exactly_one_period(moment):
    period = SATURDAY.period(moment)
    assert period.end <= moment < SATURDAY.next(moment)
    assert SATURDAY.period(period.end) == period
    assert SATURDAY.period(SATURDAY.next(moment)).start == period.end


@given(
    st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30), timezones=st.just(UTC)),
    st.sampled_from([timedelta(hours=1), timedelta(hours=23), timedelta(hours=24), timedelta(hours=25)]),
)
def test_every_bucket_counts_in_exactly_one_period(at, span):
    period = SATURDAY.period(at)
    later = SATURDAY.period(SATURDAY.next(period.end))
    after = SATURDAY.period(SATURDAY.next(later.end))
    assert sum(each.counts(at, span) for each in (period, later, after)) == 1


def test_a_whole_day_counts_with_the_week_in_which_it_ends():
    period = SATURDAY.period(warsaw(2026, 11, 28, 8))
    counted = [day for day in range(20, 30) if period.counts(*day_bucket(date(2026, 11, day), WARSAW))]
    assert counted == [21, 22, 23, 24, 25, 26, 27]


def test_a_day_in_which_the_clocks_change_has_23_or_25_hours():
    assert day_bucket(date(2026, 3, 29), WARSAW)[1] == timedelta(hours=23)
    assert day_bucket(date(2026, 10, 25), WARSAW)[1] == timedelta(hours=25)


def test_an_hour_keeps_the_minutes_of_its_zone():
    kolkata = datetime(2026, 11, 28, 8, 15, tzinfo=ZoneInfo("Asia/Kolkata"))
    assert hour_bucket(kolkata) == (datetime(2026, 11, 28, 2, 30, tzinfo=UTC), timedelta(hours=1))


def test_a_period_is_half_open():
    period = Period(warsaw(2026, 11, 21, 8), warsaw(2026, 11, 28, 8))
    assert period.start in period
    assert period.end not in period


@pytest.mark.parametrize("text", ["sat 08:00", "mon,thu 07:30", "daily 06:00", "monthly 1 08:00", " SAT 8:00 "])
def test_the_forms_of_a_schedule_are_read(text):
    schedule = Schedule.parse(text, WARSAW)
    assert schedule.before(schedule.next(warsaw(2026, 11, 24))) == schedule.last(warsaw(2026, 11, 24))


@pytest.mark.parametrize(
    "text", ["", "saturday 08:00", "sat 25:00", "sat", "xyz 08:00", "monthly 31 08:00", "sat 08:60"]
)
def test_a_schedule_that_is_none_says_what_would_be_one(text):
    with pytest.raises(ValueError, match="sat|weekday|day of the month"):
        Schedule.parse(text, WARSAW)
