"""Who pauses, or wants one edition a month: left out when an edition is queued, looked at again at the claim."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from digest import publishing
from digest.domain.pauses import pause_end
from digest.domain.subscribers import Rhythm
from digest.store import subscribers
from tests.servers.smtpd import RecordingServer
from tests.service import SATURDAY, Service

WEEK = timedelta(days=7)


@pytest.fixture
def service(tmp_path, store_url):
    with RecordingServer() as smtpd:
        made = Service(tmp_path, store_url, smtpd.port)
        made.smtpd = smtpd
        yield made
        made.close()


def pause(service, address: str, until: datetime | None) -> None:
    with service.app.store.begin() as tx:
        subscribers.set_pause(tx, service.find(address).id, until)


def want_monthly(service, address: str) -> None:
    with service.app.store.begin() as tx:
        subscribers.set_rhythm(tx, service.find(address).id, Rhythm.MONTHLY)


def send_week(service, number: int):
    """The edition of a later week, sent; with articles of its own."""
    at = SATURDAY + number * WEEK
    service.add_articles({f"week{number}-{n}": 50 - n for n in range(12)}, at - timedelta(days=2), at)
    service.clock.forward(at + timedelta(seconds=5) - service.clock())
    app, now = service.app, service.clock()
    edition = publishing.draft(app.store, app.press, service.newsletter, at, now)
    return service.deliver(publishing.release(app.store, app.press, service.newsletter, edition.id, now))


def received(service) -> dict[str, int]:
    """Mails by the reader's number."""
    found: dict[str, int] = {}
    for each in service.smtpd.received:
        reader = each.recipients[0].partition("@")[0]
        found[reader] = found.get(reader, 0) + 1
    return found


def test_who_pauses_is_left_out_and_counted(service):
    service.add_readers(5)
    pause(service, "reader1@example.com", service.clock() + timedelta(days=3))
    pause(service, "reader2@example.com", service.clock() - timedelta(days=3))  # over already
    edition = service.send()
    assert (edition.audience, edition.excluded, service.counts(edition)) == (5, 1, {"sent": 4})
    assert received(service) == {"reader0": 1, "reader2": 1, "reader3": 1, "reader4": 1}
    assert service.notices(edition) == []


def test_a_pause_that_is_over_needs_nobody_to_end_it(service):
    service.add_readers(2)
    pause(service, "reader1@example.com", pause_end(service.clock(), 2, ZoneInfo("Europe/Warsaw")))
    counts = [service.counts(send_week(service, number)) for number in range(4)]
    assert counts == [{"sent": 1}, {"sent": 1}, {"sent": 2}, {"sent": 2}]  # two Saturdays later it comes again


def test_who_wants_one_a_month_gets_the_first_and_no_other(service):
    service.add_readers(2)
    want_monthly(service, "reader1@example.com")
    editions = [send_week(service, number) for number in range(7)]  # 28 November to 9 January
    assert [service.counts(each) for each in editions] == [
        {"sent": 2},
        {"sent": 2},  # 5 December
        {"sent": 1},
        {"sent": 1},
        {"sent": 1},
        {"sent": 2},  # 2 January
        {"sent": 1},
    ]
    assert [each.excluded for each in editions] == [0, 0, 1, 1, 1, 0, 1]
    assert all(each.audience == 2 for each in editions)


def test_a_month_whose_first_edition_was_skipped_has_its_first_later(service):
    service.add_readers(2)
    want_monthly(service, "reader1@example.com")
    send_week(service, 0)
    at = SATURDAY + WEEK  # nothing was published in that week
    service.clock.forward(at + timedelta(seconds=5) - service.clock())
    skipped = publishing.draft(service.app.store, service.app.press, service.newsletter, at, service.clock())
    assert skipped.state == "skipped"
    assert service.counts(send_week(service, 2)) == {"sent": 2}
    assert service.counts(send_week(service, 3)) == {"sent": 1}


def test_who_pauses_after_the_edition_was_queued_is_skipped_at_the_claim(service):
    service.add_readers(4)
    edition = service.release()
    pause(service, "reader2@example.com", service.clock() + timedelta(days=14))
    edition = service.deliver(edition)
    assert (edition.audience, edition.excluded, service.counts(edition)) == (4, 0, {"sent": 3, "skipped": 1})
    (skipped,) = service.listed(edition, "skipped")
    assert (skipped.address, skipped.reply) == ("reader2@example.com", "paused by the reader")
    assert "reader2" not in received(service)


def test_who_pauses_while_the_edition_is_going_out_is_skipped_too(service):
    """Many enough that on PostgreSQL the sender's sweeps meet them, which pass such readers by."""
    service.add_readers(1_500)
    edition = service.release()
    late = [f"reader{number}@example.com" for number in range(700, 1_500, 100)]
    with service.app.store.begin() as tx:
        for each in late:
            subscribers.set_pause(tx, service.find(each).id, service.clock() + timedelta(days=14))
    edition = service.deliver(edition)
    assert service.counts(edition) == {"sent": 1_500 - len(late), "skipped": len(late)}
    assert {each.reply for each in service.listed(edition, "skipped")} == {"paused by the reader"}
    assert not {each.partition("@")[0] for each in late} & set(received(service))


def test_a_pause_that_ends_before_the_claim_keeps_nobody_out(service):
    service.add_readers(2)
    edition = service.release()
    pause(service, "reader1@example.com", service.clock() - timedelta(seconds=1))
    assert service.counts(service.deliver(edition)) == {"sent": 2}


def test_an_audience_is_counted_as_it_will_be_queued(service):
    service.add_readers(6)
    want_monthly(service, "reader1@example.com")
    send_week(service, 0)
    send_week(service, 1)
    pause(service, "reader2@example.com", service.clock() + timedelta(days=30))
    at = SATURDAY + 2 * WEEK
    service.add_articles({f"later-{n}": 50 - n for n in range(12)}, at - timedelta(days=2), at)
    service.clock.forward(at + timedelta(seconds=5) - service.clock())
    app, now = service.app, service.clock()
    draft = publishing.draft(app.store, app.press, service.newsletter, at, now)
    assert (draft.audience, draft.excluded) == (6, 2)
    released = publishing.release(app.store, app.press, service.newsletter, draft.id, now)
    assert (released.audience, released.excluded) == (6, 2)


def test_a_pause_ends_as_its_last_day_begins():
    warsaw = ZoneInfo("Europe/Warsaw")
    over = pause_end(SATURDAY + timedelta(hours=3), 2, warsaw)
    assert over.isoformat() == "2026-12-12T00:00:00+01:00"
    assert pause_end(datetime(2026, 3, 1, 12, tzinfo=warsaw), 4, warsaw).isoformat() == "2026-03-29T00:00:00+01:00"
