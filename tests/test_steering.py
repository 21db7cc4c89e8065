"""The desk's hand on a running edition: pause, resume, cancel, resend, stop; and what the books say afterwards."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from threading import Thread

import pytest
import sqlalchemy as sa

from digest.delivering import accounting
from digest.domain.editions import EditionState
from digest.domain.subscribers import Evidence, Way
from digest.publishing import desk
from digest.store.schema import deliveries, suppressions
from digest.subscribing import preferring
from tests.crash.town import Town
from tests.servers.smtpd import Fault, RecordingServer
from tests.service import Service

CONNECTIONS = 4
GOES_ON = {"queued", "deferred", "sending"}


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def service(store_url, tmp_path, smtpd):
    made = Service(tmp_path, store_url, smtpd.port, connections=CONNECTIONS)
    yield made
    made.close()


@pytest.fixture
def small(tmp_path, smtpd):
    """On SQLite, for what does not depend on the database."""
    made = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, connections=CONNECTIONS)
    yield made
    made.close()


def recipients(smtpd) -> Counter[str]:
    return Counter(message.recipients[0] for message in smtpd.received)


def everybody(count: int) -> Counter[str]:
    return Counter({f"reader{n}@example.com": 1 for n in range(count)})


def ids_of(smtpd, address: str) -> list[str]:
    return [message.parsed["Message-ID"] for message in smtpd.received_by(address)]


def send_meanwhile(service: Service, edition, act: Callable[[], object]) -> None:
    """Send in this thread while `act` happens in another; the edition's end, or its pause, ends both."""
    crashes: list[BaseException] = []

    def guarded() -> None:
        try:
            act()
        except BaseException as error:
            crashes.append(error)

    acting = Thread(target=guarded)
    acting.start()
    service.deliver(edition)
    acting.join()
    assert not crashes, crashes


def wait_until(holds: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


# --- pause, resume, cancel ------------------------------------------------------------------------


def test_after_a_pause_only_what_is_on_the_wire_finishes_and_resume_sends_the_rest(service, smtpd):
    service.add_readers(40)
    smtpd.delay = 0.7  # long beside the moment in which a pause is seen
    edition = service.release()
    at_pause = []

    def pause() -> None:
        smtpd.wait_for(CONNECTIONS)
        at_pause.append(len(smtpd.received))
        desk.pause(service.app.store, edition.id)

    send_meanwhile(service, edition, pause)
    assert service.get(edition).state is EditionState.PAUSED
    assert len(smtpd.received) <= at_pause[0] + CONNECTIONS
    assert service.counts(edition) == {"sent": len(smtpd.received), "queued": 40 - len(smtpd.received)}
    smtpd.delay = 0
    desk.resume(service.app.store, edition.id, service.clock())
    assert service.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(40)
    assert service.counts(edition) == {"sent": 40}


def test_cancelling_in_mid_send_leaves_the_rest_cancelled_and_the_sum_right(service, smtpd):
    service.add_readers(60)
    smtpd.delay = 0.05
    edition = service.release()

    def cancel() -> None:
        smtpd.wait_for(10)
        desk.cancel(service.app.store, edition.id, service.clock())

    send_meanwhile(service, edition, cancel)
    service.deliver_all()  # whatever was on a line then and came back has an end too
    counted = service.counts(edition)
    assert set(counted) == {"sent", "cancelled"}
    assert counted["sent"] == len(smtpd.received) < 60
    assert sum(counted.values()) == 60
    assert service.get(edition).state is EditionState.CANCELLED


def test_changes_of_mind_in_a_row_lose_nobody(small, smtpd):
    small.add_readers(120)
    smtpd.delay = 0.02
    edition = small.release()
    for count in (10, 40, 70):

        def pause(count=count) -> None:
            smtpd.wait_for(count)
            desk.pause(small.app.store, edition.id)

        send_meanwhile(small, edition, pause)
        assert set(small.counts(edition)) <= {"sent", "queued"}
        desk.resume(small.app.store, edition.id, small.clock())
    assert small.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(120)


def test_a_sender_that_runs_all_the_time_sees_a_pause_and_a_resume(small, smtpd):
    small.add_readers(60)
    smtpd.delay = 0.02
    edition = small.release()

    def pause_and_resume() -> None:
        smtpd.wait_for(10)
        desk.pause(small.app.store, edition.id)
        wait_until(lambda: "sending" not in small.counts(edition))
        assert set(small.counts(edition)) == {"sent", "queued"}
        desk.resume(small.app.store, edition.id, small.clock())

    acting = Thread(target=pause_and_resume)
    acting.start()
    small.deliver(edition, until=lambda: False)
    acting.join()
    small.deliver(edition)  # should it have ended in the pause
    assert recipients(smtpd) == everybody(60)
    assert small.counts(edition) == {"sent": 60}


# --- readers who leave, copies that are sent again ------------------------------------------------


def test_who_leaves_while_the_copy_waits_behind_a_slow_message_gets_none(tmp_path, smtpd):
    service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, connections=1)
    service.add_readers(6)
    smtpd.faults.append(Fault(at="REPLY", delay=2.4, times=1))
    edition = service.release()
    leaver: list[str] = []

    def leave() -> None:
        smtpd.wait_for(1)
        wait_until(lambda: service.counts(edition).get("sending") == 3)
        leaver.append(service.listed(edition, "sending")[-1].address)
        reader = service.find(leaver[0])
        preferring.leave(service.app.store, reader.id, Evidence(Way.ONE_CLICK), service.clock())

    send_meanwhile(service, edition, leave)
    assert recipients(smtpd) == everybody(6) - Counter(leaver)
    assert service.counts(edition) == {"sent": 5, "skipped": 1}
    service.close()


