"""From articles to an edition whose deliveries are queued; on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from digest import publishing
from digest.domain.addresses import Address
from digest.domain.articles import FoundArticle
from digest.domain.editions import Edition, EditionState, Rendering
from digest.domain.links import Links
from digest.domain.newsletters import Approval, Newsletter, Selection, TooFew
from digest.domain.periods import Schedule
from digest.domain.subscribers import Evidence, Way
from digest.errors import NotFound, WrongState
from digest.publishing import desk
from digest.store import articles, deliveries, editions, readership, workers
from digest.store.schema import subscriptions
from digest.subscribing import importing, suppressing

WARSAW = ZoneInfo("Europe/Warsaw")
SATURDAY = datetime(2026, 11, 28, 7, tzinfo=UTC)  # 08:00 in Warsaw
HOUR = timedelta(hours=1)
LINKS = Links("a secret of at least thirty-two characters", "https://recap.example.com")
WEEKLY = Newsletter(
    name="weekly",
    title="The Weekly Recap",
    language="en",
    zone=WARSAW,
    schedule=Schedule.parse("sat 08:00", WARSAW),
    cutoff=Schedule.parse("sat 08:00", WARSAW),
    catch_up=12 * HOUR,
    approval=Approval.NONE,
    selection=Selection(count=3, min_articles=2),
)


def press(newsletter, edition: Edition, picks, language="en") -> Rendering:
    titles = ", ".join(pick.article.title for pick in picks)
    return Rendering(edition.id, language, titles, "", f"<p>{titles}</p>", titles, "mark")


@pytest.fixture
def told():
    return []


def publish(store, now, told, newsletter=WEEKLY):
    return publishing.publish_due(store, press, newsletter, lambda *notice: told.append(notice), now)


def add_articles(store, views: dict[str, int], published=SATURDAY - timedelta(days=2)):
    with store.begin() as tx:
        source = articles.source(tx, "site").id
        pages = articles.page_ids(tx, views)
        found = {pages[key]: FoundArticle(f"https://{key}", key.upper(), published) for key in views}
        articles.save(tx, source, found, SATURDAY)
        counts = {(pages[key], SATURDAY - 30 * HOUR, HOUR): count for key, count in views.items() if count}
        readership.put_views(tx, source, counts)


def add_readers(store, *names, confirmed_at=SATURDAY - timedelta(days=30)):
    entries = [importing.Entry(Address(name, "example.com")) for name in names]
    evidence = Evidence(Way.OPERATOR, form="by letter")
    importing.bring_in(store, LINKS, entries, "weekly", "en", evidence, confirmed_at)


def counts(store, edition):
    with store.read() as tx:
        return {state: number for state, number in deliveries.counts(tx, edition.id).items() if number}


def titles(store, edition):
    with store.read() as tx:
        return [pick.article.title for pick in editions.picked(tx, edition.id)]


def test_saturday_drafts_freezes_and_queues_once(store, told):
    add_articles(store, {"a": 10, "b": 30, "c": 20, "d": 5})
    add_readers(store, "alice", "bob")
    edition = publish(store, SATURDAY + timedelta(seconds=1), told)
    assert edition.state is EditionState.SENDING
    assert titles(store, edition) == ["B", "C", "A"]
    assert counts(store, edition) == {"queued": 2}
    assert (edition.audience, edition.excluded) == (2, 0)
    assert publish(store, SATURDAY + HOUR, told) == edition
    assert counts(store, edition) == {"queued": 2}
    assert told == []


def test_two_schedulers_at_the_same_second_make_one_edition(store, told):
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice", "bob", "charlie")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: publish(store, SATURDAY, told), range(8)))
    assert {edition.id for edition in found} == {found[0].id}
    assert counts(store, found[0]) == {"queued": 3}


def test_started_late_within_the_limit_it_sends_the_same_period(store, told):
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice")
    edition = publish(store, SATURDAY + 11 * HOUR, told)
    assert edition.state is EditionState.SENDING
    assert edition.period.end == SATURDAY


def seen_before(store, told):
    """The service has looked after the newsletter before this Saturday."""
    assert publish(store, SATURDAY - timedelta(days=3), told) is None


def test_started_later_it_records_a_missed_edition_and_says_so(store, told):
    seen_before(store, told)
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice")
    edition = publish(store, SATURDAY + 20 * HOUR, told)
    assert edition.state is EditionState.SKIPPED
    assert "missed" in edition.reason
    assert counts(store, edition) == {}
    assert len(told) == 1
    assert publish(store, SATURDAY + 21 * HOUR, told).state is EditionState.SKIPPED
    assert len(told) == 1


def test_an_edition_nobody_waited_for_is_recorded_and_alarms_nobody(store, told):
    seen_before(store, told)
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice", confirmed_at=SATURDAY + HOUR)
    assert publish(store, SATURDAY + 20 * HOUR, told).state is EditionState.SKIPPED
    assert told == []


def test_a_new_installation_owes_no_edition_from_before_it_was_there(store, told):
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice", confirmed_at=SATURDAY + 19 * HOUR)
    with store.begin() as tx:  # brought in from elsewhere, with the day they confirmed there
        tx.execute(sa.update(subscriptions).values(confirmed_at=SATURDAY - timedelta(days=90)))
    for hours in (20, 21, 100):
        assert publish(store, SATURDAY + hours * HOUR, told) is None
    assert (publishing.listed(store), told) == ([], [])
    later = replace(WEEKLY, name="later")  # a newsletter that is added to a service that has run for long
    assert publish(store, SATURDAY + 100 * HOUR, told, later) is None
    assert "missed" in publish(store, SATURDAY + (7 * 24 + 20) * HOUR, told).reason  # the next one is owed


def test_a_database_from_before_first_sights_were_remembered_owes_its_readers_what_they_waited_for(store, told):
    add_readers(store, "alice")
    assert "missed" in publish(store, SATURDAY + 20 * HOUR, told).reason
    assert len(told) == 1


def test_a_clock_that_was_ahead_at_the_first_start_hides_no_missed_edition(store, told):
    assert publish(store, SATURDAY + timedelta(days=365), told) is None
    assert publish(store, SATURDAY - HOUR, told) is None  # the clock is right from here on
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice")
    assert "missed" in publish(store, SATURDAY + 20 * HOUR, told).reason
    assert len(told) == 1


def test_a_new_installation_without_readers_makes_nothing_of_an_hour_that_has_just_passed(store, told):
    assert publish(store, SATURDAY + HOUR, told) is None
    assert (publishing.listed(store), told) == ([], [])
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice")
    assert publish(store, SATURDAY + 2 * HOUR, told).state is EditionState.SENDING  # somebody waited for it after all


def test_a_database_that_has_editions_already_owes_the_next(store, told):
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice")
    publishing.draft(store, press, WEEKLY, SATURDAY - timedelta(days=7), SATURDAY - timedelta(days=7))
    assert publish(store, SATURDAY + 20 * HOUR, told).state is EditionState.SKIPPED


def test_a_missed_edition_can_still_be_sent_by_hand(store, told):
    seen_before(store, told)
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice")
    missed = publish(store, SATURDAY + 20 * HOUR, told)
    drafted = publishing.draft(store, press, WEEKLY, SATURDAY, SATURDAY + 21 * HOUR)
    assert (drafted.id, drafted.state) == (missed.id, EditionState.DRAFTED)
    assert publishing.release(store, press, WEEKLY, drafted.id, SATURDAY + 21 * HOUR).state is EditionState.SENDING


def hand_draft(store, now, at=SATURDAY):
    return publishing.draft(store, press, WEEKLY, at, now)


def start_sender(store, now):
    with store.begin() as tx:
        workers.register(tx, "host", 1, now)


def test_a_draft_made_by_hand_on_a_wednesday_stays_a_draft_however_often_the_service_starts(store, told):
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice")
    wednesday = SATURDAY + timedelta(days=4)
    drafted = hand_draft(store, wednesday)
    assert f"goes out by hand only: digest edition send {drafted.id}" in drafted.reason
    for _ in range(3):
        start_sender(store, wednesday + HOUR)
        edition = publish(store, wednesday + HOUR, told)
        assert (edition.state, edition.reason) == (EditionState.DRAFTED, drafted.reason)
        assert hand_draft(store, wednesday + HOUR).state is EditionState.DRAFTED
    assert told == []
    assert counts(store, edition) == {}
    assert publishing.release(store, press, WEEKLY, edition.id, wednesday).state is EditionState.SENDING


def test_a_missed_edition_that_is_drafted_by_hand_is_not_missed_again(store, told):
    add_articles(store, {"a": 10, "b": 30})
    seen_before(store, told)
    add_readers(store, "alice")
    start_sender(store, SATURDAY - timedelta(days=30))
    assert publish(store, SATURDAY + 20 * HOUR, told).state is EditionState.SKIPPED
    drafted = hand_draft(store, SATURDAY + 21 * HOUR)
    assert publish(store, SATURDAY + 22 * HOUR, told) == drafted
    assert drafted.state is EditionState.DRAFTED
    assert len(told) == 1


def test_a_draft_of_a_friday_is_missed_when_the_service_ran_before_and_not_on_saturday(store, told):
    add_articles(store, {"a": 10, "b": 30}, published=SATURDAY - timedelta(days=3))
    add_readers(store, "alice")
    friday = replace(WEEKLY, cutoff=Schedule.parse("fri 16:00", WARSAW))
    start_sender(store, SATURDAY - timedelta(days=9))
    publish(store, SATURDAY - 16 * HOUR, told, friday)
    assert publish(store, SATURDAY + 20 * HOUR, told, friday).state is EditionState.SKIPPED
    assert [subject for _, subject, _ in told][-1].endswith("an edition was missed")


def test_a_draft_of_a_friday_waits_for_the_desk_when_nothing_ever_ran_before_its_hour(store, told):
    add_articles(store, {"a": 10, "b": 30}, published=SATURDAY - timedelta(days=3))
    add_readers(store, "alice")
    friday = replace(WEEKLY, cutoff=Schedule.parse("fri 16:00", WARSAW))
    publishing.draft(store, press, friday, SATURDAY, SATURDAY - 15 * HOUR)
    start_sender(store, SATURDAY + 19 * HOUR)
    edition = publish(store, SATURDAY + 20 * HOUR, told, friday)
    assert edition.state is EditionState.DRAFTED
    assert "by hand only" in edition.reason
    assert told == []


def test_too_few_articles_skip_the_edition_and_tell_the_desk(store, told):
    add_articles(store, {"a": 10})
    add_readers(store, "alice")
    edition = publish(store, SATURDAY, told)
    assert edition.state is EditionState.SKIPPED
    assert "1 of the 2" in edition.reason
    assert len(told) == 1


def test_too_few_articles_are_sent_when_that_is_the_policy(store, told):
    add_articles(store, {"a": 10})
    add_readers(store, "alice")
    generous = replace(WEEKLY, selection=replace(WEEKLY.selection, too_few=TooFew.SEND))
    assert publish(store, SATURDAY, told, generous).state is EditionState.SENDING


def test_nothing_at_all_is_never_sent(store, told):
    add_readers(store, "alice")
    generous = replace(WEEKLY, selection=replace(WEEKLY.selection, too_few=TooFew.SEND))
    assert publish(store, SATURDAY, told, generous).state is EditionState.SKIPPED


def test_an_edition_that_needs_approval_waits_for_it(store, told):
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice")
    careful = replace(WEEKLY, approval=Approval.REQUIRED)
    edition = publish(store, SATURDAY, told, careful)
    assert edition.state is EditionState.DRAFTED
    assert len(told) == 1
    desk.approve(store, edition.id)
    assert publish(store, SATURDAY + HOUR, told, careful).state is EditionState.SENDING


def test_a_friday_draft_goes_out_on_saturday_unless_held(store, told):
    add_articles(store, {"a": 10, "b": 30}, published=SATURDAY - timedelta(days=3))
    add_readers(store, "alice")
    friday = replace(WEEKLY, cutoff=Schedule.parse("fri 16:00", WARSAW))
    draft = publish(store, SATURDAY - 16 * HOUR, told, friday)
    assert draft.state is EditionState.DRAFTED
    assert draft.send_at == SATURDAY
    desk.hold(store, draft.id)
    assert publish(store, SATURDAY, told, friday).state is EditionState.HELD
    desk.approve(store, draft.id)
    assert publish(store, SATURDAY, told, friday).state is EditionState.SENDING


def test_an_article_is_spent_only_when_its_edition_is_sent(store):
    add_articles(store, {"a": 10, "b": 30})
    first = publishing.draft(store, press, WEEKLY, SATURDAY, SATURDAY)
    again = publishing.draft(store, press, WEEKLY, SATURDAY, SATURDAY)
    assert first.id == again.id
    assert titles(store, again) == ["B", "A"]
    publishing.release(store, press, WEEKLY, first.id, SATURDAY)
    with store.read() as tx:
        spent = set(editions.last_sent(tx, "weekly"))
    assert len(spent) == 2


def test_a_frozen_edition_is_not_ranked_again(store):
    add_articles(store, {"a": 10, "b": 30})
    edition = publishing.draft(store, press, WEEKLY, SATURDAY, SATURDAY)
    publishing.release(store, press, WEEKLY, edition.id, SATURDAY)
    add_articles(store, {"a": 10, "b": 30, "z": 500})
    publishing.draft(store, press, WEEKLY, SATURDAY, SATURDAY)
    assert titles(store, edition) == ["B", "A"]
    assert publishing.archived(store, edition.id)[1].text == "B, A"


def test_a_suppressed_reader_is_excluded_and_counted(store):
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice", "bob")
    suppressing.suppress(store, LINKS, Address("bob", "example.com"), "asked us", Evidence(Way.OPERATOR), SATURDAY)
    edition = publishing.draft(store, press, WEEKLY, SATURDAY, SATURDAY)
    edition = publishing.release(store, press, WEEKLY, edition.id, SATURDAY)
    assert (edition.audience, edition.excluded) == (2, 1)
    assert counts(store, edition) == {"queued": 1}


def test_cancelling_stops_what_has_not_gone_out(store):
    add_articles(store, {"a": 10, "b": 30})
    add_readers(store, "alice", "bob")
    edition = publishing.draft(store, press, WEEKLY, SATURDAY, SATURDAY)
    publishing.release(store, press, WEEKLY, edition.id, SATURDAY)
    desk.cancel(store, edition.id, SATURDAY)
    assert counts(store, edition) == {"cancelled": 2}
    with pytest.raises(WrongState, match="cancelled"):
        desk.approve(store, edition.id)


def test_what_does_not_exist_is_named(store):
    with pytest.raises(NotFound, match="edition draft"):
        publishing.find(store, "latest")
    with pytest.raises(NotFound, match="99"):
        publishing.find(store, "99")


def test_what_was_left_out_for_size_is_kept_for_each_language_readers_have(store, told):
    def tight(newsletter, edition, picks, language="en"):
        left_out = {"en": ("excerpts of at most 140 characters",), "uk": ("no excerpts",)}[language]
        return replace(press(newsletter, edition, picks, language), shortened=left_out)

    add_articles(store, {"a.pl/1": 3, "a.pl/2": 2})
    entries = [importing.Entry(Address("anna", "example.com"))]
    importing.bring_in(store, LINKS, entries, "weekly", "uk", Evidence(Way.OPERATOR), SATURDAY - 9 * HOUR)
    said = [
        "so that mailboxes show it whole: excerpts of at most 140 characters",
        "so that mailboxes show it whole, in uk: no excerpts",
    ]
    drafted = publishing.draft(store, tight, WEEKLY, SATURDAY, SATURDAY)
    assert [note for note in drafted.notes if "whole" in note] == said
    sent = publishing.publish_due(store, tight, WEEKLY, lambda *notice: told.append(notice), SATURDAY)
    assert [note for note in sent.notes if "whole" in note] == said
    assert sent.state is EditionState.SENDING
    assert not [subject for _, subject, _ in told if "corrected" in subject]
