"""The pace through the door: caps, a gentle start, several servers, domains that are limited or ask for patience."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from threading import Thread
from time import sleep

import pytest

from digest.domain.addresses import Address
from digest.domain.editions import EditionState
from digest.domain.subscribers import Evidence, Way
from digest.store import usage
from digest.subscribing import importing
from tests.servers.smtpd import Fault, RecordingServer
from tests.service import SATURDAY, Service

CONNECTIONS = 4


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def second():
    with RecordingServer() as server:
        yield server


def founding(folder, url, smtpd):
    """Founds a service with these settings of [smtp] and [delivering]; closes it at the end."""
    made: list[Service] = []

    def service(delivering=None, **smtp) -> Service:
        section = {"host": smtpd.host, "port": smtpd.port, "connections": CONNECTIONS, "command_timeout": "10s"}
        made.append(Service(folder, url, smtpd.port, smtp=section | smtp, delivering=delivering or {}))
        return made[0]

    yield service
    for each in made:
        each.close()


@pytest.fixture
def found(tmp_path, smtpd):
    yield from founding(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd)


@pytest.fixture
def found_on_each(store_url, tmp_path, smtpd):
    """On each database: for what several workers share."""
    yield from founding(tmp_path, store_url, smtpd)


@pytest.fixture
def found_on_postgresql(postgres, tmp_path, smtpd):
    yield from founding(tmp_path, postgres.new_database(), smtpd)


def add_readers(service: Service, count: int, domain: str = "example.com") -> None:
    """Confirmed readers at a domain; those who are added first are sent to first."""
    entries = [importing.Entry(Address(f"reader{n}", domain)) for n in range(count)]
    evidence = Evidence(Way.OPERATOR, form="by letter")
    app = service.app
    importing.bring_in(app.store, app.links, entries, "weekly", "en", evidence, SATURDAY - timedelta(30))


def recipients(*servers: RecordingServer) -> Counter[str]:
    return Counter(message.recipients[0] for server in servers for message in server.received)


def everybody(count: int, domain: str = "example.com") -> Counter[str]:
    return Counter({f"reader{n}@{domain}": 1 for n in range(count)})


def domains_in_order(smtpd: RecordingServer) -> list[str]:
    return [message.recipients[0].partition("@")[2] for message in smtpd.received]


def slowdowns(service: Service) -> dict[str, float]:
    """The table all workers share."""
    with service.app.store.read() as tx:
        return usage.slowed(tx)


def until_idle(service: Service, edition) -> dict[str, int]:
    """Send what may go now; returns the states."""
    service.deliver(edition, until=service.idle)
    return service.counts(edition)


# --- connections and caps -------------------------------------------------------------------------


def test_no_connection_carries_more_messages_than_it_may(found, smtpd):
    service = found(messages_per_connection=5)
    add_readers(service, 33)
    assert service.send().state is EditionState.SENT
    assert recipients(smtpd) == everybody(33)
    assert max(smtpd.messages_per_connection.values()) <= 5
    assert smtpd.connections >= 7


def test_no_hour_holds_more_than_its_cap_and_the_next_one_goes_on(found_on_each, smtpd):
    service = found_on_each(per_hour=10)
    add_readers(service, 25)
    edition = service.release()
    assert until_idle(service, edition) == {"sent": 10, "queued": 15}
    service.clock.forward(timedelta(minutes=58))
    assert until_idle(service, edition) == {"sent": 10, "queued": 15}
    service.clock.forward(timedelta(minutes=4))
    assert until_idle(service, edition) == {"sent": 20, "queued": 5}
    service.clock.forward(timedelta(minutes=62))
    assert service.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(25)


def test_a_sender_that_keeps_running_goes_on_when_the_hour_is_over(found, smtpd):
    service = found(per_hour=10)
    add_readers(service, 25)
    edition = service.release()
    seen = []

    def half_an_hour_later() -> bool:
        seen.append(len(smtpd.received))
        service.clock.forward(timedelta(minutes=30, seconds=30))
        return False

    assert service.deliver(edition, until=half_an_hour_later).state is EditionState.SENT
    assert recipients(smtpd) == everybody(25)
    assert all(later - earlier <= 10 for earlier, later in pairwise(seen))
    assert all(later - earlier <= 10 for earlier, later in zip(seen, seen[2:], strict=False)), "two halves are an hour"


def test_no_day_holds_more_than_its_cap_and_the_next_one_goes_on(found_on_each, smtpd):
    service = found_on_each(per_day=12)
    add_readers(service, 20)
    edition = service.release()
    assert until_idle(service, edition) == {"sent": 12, "queued": 8}
    service.clock.forward(timedelta(hours=23, minutes=50))
    assert until_idle(service, edition) == {"sent": 12, "queued": 8}
    service.clock.forward(timedelta(minutes=15))
    assert service.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(20)


def test_a_place_in_the_hour_that_was_not_used_is_free_again(found, smtpd):
    service = found(per_hour=10)
    add_readers(service, 15)
    smtpd.stop()
    assert service.send().state is EditionState.PAUSED
    smtpd.start()
    edition = service.release()
    assert until_idle(service, edition) == {"sent": 10, "queued": 5}


def test_a_place_that_is_given_back_late_does_not_make_a_later_hour_wider(found, smtpd):
    service = found(per_hour=10)
    add_readers(service, 30)
    smtpd.stop()
    edition = service.release()

    def let_an_hour_pass() -> None:
        while not service.counts(edition).get("sending"):
            sleep(0.01)
        service.clock.forward(timedelta(minutes=62))  # what was counted then is given back now

    waiting = Thread(target=let_an_hour_pass)
    waiting.start()
    assert service.deliver(edition).state is EditionState.PAUSED
    waiting.join()
    smtpd.start()
    service.release()
    assert until_idle(service, edition) == {"sent": 10, "queued": 20}


@pytest.mark.parametrize("cap", ["per_hour", "per_day"])
def test_two_senders_share_a_cap(found_on_postgresql, smtpd, cap):
    service = found_on_postgresql(**{cap: 20})
    add_readers(service, 50)
    edition = service.release()

    async def both() -> None:
        senders = [service.app.sender(service.clock, patient=False) for _ in range(2)]
        await asyncio.gather(*(sender.run(lambda: len(smtpd.received) >= 20) for sender in senders))

    asyncio.run(both())
    assert until_idle(service, edition) == {"sent": 20, "queued": 30}
    assert set(recipients(smtpd).values()) == {1}


def test_a_new_address_starts_gently_day_by_day(found, smtpd):
    service = found(warm_up=[4, 9])
    add_readers(service, 30)
    edition = service.release()
    assert until_idle(service, edition) == {"sent": 4, "queued": 26}
    service.clock.forward(timedelta(hours=3))
    assert until_idle(service, edition) == {"sent": 4, "queued": 26}
    service.clock.forward(timedelta(days=1))
    assert until_idle(service, edition) == {"sent": 13, "queued": 17}
    service.clock.forward(timedelta(days=1))
    assert service.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(30)


# --- several servers ------------------------------------------------------------------------------


def two_servers(first: RecordingServer, second: RecordingServer, weights: tuple[int, int]) -> dict:
    return {
        "first": {"port": first.port, "weight": weights[0]},
        "second": {"port": second.port, "weight": weights[1]},
    }


def test_two_servers_get_mail_by_their_weights(found, smtpd, second):
    service = found(servers=two_servers(smtpd, second, (3, 1)))
    add_readers(service, 160)
    assert service.send().state is EditionState.SENT
    assert recipients(smtpd, second) == everybody(160)
    assert 100 <= len(smtpd.received) <= 140
    assert len(second.received) >= 20


def test_a_server_that_stands_by_gets_nothing_while_the_first_works(found, smtpd, second):
    service = found(servers=two_servers(smtpd, second, (1, 0)))
    add_readers(service, 40)
    assert service.send().state is EditionState.SENT
    assert recipients(smtpd) == everybody(40)
    assert second.connections == 0


def test_a_server_that_stands_by_takes_over_when_the_first_is_down(found, smtpd, second):
    service = found(servers=two_servers(smtpd, second, (1, 0)))
    smtpd.stop()
    add_readers(service, 30)
    assert service.send().state is EditionState.SENT
    assert recipients(second) == everybody(30)
    assert service.counts(service.release()) == {"sent": 30}


@pytest.mark.parametrize("weights", [(1, 0), (1, 1)])
def test_a_server_that_dies_in_mid_run_loses_nobody_and_mails_nobody_twice(found, smtpd, second, weights):
    service = found(servers=two_servers(smtpd, second, weights))
    smtpd.delay = second.delay = 0.01
    add_readers(service, 80)
    edition = service.release()

    def stop_the_first() -> None:
        smtpd.wait_for(20)
        smtpd.stop()

    trouble = Thread(target=stop_the_first)
    trouble.start()
    service.deliver(edition)
    trouble.join()
    got, counted = recipients(smtpd, second), service.counts(edition)
    unknown = {each.address for each in service.listed(edition, "uncertain")}
    assert max(got.values()) == 1, "somebody was mailed twice"
    assert set(everybody(80)) - set(got) <= unknown, "somebody was lost"
    assert counted["sent"] + counted.get("uncertain", 0) == 80
    assert len(unknown) <= CONNECTIONS, "only what was on the wire when it died"
    assert len(second.received) >= 40


# --- domains --------------------------------------------------------------------------------------


def test_a_limited_domain_does_not_hold_up_the_others(found_on_each, smtpd):
    service = found_on_each(delivering={"domains": {"slow.example": 4}})
    add_readers(service, 6, "slow.example")
    add_readers(service, 60)
    edition = service.release()
    looks = []
    service.deliver(edition, until=lambda: looks.append(service.counts(edition)))
    order = domains_in_order(smtpd)
    last_of_others = max(n for n, domain in enumerate(order) if domain == "example.com")
    assert order[:last_of_others].count("slow.example") <= 4, "the others' mail was behind"
    assert recipients(smtpd) == everybody(6, "slow.example") + everybody(60)
    assert looks, "it must have waited for the slow domain"
    assert all(sum(look.values()) == 66 and set(look) <= {"sent", "queued"} for look in looks)
    assert service.counts(edition) == {"sent": 66}
    assert {each.attempts for each in service.listed(edition)} == {1}, "waiting for a turn is no attempt"


def test_names_of_one_provider_are_limited_together(found, smtpd):
    service = found(delivering={"domains": {"GMail.com": 8}})
    add_readers(service, 3, "gmail.com")
    add_readers(service, 3, "googlemail.com")
    add_readers(service, 30)
    edition = service.send()
    order = domains_in_order(smtpd)
    last_of_others = max(n for n, domain in enumerate(order) if domain == "example.com")
    assert sum(domain.endswith("mail.com") for domain in order[:last_of_others]) <= 4
    assert service.counts(edition) == {"sent": 36}


@pytest.mark.parametrize(("reply", "number"), [("451 4.7.1 slow down", 6), ("421 4.7.28 too much at once", 2)])
def test_a_domain_that_asks_for_patience_is_slowed_down_and_the_others_are_not(found_on_each, smtpd, reply, number):
    service = found_on_each()
    smtpd.faults.append(Fault(at="RCPT", recipient="*@busy.example", reply=reply))
    add_readers(service, number, "busy.example")
    add_readers(service, 40)
    edition = service.release()
    counted = until_idle(service, edition)
    assert recipients(smtpd) == everybody(40), "the others need not wait"
    assert counted["sent"] == 40
    assert sum(counted.values()) == 40 + number
    rates = slowdowns(service)
    assert set(rates) == {"busy.example"}
    assert 0 < rates["busy.example"] <= 16
    smtpd.faults.clear()
    service.clock.forward(timedelta(minutes=10))
    assert service.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(40) + everybody(number, "busy.example")


def test_a_slowdown_one_worker_learned_of_holds_for_the_next(found_on_each, smtpd):
    service = found_on_each()
    with service.app.store.begin() as tx:
        usage.slow_down(tx, {"busy.example": 2.0}, service.clock())
    add_readers(service, 6, "busy.example")
    add_readers(service, 40)
    edition = service.release()
    counted = until_idle(service, edition)
    assert recipients(smtpd)["reader39@example.com"] == 1
    assert counted["queued"] >= 3, "they wait for their turn"
    assert service.deliver(edition).state is EditionState.SENT
    assert {each.attempts for each in service.listed(edition)} == {1}


def test_a_slowdown_nobody_has_renewed_is_forgotten(found):
    service = found(per_hour=100)
    with service.app.store.begin() as tx:
        usage.slow_down(tx, {"busy.example": 2.0}, service.clock())
    service.clock.forward(timedelta(hours=3))
    service.deliver_all()
    service.app.fold(service.clock())  # the housekeeping of a day
    assert slowdowns(service) == {}


def test_greylisting_slows_nobody_down(found, smtpd):
    service = found()
    smtpd.faults.append(Fault(at="RCPT", reply="450 4.2.0 greylisted, come again", times=1, per="recipient"))
    add_readers(service, 40)
    edition = service.release()
    assert until_idle(service, edition) == {"deferred": 40}
    assert slowdowns(service) == {}
    service.clock.forward(timedelta(minutes=10))
    assert service.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(40)
    assert {each.attempts for each in service.listed(edition)} == {2}


# --- connection trouble ---------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3])
def test_a_server_that_bears_few_connections_gets_everything_all_the_same(found, smtpd, most):
    service = found(connections=8)

    def crowded(step):
        return Fault(at="CONNECT", reply="421 4.3.2 too many") if step.at == "CONNECT" and step.open > most else None

    smtpd.script = crowded
    add_readers(service, 60)
    edition = service.send()
    assert edition.state is EditionState.SENT
    assert recipients(smtpd) == everybody(60)
    assert service.counts(edition) == {"sent": 60}