def test_failed_and_refused_copies_go_out_again_under_their_ids(small, smtpd):
    small.add_readers(12)
    refused = Fault(at="END", recipient="reader1@example.com", reply="550 5.2.2 mailbox full", times=1)
    failed = Fault(at="END", recipient="reader2@example.com", reply="554 5.6.0 bad content", times=1)
    smtpd.faults.extend((refused, failed))
    edition = small.send()
    assert small.counts(edition)["sent"] == 10
    before = {each.address: each.id for each in small.listed(edition)}
    again = desk.resend(small.app.store, edition.id, desk.RESENDABLE["failed"], "", small.clock())
    assert again == 2
    assert small.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(12)
    links = small.app.links
    for reader in ("reader1@example.com", "reader2@example.com"):
        assert ids_of(smtpd, reader) == [links.message_id(before[reader], "news.example.com")]


def test_uncertain_copies_go_out_again_under_their_ids_and_only_those(small, smtpd):
    small.add_readers(8)
    smtpd.faults.append(Fault(at="REPLY", recipient="reader3@example.com", drop=True, times=1))
    edition = small.send()
    assert small.counts(edition) == {"sent": 7, "uncertain": 1}
    desk.resend(small.app.store, edition.id, desk.RESENDABLE["uncertain"], "", small.clock())
    small.deliver(edition)
    first, second = ids_of(smtpd, "reader3@example.com")
    assert first == second
    assert recipients(smtpd) == everybody(8) + Counter(["reader3@example.com"])


def test_one_reader_gets_another_copy_with_the_same_id_when_asked(small, smtpd):
    small.add_readers(5)
    edition = small.send()
    again = desk.resend(small.app.store, edition.id, desk.RESENDABLE["any"], "reader4@example.com", small.clock())
    assert again == 1
    assert small.deliver(edition).state is EditionState.SENT
    assert len(set(ids_of(smtpd, "reader4@example.com"))) == 1
    assert recipients(smtpd) == everybody(5) + Counter(["reader4@example.com"])
    assert small.counts(edition) == {"sent": 5}


