"""RFC 8058's one click: many at once, in either encoding, and nothing but it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from digest.domain.subscribers import Way
from digest.errors import StoreUnavailable
from digest.store import departures
from digest.store.schema import events, subscribers, subscriptions
from digest.subscribing import departing
from digest.subscribing.departing import Departure
from digest.web import create_web
from digest.web.batching import Batches
from tests.service import Service

PAIR = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def service(tmp_path, store_url):
    made = Service(tmp_path, store_url, 25)
    made.add_readers(40)
    yield made
    made.close()


@pytest.fixture
def client(service):
    with TestClient(create_web(service.app, service.clock), follow_redirects=False) as made:
        yield made


def path(service: Service, number: int) -> str:
    url = service.app.links.unsubscribe(service.find(f"reader{number}@example.com").id)
    return "/" + url.split("/", 3)[3]


def state(service: Service, number: int) -> str:
    return service.find(f"reader{number}@example.com").state


def leavings(service: Service) -> list[tuple[str, str, str]]:
    query = sa.select(events.c.way, events.c.user_agent, events.c.newsletter).where(events.c.kind == "unsubscribed")
    with service.app.store.read() as tx:
        return [tuple(row) for row in tx.execute(query)]


def test_both_encodings_unsubscribe_without_cookie_or_redirect(service, client):
    urlencoded = client.post(path(service, 0), data=PAIR, headers={"User-Agent": "Gmail"})
    multipart = client.post(path(service, 1), files={"List-Unsubscribe": (None, "One-Click")})
    for reply in (urlencoded, multipart):
        assert reply.status_code == 200 and "set-cookie" not in reply.headers
        assert reply.headers["content-type"].startswith("text/plain")
        assert reply.headers["cache-control"] == "no-store" and reply.headers["referrer-policy"] == "no-referrer"
    assert urlencoded.text == multipart.text
    assert state(service, 0) == state(service, 1) == "unsubscribed" and state(service, 2) == "confirmed"
    assert leavings(service)[0] == ("one-click", "Gmail", "weekly")


def test_pressing_again_is_answered_the_same_and_recorded_once(service, client):
    replies = [client.post(path(service, 3), data=PAIR) for _ in range(3)]
    assert {(each.status_code, each.text) for each in replies} == {(200, replies[0].text)}
    assert len(leavings(service)) == 1


def test_many_at_once_all_leave_and_each_is_recorded_once(service, client):
    paths = [path(service, number) for number in range(40)] * 2
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda each: client.post(each, data=PAIR).status_code, paths))
    assert set(replies) == {200}
    assert {state(service, number) for number in range(40)} == {"unsubscribed"}
    assert len(leavings(service)) == 40


def test_it_works_when_the_reader_is_gone(service, client):
    url = path(service, 5)
    with service.app.store.begin() as tx:
        gone = sa.select(subscribers.c.id).where(subscribers.c.address_key == "reader5@example.com")
        tx.execute(sa.delete(events).where(events.c.subscriber_id.in_(gone)))
        tx.execute(sa.delete(subscriptions).where(subscriptions.c.subscriber_id.in_(gone)))
    assert client.post(url, data=PAIR).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", "application/x-www-form-urlencoded"),
        ("List-Unsubscribe=Two-Clicks", "application/x-www-form-urlencoded"),
        ("List-Unsubscribe=One-Click", "text/plain"),
        ("List-Unsubscribe=One-Click", ""),
        ("x" * 5000, "application/x-www-form-urlencoded"),
        (
            '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nOne-Click\r\n--b--',
            "multipart/form-data; boundary=b",
        ),
        ("--b--", "multipart/form-data; boundary=b"),
        ("rubbish", "multipart/form-data"),
    ],
)
def test_what_is_not_the_pair_changes_nothing(service, client, body, kind):
    reply = client.post(path(service, 6), content=body, headers={"Content-Type": kind} if kind else {})
    assert reply.status_code == 400 and state(service, 6) == "confirmed"


@pytest.mark.parametrize("token", ["", "x", "A" * 33, "%00", "../confirm/x", "é"])
def test_a_token_that_is_not_ours_is_answered_by_the_page(service, client, token):
    assert client.post(f"/unsubscribe/{token}", data=PAIR).status_code == 404
    assert not leavings(service)


def test_get_and_head_change_nothing(service, client):
    for method in ("GET", "HEAD"):
        assert client.request(method, path(service, 7)).status_code == 200
    assert state(service, 7) == "confirmed"


def test_with_the_database_away_it_says_come_again_and_nothing_is_lost(service, client, monkeypatch):
    def away(*_: object) -> int:
        raise StoreUnavailable("it is being moved")

    url = path(service, 8)
    monkeypatch.setattr(departing, "leave", away)
    monkeypatch.setattr("digest.subscribing.preferring.leave", away)
    reply = client.post(url, data=PAIR)
    assert reply.status_code == 503 and reply.headers["retry-after"]
    monkeypatch.undo()
    assert client.post(url, data=PAIR).status_code == 200 and state(service, 8) == "unsubscribed"


def test_who_has_left_gets_nothing_of_an_edition_queued_before(service):
    edition = service.release()
    leaving = [Departure(service.find(f"reader{number}@example.com").id, "") for number in range(10)]
    later = service.clock() + timedelta(seconds=1)
    assert departing.leave(service.app.store, leaving, later) == 10
    assert departing.leave(service.app.store, leaving, later) == 0
    with service.app.store.read() as tx:
        ends = tx.scalars(sa.select(subscriptions.c.unsubscribed_at).where(subscriptions.c.state == "unsubscribed"))
        assert set(ends) == {later}, "as the other ways write it"
    assert sum(service.counts(edition).values()) == 40


def test_a_batch_that_fails_fails_for_those_in_it_alone():
    async def play() -> list[object]:
        seen: list[list[int]] = []

        def work(items):
            seen.append(list(items))
            if 3 in items:
                raise ValueError("three")

        batches = Batches("test", work)
        first = asyncio.ensure_future(batches.do(1))
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(batches.do(n)) for n in (2, 3)]
        results = await asyncio.gather(first, *others, return_exceptions=True)
        results.append(await batches.do(4))
        assert [n for batch in seen for n in batch] == [1, 2, 3, 4]
        return results

    found = asyncio.run(play())
    assert found[0] is None and isinstance(found[1], ValueError) and isinstance(found[2], ValueError)
    assert found[3] is None


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)  # SQLite writes one transaction at a time
def test_postgresql_ends_subscriptions_in_the_order_of_their_ids_whatever_its_plan(service):
    store = service.app.store
    with store.begin() as tx:  # what is changed lies behind the others from then on
        first, second = list(tx.scalars(sa.select(subscriptions.c.id).order_by(subscriptions.c.id).limit(2)))
        tx.execute(sa.update(subscriptions).where(subscriptions.c.id == first).values(language="pl"))

    def leave() -> int:
        with store.begin() as tx:
            tx.execute(sa.text("SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off"))
            tx.execute(sa.text("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off"))
            return departures.leave(tx, {second: "two", first: "one"}, Way.ONE_CLICK, service.clock())

    waits = sa.text("SELECT 1 FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with store.begin() as tx:
            tx.execute(sa.select(subscriptions).where(subscriptions.c.id == first).with_for_update())
            leaving = pool.submit(leave)
            while not tx.execute(waits).first():
                assert not leaving.done()
            tx.execute(sa.select(subscriptions).where(subscriptions.c.id == second).with_for_update(nowait=True))
        assert leaving.result() == 2
