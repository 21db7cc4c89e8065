"""Through real servers of two makes, over TLS and after a login: complete, once each, whatever they do in mid-run."""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from digest import publishing
from digest.domain.addresses import Address
from digest.domain.deliveries import DeliveryState
from digest.domain.editions import Edition, EditionState
from digest.domain.subscribers import Evidence, Way
from digest.publishing import desk
from digest.subscribing import importing
from tests.real.arrivals import Frozen, Server, copies, how_often, wait_until
from tests.servers import exim, postfix
from tests.service import SATURDAY, Service

LOGIN = ("digest", "open sesame")
WINDOW = 3  # rows a connection whose fate may be unknown after a break
NO_TARPIT = {"smtpd_error_sleep_time": "0"}  # after 20 errors in a session Postfix says 421 all the same, only sooner
RATE_LIMIT = {
    "smtpd_client_message_rate_limit": "50",
    "anvil_rate_time_unit": "1s",
    "smtpd_client_event_limit_exceptions": "",
}


@pytest.fixture(scope="module")
def a_postfix():
    with postfix.running(tls=True, login=LOGIN) as server:
        yield server


@pytest.fixture(scope="module")
def an_exim():
    with exim.running(login=LOGIN) as server:
        yield server


@pytest.fixture(params=["postfix", "exim"])
def server(request) -> Server:
    """One of each make; the tests of this module share them, each with readers of its own."""
    return request.getfixturevalue({"postfix": "a_postfix", "exim": "an_exim"}[request.param])


@pytest.fixture(params=["postfix", "exim"])
def own_server(request):
    """One of each make, for a test that stops it or changes it."""
    a_postfix = postfix.running(tls=True, login=LOGIN, settings=NO_TARPIT)
    with a_postfix if request.param == "postfix" else exim.running(login=LOGIN) as made:
        yield made


@pytest.fixture
def serve(tmp_path):
    """Makes the service that sends through a server, with readers at it; a second one works on the same database."""
    made: list[Service] = []

    def make(server: Server, readers: Sequence[str] = (), *, security: str = "starttls", **smtp: object) -> Service:
        settings = {
            "host": "localhost",
            "port": server.tls_port if security == "tls" else server.port,
            "security": security,
            "ca_file": server.ca_file,
            "username": LOGIN[0],
            "password": LOGIN[1],
            "connections": 4,
            "command_timeout": "20s",
        }
        patience = {"first_retry": "1s", "give_up_after": "500h"}
        url = f"sqlite:///{tmp_path}/digest.db"
        service = Service(tmp_path, url, 0, fresh=not made, smtp=settings | smtp, delivering=patience)
        made.append(service)
        _confirm(service, readers)
        return service

    yield make
    for service in made:
        service.close()


def readers_of(server: Server, name: str, count: int) -> list[str]:
    return [f"{name}{n}@{server.domain}" for n in range(count)]


def _confirm(service: Service, readers: Sequence[str]) -> None:
    entries = [importing.Entry(Address.parse(reader)) for reader in readers]
    evidence = Evidence(Way.OPERATOR, form="by letter")
    store, links = service.app.store, service.app.links
    importing.bring_in(store, links, entries, "weekly", "en", evidence, SATURDAY - timedelta(days=30))


# --- everyone has a whole copy --------------------------------------------------------------------


def test_a_thousand_readers_through_postfix_over_starttls_each_have_one_whole_copy(a_postfix, serve):
    readers = readers_of(a_postfix, "thousand", 1000)
    before = len(a_postfix.log())
    edition = _sent_to_all(serve(a_postfix, readers, connections=5), a_postfix, readers)
    assert edition.audience == 1000
    sessions = _sessions(a_postfix, before, 1000)
    assert len(sessions) <= 5, "connections are kept and used for many messages"
    assert all(each["starttls"] == each["auth"] == "1" for each in sessions)