def test_deferred_readers_come_again_by_themselves(tmp_path, smtpd):
    service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, delivering={"first_retry": "1s"})
    service.add_readers(10)
    smtpd.faults.append(Fault(at="RCPT", recipient="reader[135]@*", reply="450 4.2.1 later", times=1, per="recipient"))
    edition = service.send()
    assert edition.state is EditionState.SENT
    assert recipients(smtpd) == everybody(10)
    assert sorted(each.attempts for each in service.listed(edition)) == [1] * 7 + [2] * 3
    service.close()


# --- the books ------------------------------------------------------------------------------------


def test_the_desk_is_told_when_the_numbers_do_not_add_up(small, smtpd):
    small.add_readers(30)
    smtpd.delay = 0.02
    edition = small.release()

    def lose_one() -> None:
        smtpd.wait_for(5)
        last = sa.select(sa.func.max(deliveries.c.id)).where(deliveries.c.state == "queued").scalar_subquery()
        with small.app.store.begin() as tx:
            assert tx.execute(sa.delete(deliveries).where(deliveries.c.id == last)).rowcount == 1

    send_meanwhile(small, edition, lose_one)
    assert small.counts(edition) == {"sent": 29}
    (notice,) = small.notices(edition)
    assert notice.subject == "The numbers of an edition do not add up"
    assert "29 deliveries" in notice.text
    assert "audience of 30" in notice.text


def test_an_ordinary_edition_troubles_no_desk(small, smtpd):
    small.add_readers(20)
    edition = small.send()
    assert small.notices(edition) == []


def suppressed(service: Service) -> int:
    with service.app.store.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(suppressions)) or 0


def test_mailboxes_that_do_not_exist_are_suppressed_when_the_edition_closes(service, smtpd):
    service.add_readers(20)
    smtpd.faults.append(Fault(at="RCPT", recipient="reader3@*", reply="550 5.1.1 no such user"))
    smtpd.faults.append(Fault(at="RCPT", recipient="reader5@*", reply="450 4.2.0 later"))
    edition = service.release()
    service.deliver(edition, until=service.idle)
    assert service.counts(edition) == {"sent": 18, "refused": 1, "deferred": 1}
    assert suppressed(service) == 0, "it is not over yet"
    smtpd.faults.pop()
    service.clock.forward(timedelta(hours=1))
    assert service.deliver(edition).state is EditionState.SENT
    assert suppressed(service) == 1
    assert service.notices(edition) == []


@pytest.mark.parametrize(("refused", "readers"), [(21, 60), (60, 60)])
def test_nobody_is_suppressed_when_the_server_refuses_more_than_can_be_true(small, smtpd, refused, readers):
    small.add_readers(readers)
    wrong = {f"reader{n}@example.com" for n in range(refused)}
    smtpd.script = lambda step: (
        Fault(at="RCPT", reply="550 5.1.1 no such user") if step.at == "RCPT" and step.recipient in wrong else None
    )
    edition = small.send()
    assert small.counts(edition)["refused"] == refused
    assert suppressed(small) == 0
    assert [notice.subject for notice in small.notices(edition)] == ["Too many readers were refused"]


def test_few_refusals_are_believed_even_when_they_are_half_of_a_small_list(small, smtpd):
    small.add_readers(8)
    smtpd.faults.append(Fault(at="RCPT", recipient="reader[0123]@*", reply="550 5.1.1 no such user"))
    edition = small.send()
    assert small.counts(edition) == {"sent": 4, "refused": 4}
    assert suppressed(small) == 4


def test_old_sent_rows_become_a_number_and_the_counts_stay(service, smtpd):
    service.add_readers(30)
    smtpd.faults.append(Fault(at="END", recipient="reader7@*", reply="554 5.6.0 bad content", times=1))
    edition = service.send()
    before = service.counts(edition)
    assert before == {"sent": 29, "failed": 1}
    assert service.app.fold(service.clock()) == 0, "they are not old yet"
    service.clock.forward(timedelta(days=181))
    assert service.app.fold(service.clock()) == 29
    assert service.app.fold(service.clock()) == 0
    assert service.counts(edition) == before
    assert [each.address for each in service.listed(edition)] == ["reader7@example.com"]
    progress = accounting.progress(service.app.store, edition.id, service.clock())
    assert (progress.total, progress.settled) == (30, 30)


