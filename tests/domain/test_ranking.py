"""Which articles make the edition, and why."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.newsletters import Block, BlockKind, FairStart, Published, Selection
from digest.domain.periods import Period
from digest.domain.ranking import Candidate, rank

END = datetime(2026, 11, 28, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEEK = Period(END - timedelta(days=7), END)


def candidate(id, views, *, published=WEEK.start + timedelta(days=1), **wishes):
    url = f"https://news.example.com/{id}"
    return Candidate(id, url, f"Article {id}", published, views, **wishes)


def had(candidates, sent):
    """The candidates, with the ends of the periods some were sent for."""
    return [each._replace(sent_at=sent.get(each.id)) for each in candidates]


def picked(candidates, selection=Selection(), sent=MappingProxyType({})):
    return [each.candidate.id for each in rank(had(candidates, sent), WEEK, selection) if each.kept]


def test_the_most_read_come_first():
    assert picked([candidate(1, 5), candidate(2, 50), candidate(3, 20)]) == [2, 3, 1]


def test_ties_go_to_the_later_one_then_to_the_higher_id():
    late = WEEK.start + timedelta(days=3)
    assert picked([candidate(1, 5), candidate(2, 5), candidate(3, 5, published=late)]) == [3, 2, 1]


def test_only_so_many_as_the_edition_holds():
    assert picked([candidate(n, n) for n in range(1, 20)], Selection(count=3)) == [19, 18, 17]


def test_the_edges_of_the_period_are_exact():
    second = timedelta(seconds=1)
    candidates = [
        candidate(1, 9, published=WEEK.start - second),
        candidate(2, 9, published=WEEK.start),
        candidate(3, 9, published=WEEK.end - second),
        candidate(4, 9, published=WEEK.end),
    ]
    assert picked(candidates) == [3, 2]
    assert picked(candidates, Selection(published=Published.ANY)) == [3, 2, 1]


def test_what_was_sent_before_banned_or_not_read_stays_out_and_says_why():
    candidates = [candidate(1, 9), candidate(2, 8, banned_at=END), candidate(3, 0), candidate(4, 7)]
    ranked = rank(had(candidates, {1: END}), WEEK, Selection())
    assert {each.candidate.id: each.reason for each in ranked} == {
        1: "was in an edition sent before",
        2: "banned by the desk",
        3: "no views in the period",
        4: "1st by views",
    }


def test_pinned_ones_come_first_in_the_order_they_were_pinned_whatever_their_views():
    pinned = [candidate(1, 0, pinned_at=END), candidate(2, 1, pinned_at=END - timedelta(hours=1))]
    assert picked([candidate(3, 100), *pinned]) == [2, 1, 3]


def test_a_pinned_article_that_readers_had_is_not_sent_again():
    assert picked([candidate(1, 5, pinned_at=END), candidate(2, 1)], sent={1: END}) == [2]


_candidates = st.lists(
    st.builds(
        candidate,
        st.integers(1, 10_000),
        st.integers(0, 30),
        published=st.datetimes(datetime(2026, 11, 19), datetime(2026, 11, 30), timezones=st.just(UTC)),
        section=st.sampled_from(["", "Sport", "Culture"]),
        author=st.sampled_from(["", "Ada", "Olga"]),
        banned_at=st.sampled_from([None, None, None, END]),
        pinned_at=st.sampled_from([None, None, None, END]),
    ),
    max_size=30,
    unique_by=lambda each: each.id,
)


_selections = st.builds(
    Selection,
    count=st.integers(1, 12),
    max_per_section=st.integers(0, 3),
    max_per_author=st.integers(0, 3),
    published=st.sampled_from(Published),
)


@given(_candidates, st.randoms())
def test_the_order_does_not_depend_on_the_order_of_the_input(candidates, random):
    shuffled = candidates.copy()
    random.shuffle(shuffled)
    assert rank(candidates, WEEK, Selection()) == rank(shuffled, WEEK, Selection())


@given(_candidates, st.data())
def test_more_views_never_lower_a_rank(candidates, data):
    if not candidates:
        return
    selection = data.draw(_selections)
    lucky = data.draw(st.sampled_from(candidates))
    more = [c._replace(views=c.views + 5) if c is lucky else c for c in candidates]

    def place(of):
        ranked = rank(of, WEEK, selection)
        return next(n for n, each in enumerate(ranked) if each.candidate.id == lucky.id)

    assert place(more) <= place(candidates)


@given(_candidates, _selections)
def test_every_candidate_is_judged_once_and_says_why(candidates, selection):
    ranked = rank(candidates, WEEK, selection)
    assert sorted(each.candidate.id for each in ranked) == sorted(c.id for c in candidates)
    assert all(each.reason for each in ranked)
    ranks = [each.rank for each in ranked if each.rank]
    assert sorted(ranks) == list(range(1, len(ranks) + 1))


@given(_candidates, _selections)
def test_a_quota_is_never_exceeded_while_an_allowed_candidate_is_left_out(candidates, selection):
    ranked = rank(candidates, WEEK, selection)
    kept = [each.candidate for each in ranked if each.kept]
    free = [c for c in kept if c.pinned_at is None]  # the desk's pins stand above quotas
    for limit, name in ((selection.max_per_section, "section"), (selection.max_per_author, "author")):
        having = Counter(getattr(c, name) for c in kept if getattr(c, name))
        pins = Counter(getattr(c, name) for c in kept if c.pinned_at and getattr(c, name))
        assert all(having[word] <= max(limit, pins[word]) for word in having if limit)
        left = [each.candidate for each in ranked if not each.kept and each.rank and not each.candidate.pinned_at]
        if len(kept) < selection.count:
            full = lambda c, w=name, n=limit, h=having: n and getattr(c, w) and h[getattr(c, w)] >= n  # noqa: E731
            other = "author" if name == "section" else "section"
            other_limit = selection.max_per_author if name == "section" else selection.max_per_section
            others = Counter(getattr(c, other) for c in kept)
            assert all(full(c) or (other_limit and others[getattr(c, other)] >= other_limit) for c in left)
    assert [c.id for c in free] == [
        c.id for c in sorted(free, key=lambda c: (-c.views, -c.published_at.timestamp(), -c.id))
    ]


@pytest.mark.parametrize("seed", range(40))
def test_the_plain_list_equals_one_made_by_hand(seed):
    random = Random(seed)
    candidates = [
        candidate(n, random.choice([0, 1, 5, 5, 7, 9]), published=WEEK.start + random.randrange(-3, 172) * HOUR)
        for n in range(1, 60)
    ]
    by_hand = sorted(
        (c for c in candidates if WEEK.start <= c.published_at < WEEK.end and c.views >= 1),
        key=lambda c: (c.views, c.published_at, c.id),
        reverse=True,
    )
    assert picked(candidates) == [c.id for c in by_hand[:10]]


# --- the options ------------------------------------------------------------------------------------------


def test_a_late_story_has_a_fair_start_by_views_an_hour():
    early = candidate(1, 1000, published=WEEK.start)  # 168 hours: 5.95 an hour
    late = candidate(2, 300, published=WEEK.end - 30 * HOUR)  # 10 an hour
    luck = candidate(3, 90, published=WEEK.end - timedelta(minutes=5))  # held to 24 hours: 3.75 an hour
    fair = Selection(fair_start=FairStart.PER_HOUR)
    assert picked([early, late, luck], fair) == [2, 1, 3]
    assert [round(each.score, 2) for each in rank([early, late, luck], WEEK, fair)] == [10, 5.95, 3.75]
    assert picked([early, late, luck]) == [1, 2, 3]


def test_what_was_published_before_the_period_is_as_old_as_the_period():
    old = candidate(1, 168, published=WEEK.start - 400 * HOUR)
    ranked = rank([old], WEEK, Selection(fair_start=FairStart.PER_HOUR, published=Published.ANY))
    assert ranked[0].score == 1


def test_views_count_half_for_each_half_life():
    selection = Selection(fair_start=FairStart.HALF_LIFE, half_life=timedelta(days=2))
    ranked = rank([candidate(1, 800, published=WEEK.end - timedelta(days=6))], WEEK, selection)
    assert ranked[0].score == 100


def test_at_most_so_many_of_a_section_and_by_an_author():
    candidates = [candidate(n, 100 - n, section="Sport", author=f"a{n}") for n in range(1, 5)]
    candidates += [candidate(n, 50 - n, section="Culture", author="zoe") for n in range(5, 9)]
    limits = Selection(count=4, max_per_section=2, max_per_author=1)
    assert picked(candidates, limits) == [1, 2, 5]
    reasons = {each.candidate.id: each.reason for each in rank(candidates, WEEK, limits)}
    assert reasons[3] == "at most 2 of a section, and 'Sport' has them"
    assert reasons[6] == "at most 1 by an author, and 'zoe' has them"


def test_bans_by_tag_section_and_pattern_whatever_the_case():
    candidates = [
        candidate(1, 9, tags=("Horoscope",)),
        candidate(2, 8, section="Jobs"),
        candidate(3, 7)._replace(url="https://news.example.com/live/ticker-3"),
        candidate(4, 6)._replace(title="LIVE: everything, now"),
        candidate(5, 5),
    ]
    bans = Selection(ban_tags=("horoscope",), ban_sections=("JOBS",), ban_patterns=("/live/*", "live: *"))
    assert picked(candidates, bans) == [5]
    assert [each.reason for each in rank(candidates, WEEK, bans)][1:] == [
        "tag 'horoscope' is banned",
        "section 'JOBS' is banned",
        "pattern '/live/*' is banned",
        "pattern 'live: *' is banned",
    ]


def test_an_article_that_was_sent_may_come_again_after_the_cool_down():
    sent = {1: WEEK.end - timedelta(weeks=3), 2: WEEK.end - timedelta(weeks=1)}
    candidates = [candidate(1, 9), candidate(2, 8), candidate(3, 7)]
    assert picked(candidates, sent=sent) == [3]
    assert picked(candidates, Selection(cool_down=timedelta(weeks=3)), sent) == [1, 3]


def test_one_story_told_twice_comes_once_as_its_most_read_telling():
    candidates = [
        candidate(1, 9)._replace(title="Flood closes the old bridge in Toruń"),
        candidate(2, 12)._replace(title="Flood closes old bridge in Toruń!"),
        candidate(3, 3)._replace(title="The bridge is open again"),
    ]
    assert picked(candidates, Selection(similar=0.7)) == [2, 3]
    assert picked(candidates) == [2, 1, 3]
    said = {each.candidate.id: each.reason for each in rank(candidates, WEEK, Selection(similar=0.7))}
    assert said[1] == "the same story as 'Flood closes old bridge in Toruń!'"


def test_a_pin_may_have_a_place_of_its_own():
    candidates = [candidate(n, 100 - n) for n in range(1, 6)]
    pins = [candidate(8, 0, pinned_at=END, pinned_position=3), candidate(9, 0, pinned_at=END)]
    assert picked([*candidates, *pins], Selection(count=5)) == [9, 1, 8, 2, 3]
    assert picked([*candidates[:1], pins[0]], Selection(count=5)) == [1, 8]


def test_blocks_are_filled_in_turn_and_nothing_comes_twice():
    candidates = [candidate(n, 100 - n, section="Culture" if n % 2 else "Sport", shares=n) for n in range(1, 13)]
    candidates.append(candidate(20, 1, pinned_at=END))
    blocks = (
        Block("Top of the week", BlockKind.TOP, 3),
        Block("Editor's pick", BlockKind.PINNED, 1),
        Block("Culture", BlockKind.SECTION, 2, "culture"),
        Block("Most shared", BlockKind.SHARED, 2),
    )
    ranked = [each for each in rank(candidates, WEEK, Selection(blocks=blocks, max_per_section=2)) if each.kept]
    assert [(each.block, each.candidate.id) for each in ranked] == [
        ("Top of the week", 1),
        ("Top of the week", 2),
        ("Top of the week", 3),
        ("Editor's pick", 20),
        ("Culture", 5),
        ("Culture", 7),
        ("Most shared", 12),  # the second of its section; a block of a section is not held to the quota, this one is
    ]
    free = [each for each in rank(candidates, WEEK, Selection(blocks=blocks)) if each.kept]
    assert [each.candidate.id for each in free if each.block == "Most shared"] == [12, 11]
    assert [each.reason for each in free if each.block == "Most shared"] == ["shared 12 times", "shared 11 times"]


def test_what_is_sponsored_is_kept_apart_marked_and_at_the_end():
    ads = [candidate(n, 0, tags=("Advertorial",), published=WEEK.start + n * HOUR) for n in (7, 8)]
    candidates = [candidate(1, 5), candidate(2, 4), *ads]
    apart = Selection(sponsored_tags=("advertorial",), sponsored_count=1)
    ranked = rank(candidates, WEEK, apart)
    assert [(each.candidate.id, each.is_sponsored) for each in ranked if each.kept] == [
        (1, False),
        (2, False),
        (8, True),
    ]
    assert picked(candidates, Selection(sponsored_tags=("advertorial",))) == [1, 2]


def test_by_newest_neither_views_nor_their_lack_matter():
    candidates = [candidate(1, 900), candidate(2, 0, published=WEEK.end - HOUR), candidate(3, 1, pinned_at=END)]
    ranked = rank(candidates, WEEK, Selection(min_views=50), by_newest=True)
    assert [(each.candidate.id, each.reason) for each in ranked] == [
        (3, "pinned by the desk"),
        (2, "1st by newest"),
        (1, "2nd by newest"),
    ]
