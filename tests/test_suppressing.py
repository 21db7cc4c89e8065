"""Who is never mailed: addresses and whole domains, brought in, kept, let go, and taken along."""

from __future__ import annotations

import csv
import io
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from digest import subscribing
from digest.cli.suppression_lists import Lines, Refused, guarded
from digest.domain.addresses import Address
from digest.domain.links import Links
from digest.domain.subscribers import EventKind, Evidence, SubscriptionState, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.errors import InvalidToken, NotFound, UsageError
from digest.store import Store, consent, schema, suppressions
from digest.store.migrate import migrate
from digest.subscribing import importing, suppressing
from tests.conftest import NOW
from tests.servers.smtpd import RecordingServer
from tests.service import SATURDAY, Service

LINKS = Links("a secret of at least thirty-two characters", "https://recap.example.com")
OPERATOR = Evidence(Way.OPERATOR, form="they wrote to us")


@pytest.fixture
def smtpd() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture
def service(store_url, tmp_path, smtpd) -> Iterator[Service]:
    made = Service(tmp_path, store_url, smtpd.port)
    yield made
    made.close()


def bring(store: Store, *addresses: str) -> None:
    entries = [importing.Entry(Address.parse(each)) for each in addresses]
    importing.bring_in(store, LINKS, entries, "weekly", "en", Evidence(Way.IMPORT, form="a list"), NOW)


def kinds(store: Store) -> dict[str, str]:
    """address, or the beginning of a hash -> kind."""
    with store.read() as tx:
        return {address or each.address_hash[:6]: each.kind for each, address in suppressions.listed(tx)}


def test_a_suppressed_domain_holds_for_who_is_here_and_for_who_comes(service, smtpd):
    store, links = service.app.store, service.app.links
    service.add_readers(2)
    bring(store, "anna@bad.example", "otto@bad.example", "eva@notbad.example", "ida@sub.bad.example")
    service.sign_up("zoe@bad.example")
    service.deliver_all()
    path = service_link(smtpd, "zoe@bad.example")
    assert suppressing.suppress_domain(store, links, "bad.example", "they asked", NOW) == (True, 3)
    assert suppressing.suppress_domain(store, links, "bad.example", "again", NOW) == (False, 0)
    bring(store, "later@bad.example")
    service.sign_up("new@bad.example")
    with pytest.raises(InvalidToken):  # gently: the page says that the link is no longer good
        subscribing.confirm(store, links, path, Evidence(Way.LINK), service.clock(), timedelta(hours=72))
    service.send()
    service.deliver_all()
    after = [each.recipients[0] for each in smtpd.received if each.parsed["List-Id"]]  # the edition
    assert sorted(after) == ["eva@notbad.example", "ida@sub.bad.example", "reader0@example.com", "reader1@example.com"]
    assert suppressing.lift_domain(store, "bad.example", "they asked again", NOW) == 3
    assert kinds(store) == {}
    with store.read() as tx:
        said = [(each.lifted, each.reason) for each in suppressions.changes(tx, "bad.example")]
    assert said == [(False, "they asked"), (True, "they asked again")]
    with pytest.raises(NotFound):
        suppressing.lift_domain(store, "bad.example", "once more", NOW)


def service_link(smtpd: RecordingServer, address: str) -> str:
    text = smtpd.received_by(address)[-1].parsed.get_body(("plain",)).get_content()
    return re.search(r"/confirm/(\S+)", text)[1]


def test_another_reason_survives_the_lifting_of_a_domain(store):
    bring(store, "anna@bad.example", "otto@bad.example")
    suppressing.suppress(store, LINKS, Address.parse("anna@bad.example"), "by letter", OPERATOR, NOW)
    assert suppressing.suppress_domain(store, LINKS, "bad.example", "all of them", NOW) == (True, 1)
    with pytest.raises(UsageError):
        suppressing.lift(store, LINKS, Address.parse("otto@bad.example"), "only this one", NOW)
    suppressing.lift_domain(store, "bad.example", "no longer", NOW)
    assert kinds(store) == {"anna@bad.example": "operator"}