def test_an_edition_that_was_folded_can_still_be_finished_and_its_numbers_add_up(small, smtpd):
    small.add_readers(10)
    smtpd.faults.append(Fault(at="END", recipient="reader7@*", reply="554 5.6.0 bad content", times=1))
    edition = small.send()
    small.clock.forward(timedelta(days=181))
    small.app.fold(small.clock())
    desk.resend(small.app.store, edition.id, desk.RESENDABLE["failed"], "", small.clock())
    assert small.deliver(edition).state is EditionState.SENT
    assert recipients(smtpd) == everybody(10)
    assert small.counts(edition) == {"sent": 10}
    assert small.notices(edition) == []


# --- processes ------------------------------------------------------------------------------------


@pytest.fixture
def town(tmp_path, smtpd):
    """A folder with a configuration, 80 readers and a draft, for `digest` itself."""
    made = Town(tmp_path, f"sqlite:///{tmp_path}/digest.db", CONNECTIONS, smtpd.port, None)
    made.found(80)
    yield made
    made.kill_all()


@pytest.mark.parametrize(
    ("words", "how"),
    [(("edition", "send"), signal.SIGTERM), (("edition", "send"), signal.SIGINT), (("worker",), signal.SIGTERM)],
)
def test_told_to_stop_a_process_leaves_nothing_uncertain(town, smtpd, words, how):
    smtpd.delay = 0.05
    town.release()
    sender = town.start(*words)
    smtpd.wait_for(12)
    sender.ask_to_stop(how)
    assert sender.status in (0, 1), sender.said()
    assert "Traceback" not in sender.said()
    sight = town.look()
    assert set(sight.counts) == {"sent", "queued"}
    assert sight.counts["sent"] == len(smtpd.received)
    smtpd.delay = 0
    assert town.run("edition", "send").status == 0
    assert recipients(smtpd) == everybody(80)


def test_a_second_send_says_kindly_that_another_sends_and_watches_to_the_end(town, smtpd):
    smtpd.delay = 0.5
    first = town.send()
    smtpd.wait_for(4)
    second = town.start("edition", "send")
    wait_until(lambda: "Another process is sending" in second.said() or not second.is_running())
    smtpd.delay = 0
    assert first.wait() == 0
    assert second.wait() == 0, second.said()
    assert "Another process is sending from this database; watching it." in second.said()
    assert "Done: 80 sent." in second.said()
    assert recipients(smtpd) == everybody(80)


def test_watching_prints_a_line_of_json_a_look(town, smtpd):
    smtpd.delay = 0.1
    town.release()
    watching = town.start("edition", "watch", "--json")
    sender = town.send()
    assert sender.wait() == 0
    assert watching.wait() == 0, watching.said()
    lines = [json.loads(line) for line in watching.said().splitlines()]
    assert len(lines) >= 2
    assert all({"total", "settled", "rate", "eta", "counts", "state"} <= set(line) for line in lines)
    assert {line["total"] for line in lines} == {80}
    settled = [line["settled"] for line in lines]
    assert settled == sorted(settled)
    assert all(sum(line["counts"].values()) == 80 for line in lines)
    assert (lines[-1]["state"], lines[-1]["settled"], lines[-1]["eta"]) == ("sent", 80, 0.0)


def test_the_command_queues_again_what_it_is_told_to(town, smtpd):
    smtpd.faults.append(Fault(at="REPLY", recipient="reader3@*", drop=True, times=1))
    assert town.send().wait() == 0
    assert "1 queued again" in town.run("edition", "resend", "--uncertain").said()
    assert "1 queued again" in town.run("edition", "resend", "--to", "reader4@example.com").said()
    assert town.send().wait() == 0
    assert recipients(smtpd) - everybody(80) == Counter(["reader3@example.com", "reader4@example.com"])
    for reader in ("reader3@example.com", "reader4@example.com"):
        first, second = ids_of(smtpd, reader)
        assert first == second