def test_two_hundred_and_fifty_through_exim_over_starttls_each_have_one_whole_copy(an_exim, serve):
    readers = readers_of(an_exim, "hundreds", 250)
    _sent_to_all(serve(an_exim, readers, connections=5), an_exim, readers)


def test_tls_from_the_first_byte_brings_the_same(server, serve):
    readers = readers_of(server, "wrapped", 200)
    _sent_to_all(serve(server, readers, security="tls"), server, readers)


def _sent_to_all(service: Service, server: Server, readers: list[str]) -> Edition:
    """Send, and hold every single copy against the frozen edition."""
    edition = service.send()
    assert edition.state is EditionState.SENT, edition.reason
    assert service.counts(edition) == {"sent": len(readers)}
    frozen = Frozen(service, edition)
    for reader, found in copies(server, readers).items():
        assert len(found) == 1, f"{reader} has {len(found)} copies"
        frozen.check(reader, found[0])
        assert b"with esmtpsa" in found[0].lower(), "neither TLS nor login may be left out"
    return edition


def _sessions(server: postfix.Postfix, since: int, messages: int) -> list[dict[str, str]]:
    """What Postfix counted for each session, once all of them together have sent so many messages."""

    def ended() -> list[dict[str, str]]:
        lines = re.findall(r"disconnect from \S+ (.*)", server.log()[since:])
        return [dict(word.split("=") for word in line.split()) for line in lines]

    wait_until(lambda: sum(int(each.get("mail", "0")) for each in ended()) >= messages, server.log)
    return ended()


@pytest.mark.parametrize(("pipelining", "noted"), [("auto", "L."), ("never", "L.-")])
def test_exim_notes_whether_we_pipeline(an_exim, serve, pipelining, noted):
    readers = readers_of(an_exim, f"pipe-{pipelining}", 20)
    before = len(an_exim.log())
    service = serve(an_exim, readers, pipelining=pipelining, connections=2)
    assert service.counts(service.send()) == {"sent": 20}
    accepted = re.findall(r" <= recap@news\.example\.com .* P=esmtpsa (\S+) ", an_exim.log()[before:])
    assert accepted == [noted] * 20


def test_both_offer_what_makes_a_fast_sender_fast(server):
    with smtplib.SMTP(server.host, server.port, timeout=10) as session:
        session.ehlo()
        assert {"pipelining", "chunking", "size", "8bitmime", "dsn", "starttls"} <= set(session.esmtp_features)


# --- some mailboxes say no ------------------------------------------------------------------------


def test_refused_and_deferred_readers_among_the_others_have_their_own_state(own_server, serve):
    kinds = ["plain-", "nobody-", "plain-", "later-", "plain-", "nobody-", "nobody-", "later-", "later-", "plain-"]
    readers = [f"{kinds[n % len(kinds)]}{n}@{own_server.domain}" for n in range(100)]
    service = serve(own_server, readers)
    edition = service.release()
    _finish(service, edition, lambda: service.counts(edition) == {"sent": 40, "refused": 30, "deferred": 30})
    # A session in which too much was refused is ended by 421, so a reader may have been put off by that.
    expected = (("refused", "nobody-", {550}), ("deferred", "later-", {450, 421}), ("sent", "plain-", {250}))
    for state, kind, codes in expected:
        found = list(service.listed(edition, state))
        assert {each.address for each in found} == {each for each in readers if each.startswith(kind)}
        assert {each.code for each in found} <= codes
    own_server.open_later()
    edition = _finish(service, edition)
    assert service.counts(edition) == {"sent": 70, "refused": 30}
    frozen = Frozen(service, edition)
    for reader, found in copies(own_server, readers).items():
        assert len(found) == (0 if reader.startswith("nobody-") else 1), reader
        for copy in found:
            frozen.check(reader, copy)


# --- the server has enough, or goes away ----------------------------------------------------------