@pytest.mark.parametrize("kind", [SuppressionKind.COMPLAINED, SuppressionKind.REPORTED, SuppressionKind.OPERATOR])
def test_what_is_said_of_a_reader_while_their_domain_is_suppressed_outlasts_the_domain(store, kind):
    bring(store, "anna@bad.example")
    suppressing.suppress_domain(store, LINKS, "bad.example", "all of them", NOW)
    with store.begin() as tx:
        said = Suppression(LINKS.address_hash("anna@bad.example"), kind, "she wrote", NOW)
        assert suppressions.suppress(tx, said)
        assert not suppressions.suppress(tx, replace(said, kind=SuppressionKind.DOMAIN, domain="bad.example"))
    assert suppressing.lift_domain(store, "bad.example", "no longer", NOW) == 0
    assert kinds(store) == {"anna@bad.example": kind}


def test_nobody_is_let_go_by_themselves_while_their_domain_is_suppressed(store):
    bring(store, "anna@bad.example")
    anna = Address.parse("anna@bad.example")
    suppressing.suppress(store, LINKS, anna, "by letter", OPERATOR, NOW)
    suppressing.suppress_domain(store, LINKS, "bad.example", "all of them", NOW)
    with pytest.raises(UsageError):
        suppressing.lift(store, LINKS, anna, "she wrote again", NOW)
    suppressing.lift_domain(store, "bad.example", "no longer", NOW)
    suppressing.lift(store, LINKS, anna, "she wrote again", NOW)
    assert kinds(store) == {}


def test_the_operators_word_takes_the_place_of_what_the_reader_could_lift(store):
    bring(store, "anna@example.com")
    bounced = Suppression(LINKS.address_hash("anna@example.com"), SuppressionKind.BOUNCED, "5.1.1", NOW)
    with store.begin() as tx:
        assert suppressions.suppress(tx, bounced)
        assert not suppressions.suppress(tx, bounced)
        assert not suppressions.suppress(tx, replace(bounced, kind=SuppressionKind.UNSUBSCRIBED))
    assert suppressing.suppress(store, LINKS, Address.parse("Anna@example.com"), "by letter", OPERATOR, NOW)
    with store.begin() as tx:
        assert not suppressions.suppress(tx, bounced)
    assert kinds(store) == {"anna@example.com": "operator"}


def test_the_desk_lets_go_with_a_reason_that_stands_in_the_log_and_in_the_trail(store):
    bring(store, "anna@example.com")
    anna = Address.parse("anna@example.com")
    suppressing.suppress(store, LINKS, anna, "she complained", OPERATOR, NOW)
    was = suppressing.lift(store, LINKS, anna, "she wrote again", NOW)
    assert was.reason == "she complained"
    reader = suppressing.find(store, anna)[0]
    assert reader.state is SubscriptionState.CONFIRMED
    with store.read() as tx:
        trail = consent.trail(tx, reader.subscriber_id)
        changes = suppressions.changes(tx, LINKS.address_hash(anna.key))
    assert [each.kind for each in trail] == [EventKind.CONFIRMED, EventKind.SUPPRESSED, EventKind.LIFTED]
    assert "she wrote again" in trail[-1].evidence.form
    assert [(each.lifted, each.reason) for each in changes] == [(False, "she complained"), (True, "she wrote again")]
    with pytest.raises(NotFound):
        suppressing.lift(store, LINKS, anna, "twice", NOW)


# --- lists ----------------------------------------------------------------------------------------


def read(text: str, reason: str = "from the old provider", secret: str = "") -> tuple[list, list[Refused]]:
    refused: list[Refused] = []
    made = Lines(io.StringIO(text), secret or LINKS.fingerprint, SuppressionKind.OPERATOR, reason, NOW, refused.append)
    return list(made), refused


