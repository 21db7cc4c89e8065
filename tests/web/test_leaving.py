"""Leaving by the page and by one click; and taking it back, by the page of this very leaving, for a day."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from digest.domain.addresses import Address
from digest.domain.deliveries import Mail
from digest.domain.farewells import Reason
from digest.domain.links import Purpose
from digest.domain.subscribers import Evidence, Way
from digest.store import farewells
from digest.subscribing import preferring, reminding, suppressing
from tests.web.readers import (
    ALICE,
    add,
    events,
    kinds,
    leave_path,
    own_page,
    queued,
    return_path,
    state,
    to,
)

PAIR = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def service(web):
    add(web.service)
    return web.service


def leave(web) -> str:
    """By the page; returns where the goodbye page's buttons lead."""
    page = web.client.post(leave_path(web.service), data={"confirm": "yes"})
    assert page.status_code == 200
    return return_path(page.text)


def said(service, newsletter: str = "") -> list[tuple[str, str, int]]:
    with service.app.store.read() as tx:
        return [(each.month, each.reason, each.readers) for each in farewells.listed(tx, newsletter)]


def test_the_page_shows_a_button_and_only_the_button_acts(web, service):
    page = web.client.get(leave_path(service))
    assert page.status_code == 200
    assert "Leave The Weekly Recap?" in page.text
    assert own_page(service) in page.text
    assert web.client.head(leave_path(service)).status_code == 200
    assert state(service) == "confirmed"
    assert "You are unsubscribed" in web.client.post(leave_path(service), data={"confirm": "yes"}).text
    assert state(service) == "unsubscribed"
    assert events(service)[-1].evidence.way is Way.LINK


@pytest.mark.parametrize("how", ["urlencoded", "multipart"])
def test_one_click_answers_plain_text_without_cookie_redirect_or_a_way_back(web, service, how):
    sent = {"data": PAIR} if how == "urlencoded" else {"files": {name: (None, value) for name, value in PAIR.items()}}
    reply = web.client.post(leave_path(service), **sent)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "set-cookie" not in reply.headers
    assert "return" not in reply.text
    assert state(service) == "unsubscribed"
    assert events(service)[-1].evidence.way is Way.ONE_CLICK
    assert web.client.post(leave_path(service), **sent).status_code == 200
    assert kinds(service).count("unsubscribed") == 1


@pytest.mark.parametrize("form", [{}, {"List-Unsubscribe": "maybe"}, {"confirm": "no"}, {"undo": "yes"}])
def test_a_post_that_says_nothing_is_told_what_to_do_and_does_nothing(web, service, form):
    reply = web.client.post(leave_path(service), data=form)
    assert reply.status_code == 400
    assert "Nothing has changed yet" in reply.text
    assert "<button" in reply.text
    assert state(service) == "confirmed"


def test_a_broken_link_says_how_to_leave_all_the_same(web):
    for reply in (web.client.get("/unsubscribe/x"), web.client.post("/unsubscribe/x", data=PAIR)):
        assert reply.status_code == 404
        assert "mailto:recap@news.example.com" in reply.text


def test_leaving_works_after_years_and_when_the_reader_is_gone(web, service):
    service.clock.forward(timedelta(days=3650))
    assert web.client.post(leave_path(service), data=PAIR).status_code == 200
    assert state(service) == "unsubscribed"
    gone = service.app.links.unsubscribe(123_456).removeprefix("https://recap.example.com")
    assert web.client.get(gone).status_code == 200
    assert web.client.post(gone, data=PAIR).status_code == 200
    page = web.client.post(gone, data={"confirm": "yes"})
    assert (page.status_code, "You are unsubscribed" in page.text) == (200, True)


def test_undo_brings_everything_back_as_it_was(web, service):
    confirmed_at = to(service).confirmed_at
    page = web.client.post(leave(web), data={"undo": "yes"})
    assert "You are back" in page.text
    assert "next on <strong>Saturday, 5 December 2026</strong>, at 0" in page.text
    found = to(service)
    assert (found.state, found.confirmed_at, found.unsubscribed_at) == ("confirmed", confirmed_at, None)
    assert kinds(service) == ["confirmed", "unsubscribed", "returned"]
    last = events(service)[-1].evidence
    assert (last.way, len(last.token_hash)) == (Way.PAGE, 64)
    edition = service.send()
    assert service.counts(edition) == {"sent": 1}


@pytest.mark.parametrize(("weeks", "until"), [(2, "12 December"), (4, "26 December"), (8, "23 January")])
def test_a_pause_instead_lets_them_alone_for_so_many_weeks(web, service, weeks, until):
    page = web.client.post(leave(web), data={"pause": str(weeks)})
    assert until in page.text
    found = to(service)
    assert found.state == "confirmed"
    assert found.paused_until.astimezone(service.newsletter.zone).strftime("%H:%M") == "00:00"
    assert kinds(service)[-2:] == ["returned", "changed"]
    day = found.paused_until.astimezone(service.newsletter.zone)
    assert events(service)[-1].evidence.form == f"paused until {day:%Y-%m-%d}"