def test_a_postfix_that_takes_so_many_a_second_gets_all_in_the_end(serve):
    with postfix.running(tls=True, login=LOGIN, settings=NO_TARPIT | RATE_LIMIT) as server:
        readers = readers_of(server, "rate", 150)
        service = serve(server, readers)
        edition = _finish(service, service.release())
        assert service.counts(edition) == {"sent": 150}, "a limit leaves nobody uncertain"
        assert how_often(server, readers) == {1: readers}
        assert "request rate limit exceeded" in server.log()


def test_an_exim_that_ends_a_connection_after_some_messages_gets_all_in_the_end(serve):
    with exim.running(login=LOGIN, messages_per_connection=20) as server:
        readers = readers_of(server, "some", 200)
        service = serve(server, readers)
        edition = _finish(service, service.release())
        assert service.counts(edition) == {"sent": 200}, "a 421 between two messages leaves nobody uncertain"
        assert how_often(server, readers) == {1: readers}
        assert "too many messages in one connection" in server.log()


def test_a_server_stopped_and_killed_in_mid_run_loses_nobody_and_mails_nobody_twice(own_server, serve):
    connections, readers = 3, readers_of(own_server, "restart", 400)
    service = serve(own_server, readers, connections=connections)
    edition = service.release()
    with ThreadPoolExecutor(1) as operator:
        breaks = operator.submit(_break_twice, own_server, service, edition)
        edition = _finish(service, edition, lambda: breaks.done() and breaks.exception() is not None)
        assert breaks.result(60) < len(readers), "the last break came after the run"
    uncertain = [each.address for each in service.listed(edition, "uncertain")]
    assert len(uncertain) <= 2 * WINDOW * connections
    assert service.counts(edition).get("sent", 0) + len(uncertain) == len(readers)
    arrived = how_often(own_server, readers)
    assert set(arrived) <= {0, 1}, arrived
    lacking = arrived.get(0, [])
    assert set(lacking) <= set(uncertain), "the server said yes, and the reader has nothing"
    for reader in lacking:
        key = Address.parse(reader).key
        desk.resend(service.app.store, edition.id, frozenset({DeliveryState.UNCERTAIN}), key, service.clock())
    _finish(service, edition)
    assert how_often(own_server, readers) == {1: readers}


def _break_twice(server: Server, service: Service, edition: Edition) -> int:
    """Stop the server, and later kill it, each time while it takes mail. Returns how many were sent by then."""
    sent = 0
    for enough, end in ((60, server.stop), (150, server.kill)):
        wait_until(lambda n=enough: service.counts(edition).get("sent", 0) >= n, server.log)
        end()
        sent = service.counts(edition).get("sent", 0)
        time.sleep(0.3)
        server.start()
    return sent


def _finish(service: Service, edition: Edition, until: Callable[[], bool] = lambda: False) -> Edition:
    """Deliver as a patient operator would: resume after a pause, come back when more is due."""
    for _ in range(60):
        edition = service.deliver(service.get(edition), until=service.idle)
        if edition.state is EditionState.SENT or until():
            return edition
        if edition.state is EditionState.PAUSED:
            edition = publishing.release(
                service.app.store, service.app.press, service.newsletter, edition.id, service.clock()
            )
        service.clock.forward(timedelta(hours=3))
        time.sleep(0.3)
    raise AssertionError(f"it does not come to an end: {edition.state}, {service.counts(edition)}, {edition.reason}")


# --- the server will not have us ------------------------------------------------------------------


def test_a_wrong_password_pauses_the_run_in_the_servers_words_and_touches_nobody(server, serve):
    readers = readers_of(server, "password", 30)
    service = serve(server, readers, password="wrong")
    edition = service.send()
    assert edition.state is EditionState.PAUSED
    assert re.search(r"authentication (failed|data)", edition.reason), edition.reason
    assert service.counts(edition) == {"queued": 30}
    assert {each.attempts for each in service.listed(edition)} == {0}
    assert how_often(server, readers) == {0: readers}
    mended = serve(server)
    assert _finish(mended, edition).state is EditionState.SENT
    assert how_often(server, readers) == {1: readers}
