"""Who does not answer: reminded once, then deleted; who comes back: each as a person expects."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from digest import scheduler
from digest.domain.addresses import Address
from digest.domain.subscribers import EventKind, Evidence, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.errors import NotFound
from digest.store import consent, suppressions
from digest.store.schema import deliveries, events, subscribers, subscriptions
from digest.subscribing import forgetting, preferring, reminding
from tests.web.gates import gate

ALICE = "alice@example.com"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def web(tmp_path, store_url):
    newsletters = {
        "weekly": {"title": "The Weekly Recap"},
        "daily": {"title": "The Daily", "schedule": "daily 06:00", "welcome": True},
    }
    with gate(tmp_path, store_url=store_url, newsletters=newsletters) as made:
        yield made


def remind(web):
    """What the hourly job does; returns the subjects of the mails that came of it."""
    before = len(web.smtpd.received)
    asyncio.run(scheduler.remind(web.service.app, web.service.clock))
    web.service.deliver_all()
    return [(each.recipients[0], each.parsed["Subject"]) for each in web.smtpd.received[before:]]


def purge(web):
    asyncio.run(scheduler.purge(web.service.app, web.service.clock))


def count(web, table):
    with web.service.app.store.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(table))


def kinds(web, address=ALICE):
    with web.service.app.store.read() as tx:
        return [each.kind for each in consent.trail(tx, web.service.find(address).subscriber_id)]


def suppress(web, kind, address=ALICE):
    app, found = web.service.app, web.service.find(address)
    hashed = app.links.address_hash(found.address.key)
    with app.store.begin() as tx:
        held = Suppression(hashed, kind, "it said so", web.service.clock(), subscriber_id=found.subscriber_id)
        suppressions.suppress(tx, held)


def is_suppressed(web, address=ALICE):
    app = web.service.app
    with app.store.read() as tx:
        return suppressions.of(tx, app.links.address_hash(Address.parse(address).key)) is not None


def press(web, link):
    return web.client.post(link, data={"confirm": "yes"})


def join(web, address=ALICE, **fields):
    web.sign_up(address, **fields)
    press(web, web.confirm_link(address))
    web.service.clock.forward(HOUR)
    assert web.state(address) == "confirmed"


# --- no answer ------------------------------------------------------------------------------------


def test_who_does_not_answer_is_reminded_once_and_the_link_is_good_for_the_whole_time_again(web):
    web.sign_up(ALICE)
    first = web.confirm_link(ALICE)
    web.service.clock.forward(23 * HOUR)
    assert remind(web) == []
    web.service.clock.forward(2 * HOUR)
    [(address, subject)] = remind(web)
    assert address == ALICE
    assert "still waits" in subject
    link = web.link(ALICE, "confirm")
    assert link == first  # whichever of the two mails is opened
    web.service.clock.forward(70 * HOUR)  # 95 hours after the request
    assert remind(web) == []
    assert web.client.get(link).status_code == 200
    press(web, link)
    assert web.state(ALICE) == "confirmed"


def test_the_reminders_link_ends_too(web):
    web.sign_up(ALICE)
    web.service.deliver_all()
    web.service.clock.forward(25 * HOUR)
    remind(web)
    web.service.clock.forward(73 * HOUR)
    assert web.client.get(web.link(ALICE, "confirm")).status_code == 410


def test_whom_no_mail_reached_and_who_has_answered_or_gone_is_not_reminded(web):
    for name in ("unsent", "confirmed", "left", "bounced", "late"):
        web.sign_up(f"{name}@example.com")
    press(web, web.confirm_link("confirmed@example.com"))
    found = web.service.find("left@example.com")
    preferring.leave(web.service.app.store, found.id, Evidence(Way.PAGE), web.service.clock())
    suppress(web, SuppressionKind.BOUNCED, "bounced@example.com")
    with web.service.app.store.begin() as tx:
        of_unsent = deliveries.c.subscription_id == web.service.find("unsent@example.com").id
        tx.execute(sa.update(deliveries).where(of_unsent).values(state="refused"))
    web.service.clock.forward(25 * HOUR)
    assert [address for address, _ in remind(web)] == ["late@example.com"]


def test_a_reminder_that_comes_too_late_does_not_come(web):
    web.sign_up(ALICE)
    web.service.deliver_all()
    web.service.clock.forward(10 * DAY)  # nothing ran
    assert remind(web) == []


def test_zero_means_never(tmp_path):
    with gate(tmp_path, subscribing={"remind_after": "0s"}) as web:
        web.sign_up(ALICE)
        web.service.deliver_all()
        asked = web.smtpd.received_by(ALICE)[-1].parsed.get_body(("plain",)).get_content()
        assert "reminder" not in asked
        web.service.clock.forward(25 * HOUR)
        assert remind(web) == []


def test_who_presses_right_before_the_reminder_goes_out_gets_none(web):
    web.sign_up(ALICE)
    link = web.confirm_link(ALICE)
    web.service.clock.forward(25 * HOUR)
    app = web.service.app
    waiting = reminding.Waiting(DAY, timedelta(hours=72), 30 * DAY)
    assert reminding.remind(app.store, waiting, app.config.subscribing.limits(), web.service.clock()) == 1
    press(web, link)
    before = len(web.smtpd.received)
    web.service.deliver_all()
    assert len(web.smtpd.received) == before


def test_a_bombed_mailbox_gets_one_reminder_a_day_and_never_more_than_its_cap(web):
    for n in range(3):
        web.sign_up(f"victim+{n}@gmail.com")
        web.service.clock.forward(11 * timedelta(minutes=1))
    web.service.deliver_all()
    web.service.clock.forward(25 * HOUR)
    assert len(remind(web)) == 1
    assert remind(web) == []
    for n in range(5):
        web.service.clock.forward(11 * timedelta(minutes=1))
        web.sign_up(f"victim+{n + 10}@gmail.com")
    web.service.deliver_all()
    assert len(web.smtpd.received) == 3 + 3  # the reminder counts


def test_who_never_answers_is_deleted_with_all_that_was_known(web):
    join(web, "stays@example.com")
    before = {table: count(web, table) for table in (subscribers, subscriptions, events)}
    web.sign_up(ALICE)
    web.sign_up("stays@example.com", newsletter="daily")
    link = web.confirm_link(ALICE)
    web.service.clock.forward(25 * HOUR)
    remind(web)
    web.service.clock.forward(29 * DAY)
    purge(web)
    with pytest.raises(NotFound):
        web.service.find(ALICE)
    assert web.service.find("stays@example.com").state == "confirmed"
    after = {table: count(web, table) for table in (subscribers, subscriptions, events)}
    assert after[subscribers] == before[subscribers]
    assert after[subscriptions] == before[subscriptions]
    assert web.client.get(link).status_code == 410
    with web.service.app.store.read() as tx:
        left = set(tx.scalars(sa.select(deliveries.c.subscription_id)))
    assert left == {web.service.find("stays@example.com").id}


def test_nobody_is_deleted_before_their_time(web):
    web.sign_up(ALICE)
    web.service.clock.forward(29 * DAY)
    purge(web)
    assert web.state(ALICE) == "pending"


def test_who_had_left_and_never_answers_has_still_left(web):
    join(web)
    preferring.leave(web.service.app.store, web.service.find(ALICE).id, Evidence(Way.PAGE), web.service.clock())
    left_at = web.service.find(ALICE).unsubscribed_at
    web.sign_up(ALICE)  # by somebody else, perhaps
    assert web.state(ALICE) == "pending"
    web.service.clock.forward(31 * DAY)
    purge(web)
    found = web.service.find(ALICE)
    assert (found.state, found.unsubscribed_at) == ("unsubscribed", left_at)
    assert kinds(web)[:3] == [EventKind.REQUESTED, EventKind.CONFIRMED, EventKind.UNSUBSCRIBED]


def test_networks_and_browsers_are_kept_for_a_while_only(web):
    web.client.post("/subscribe", data={"email": ALICE}, headers={"User-Agent": "A browser"})
    press(web, web.confirm_link(ALICE))
    web.service.clock.forward(91 * DAY)
    purge(web)
    with web.service.app.store.read() as tx:
        trail = consent.trail(tx, web.service.find(ALICE).subscriber_id)
    assert [(each.evidence.user_agent, each.evidence.ip) for each in trail] == [("", ""), ("", "")]
    assert trail[0].evidence.wording


# --- coming back ----------------------------------------------------------------------------------


def test_signing_up_again_while_the_first_mail_is_on_its_way_sends_a_fresh_one_later(web):
    web.sign_up(ALICE)
    web.sign_up(ALICE)  # pressed twice: one mail
    first = web.confirm_link(ALICE)
    assert len(web.smtpd.received) == 1
    web.service.clock.forward(HOUR)
    web.sign_up(ALICE)
    second = web.confirm_link(ALICE)
    assert web.client.get(first).status_code == 410
    press(web, second)
    assert web.state(ALICE) == "confirmed"


def test_who_left_comes_back_by_the_same_way_and_gets_editions_again(web):
    join(web)
    preferring.leave(web.service.app.store, web.service.find(ALICE).id, Evidence(Way.PAGE), web.service.clock())
    web.sign_up(ALICE)
    press(web, web.confirm_link(ALICE))
    found = web.service.find(ALICE)
    assert (found.state, found.unsubscribed_at) == ("confirmed", None)
    assert web.service.counts(web.service.send()) == {"sent": 1}


@pytest.mark.parametrize("kind", [SuppressionKind.BOUNCED, SuppressionKind.UNSUBSCRIBED])
def test_a_mailbox_that_failed_and_works_again_is_let_in_by_its_reader(web, kind):
    join(web)
    suppress(web, kind)
    web.sign_up(ALICE)
    link = web.confirm_link(ALICE)
    assert is_suppressed(web)  # nothing is lifted before they press
    press(web, link)
    assert (web.state(ALICE), is_suppressed(web)) == ("confirmed", False)
    assert web.service.counts(web.service.send()) == {"sent": 1}


def test_a_stranger_who_types_the_address_of_a_reader_whose_mail_fails_changes_nothing_for_good(web):
    join(web)
    confirmed_at = web.service.find(ALICE).confirmed_at
    suppress(web, SuppressionKind.BOUNCED)
    for _ in range(2):
        web.sign_up(ALICE)
        web.service.clock.forward(HOUR)
    web.service.clock.forward(31 * DAY)
    purge(web)
    found = web.service.find(ALICE)
    assert (found.state, found.confirmed_at, is_suppressed(web)) == ("confirmed", confirmed_at, True)


def test_a_bounced_reader_who_had_left_signs_up_anew_and_the_suppression_is_over(web):
    join(web)
    preferring.leave(web.service.app.store, web.service.find(ALICE).id, Evidence(Way.BOUNCE), web.service.clock())
    suppress(web, SuppressionKind.BOUNCED)
    web.sign_up(ALICE)
    press(web, web.confirm_link(ALICE))
    assert web.state(ALICE) == "confirmed"
    assert not is_suppressed(web)
    assert kinds(web)[-1] == EventKind.LIFTED
    assert web.service.counts(web.service.send()) == {"sent": 1}


@pytest.mark.parametrize("kind", [SuppressionKind.COMPLAINED, SuppressionKind.OPERATOR])
def test_who_called_us_spam_or_was_barred_gets_nothing_and_hears_the_same(web, kind):
    join(web)
    suppress(web, kind)
    before = len(web.smtpd.received)
    reply = web.sign_up(ALICE)
    assert reply.text == web.sign_up("new@example.com").text
    web.service.deliver_all()
    assert [each.recipients for each in web.smtpd.received[before:]] == [["new@example.com"]]


def test_who_was_forgotten_is_new_to_us_and_may_come_back(web):
    join(web)
    app = web.service.app
    forgetting.forget_address(app.store, app.links, Address.parse(ALICE), Evidence(Way.PAGE), web.service.clock())
    web.sign_up(ALICE)
    press(web, web.confirm_link(ALICE))
    assert web.state(ALICE) == "confirmed"
    assert not is_suppressed(web)
    assert kinds(web) == [EventKind.REQUESTED, EventKind.CONFIRMED, EventKind.LIFTED]


def test_a_second_newsletter_is_asked_for_by_itself_and_greets(web):
    join(web)
    web.sign_up(ALICE, newsletter="daily")
    press(web, web.confirm_link(ALICE))
    web.service.deliver_all()
    assert "The Daily" in web.smtpd.received_by(ALICE)[-1].parsed["Subject"]
    assert count(web, subscriptions) == 2


def test_the_log_says_which_letters_went_out_and_to_nobody_whom(web, caplog):
    caplog.set_level("INFO", logger="digest.delivering")
    for address in (ALICE, "bob@example.com"):
        web.service.sign_up(address)
    web.service.deliver_all()
    assert "2 letters sent: 2 confirmations" in caplog.messages
    web.service.deliver_all()
    web.service.clock.forward(3 * DAY)
    remind(web)
    assert [line for line in caplog.messages if "reminders" in line] == ["2 letters sent: 2 reminders"]
    assert len([line for line in caplog.messages if "letter" in line]) == 2
    assert "@" not in caplog.text