def test_once_a_month_instead(web, service):
    assert "Once a month, then" in web.client.post(leave(web), data={"monthly": "yes"}).text
    assert (to(service).state, to(service).rhythm) == ("confirmed", "monthly")
    assert events(service)[-1].evidence.form == "rhythm: monthly"


def test_the_second_button_of_a_goodbye_page_says_that_nothing_more_has_changed(web, service):
    back = leave(web)
    assert "works only once" not in web.client.post(back, data={"pause": "2"}).text
    for form in ({"pause": "8"}, {"monthly": "yes"}, {"undo": "yes"}):
        page = web.client.post(back, data=form).text
        assert "works only once" in page
        assert "Nothing comes before <strong>Saturday, 12 December 2026</strong>; then" in page
        assert own_page(service) in page
    assert "works only once" not in web.client.get(back).text
    assert kinds(service).count("changed") == 1


def test_an_older_pause_is_named_by_what_is_chosen_instead(web, service):
    web.client.post(own_page(service), data={"do": "save", "had-weekly": "yes", "get-weekly": "yes", "pause": "2"})
    page = web.client.post(leave(web), data={"undo": "yes"}).text
    assert "You are back" in page
    stands = "still stands. Nothing comes before <strong>Saturday, 12 December 2026</strong>"
    assert stands in page
    page = web.client.post(leave(web), data={"monthly": "yes"}).text
    for said in ("Once a month, then", stands, "the first edition of each month"):
        assert said in page
    page = web.client.post(leave(web), data={"pause": "8"}).text
    for said in ("Enjoy the pause", "23 January 2027", "the first edition of each month"):
        assert said in page
    assert "still stands" not in page


def test_a_pause_instead_is_of_this_newsletter_only(web, service):
    add(service, newsletter="sport")
    web.client.post(leave(web), data={"pause": "4"})
    assert to(service).paused_until
    assert to(service, "sport").paused_until is None


def test_pressing_twice_is_pressing_once(web, service):
    back = leave(web)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: web.client.post(back, data={"undo": "yes"}), range(8)))
    assert {each.status_code for each in replies} == {200}
    assert kinds(service).count("returned") == 1


def test_a_leaving_can_be_taken_back_for_a_day_only(web, service):
    back = leave(web)
    service.clock.forward(timedelta(hours=23))
    assert web.client.get(back).status_code == 200
    service.clock.forward(timedelta(hours=2))
    assert web.client.get(back).status_code == 410
    reply = web.client.post(back, data={"undo": "yes"})
    assert (reply.status_code, "too late" in reply.text) == (410, True)
    assert state(service) == "unsubscribed"


def test_who_came_back_and_left_again_voided_the_first_page(web, service):
    first = leave(web)
    web.client.post(first, data={"undo": "yes"})
    second = leave(web)
    for form in ({"undo": "yes"}, {"pause": "2"}, {"monthly": "yes"}, {"reason": "too many"}):
        assert web.client.post(first, data=form).status_code == 410
    assert state(service) == "unsubscribed"
    assert web.client.post(second, data={"undo": "yes"}).status_code == 200
    assert state(service) == "confirmed"


def test_only_the_page_of_this_very_leaving_has_a_way_back(web, service):
    web.client.post(leave_path(service), data=PAIR)
    for reply in (web.client.get(leave_path(service)), web.client.post(leave_path(service), data={"confirm": "yes"})):
        assert reply.status_code == 200
        assert "/return/" not in reply.text


def test_an_unsubscribe_token_cannot_bring_anybody_back(web, service):
    token = leave_path(service).removeprefix("/unsubscribe/")
    leave(web)
    for kind in ("return", "preferences", "own-data", "forget"):
        assert (
            web.client.post(f"/{kind}/{token}", data={"undo": "yes", "do": "save", "confirm": "yes"}).status_code == 404
        )
    assert state(service) == "unsubscribed"


def test_the_suppressed_cannot_come_back_this_way(web, service):
    back = leave(web)
    address, evidence = Address.parse(ALICE), Evidence(Way.OPERATOR)
    suppressing.suppress(service.app.store, service.app.links, address, "a complaint", evidence, service.clock())
    assert web.client.post(back, data={"undo": "yes"}).status_code == 410
    assert state(service) == "unsubscribed"


def test_who_had_not_confirmed_is_as_before_too(web):
    service = web.service
    service.sign_up(ALICE)
    page = web.client.post(leave(web), data={"undo": "yes"})
    assert "One click is still missing" in page.text
    assert state(service) == "pending"


