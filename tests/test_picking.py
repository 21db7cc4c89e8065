"""What an edition is made of and why: counts that cannot be right, several counters, late corrections, the record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from digest import collecting, publishing
from digest.domain.articles import FoundArticle
from digest.domain.editions import Basis, EditionState
from digest.domain.newsletters import Block, BlockKind, Fallback, Plausibility, Published, Selection
from digest.domain.periods import Period
from digest.domain.ranking import rank
from digest.publishing import desk
from digest.store import articles, candidates, editions, readership
from tests.service import every_candidate
from tests.test_publishing import HOUR, SATURDAY, WEEKLY, add_readers, press, titles

WARSAW = ZoneInfo("Europe/Warsaw")
DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR
LATE = SATURDAY + timedelta(seconds=3)
FOUR = {"a": 40, "b": 30, "c": 20, "d": 10}


@pytest.fixture
def told():
    return []


def save(store, names, published=SATURDAY - 2 * DAY, source="site", **details):
    with store.begin() as tx:
        source_id = articles.source(tx, source).id
        pages = articles.page_ids(tx, names)
        found = {pages[n]: FoundArticle(f"https://{n}", n.upper(), published, **details) for n in names}
        articles.save(tx, source_id, found, SATURDAY)


def count(store, views, at=SATURDAY - 30 * HOUR, source="site", span=HOUR):
    with store.begin() as tx:
        source_id = articles.source(tx, source).id
        pages = articles.page_ids(tx, views)
        readership.put_views(tx, source_id, {(pages[name], at, span): n for name, n in views.items()})


def draft(store, told, newsletter=WEEKLY, now=LATE):
    return publishing.draft(store, press, newsletter, SATURDAY, now, lambda *notice: told.append(notice))


def record(store, edition):
    with store.read() as tx:
        return candidates.load(tx, edition.id)


# --- counts that cannot be right ------------------------------------------------------------------------


def test_without_any_views_the_newest_are_picked_marked_and_the_desk_is_told_once(store, told):
    save(store, ["a", "b"], SATURDAY - 3 * DAY)
    save(store, ["c"], SATURDAY - DAY)
    edition = draft(store, told)
    assert titles(store, edition) == ["C", "B", "A"]
    assert edition.basis is Basis.NEWEST
    assert edition.notes == ("not plausible: no view was counted in the whole period",)
    assert "newest" in told[0][2]
    draft(store, told)
    assert len(told) == 1


def test_once_the_counts_are_there_the_draft_goes_by_them(store, told):
    save(store, FOUR)
    draft(store, told)
    count(store, FOUR)
    edition = draft(store, told)
    assert (titles(store, edition), edition.basis, edition.notes) == (["A", "B", "C"], Basis.VIEWS, ())


def test_a_counter_that_stopped_early_in_the_week_is_not_believed(store, told):
    save(store, FOUR)
    for days in (6, 5, 4):
        count(store, FOUR, SATURDAY - days * DAY)
    edition = draft(store, told)
    assert edition.basis is Basis.NEWEST
    assert "the newest counted hour ended 24 Nov 08:00 UTC" in edition.notes[0]


def test_a_week_far_from_the_four_before_is_not_believed(store, told):
    save(store, FOUR)
    for weeks in range(1, 5):
        count(store, {"a": 1000}, SATURDAY - weeks * WEEK - HOUR)
    count(store, FOUR)
    edition = draft(store, told)
    assert edition.notes == ("not plausible: 100 views are 0.1 times the mean of the 4 periods before, 1,000",)
    with store.begin() as tx:  # a week's total is added up once; the week's own is kept for the next
        weeks_ago = [Period(SATURDAY - (n + 1) * WEEK, SATURDAY - n * WEEK) for n in range(4)]
        assert [sum(each.values()) for each in readership.totals_of(tx, weeks_ago).values()] == [100, 1000, 1000, 1000]


@pytest.mark.parametrize("fallback", [Fallback.VIEWS, Fallback.SKIP])
def test_the_desk_may_want_the_views_all_the_same_or_no_edition(store, told, fallback):
    save(store, FOUR)
    count(store, {**FOUR, "a": 9_000})
    policy = Plausibility(fallback=fallback)
    edition = draft(store, told, replace(WEEKLY, plausibility=policy))
    assert "one article has 9,000 of all 9,060 views" in edition.notes[0]
    assert len(told) == 1
    if fallback is Fallback.SKIP:
        assert (edition.state, edition.reason[:30]) == (EditionState.SKIPPED, "its counts are not plausible: ")
    else:
        assert (titles(store, edition), edition.basis) == (["A", "B", "C"], Basis.VIEWS)


# --- several counters of one site -----------------------------------------------------------------------


def test_the_first_source_that_counts_is_the_one_and_the_others_stand_beside_it(store, told):
    save(store, FOUR)
    count(store, FOUR, source="second")
    count(store, {"d": 90, "c": 50}, source="first")
    ordered = replace(WEEKLY, source_order=("none", "first", "second"))
    edition = draft(store, told, ordered)
    assert titles(store, edition) == ["D", "C"]
    best = record(store, edition).candidates[0]
    assert (best.candidate.views, best.candidate.beside) == (90, {"second": 10})
    assert edition.notes == ("source 'second' counted 100 views; they are shown beside, not counted",)


def test_the_configured_ones_are_added_up(store, told):
    save(store, FOUR)
    count(store, FOUR, source="www")
    count(store, {"d": 90}, source="blog")
    both = replace(WEEKLY, selection=replace(WEEKLY.selection, views_from=("www", "blog")))
    edition = draft(store, told, both)
    assert [each.candidate.views for each in record(store, edition).candidates] == [100, 40, 30, 20]
    assert record(store, edition).window["sources"] == ["blog", "www"] or record(store, edition).window["views"] == 190


def test_day_grained_counts_and_a_missing_baseline_are_noted(store, told):
    save(store, FOUR)
    count(store, FOUR, SATURDAY - 2 * DAY, source="matomo", span=DAY)
    with store.begin() as tx:
        id_ = articles.source(tx, "matomo").id
        readership.put_totals(tx, id_, {1: 7}, SATURDAY - 3 * DAY)
        readership.put_totals(tx, id_, {1: 9}, SATURDAY - DAY)
    notes = draft(store, told).notes
    assert any("counts by spans longer than an hour" in note for note in notes)
    assert any("has no baseline" in note and "2026-11-25 07:00" in note for note in notes)


# --- the record -----------------------------------------------------------------------------------------


def test_the_record_is_enough_to_do_the_ranking_again(store, told):
    save(store, FOUR, section="Sport")
    save(store, ["e"], SATURDAY - 9 * DAY)
    count(store, {**FOUR, "e": 99})
    selection = Selection(count=2, min_articles=1, max_per_section=2)
    edition = draft(store, told, replace(WEEKLY, selection=selection))
    kept = record(store, edition)
    again = rank([each.candidate for each in kept.candidates], edition.period, selection)
    assert list(kept.candidates) == again
    assert kept.rules["max_per_section"] == 2
    assert (kept.window["views"], kept.window["sources"]) == (199, ["site"])
    assert [each.reason for each in kept.candidates][2:] == [
        "3rd by views; the edition holds 2",
        "4th by views; the edition holds 2",
        "published before the period began",
    ]


def test_blocks_and_their_headings_are_kept_with_the_picks(store, told):
    save(store, FOUR, section="Sport")
    save(store, ["z"], tags=("ad",))
    count(store, FOUR)
    blocks = (Block("Top", BlockKind.TOP, 1), Block("Sport", BlockKind.SECTION, 2, "Sport"))
    selection = Selection(min_articles=1, blocks=blocks, sponsored_tags=("AD",), sponsored_count=1)
    edition = draft(store, told, replace(WEEKLY, selection=selection))
    with store.read() as tx:
        picks = editions.picked(tx, edition.id)
    assert [(p.position, p.block, p.article.title, p.is_sponsored) for p in picks] == [
        (1, "Top", "A", False),
        (2, "Sport", "B", False),
        (3, "Sport", "C", False),
        (4, "sponsored", "Z", True),
    ]


def test_an_article_that_no_block_takes_is_told_so_and_short_blocks_are_noted(store, told):
    save(store, ["a", "b"], section="Sport")
    save(store, ["c"], section="Culture")
    save(store, ["d"])
    count(store, FOUR)
    blocks = (Block("Sport", BlockKind.SECTION, 3, "sport"), Block("Film", BlockKind.SECTION, 2, "Film"))
    edition = draft(store, told, replace(WEEKLY, selection=Selection(min_articles=1, blocks=blocks)))
    reasons = {each.candidate.title: each.reason for each in record(store, edition).candidates}
    assert reasons["C"] == "3rd by views; no block takes section 'Culture'"
    assert reasons["D"] == "4th by views; it has no section, and no block takes it"
    assert edition.notes == (
        "block 'Sport' has 2 of its 3: there is no more of section 'sport' to take",
        "block 'Film' is empty: no article of section 'Film'; there are: Culture, Sport",
    )


def test_with_a_block_for_all_the_room_is_what_keeps_one_out(store, told):
    save(store, FOUR, section="Culture")
    count(store, FOUR)
    blocks = (Block("Top", BlockKind.TOP, 2), Block("Sport", BlockKind.SECTION, 1, "Sport"))
    edition = draft(store, told, replace(WEEKLY, selection=Selection(min_articles=1, blocks=blocks)))
    reasons = {each.candidate.title: each.reason for each in record(store, edition).candidates}
    assert reasons["C"] == "3rd by views; the edition holds 3"


# --- right before freezing ------------------------------------------------------------------------------


def release(store, edition, gone=(), newsletter=WEEKLY):
    found = {f"https://{name}": "404" for name in gone}
    asked = []

    def look(urls):
        asked.extend(urls)
        return {url: why for url, why in found.items() if url in urls}

    return publishing.release(store, press, newsletter, edition.id, LATE, look), asked


def test_a_page_that_is_gone_drops_out_and_the_next_one_moves_up(store, told):
    save(store, FOUR)
    count(store, FOUR)
    edition = draft(store, told)
    count(store, {"d": 5000, "c": 6000})  # came in since: the desk saw another list, and that one holds
    sent, asked = release(store, edition, gone=["b"])
    assert asked == ["https://a", "https://b", "https://c", "https://d"]  # d moved up, and is looked at too
    assert sent.state is EditionState.SENDING
    assert titles(store, sent) == ["A", "C", "D"]
    assert sent.notes == ("'B' is gone (404), so it dropped out",)
    reasons = {each.candidate.title: each.reason for each in record(store, sent).candidates}
    assert reasons["B"] == "its page is gone"


def test_a_changed_title_is_taken_over_and_said(store, told):
    save(store, FOUR)
    count(store, FOUR)
    edition = draft(store, told)
    with store.begin() as tx:
        page = articles.page_ids(tx, ["b"])["b"]
        articles.save(tx, 1, {page: FoundArticle("https://b", "B, corrected", SATURDAY - 2 * DAY)}, LATE)
    sent, _ = release(store, edition)
    assert titles(store, sent) == ["A", "B, corrected", "C"]
    assert sent.subject == "A, B, corrected, C"
    assert sent.notes == ("'B' is now called 'B, corrected'",)


def test_with_too_few_left_there_is_no_edition(store, told):
    save(store, ["a", "b"])
    count(store, {"a": 5, "b": 4})
    sent, _ = release(store, draft(store, told), gone=["b"])
    assert sent.state is EditionState.SKIPPED
    assert "pages are gone" in sent.reason


def test_what_was_found_gone_is_no_candidate_later_and_what_is_sent_is_not_asked_about_again(store, told):
    save(store, FOUR)
    count(store, FOUR)
    sent, _ = release(store, draft(store, told), gone=["a"])
    assert release(store, sent)[1] == []
    later = replace(WEEKLY, selection=Selection(published=Published.ANY, min_articles=1))
    count(store, FOUR, SATURDAY + 30 * HOUR)
    with store.begin() as tx:
        (gone,) = [each for each in every_candidate(tx, Period(SATURDAY, SATURDAY + WEEK)) if each.title == "A"]
    assert gone.gone_at == LATE
    assert later.selection.published is Published.ANY


def test_the_desk_hears_what_was_corrected_on_saturday(store, told):
    save(store, FOUR)
    count(store, FOUR)
    add_readers(store, "alice")
    edition = publishing.publish_due(
        store, press, WEEKLY, lambda *notice: told.append(notice), LATE, lambda urls: {"https://a": "410"}
    )
    assert edition.state is EditionState.SENDING
    assert [subject for _, subject, _ in told] == ["The Weekly Recap: the list was corrected"]
    assert "'A' is gone (410)" in told[0][2]


# --- pins with a place, old hours -----------------------------------------------------------------------


def test_a_pin_with_a_place_of_its_own(store, told):
    save(store, FOUR)
    count(store, FOUR)
    desk.pin(store, desk.find_article(store, "4", "https://x"), LATE, 2)
    assert titles(store, draft(store, told)) == ["A", "D", "B"]


def test_old_hours_become_local_days_and_nothing_is_lost(store):
    save(store, FOUR)
    first = datetime(2026, 10, 23, 22, tzinfo=UTC)  # local midnight; the clocks change on the 25th
    for hour in range(24 * 4 + 1):
        count(store, {"a": hour + 1, "b": 1}, first + hour * HOUR)
    with store.begin() as tx:
        before = dict(readership.totals_of(tx, [Period(first, first + 9 * DAY)]))
    limit = datetime(2026, 10, 26, 23, tzinfo=UTC)  # the end of the third day
    assert collecting.fold_hours(store, WARSAW, limit) == 73 * 2 - 3 * 2
    assert collecting.fold_hours(store, WARSAW, limit) == 0
    with store.begin() as tx:
        found = candidates.of_period(tx, Period(first, first + 9 * DAY))
        assert found.total == sum(next(iter(before.values())).values())
        assert readership.edges(tx, Period(first, first + 9 * DAY), [1])[0] == first + DAY
        sunday = every_candidate(tx, Period(first + DAY, first + 2 * DAY + HOUR))  # 25 hours
        assert [each.views for each in sunday if each.title == "A"] == [sum(range(25, 50))]
