"""Who is forgotten is nowhere any more: not in a row, a page of the file, its log, ours, or a mail that waits."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from digest import bouncing, publishing, subscribing
from digest.cli.logs import Masking
from digest.domain.addresses import Address
from digest.domain.deliveries import DeliveryState, Mail, Outcome, Receipt
from digest.domain.editions import EditionState
from digest.domain.links import Purpose
from digest.domain.reports import Report, ReportKind
from digest.domain.subscribers import EventKind, Evidence, SubscriptionState, Way
from digest.domain.suppressions import SuppressionKind
from digest.errors import InvalidToken, NotFound
from digest.publishing import desk
from digest.store import Store, consent, deliveries, known, outbox, schema, subscribers, suppressions, workers
from digest.subscribing import forgetting, importing, suppressing
from digest.web import create_web
from tests.servers.smtpd import Fault, RecordingServer
from tests.service import SATURDAY, Service
from tests.traces import every_value, traces

TYPED = "  Quartzina.Zolnierz+News@Example.COM "
ADDRESS = Address.parse(TYPED.strip())
NAME = "Wawrzyniec Żółciński"
WORDS = (ADDRESS.text, "quartzina.zolnierz", "quartzina", NAME, "Wawrzyniec")
OPERATOR = Evidence(Way.OPERATOR)


@pytest.fixture
def smtpd() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture
def service(store_url, tmp_path, smtpd) -> Iterator[Service]:
    delivering = {"refusals_in_a_row": 1}
    made = Service(
        tmp_path,
        store_url,
        smtpd.port,
        connections=1,
        delivering=delivering,
        desk={"addresses": ["desk@news.example.com"]},
    )
    yield made
    made.close()


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """Every line any library writes at DEBUG, in the format of `digest serve`; our own ones also without its mask."""
    written = io.StringIO()
    masked, bare = logging.StreamHandler(written), logging.StreamHandler(written)
    masked.setFormatter(Masking("%(levelname)s %(name)s: %(message)s"))
    loggers = {logging.getLogger(): masked, logging.getLogger("digest"): bare, logging.getLogger("sqlalchemy"): bare}
    before = {each: each.level for each in loggers}
    for logger, handler in loggers.items():
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield written
    for logger, handler in loggers.items():
        logger.removeHandler(handler)
        logger.setLevel(before[logger])


def link(smtpd: RecordingServer, kind: str, address: str = ADDRESS.text) -> str:
    """The path of the newest link of a kind in the mails somebody got."""
    for message in reversed(smtpd.received_by(address)):
        text = message.parsed.get_body(("plain",)).get_content()
        if found := re.search(rf"https://recap\.example\.com(/{kind}/\S+)", text):
            return found[1]
    raise AssertionError(f"no mail to {address} has a link to /{kind}/")


def token(path: str) -> str:
    return path.rpartition("/")[2]


def live(service: Service, smtpd: RecordingServer, client: TestClient) -> None:
    """A reader's whole life: sign-up with an odd spelling, confirmation, an edition that is refused in words that quote
    them, a second try, a bounce, preferences, their own data."""
    signed = client.post("/subscribe", data={"email": TYPED, "newsletter": "weekly", "name": NAME})
    assert signed.status_code == 200
    service.deliver_all()
    assert client.post(link(smtpd, "confirm"), data={"confirm": "yes"}).status_code == 200
    assert service.find(ADDRESS.text).state is SubscriptionState.CONFIRMED
    service.add_readers(3)  # behind them, so that the first refusal is theirs
    said = f"550 5.7.1 <{ADDRESS.text}>: quartzina.zolnierz+news is not for you, {ADDRESS.text.upper()}"
    smtpd.faults.append(Fault(at="RCPT", recipient=ADDRESS.text, reply=said, times=1))
    later = f"450 4.2.1 mailbox of Quartzina.Zolnierz+News at <{ADDRESS.text}> is busy"
    smtpd.faults.append(Fault(at="RCPT", recipient=ADDRESS.text, reply=later, times=1))
    edition = service.send()
    assert edition.state is EditionState.PAUSED
    desk.resume(service.app.store, edition.id, service.clock())
    service.deliver(edition, until=lambda: service.counts(edition).get("deferred") == 1)
    service.clock.forward(timedelta(hours=1))
    edition = service.deliver(edition)
    assert edition.state is EditionState.SENT
    assert service.counts(edition) == {"sent": 4}
    service.deliver_all()  # what the desk is told
    bounce(service, edition.id)
    preferences = link(smtpd, "preferences")
    assert client.get(preferences).status_code == 200
    kept = {"do": "save", "name": f"{NAME} II.", "had-weekly": "yes", "get-weekly": "yes", "language": "pl"}
    assert client.post(preferences, data=kept).status_code in (200, 303)
    client.get(f"/no/such/page/{ADDRESS.text}?email={ADDRESS.text}")
    assert client.post(preferences, data={"do": "own-data"}).status_code in (200, 303)
    service.deliver_all()
    own = client.post(link(smtpd, "own-data"))
    assert own.status_code == 200, own.text
    assert {ADDRESS.text, TYPED.strip()} <= {own.json()["address"], own.json()["events"][0]["address_as_typed"].strip()}


def bounce(service: Service, edition_id: int) -> None:
    """A soft report in words that quote the address."""
    rows = list(publishing.deliveries_of(service.app.store, edition_id, ""))
    sent = next(each for each in rows if each.address == ADDRESS.text)
    sender = service.app.links.envelope_sender("bounces@news.example.com", sent.id)
    words = f"452 4.2.2 <{ADDRESS.text}>: the mailbox of quartzina.zolnierz+news is full"
    report = Report(ReportKind.SOFT, words, envelope_senders=(sender,))
    assert bouncing.receive(service.app.store, service.app.links, report, service.clock()).delivery_id == sent.id


def files_under(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_after_a_whole_life_nothing_is_left_anywhere(service, smtpd, tmp_path, everything_logged, request):
    store = service.app.store
    app = create_web(service.app, service.clock)
    with TestClient(app, follow_redirects=False, base_url="https://recap.example.com") as client:
        live(service, smtpd, client)
        if not store.is_sqlite:
            _maintain(store, "ANALYZE")  # the planner takes samples of what stands in the columns
        assert traces(every_value(store), WORDS) == set(WORDS), "the search would find what is there"
        client.post(link(smtpd, "preferences"), data={"do": "forget"})
        service.deliver_all()
        queue_more(service)
        page = link(smtpd, "forget")
        assert client.get(page).status_code == 200
        assert service.find(ADDRESS.text), "looking changes nothing"
        done = client.post(page, data={"confirm": "yes"})
        assert done.status_code == 200
        assert client.post(page, data={"confirm": "yes"}).status_code < 500
    with pytest.raises(NotFound):
        service.find(ADDRESS.text)
    if store.is_sqlite:
        assert not traces(files_under(tmp_path), WORDS), "in the file, its -wal or -shm"
    forgetting.tidy(store, timedelta(days=90), timedelta(days=1095), service.clock())
    assert not traces(every_value(store), WORDS)
    assert not traces(everything_logged.getvalue().encode(), WORDS)
    if not store.is_sqlite:
        _maintain(store, "VACUUM (FULL, ANALYZE)", "CHECKPOINT")
        cluster = request.getfixturevalue("postgres").folder / "cluster" / "base"
        assert not traces(files_under(cluster), WORDS)
    assert waiting_mails(service) == []


def test_the_planner_forgets_too_what_an_operator_or_a_server_had_said_of_them(service):
    store, now = service.app.store, service.clock()
    service.sign_up(ADDRESS.text)
    suppressing.suppress(store, service.app.links, ADDRESS, f"{ADDRESS.text} wrote to us", OPERATOR, now)
    with store.begin() as tx:
        for number in range(3):
            words = f"{number}: no such user {ADDRESS.text}"
            tx.execute(sa.insert(schema.notices).values(at=now, subject=words, text=words))
    if not store.is_sqlite:
        _maintain(store, "ANALYZE")
    assert traces(every_value(store), WORDS[:1])
    forget(service, ADDRESS.text)
    assert not traces(every_value(store), WORDS)


def queue_more(service: Service) -> None:
    """Mails that wait when they are forgotten."""
    found = service.find(ADDRESS.text)
    with service.app.store.begin() as tx:
        deliveries.queue_letter(tx, Mail.WELCOME, found.id, service.clock())


def waiting_mails(service: Service) -> list[int]:
    table = schema.deliveries
    query = sa.select(table.c.id).where(table.c.state.in_(["queued", "deferred"]), table.c.mail != "notice")
    with service.app.store.read() as tx:
        return list(tx.scalars(query))


def _maintain(store: Store, *statements: str) -> None:
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


# --- what stays, and adds up ----------------------------------------------------------------------


def forget(service: Service, address: str = "reader1@example.com") -> forgetting.Erased:
    return forgetting.forget_address(
        service.app.store, service.app.links, Address.parse(address), OPERATOR, service.clock()
    )


def test_an_edition_under_way_goes_on_without_them_and_its_accounts_add_up(service, smtpd):
    service.add_readers(4)
    edition = service.release()
    erased = forget(service)
    assert (erased.deliveries, erased.waiting, erased.proofs) == (1, 1, 1)
    edition = service.deliver(edition)
    assert edition.state is EditionState.SENT
    assert service.counts(edition) == {"sent": 3, "skipped": 1}
    assert smtpd.received_by("reader1@example.com") == []
    assert [each.subject for each in service.notices(edition)] == []
    again = {each.address: each.reply for each in service.listed(edition, "skipped")}
    assert again == {"": "the subscriber was forgotten"}


def test_what_is_on_the_wire_ends_there_and_the_servers_words_are_not_kept(service):
    service.add_readers(1)
    edition = service.release()
    row = service.listed(edition)[0]
    table = schema.deliveries
    with service.app.store.begin() as tx:
        worker = workers.register(tx, "here", 1, service.clock())
        tx.execute(sa.update(table).where(table.c.id == row.id).values(state="sending", worker_id=worker, due_at=None))
    erased = forget(service, "reader0@example.com")
    assert (erased.deliveries, erased.waiting) == (1, 0)
    assert service.counts(edition) == {"sending": 1}
    with service.app.store.begin() as tx:
        said = Receipt(550, "5.1.1 reader0 is unknown here")
        outbox.settle(tx, worker, [Outcome(row.id, DeliveryState.REFUSED, said)], service.clock())
    (settled,) = service.listed(edition)
    assert (settled.state, settled.code, settled.reply) == (DeliveryState.REFUSED, 550, "")


def test_no_import_and_no_operator_brings_them_back(service, smtpd):
    service.add_readers(2)
    forget(service)
    entries = [importing.Entry(Address.parse("Reader1@Example.com"), "Anna")]
    brought = importing.bring_in(
        service.app.store, service.app.links, entries, "weekly", "en", Evidence(Way.IMPORT, form="a list"), SATURDAY
    )
    assert brought.suppressed == 1
    service.send()
    assert smtpd.received_by("reader1@example.com") == []


def test_only_they_themselves_come_back_by_signing_up_and_confirming(service, smtpd):
    service.add_readers(1)
    forget(service, "reader0@example.com")
    service.sign_up("reader0@example.com")
    service.send()
    assert [each.parsed["From"] for each in smtpd.received_by("reader0@example.com")] == [
        "The Vistula Post <hello@news.example.com>"
    ], "asked to confirm, and nothing else"
    path = link(smtpd, "confirm", "reader0@example.com")
    subscribing.confirm(
        service.app.store, service.app.links, token(path), Evidence(Way.LINK), service.clock(), timedelta(hours=72)
    )
    found = service.find("reader0@example.com")
    assert found.state is SubscriptionState.CONFIRMED
    with service.app.store.read() as tx:
        address_hash = service.app.links.address_hash("reader0@example.com")
        assert suppressions.of(tx, address_hash) is None
        assert [each.lifted for each in suppressions.changes(tx, address_hash)] == [False, True]


def test_the_proof_of_their_consent_is_kept_for_a_while_and_then_deleted(service, smtpd):
    service.sign_up("anna@example.com")
    service.deliver_all()
    path = link(smtpd, "confirm", "anna@example.com")
    evidence = Evidence(Way.LINK, wording="I want it.", language="en", ip="192.0.2.0", user_agent="Firefox")
    subscribing.confirm(
        service.app.store, service.app.links, token(path), evidence, service.clock(), timedelta(hours=72)
    )
    confirmed_at = service.find("anna@example.com").confirmed_at
    forget(service, "anna@example.com")
    address_hash = service.app.links.address_hash("anna@example.com")
    store = service.app.store
    with store.read() as tx:
        ((proof, _),) = consent.proofs_of(tx, address_hash)
    assert (proof.newsletter, proof.way, proof.confirmed_at) == ("weekly", "form", confirmed_at)
    assert proof.withdrawn_at == proof.forgotten_at
    year = timedelta(days=365)
    assert forgetting.tidy(store, year, 3 * year, service.clock() + 2 * year)[1] == 0
    assert forgetting.tidy(store, year, 3 * year, service.clock() + 4 * year)[1] == 1


def test_network_and_browser_go_after_a_while_and_the_event_stays(service):
    request = subscribing.SignUp(
        Address.parse("anna@example.com"),
        "weekly",
        "en",
        "",
        Evidence(Way.FORM, wording="I want it.", ip="192.0.2.0", user_agent="Firefox"),
    )
    store, links, now = service.app.store, service.app.links, service.clock()
    subscribing.sign_up(store, links, request, service.app.config.subscribing.limits(), now)
    reader = service.find("anna@example.com").subscriber_id
    assert forgetting.tidy(store, timedelta(days=90), timedelta(days=90), now + timedelta(days=89))[0] == 0
    assert forgetting.tidy(store, timedelta(days=90), timedelta(days=90), now + timedelta(days=91))[0] == 1
    with store.read() as tx:
        (event,) = consent.trail(tx, reader)
    assert (event.kind, event.evidence.wording) == (EventKind.REQUESTED, "I want it.")
    assert (event.evidence.ip, event.evidence.user_agent) == ("", "")


@pytest.mark.parametrize("kind", [SuppressionKind.COMPLAINED, SuppressionKind.BOUNCED])
def test_a_complaint_stands_firm_after_they_are_forgotten_and_a_bounce_gives_way(service, kind):
    service.add_readers(1)
    address_hash = service.app.links.address_hash("reader0@example.com")
    found = service.find("reader0@example.com")
    with service.app.store.begin() as tx:
        said = suppressions.Suppression(
            address_hash, kind, "reader0 said so", service.clock(), subscriber_id=found.subscriber_id
        )
        suppressions.suppress(tx, said)
    forget(service, "reader0@example.com")
    with service.app.store.read() as tx:
        left = suppressions.of(tx, address_hash)
        words = {each.reason for each in suppressions.changes(tx, address_hash)}
    assert left is not None and left.subscriber_id is None
    assert left.kind is (kind if kind is SuppressionKind.COMPLAINED else SuppressionKind.FORGOTTEN)
    assert "reader0" not in left.reason + str(words)


# --- the links ------------------------------------------------------------------------------------


def test_a_link_forgets_one_person_once_and_for_a_day_only(service):
    service.add_readers(2)
    store, links, now = service.app.store, service.app.links, service.clock()
    found = service.find("reader0@example.com")
    good = links.timed(Purpose.ERASURE, found.id, now)
    for wrong, at in (
        (good, now + timedelta(hours=24, seconds=1)),
        (links.timed(Purpose.OWN_DATA, found.id, now), now),
        (good[:-2] + "AA", now),
        (links.timed(Purpose.ERASURE, 4711, now), now),
        ("", now),
    ):
        with pytest.raises(InvalidToken):
            forgetting.forget(store, links, wrong, Evidence(Way.PAGE), at)
    assert forgetting.look_up(store, links, Purpose.ERASURE, good, now).id == found.id
    assert forgetting.forget(store, links, good, Evidence(Way.PAGE), now).subscriptions == 1
    with pytest.raises(InvalidToken):
        forgetting.forget(store, links, good, Evidence(Way.PAGE), now)
    assert service.find("reader1@example.com")


def test_what_is_known_of_a_reader_is_all_there_and_plain_json(service, smtpd):
    service.sign_up("anna@example.com")
    service.deliver_all()
    found = service.find("anna@example.com")
    store, links, now = service.app.store, service.app.links, service.clock()
    made = links.timed(Purpose.OWN_DATA, found.id, now)
    own = forgetting.own_data(store, links, made, now)
    assert json.loads(json.dumps(own)) == own
    assert own["address"] == "anna@example.com"
    assert [each["kind"] for each in own["events"]] == ["requested"]
    assert [(each["mail"], each["state"]) for each in own["mails"]] == [("confirmation", "sent")]
    assert [each["state"] for each in own["subscriptions"]] == ["pending"]
    assert str(own["known_since"]).endswith("+00:00")
    with pytest.raises(InvalidToken):
        forgetting.own_data(store, links, made, now + timedelta(days=2))


def test_who_was_forgotten_and_came_back_is_shown_what_was_kept_of_them(service):
    anna = Address.parse("anna@example.com")
    importing.bring_in(
        *(service.app.store, service.app.links, [importing.Entry(anna)], "weekly", "en"),
        *(Evidence(Way.OPERATOR, form="by letter"), service.clock()),
    )
    forget(service, "anna@example.com")
    service.sign_up("anna@example.com")
    store, links, now = service.app.store, service.app.links, service.clock()
    made = links.timed(Purpose.OWN_DATA, service.find("anna@example.com").id, now)
    own = forgetting.own_data(store, links, made, now)
    assert json.loads(json.dumps(own)) == own
    assert [(each["newsletter"], each["way"]) for each in own["consents_before_erasure"]] == [("weekly", "operator")]
    assert [(each["what"], each["kind"]) for each in own["suppressions"]] == [("suppressed", "forgotten")]


def test_a_stranger_cannot_be_forgotten(service):
    with pytest.raises(NotFound):
        forget(service, "nobody@example.com")


# --- after a restore ------------------------------------------------------------------------------


def test_who_was_forgotten_since_a_backup_is_forgotten_again_when_the_list_is_read(service, smtpd):
    service.add_readers(3)
    forget(service)
    store, links, now = service.app.store, service.app.links, service.clock()
    with store.read() as tx:
        exported = list(suppressions.listed(tx))
    with store.begin() as tx:  # the backup is from before: the reader is here, the suppression is not
        reader = subscribers.add(tx, Address.parse("reader1@example.com"), "Anna", SATURDAY - timedelta(days=40))
        subscribers.subscribe(tx, reader, "weekly", SubscriptionState.CONFIRMED, "en", SATURDAY - timedelta(days=40))
        tx.execute(sa.delete(schema.suppressions))
    lines = [
        suppressing.Listed(each.kind, each.reason, each.by, each.at, address_hash=each.address_hash)
        for each, _ in exported
    ]
    brought = suppressing.bring_in(store, links, lines, now)
    assert (brought.suppressed, brought.forgotten) == (1, 1)
    with pytest.raises(NotFound):
        service.find("reader1@example.com")
    assert service.counts(service.send()) == {"sent": 2}


def test_known_mails_name_no_reader_who_is_gone(service):
    service.add_readers(2)
    edition = service.send()
    forget(service)
    ids = [each.id for each in publishing.deliveries_of(service.app.store, edition.id, "")]
    with service.app.store.read() as tx:
        assert len(known.mails_by_id(tx, ids)) == 1


def test_signing_up_and_being_forgotten_at_the_same_moment_end_well(service):
    """Each wins now and then; nobody is left half."""
    service.add_readers(1)
    address, errors = "reader0@example.com", []

    def run(what) -> None:
        try:
            what()
        except NotFound:
            pass
        except Exception as error:
            errors.append(error)

    for _ in range(10):
        both = [
            threading.Thread(target=run, args=(lambda: forget(service, address),)),
            threading.Thread(target=run, args=(lambda: service.sign_up(address),)),
        ]
        for each in both:
            each.start()
        for each in both:
            each.join()
    assert errors == []
    with service.app.store.read() as tx:
        readers = set(tx.scalars(sa.select(schema.subscribers.c.id)))
        assert set(tx.scalars(sa.select(schema.subscriptions.c.subscriber_id))) <= readers