def test_taking_back_a_second_leaving_does_not_wipe_the_first(web, service):
    leave(web)
    service.clock.forward(timedelta(days=1))
    service.sign_up(ALICE)  # whoever typed it
    assert state(service) == "pending"
    web.client.post(leave(web), data={"undo": "yes"})
    assert state(service) == "pending"
    waiting = reminding.Waiting(timedelta(0), timedelta(days=3), timedelta(days=14))
    assert reminding.purge(service.app.store, waiting, service.clock() + timedelta(days=15)) == 1
    assert state(service) == "unsubscribed"


def test_a_button_that_is_none_of_ours_changes_nothing(web, service):
    back = leave(web)
    for form in ({}, {"pause": "3"}, {"pause": "9999999999"}, {"weeks": "2"}):
        assert web.client.post(back, data=form).status_code == 400
    assert state(service) == "unsubscribed"


def test_looking_at_the_goodbye_page_again_changes_nothing(web, service):
    back = leave(web)
    for _ in range(2):
        assert "What made you leave?" in web.client.get(back).text
        assert web.client.head(back).status_code == 200
    assert state(service) == "unsubscribed"


def test_a_reason_is_counted_once_and_nobody_knows_whose(web, service):
    add(service, "bob@example.com")
    back = leave(web)
    for reason in ("too many", "too many", "elsewhere"):
        page = web.client.post(back, data={"reason": reason})
        assert "Thank you" in page.text
        assert "What made you leave?" not in page.text
    bob = web.client.post(leave_path(service, "bob@example.com"), data={"confirm": "yes"})
    web.client.post(return_path(bob.text), data={"reason": "a text with an address: bob@example.com"})
    assert said(service, "weekly") == [("2026-11", Reason.OTHER, 1), ("2026-11", Reason.TOO_MANY, 1)]
    assert state(service) == "unsubscribed"
    assert kinds(service) == ["confirmed", "unsubscribed"]


def test_undo_still_works_after_the_reason(web, service):
    back = leave(web)
    assert back in web.client.post(back, data={"reason": "other"}).text
    web.client.post(back, data={"undo": "yes"})
    assert state(service) == "confirmed"


def test_a_goodbye_page_of_a_newsletter_that_is_no_more_offers_no_way_back(web, service):
    add(service, "carol@example.com", newsletter="closed")
    closed = to(service, "closed", "carol@example.com")
    link = service.app.links.unsubscribe(closed.id).removeprefix("https://recap.example.com")
    assert web.client.get(link).status_code == 200
    page = web.client.post(link, data={"confirm": "yes"})
    assert (page.status_code, 'name="undo"' in page.text) == (200, False)
    assert state(service, "closed", "carol@example.com") == "unsubscribed"


def test_the_goodbye_mail_is_for_ways_without_a_page(web, service):
    leave(web)
    assert queued(service, Mail.GOODBYE) == 0
    add(service, "bob@example.com")
    store, bob, evidence = service.app.store, to(service, address="bob@example.com"), Evidence(Way.MAILTO)
    for _ in range(2):
        preferring.leave(store, bob.id, evidence, service.clock(), goodbye=("weekly",))
    assert queued(service, Mail.GOODBYE, "bob@example.com") == 1
    service.deliver_all()
    text = web.smtpd.received_by("bob@example.com")[-1].parsed.get_body(("plain",)).get_content()
    assert service.app.links.preferences(bob.id) in text.replace("\n", "")


@pytest.mark.parametrize("token", ["x", "%00", "../../etc/passwd", "A" * 5000, "żółw", "' OR 1=1 --"])
def test_garbage_for_a_token_is_a_friendly_page(web, token):
    for kind in ("return", "preferences", "own-data", "forget"):
        for form in ({"undo": "yes"}, {"do": "save"}, {"reason": "other"}, {"confirm": "yes"}, {}):
            for reply in (web.client.get(f"/{kind}/{token}"), web.client.post(f"/{kind}/{token}", data=form)):
                assert reply.status_code in (400, 404, 405, 410)
                assert "set-cookie" not in reply.headers


def test_no_token_reaches_the_log(web, service, caplog):
    caplog.set_level("INFO", logger="digest.web")
    back = leave(web)
    number = to(service).id
    tokens = [back.removeprefix("/return/"), own_page(service).removeprefix("/preferences/")]
    tokens += [service.app.links.timed(each, number, service.clock()) for each in (Purpose.OWN_DATA, Purpose.ERASURE)]
    for kind, token in zip(("return", "preferences", "own-data", "forget"), tokens, strict=True):
        web.client.get(f"/{kind}/{token}")
        assert f"GET /{kind}/..." in caplog.text
        assert token not in caplog.text
