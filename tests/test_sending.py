"""Nobody lost, nobody mailed twice: kills, stops, faults and changes of mind in the middle of a run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.domain.deliveries import DeliveryState
from digest.domain.editions import EditionState
from digest.domain.subscribers import Evidence, Way
from digest.publishing import desk
from digest.store.schema import subscriptions
from digest.subscribing import preferring
from tests.servers.smtpd import Fault, RecordingServer
from tests.service import Service

CONNECTIONS = 4
WINDOW = 3  # rows a connection whose fate may be unknown after a kill


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def service(store_url, tmp_path, smtpd):
    made = Service(tmp_path, store_url, smtpd.port, connections=CONNECTIONS)
    yield made
    made.close()


def recipients(smtpd) -> Counter[str]:
    return Counter(message.recipients[0] for message in smtpd.received)


def test_every_confirmed_reader_gets_one_copy(service, smtpd):
    service.add_readers(50)
    edition = service.send()
    assert edition.state is EditionState.SENT
    assert recipients(smtpd) == Counter({f"reader{n}@example.com": 1 for n in range(50)})
    assert service.counts(edition) == {"sent": 50}


def test_a_newsletter_that_learnt_another_language_since_it_was_frozen_still_goes_out(
    service, store_url, tmp_path, smtpd
):
    service.add_readers(2)
    edition = service.release()
    other = {"weekly": {"title": "The Weekly Recap", "language": "pl"}}
    later = Service(tmp_path, store_url, smtpd.port, fresh=False, newsletters=other)
    with later.app.store.begin() as tx:
        tx.execute(sa.update(subscriptions).values(language="pl"))
    later.deliver(edition)
    assert later.counts(edition) == {"sent": 2}
    later.close()


def test_connections_are_kept_open_and_used_for_many(service, smtpd):
    service.add_readers(60)
    service.send()
    assert smtpd.connections <= CONNECTIONS


def test_running_again_sends_nothing(service, smtpd):
    service.add_readers(5)
    edition = service.send()
    service.deliver(edition)
    assert len(smtpd.received) == 5


def test_the_log_says_once_to_how_many_it_went(service, caplog):
    service.add_readers(5)
    with caplog.at_level("INFO", "digest.delivering"):
        edition = service.send()
    said = [line for line in caplog.messages if line.startswith("edition")]
    assert said == [f"edition {edition.id}: sent to 5"]


def test_each_message_has_its_own_id_and_one_click_link(service, smtpd):
    service.add_readers(5)
    service.send()
    parsed = [message.parsed for message in smtpd.received]
    assert len({each["Message-ID"] for each in parsed}) == 5
    assert len({each["List-Unsubscribe"] for each in parsed}) == 5
    assert {each["List-Unsubscribe-Post"] for each in parsed} == {"List-Unsubscribe=One-Click"}


def test_a_reader_who_is_greylisted_is_tried_again_with_the_same_message(service, smtpd):
    service.add_readers(3)
    smtpd.faults.append(Fault(at="RCPT", recipient="reader1@example.com", reply="450 4.2.0 try later", times=1))
    edition = service.release()
    service.deliver(edition, until=lambda: service.counts(edition).get("deferred") == 1)
    before = {m.parsed["Message-ID"] for m in smtpd.received}
    service.clock.forward(timedelta(hours=1))
    service.deliver(edition)
    assert service.counts(edition) == {"sent": 3}
    assert recipients(smtpd)["reader1@example.com"] == 1
    assert len({m.parsed["Message-ID"] for m in smtpd.received} - before) == 1


def test_a_reader_whose_server_says_later_for_a_day_is_given_up(service, smtpd):
    service.add_readers(2)
    smtpd.faults.append(Fault(at="RCPT", recipient="reader1@example.com", reply="450 4.2.0 try later"))
    edition = service.release()
    for _ in range(20):
        service.deliver(edition, until=lambda: service.counts(edition).get("deferred", 0) == 1 and service.idle())
        if service.get(edition).state is EditionState.SENT:
            break
        service.clock.forward(timedelta(hours=2, minutes=30))
    assert service.counts(edition) == {"sent": 1, "failed": 1}


def test_a_mailbox_that_does_not_exist_is_refused_and_the_rest_goes_on(service, smtpd):
    service.add_readers(10)
    smtpd.faults.append(Fault(at="RCPT", recipient="reader3@example.com", reply="550 5.1.1 no such user"))
    edition = service.send()
    assert service.counts(edition) == {"sent": 9, "refused": 1}
    refused = service.listed(edition, "refused")
    assert [(each.address, each.code, each.reply) for each in refused] == [
        ("reader3@example.com", 550, "5.1.1 no such user")
    ]


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "END"])
def test_a_refusal_about_us_pauses_the_run_and_touches_nobody(service, smtpd, at):
    service.add_readers(30)
    smtpd.faults.append(Fault(at=at, reply="550 5.7.26 unauthenticated mail"))
    edition = service.send()
    assert edition.state is EditionState.PAUSED
    assert "5.7.26 unauthenticated mail" in edition.reason
    assert service.counts(edition) == {"queued": 30}
    smtpd.faults.clear()
    service.clock.forward(timedelta(minutes=1))
    assert service.send().state is EditionState.SENT
    assert set(recipients(smtpd).values()) == {1}


def test_a_server_that_is_down_touches_nobody_and_the_run_resumes(service, smtpd):
    service.add_readers(10)
    port = smtpd.port
    smtpd.stop()
    edition = service.send()
    assert edition.state is EditionState.PAUSED
    assert service.counts(edition) == {"queued": 10}
    with RecordingServer(port=port) as back:
        assert service.send().state is EditionState.SENT
        assert recipients(back) == Counter({f"reader{n}@example.com": 1 for n in range(10)})


def test_the_desk_is_told_with_the_servers_words(service, smtpd):
    service.add_readers(10)
    smtpd.faults.append(Fault(at="RCPT", reply="554 5.7.1 your address is on a list"))
    edition = service.send()
    notices = service.notices(edition)
    assert len(notices) == 1
    assert "your address is on a list" in notices[0].text


@pytest.mark.parametrize("end", [{"drop": True}, {"reply": "421 4.7.0 enough for one connection"}])
def test_a_server_that_hangs_up_after_some_messages_keeps_nobody_waiting(service, smtpd, end):
    service.add_readers(60)
    smtpd.faults.append(Fault(at="MAIL", after=3, per="connection", **end))
    edition = service.deliver(service.release(), until=service.idle)
    assert service.counts(edition) == {"sent": 60}
    assert set(recipients(smtpd).values()) == {1}


def test_one_reader_whose_server_dislikes_us_does_not_stop_the_others(service, smtpd):
    service.add_readers(20)
    smtpd.faults.append(Fault(at="RCPT", recipient="reader19@example.com", reply="550 5.7.1 not from you"))
    edition = service.send()
    assert edition.state is EditionState.SENT
    assert service.counts(edition) == {"sent": 19, "failed": 1}


def test_a_lone_reader_is_not_blamed_for_a_refusal_about_us(service, smtpd):
    service.add_readers(1)
    smtpd.faults.append(Fault(at="RCPT", reply="550 5.7.26 unauthenticated"))
    edition = service.send()
    assert edition.state is EditionState.PAUSED
    assert service.counts(edition) == {"queued": 1}


def test_a_line_that_breaks_before_the_message_is_safe_and_one_after_it_is_uncertain(service, smtpd):
    service.add_readers(6)
    smtpd.faults.append(Fault(at="RCPT", recipient="reader1@example.com", drop=True, times=1))
    smtpd.faults.append(Fault(at="END", recipient="reader2@example.com", drop=True, times=1))
    edition = service.release()
    service.deliver(edition, until=service.idle)
    assert service.counts(edition) == {"sent": 5, "uncertain": 1}
    assert [each.address for each in service.listed(edition, "uncertain")] == ["reader2@example.com"]


def test_who_unsubscribes_while_the_run_goes_on_gets_nothing(service, smtpd):
    service.add_readers(20)
    edition = service.release()
    leaver = service.find("reader19@example.com")
    preferring.leave(service.app.store, leaver.id, Evidence(Way.ONE_CLICK), service.clock())
    service.deliver(edition)
    assert recipients(smtpd)["reader19@example.com"] == 0
    assert service.counts(edition) == {"sent": 19, "skipped": 1}


def test_uncertain_copies_are_sent_again_only_when_asked_and_with_the_same_id(service, smtpd):
    service.add_readers(3)
    smtpd.faults.append(Fault(at="REPLY", recipient="reader1@example.com", drop=True, times=1))
    edition = service.send()
    assert service.counts(edition) == {"sent": 2, "uncertain": 1}
    service.deliver(edition)
    assert recipients(smtpd)["reader1@example.com"] == 1  # taken, but we never heard so
    desk.resend(service.app.store, edition.id, frozenset({DeliveryState.UNCERTAIN}), "", service.clock())
    service.deliver(edition)
    ids = [m.parsed["Message-ID"] for m in smtpd.received if m.recipients == ["reader1@example.com"]]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert service.counts(edition) == {"sent": 3}


def test_two_senders_at_once_mail_everybody_once(service, smtpd):
    service.add_readers(80)
    edition = service.release()

    async def both() -> None:
        senders = [service.app.sender(service.clock, patient=False) for _ in range(2)]
        done = lambda: service.get(edition).state is not EditionState.SENDING  # noqa: E731
        await asyncio.gather(*(sender.run(done) for sender in senders), return_exceptions=True)

    asyncio.run(both())
    assert recipients(smtpd) == Counter({f"reader{n}@example.com": 1 for n in range(80)})


def test_a_stop_lets_the_messages_in_flight_finish_and_leaves_nothing_uncertain(service, smtpd):
    service.add_readers(200)
    smtpd.delay = 0.005
    edition = service.release()

    async def stopped_half_way() -> None:
        sender = service.app.sender(service.clock)
        running = asyncio.create_task(sender.run())
        await asyncio.to_thread(smtpd.wait_for, 40)
        sender.stopping.set()
        await running

    asyncio.run(stopped_half_way())
    counted = service.counts(edition)
    assert set(counted) == {"sent", "queued"}
    assert counted["sent"] == len(smtpd.received)
    smtpd.delay = 0
    service.deliver(edition)
    assert recipients(smtpd) == Counter({f"reader{n}@example.com": 1 for n in range(200)})


@pytest.mark.parametrize("when", [20, 77, 150])
def test_a_kill_in_mid_send_loses_nobody_and_repeats_nobody(service, smtpd, tmp_path, when):
    service.add_readers(300)
    smtpd.delay = 0.004
    edition = service.release()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.send_process",
            str(tmp_path),
            service.store_url,
            str(smtpd.port),
            str(CONNECTIONS),
        ],
        cwd=Path(__file__).parents[1],
    )
    try:
        while len(smtpd.received) < when:
            assert process.poll() is None, "the sender ended before it was killed"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.wait()
    smtpd.delay = 0
    service.deliver(edition)
    got, counted = recipients(smtpd), service.counts(edition)
    unknown = {each.address for each in service.listed(edition, "uncertain")}
    assert max(got.values()) == 1, "somebody was mailed twice"
    missing = {f"reader{n}@example.com" for n in range(300)} - set(got)
    assert missing <= unknown, "somebody was lost"
    assert len(unknown) <= CONNECTIONS * WINDOW
    assert counted["sent"] + counted.get("uncertain", 0) == 300


def test_confirmations_overtake_an_edition(service, smtpd):
    service.add_readers(50)
    service.release()
    service.sign_up("newcomer@example.com")
    service.deliver_all()
    order = [message.recipients[0] for message in smtpd.received]
    assert order.index("newcomer@example.com") < CONNECTIONS * WINDOW
