"""How fast mail may go: buckets, domains that ask for patience, caps and a new address's gentle start."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.pace import Bucket, Caps, DomainPace, provider

NOON = 1_000_000.0  # a moment on a clock that only moves forward


def taken(bucket: Bucket, begin: float, end: float) -> int:
    """How many tokens it gives to one who always comes when it says."""
    at, count = begin, 0
    while at < end:
        count += bucket.take(at)
        at += bucket.wait(at) + 1e-9
    return count


def slowed(pace: DomainPace, domain: str, at: float = NOON, answers: int = 2) -> DomainPace:
    """The pace after answers of the domain that all asked for patience."""
    for _ in range(answers):
        pace.answered(domain, True, at)
    return pace


# --- the bucket -----------------------------------------------------------------------------------


def test_a_rate_of_nothing_is_no_limit():
    bucket = Bucket(0.0)
    assert all(bucket.take(NOON) for _ in range(1_000))


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1.0), (2.0, 1.0), (10.0, 1.0), (10.0, 5.0)])
def test_on_the_long_run_a_bucket_gives_its_rate_and_its_burst_once(rate, burst):
    given_out = taken(Bucket(rate, burst), NOON, NOON + 60)
    assert rate * 60 - 1 <= given_out <= rate * 60 + burst + 1


@given(st.floats(0.1, 100.0), st.floats(1.0, 20.0), st.lists(st.floats(0.0, 3.0), max_size=60))
def test_no_stretch_of_time_holds_more_than_its_share(rate, burst, gaps):
    bucket, at, moments = Bucket(rate, burst), NOON, []
    for gap in gaps:
        at += gap
        while bucket.take(at):
            moments.append(at)
    for first, begin in enumerate(moments):
        for last in range(first, len(moments)):
            assert last - first + 1 <= burst + rate * (moments[last] - begin) + 1e-3


def test_it_says_how_long_to_wait_and_keeps_its_word():
    bucket = Bucket(4.0)
    assert bucket.take(NOON)
    assert bucket.wait(NOON) == pytest.approx(0.25)
    assert not bucket.take(NOON + 0.24)
    assert bucket.take(NOON + 0.2501)


def test_a_new_rate_does_not_give_a_new_burst():
    bucket = Bucket(1.0, 1.0)
    bucket.take(NOON)
    bucket.set_rate(100.0, burst=25.0)
    assert not bucket.take(NOON)
    assert bucket.take(NOON + 0.0101)


# --- providers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("googlemail.com", "gmail.com"),
        ("hotmail.co.uk", "outlook.com"),
        ("o2.pl", "wp.pl"),
        ("op.pl", "onet.pl"),
        ("gmail.com", "gmail.com"),
        ("example.com", "example.com"),
    ],
)
def test_domains_on_the_same_servers_share_a_name(domain, name):
    assert provider(domain) == name
    assert provider(provider(domain)) == name


# --- limited domains ------------------------------------------------------------------------------


def test_a_domain_without_a_limit_goes_at_once():
    pace = DomainPace({"gmail.com": 1.0})
    assert [pace.admit("example.com", NOON) for _ in range(100)] == [0.0] * 100
    assert not pace.is_idle
    assert DomainPace({}).is_idle


def test_those_who_must_wait_get_turns_one_after_another():
    pace = DomainPace({"slow.example": 2.0})
    waits = [pace.admit("slow.example", NOON) for _ in range(5)]
    assert waits == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])


def test_who_comes_again_at_the_given_time_need_not_queue_up_once_more():
    pace = DomainPace({"slow.example": 2.0})
    waits = [pace.admit("slow.example", NOON) for _ in range(5)]
    again = [pace.admit("slow.example", NOON + wait, again=True) for wait in waits[1:]]
    assert again == [0.0] * 4


def test_a_newcomer_does_not_overtake_those_who_have_a_turn():
    pace = DomainPace({"slow.example": 2.0})
    for _ in range(4):
        pace.admit("slow.example", NOON)
    assert pace.admit("slow.example", NOON + 0.6) > 1.0


def test_a_limit_counts_all_names_of_a_provider():
    pace = DomainPace({"gmail.com": 1.0})
    assert pace.admit("gmail.com", NOON) == 0.0
    assert pace.admit("googlemail.com", NOON) == pytest.approx(1.0)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_share_a_limit(workers):
    paces = [DomainPace({"slow.example": 10.0}) for _ in range(workers)]
    for pace in paces:
        pace.hear({}, 1 / workers)
    going = 0
    for tick in range(600):  # each asks ten times a second, for a minute
        going += sum(
            pace.admit("slow.example", NOON + tick / 10, again=True) == 0.0 for pace in paces for _ in range(3)
        )
    assert 590 <= going <= 600 + 3 * workers


def test_a_worker_that_is_left_alone_takes_the_whole_rate():
    pace = DomainPace({"slow.example": 4.0}, share=0.5)
    pace.admit("slow.example", NOON)
    assert pace.admit("slow.example", NOON) == pytest.approx(0.5)
    pace.hear({}, 1.0)
    later = NOON + 10
    pace.admit("slow.example", later)
    assert pace.admit("slow.example", later) == pytest.approx(0.25)


# --- domains that ask for patience ----------------------------------------------------------------


def test_one_answer_that_asks_for_patience_slows_nobody_down():
    assert slowed(DomainPace({}), "busy.example", answers=1).is_idle


def test_one_in_five_is_the_weather_and_every_second_one_is_a_request():
    weather, request = DomainPace({}), DomainPace({})
    for n in range(500):
        weather.answered("busy.example", n % 5 == 0, NOON + n)
    request.answered("busy.example", True, NOON)
    request.answered("busy.example", False, NOON)
    request.answered("busy.example", True, NOON)
    assert weather.slowed == {}
    assert set(request.slowed) == {"busy.example"}


def test_a_domain_that_mostly_asks_for_patience_is_slowed_down_and_others_are_not():
    pace = slowed(DomainPace({}), "busy.example")
    pace.answered("calm.example", False, NOON)
    assert set(pace.slowed) == {"busy.example"}
    waits = [pace.admit("busy.example", NOON) for _ in range(30)]
    assert waits[-1] > 1.0
    assert pace.admit("calm.example", NOON) == 0.0


def test_steps_down_are_taken_one_at_a_time_and_end_above_nothing():
    pace, rates = DomainPace({}), []
    for second in range(60):
        slowed(pace, "busy.example", NOON + second, answers=20)
        rates.append(pace.slowed["busy.example"])
    assert rates == sorted(rates, reverse=True)
    assert all(later >= earlier / 2 for earlier, later in pairwise(rates))
    assert 0.0 < rates[-1] <= 1.0


def test_a_limited_domain_is_slowed_down_from_its_limit():
    pace = slowed(DomainPace({"wp.pl": 3.0}), "o2.pl")
    assert pace.slowed == {"wp.pl": 1.5}


def test_a_domain_that_takes_mail_again_grows_back_to_full_speed():
    pace = slowed(DomainPace({}), "busy.example", answers=30)
    rates = []
    for second in range(1, 60):
        for _ in range(3):
            pace.answered("busy.example", False, NOON + second)
        rates.append(pace.slowed.get("busy.example", float("inf")))
    assert rates == sorted(rates)
    assert pace.slowed == {}
    assert pace.is_idle
    assert pace.take_changes() == {"busy.example": 0.0}
    assert all(pace.admit("busy.example", NOON + 61) == 0.0 for _ in range(100))


def test_a_limited_domain_grows_back_to_its_limit_and_no_further():
    pace = slowed(DomainPace({"slow.example": 4.0}), "slow.example", answers=30)
    for second in range(1, 60):
        for _ in range(3):
            pace.answered("slow.example", False, NOON + second)
    assert pace.slowed == {}
    later = NOON + 100
    pace.admit("slow.example", later)
    assert pace.admit("slow.example", later) == pytest.approx(0.25)


def test_growth_takes_its_time():
    pace = slowed(DomainPace({}), "busy.example")
    slow = pace.slowed["busy.example"]
    for _ in range(50):
        pace.answered("busy.example", False, NOON + 0.1)
    assert pace.slowed["busy.example"] == slow


def test_what_one_worker_learns_the_others_hear_once():
    first, second = slowed(DomainPace({}), "busy.example"), DomainPace({})
    changes = first.take_changes()
    assert changes == first.slowed
    assert first.take_changes() == {}
    second.hear(changes, 0.5)
    assert second.slowed == changes
    assert not second.is_idle
    waits = [second.admit("busy.example", NOON) for _ in range(10)]
    assert waits[-1] - waits[-2] == pytest.approx(2 / changes["busy.example"])  # half of it is the other's


def test_what_was_just_learned_here_is_not_unlearned_by_old_news():
    pace = slowed(DomainPace({}), "busy.example")
    pace.hear({}, 1.0)
    assert set(pace.slowed) == {"busy.example"}


def test_when_the_others_say_that_it_is_over_it_is_over():
    pace = slowed(DomainPace({}), "busy.example")
    pace.take_changes()
    pace.hear({}, 1.0)
    assert pace.is_idle
    assert all(pace.admit("busy.example", NOON) == 0.0 for _ in range(50))


# --- caps -----------------------------------------------------------------------------------------

FRIDAY, SATURDAY, SUNDAY, MONDAY = (date(2026, 11, day) for day in (27, 28, 29, 30))


def test_without_caps_there_is_no_limit():
    assert not Caps()
    assert Caps().left(10**9, 10**9, FRIDAY, MONDAY) is None


@pytest.mark.parametrize(
    ("hour", "day", "left"), [(0, 0, 10), (4, 4, 6), (10, 10, 0), (12, 12, 0), (0, 25, 5), (0, 30, 0), (3, 99, 0)]
)
def test_the_tighter_of_two_caps_counts_and_nothing_is_less_than_none(hour, day, left):
    assert Caps(per_hour=10, per_day=30).left(hour, day, FRIDAY, MONDAY) == left


def test_a_new_address_starts_gently_day_by_day():
    caps = Caps(warm_up=(50, 100))
    assert caps
    assert caps.left(0, 0, None, SATURDAY) == 50  # it has sent nothing yet: this is its first day
    assert caps.left(20, 20, SATURDAY, SATURDAY) == 30
    assert caps.left(0, 20, SATURDAY, SUNDAY) == 80
    assert caps.left(0, 120, SATURDAY, SUNDAY) == 0
    assert caps.left(0, 5_000, SATURDAY, MONDAY) is None


def test_a_warm_up_opens_no_other_cap():
    caps = Caps(per_hour=40, per_day=1_000, warm_up=(50, 5_000))
    assert caps.left(0, 0, SATURDAY, SATURDAY) == 40
    assert caps.left(10, 990, SATURDAY, SUNDAY) == 10
    assert caps.left(0, 0, SATURDAY, MONDAY) == 40


def test_a_clock_that_went_back_before_the_first_day_grants_nothing_odd():
    assert Caps(warm_up=(50,)).left(0, 10, SUNDAY, SATURDAY) in (None, 40)
