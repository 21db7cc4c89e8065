"""Leaving, coming back, and wishes, on both databases; many at once, and exactly what was asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from digest.domain.deliveries import Mail
from digest.domain.farewells import Reason
from digest.domain.links import Purpose
from digest.domain.subscribers import Evidence, Rhythm, Way
from digest.errors import InvalidToken
from digest.store import deliveries, farewells
from digest.subscribing import preferring
from tests.service import Service
from tests.web.readers import ALICE, TWO, add, events, kinds, state, to

PAGE = Evidence(Way.PAGE)


@pytest.fixture
def service(tmp_path, store_url):
    made = Service(tmp_path, store_url, 2525, **TWO)
    add(made)
    add(made, newsletter="sport")
    yield made
    made.close()


def token_of(service, newsletter: str = "weekly") -> str:
    return service.app.links.preferences(to(service, newsletter).id).rpartition("/")[2]


def back_token(service, newsletter: str = "weekly") -> str:
    found = to(service, newsletter)
    return service.app.links.timed(Purpose.RETURN, found.id, found.unsubscribed_at)


def take_back(service, token: str, instead: preferring.Instead = preferring.Instead()):
    return preferring.take_back(service.app.store, service.app.links, token, instead, PAGE, service.clock())


def test_many_who_leave_and_come_back_at_once_leave_one_trace_each(service):
    store, number = service.app.store, to(service).id
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: preferring.leave(store, number, PAGE, service.clock()), range(8)))
        token = back_token(service)
        list(pool.map(lambda _: take_back(service, token), range(8)))
    assert kinds(service).count("unsubscribed") == 1
    assert kinds(service).count("returned") == 1
    assert state(service) == "confirmed"


@pytest.mark.parametrize("mail", [Mail.OWN_DATA, Mail.ERASURE])
def test_pressing_many_times_at_once_sends_one_mail(service, mail):
    store, links, token = service.app.store, service.app.links, token_of(service)
    now, limits = service.clock(), service.app.config.subscribing.limits()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: preferring.ask_by_mail(store, links, token, mail, limits, now), range(24)))
    with store.read() as tx:
        assert len(deliveries.asked_at(tx, ALICE, now - timedelta(days=1), mail)) == 1


def test_the_one_press_that_did_it_can_be_told(service):
    store, number = service.app.store, to(service).id
    first, later = service.clock(), service.clock() + timedelta(microseconds=1)
    assert preferring.leave(store, number, PAGE, first).unsubscribed_at == first
    assert preferring.leave(store, number, PAGE, later).unsubscribed_at == first
    assert preferring.leave(store, 999_999, PAGE, later) is None


def test_all_that_ended_at_one_moment_comes_back_together_and_nothing_else(service):
    add(service, newsletter="old")
    store, links = service.app.store, service.app.links
    preferring.leave(store, to(service, "old").id, PAGE, service.clock())
    left = preferring.leave_everything(store, links, token_of(service), PAGE, service.clock())
    assert [each.newsletter for each in left] == ["weekly", "sport"]
    assert preferring.leave_everything(store, links, token_of(service), PAGE, service.clock()) == []
    until = service.clock() + timedelta(days=14)
    take_back(service, back_token(service), preferring.Instead(until, Rhythm.MONTHLY))
    assert [state(service, each) for each in ("weekly", "sport", "old")] == ["confirmed", "confirmed", "unsubscribed"]
    assert {to(service, each).rhythm for each in ("weekly", "sport")} == {Rhythm.MONTHLY}
    assert all(to(service, each).paused_until for each in ("weekly", "sport"))


def test_a_void_way_back_changes_nothing(service):
    store, number = service.app.store, to(service).id
    preferring.leave(store, number, PAGE, service.clock())
    first = back_token(service)
    take_back(service, first)
    preferring.leave(store, number, PAGE, service.clock())
    with pytest.raises(InvalidToken):
        take_back(service, first)
    with pytest.raises(InvalidToken):
        preferring.say_why(store, service.app.links, first, Reason.OTHER, "2026-11", service.clock())
    late = back_token(service)
    service.clock.forward(timedelta(hours=24, seconds=1))
    with pytest.raises(InvalidToken):
        take_back(service, late)
    assert state(service) == "unsubscribed"


def test_reasons_add_up_by_newsletter_and_month(service):
    store, links = service.app.store, service.app.links
    preferring.leave_everything(store, links, token_of(service), PAGE, service.clock())
    given = [("weekly", Reason.TOO_MANY, "2026-11")] * 3 + [
        ("weekly", Reason.OTHER, "2026-11"),
        ("weekly", Reason.OTHER, "2026-12"),
        ("sport", Reason.ELSEWHERE, "2026-11"),
    ]
    for newsletter, reason, month in given:
        preferring.say_why(store, links, back_token(service, newsletter), reason, month, service.clock())
    with store.read() as tx:
        found = [(each.month, str(each.reason), each.readers) for each in farewells.listed(tx, "weekly")]
        assert len(farewells.listed(tx)) == 4
    assert found == [("2026-12", "other", 1), ("2026-11", "too many", 3), ("2026-11", "other", 1)]
    assert all("too many" not in each.evidence.form for each in events(service))


def test_wishes_are_done_together_and_each_leaves_its_line(service):
    until = (service.clock() + timedelta(days=28)).replace(microsecond=0)
    wishes = preferring.Wishes(
        leaves={"sport"}, rhythms={"weekly": Rhythm.MONTHLY}, language="uk", name="Аля", paused_until=until
    )
    args = service.app.store, service.app.links, token_of(service), wishes, PAGE
    for _ in range(2):  # the second time there is nothing left to do
        preferring.change(*args, service.clock())
    found = to(service)
    assert (found.rhythm, found.language, found.name, found.paused_until) == ("monthly", "uk", "Аля", until)
    assert (state(service, "sport"), to(service, "sport").language) == ("unsubscribed", "uk")
    changed = [each.evidence.form for each in events(service) if each.kind == "changed"]
    day = f"{until:%Y-%m-%d}"
    assert sorted(changed) == sorted(
        ["rhythm: monthly", "language: uk", "name", f"paused until {day}", f"paused until {day}"]
    )
    preferring.change(*args[:3], preferring.Wishes(paused_until=service.clock()), PAGE, service.clock())
    assert to(service).paused_until is None
    assert ALICE not in str([each.evidence for each in events(service) if each.kind == "changed"])