def test_a_list_is_read_line_by_line_and_what_is_wrong_is_named_with_its_line():
    listed, refused = read(
        "Email,Kind,At\n"
        "anna@example.com,,\n"
        "no address,,\n"
        "otto@example.com,bounced,2026-01-02T03:04:05+00:00\n"
        "eva@example.com,strange,\n"
        "ida@example.com,,yesterday\n"
    )
    assert [(each.address.text, each.kind) for each in listed] == [
        ("anna@example.com", "operator"),
        ("otto@example.com", "bounced"),
    ]
    assert [each.line for each in refused] == [3, 5, 6]
    bare, _ = read("anna@example.com\notto@example.com\n")
    assert [each.address.text for each in bare] == ["anna@example.com", "otto@example.com"]
    with pytest.raises(UsageError):
        read("name,phone\nAnna,1\n")
    with pytest.raises(UsageError):
        read("email\nanna@example.com\n", reason="")


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("0001-01-01T00:00:00+14:00", "out of range"),
        ("9999-12-31T23:59:59-14:00", "out of range"),
        ("2099-01-01", "in the future"),
        ("yesterday", "Invalid isoformat"),
    ],
)
def test_a_line_with_an_impossible_moment_is_refused_and_the_next_one_is_read(at, why):
    found, refused = read(f"email,at,reason\nanna@example.com,{at},x\nbob@example.com,2020-01-01,a\0b\n")
    assert [(each.address.text, each.reason) for each in found] == [("bob@example.com", "ab")]
    assert [each.line for each in refused] == [2]
    assert why in refused[0].why


def test_a_hash_made_with_another_secret_is_refused_as_nobody_can_tell_whose_it_is():
    row = f"email,domain,hash,kind,reason,by,at,secret\n,,{'a' * 64},forgotten,asked,,,"
    assert len(read(row + LINKS.fingerprint + "\n")[0]) == 1
    listed, refused = read(row + "0123456789abcdef\n")
    assert listed == []
    assert "another [web] secret" in refused[0].why


def test_no_cell_of_the_export_is_a_formula_and_the_import_reads_it_back():
    assert guarded("=cmd()") == "'=cmd()"
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["email", "reason"])
    writer.writerow([guarded("+anna@example.com"), guarded("-1 of 5")])
    (listed,), _ = read(text.getvalue())
    assert (listed.address.text, listed.reason) == ("+anna@example.com", "-1 of 5")


def test_a_dry_run_says_what_would_happen_and_does_nothing(store):
    bring(store, "anna@example.com")
    listed, _ = read("email,domain\nanna@example.com,\nnew@example.com,\n,bad.example\n")
    before = kinds(store)
    brought = suppressing.bring_in(store, LINKS, listed, NOW, dry_run=True)
    assert (brought.suppressed, brought.already, brought.domains) == (2, 0, 1)
    assert kinds(store) == before
    done = suppressing.bring_in(store, LINKS, listed, NOW)
    assert (done.suppressed, done.already, done.domains) == (2, 0, 1)
    again = suppressing.bring_in(store, LINKS, listed, NOW)
    assert (again.suppressed, again.already, again.domains) == (0, 2, 0)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_line_older_than_that_its_address_was_let_go_is_passed_over_unless_it_is_forced(store, dry_run):
    bring(store, "anna@example.com", "otto@example.com")
    hour, lines = timedelta(hours=1), []
    for address in ("anna@example.com", "gone@example.com"):
        suppressing.suppress(store, LINKS, Address.parse(address), "by letter", OPERATOR, NOW)
    suppressing.suppress_domain(store, LINKS, "bad.example", "all of them", NOW)
    said = (SuppressionKind.OPERATOR, "by letter", "the operator", NOW)
    lines = [
        suppressing.Listed(*said, address=Address.parse("anna@example.com")),
        suppressing.Listed(*said, address_hash=LINKS.address_hash("gone@example.com")),
        suppressing.Listed(SuppressionKind.DOMAIN, *said[1:], domain="bad.example"),
        suppressing.Listed(*said, address=Address.parse("otto@example.com")),
    ]
    for address in ("anna@example.com", "gone@example.com"):
        suppressing.lift(store, LINKS, Address.parse(address), "she wrote again", NOW + hour)
    suppressing.lift_domain(store, "bad.example", "no longer", NOW + hour)
    brought = suppressing.bring_in(store, LINKS, lines, NOW + 2 * hour, dry_run=dry_run)
    assert (brought.suppressed, brought.lifted_since, brought.domains) == (1, 3, 0)
    assert kinds(store) == ({} if dry_run else {"otto@example.com": "operator"})
    later = [replace(each, at=NOW + 2 * hour) for each in lines]
    for again, force in ((later, False), (lines, True)):
        would = suppressing.bring_in(store, LINKS, again, NOW + 3 * hour, dry_run=True, even_lifted=force)
        assert (would.suppressed + would.already, would.lifted_since, would.domains) == (3, 0, 1)


