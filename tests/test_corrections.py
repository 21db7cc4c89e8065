"""What an editor and a hostile week may do to a list between its draft and the moment it is frozen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from digest import publishing
from digest.domain.editions import Basis, EditionState
from digest.domain.newsletters import Block, BlockKind, Published, Selection
from digest.domain.periods import Period
from digest.domain.ranking import rank
from digest.publishing import descent, desk
from digest.store import candidates, editions
from tests.test_picking import DAY, FOUR, LATE, WEEK, count, draft, record, release, save
from tests.test_publishing import HOUR, SATURDAY, WEEKLY, add_readers, titles


@pytest.fixture
def told():
    return []


def test_the_next_one_is_found_also_far_down_the_list(store, told, monkeypatch):
    monkeypatch.setattr(descent, "FIRST_LOOK", 3)
    save(store, [f"old{n}" for n in range(30)], SATURDAY - 3 * WEEK)  # much read, and none of the period
    save(store, ["a", "b", "c", "d"])
    count(store, {f"old{n}": 900 + n for n in range(30)} | FOUR)
    edition = draft(store, told)
    assert titles(store, edition) == ["A", "B", "C"]
    assert titles(store, release(store, edition, gone=["b"])[0]) == ["A", "C", "D"]


def test_what_moves_up_is_looked_at_too(store, told):
    save(store, FOUR)
    save(store, ["e"])
    count(store, {**FOUR, "e": 5})
    sent, asked = release(store, draft(store, told), gone=["b", "d"])
    assert titles(store, sent) == ["A", "C", "E"]
    assert asked == ["https://a", "https://b", "https://c", "https://d", "https://e"]


def test_what_was_found_gone_stays_out_also_when_there_is_no_time_to_look_further(store, told):
    save(store, "abcdefgh")
    count(store, {name: 90 - n for n, name in enumerate("abcdefgh")})
    sent, asked = release(store, draft(store, told), gone=["b", "d", "e", "f", "g"])
    assert asked == [f"https://{name}" for name in "abcdef"]
    assert titles(store, sent) == ["A", "C", "G"]


def test_a_site_that_says_404_to_everything_is_in_trouble_and_loses_no_edition(store, told):
    save(store, FOUR)
    count(store, FOUR)
    sent, _ = release(store, draft(store, told), gone=["a", "b", "c", "d"])
    assert (sent.state, titles(store, sent)) == (EditionState.SENDING, ["A", "B", "C"])
    assert "trouble of the site" in sent.notes[-1]


def test_what_the_desk_banned_after_the_draft_does_not_go_out(store, told):
    save(store, FOUR)
    count(store, FOUR)
    edition = draft(store, told)
    desk.ban(store, desk.find_article(store, "1", "https://x"), LATE)
    sent, _ = release(store, edition)
    assert titles(store, sent) == ["B", "C", "D"]
    assert sent.notes == ("'A' was banned by the desk, so it dropped out",)


def test_an_approved_list_that_changes_is_a_draft_again(store, told):
    save(store, FOUR)
    count(store, FOUR)
    edition = draft(store, told)
    desk.approve(store, edition.id)
    assert draft(store, told).state is EditionState.APPROVED
    count(store, {"d": 99})
    assert draft(store, told).state is EditionState.DRAFTED


def test_an_edition_that_went_to_nobody_can_be_made_again(store, told):
    save(store, FOUR)
    count(store, FOUR)
    edition = draft(store, told)
    release(store, edition)
    with store.begin() as tx:
        editions.move(tx, edition.id, EditionState.SENT)
    add_readers(store, "alice")
    again = draft(store, told)
    assert (again.state, again.audience, titles(store, again)) == (EditionState.DRAFTED, 1, ["A", "B", "C"])
    assert release(store, again)[0].state is EditionState.SENDING


def test_the_list_of_a_week_that_was_sent_is_still_its_list(store, told):
    save(store, FOUR)
    count(store, FOUR)
    add_readers(store, "alice")
    release(store, draft(store, told))
    listed = publishing.candidates(store, WEEKLY, Period(SATURDAY - WEEK, SATURDAY))
    assert [each.candidate.title for each in listed.kept] == ["A", "B", "C"]


def test_views_of_unknown_pages_alone_are_not_believed(store, told):
    save(store, FOUR)
    count(store, {f"unknown{n}": 50 for n in range(20)})
    edition = draft(store, told)
    assert edition.basis is Basis.NEWEST
    assert edition.notes[0] == "not plausible: 1,000 views were counted, and none of them on an article we know"


def test_a_counter_that_fell_silent_is_missed_although_another_counts(store, told):
    save(store, FOUR)
    for weeks in (1, 2):
        count(store, FOUR, SATURDAY - weeks * WEEK - HOUR, source="main")
    count(store, FOUR, source="other")
    edition = draft(store, told, replace(WEEKLY, source_order=("main", "other")))
    assert "source 'main', which goes before the others, counted nothing this time" in edition.notes[0]


def test_a_new_counter_that_trickles_is_not_believed_against_one_beside_it(store, told):
    save(store, FOUR)
    count(store, {"a": 6}, source="main")
    count(store, {"b": 90_000, "c": 9}, source="other")
    edition = draft(store, told, replace(WEEKLY, source_order=("main", "other")))
    assert "6 views were counted, and a source beside says 90,009" in edition.notes[0]


def test_rows_that_count_nothing_do_not_hide_a_silent_counter(store, told):
    save(store, FOUR)
    for days in (6, 5, 4):
        count(store, FOUR, SATURDAY - days * DAY)
    count(store, {"a": 0}, SATURDAY - 2 * HOUR)
    assert "the newest counted hour ended 24 Nov" in draft(store, told).notes[0]


def test_four_weeks_of_cool_down_are_four_weeks_over_a_clock_change():
    end = datetime(2027, 4, 3, 6, tzinfo=UTC)  # 08:00 in Warsaw, in summer time
    period = Period(end - timedelta(days=7), end)
    had = datetime(2027, 3, 6, 7, tzinfo=UTC)  # 08:00 in winter time: 28 days less an hour before
    one = candidates.Candidate(1, "https://a", "A", period.start + HOUR, 9, sent_at=had)
    assert rank([one], period, Selection(cool_down=timedelta(weeks=4)))[0].kept
    assert not rank([one], period, Selection(cool_down=timedelta(weeks=5)))[0].kept


def test_an_older_list_finds_the_newest_also_when_nothing_was_published_or_read(store, told):
    save(store, FOUR, SATURDAY - 5 * WEEK)
    anything = replace(WEEKLY, selection=Selection(count=3, min_articles=2, published=Published.ANY))
    assert titles(store, draft(store, told, anything)) == ["D", "C", "B"]


def test_a_pinned_page_stands_in_the_record_once_and_the_list_has_the_rest(store, told, monkeypatch):
    monkeypatch.setattr(descent, "FIRST_LOOK", 3)
    save(store, [f"s{n}" for n in range(9)])
    count(store, {f"s{n}": 100 - n for n in range(9)})
    desk.pin(store, desk.find_article(store, "9", "https://x"), LATE)
    edition = draft(store, told)
    with store.read() as tx:
        shown = candidates.load(tx, edition.id, whole=True).candidates
    assert sorted(each.candidate.title for each in shown) == sorted(f"S{n}" for n in range(9))
    listed = publishing.candidates(store, WEEKLY, edition.period)
    assert len(listed.record.candidates) == 9


def test_the_record_keeps_the_words_it_was_judged_by(store, told):
    save(store, FOUR, section="Sport")
    count(store, FOUR)
    edition = draft(store, told)
    save(store, ["a"], section="Ads")
    assert record(store, edition).candidates[0].candidate.section == "Sport"


BLOCKS = (Block("Culture", BlockKind.SECTION, 2, "Culture"), Block("Top", BlockKind.TOP, 3))


def story(id_, views, section="", **wishes):
    return candidates.Candidate(id_, f"https://{id_}", f"S{id_}", SATURDAY - 2 * DAY, views, section, **wishes)


def placed(stories, blocks):
    period = Period(SATURDAY - WEEK, SATURDAY)
    ranked = rank(stories, period, Selection(blocks=blocks))
    return [(each.block, each.candidate.id, each.reason) for each in ranked if each.kept]


def test_a_pin_with_a_place_in_another_section_stands_among_the_top():
    stories = [story(n, 100 - n, "Culture" if n < 3 else "City") for n in range(1, 7)]
    pin = story(9, 0, "Sport", pinned_at=LATE, pinned_position=2)
    assert [each[:2] for each in placed([*stories, pin], BLOCKS)] == [
        ("Culture", 1),
        ("Culture", 2),
        ("Top", 9),
        ("Top", 3),
        ("Top", 4),
    ]


def test_a_pin_says_the_place_it_really_has_and_equal_places_keep_their_order():
    stories = [story(n, 100 - n) for n in range(1, 4)]
    pins = [story(8 + n, 0, pinned_at=LATE + n * HOUR, pinned_position=1) for n in range(2)]
    far = story(20, 0, pinned_at=LATE, pinned_position=40)
    found = placed([*stories, *pins, far], (Block("", BlockKind.TOP, 6),))
    assert [each[1] for each in found] == [8, 9, 1, 2, 3, 20]
    assert [each[2] for each in found if each[1] > 7] == [f"pinned by the desk at {place}" for place in (1, 2, 6)]


def test_a_pin_for_which_the_block_of_pins_has_no_room_competes_like_any_other():
    pins = [story(n, 900 - n, pinned_at=LATE + n * HOUR) for n in (1, 2)]
    blocks = (Block("Top", BlockKind.TOP, 2), Block("Picked", BlockKind.PINNED, 1))
    found = placed([*pins, story(5, 10), story(6, 9)], blocks)
    assert [each[:2] for each in found] == [("Top", 2), ("Top", 5), ("Picked", 1)]