def test_what_was_forced_outlasts_a_restore_from_before_it_was(store):
    hour, anna = timedelta(hours=1), Address.parse("anna@example.com")
    suppressing.suppress(store, LINKS, anna, "by letter", OPERATOR, NOW)
    suppressing.lift(store, LINKS, anna, "she wrote again", NOW + hour)
    old = suppressing.Listed(SuppressionKind.OPERATOR, "by letter", "the operator", NOW, address=anna)
    suppressing.bring_in(store, LINKS, [old], NOW + 2 * hour, even_lifted=True)
    with store.read() as tx:
        kept = suppressions.of(tx, LINKS.address_hash(anna.key))
    assert kept.at == NOW + 2 * hour  # an export says so, and an import holds it against the lift


def test_hashes_are_linked_to_the_readers_they_are_of_so_that_a_claim_sees_them(service, smtpd):
    store, links = service.app.store, service.app.links
    service.add_readers(3)
    address_hash = links.address_hash("reader1@example.com")
    line = suppressing.Listed(SuppressionKind.COMPLAINED, "spam", "", SATURDAY, address_hash=address_hash)
    brought = suppressing.bring_in(store, links, [line], NOW)
    assert (brought.suppressed, brought.linked) == (1, 1)
    assert service.counts(service.send()) == {"sent": 2}


def test_a_long_list_takes_no_more_memory_than_a_short_one(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/digest.db")
    migrate(store)
    peaks = []
    for count in (2_000, 20_000):
        lines = (
            suppressing.Listed(
                SuppressionKind.BOUNCED, "old list", "", NOW, address=Address(f"r{count}-{n}", "example.com")
            )
            for n in range(count)
        )
        tracemalloc.start()
        assert suppressing.bring_in(store, LINKS, lines, NOW).suppressed == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    store.close()
    assert peaks[1] < 1.5 * peaks[0] + 1_000_000


# --- the secret -----------------------------------------------------------------------------------


def test_another_secret_is_noticed_and_what_can_be_saved_is_saved(store):
    bring(store, "anna@example.com")
    for address in ("anna@example.com", "gone@example.com"):
        suppressing.suppress(store, LINKS, Address.parse(address), "by letter", OPERATOR, NOW)
    assert suppressing.check_secret(store, LINKS) is None
    other = Links("quite another secret of thirty-two characters", "https://recap.example.com")
    found = suppressing.check_secret(store, other)
    assert found is not None and found.orphans == 1
    assert suppressing.is_news(store, other)
    assert not suppressing.is_news(store, other)
    assert suppressing.take_new_secret(store, other) == (1, 1)
    assert suppressing.check_secret(store, other) is None
    with store.read() as tx:
        assert suppressions.of(tx, other.address_hash("anna@example.com")) is not None


def test_a_suppression_outlives_its_reader(store):
    bring(store, "anna@example.com")
    suppressing.suppress(store, LINKS, Address.parse("anna@example.com"), "by letter", OPERATOR, NOW)
    with store.begin() as tx:
        for table in (schema.events, schema.subscriptions, schema.subscribers):
            tx.execute(sa.delete(table))
    bring(store, "anna@example.com")
    with pytest.raises(NotFound):
        suppressing.find(store, Address.parse("anna@example.com"))
