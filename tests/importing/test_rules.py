"""What becomes of a row: who is here, who left, who must not be mailed; and the file of rows that were refused."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from digest import subscribing
from digest.domain.addresses import Address
from digest.domain.subscribers import ConfirmationLimits, Evidence, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.errors import UsageError
from digest.store import suppressions
from digest.store.schema import deliveries, imports, subscribers, suppressed_domains, suppression_log
from digest.subscribing import forgetting, importing, preferring, suppressing
from tests.importing.stage import LINKS, NOW


def test_who_left_here_stays_out(stage):
    stage.confirm("anna@example.com")
    preferring.leave(stage.store, stage.find("anna@example.com")["weekly"].id, Evidence(Way.LINK), NOW)
    assert stage.bring("email\nanna@example.com\n").counts["unsubscribed"] == 1
    assert stage.states() == {"anna@example.com": "unsubscribed"}


@pytest.mark.parametrize("asks", [False, True])
def test_who_left_stays_out_also_while_a_strangers_sign_up_asks_them_to_come_back(stage, asks):
    stage.confirm("anna@example.com")
    preferring.leave(stage.store, stage.find("anna@example.com")["weekly"].id, Evidence(Way.LINK), NOW)
    typed = subscribing.SignUp(Address.parse("anna@example.com"), "weekly", "pl", "", Evidence(Way.FORM))
    subscribing.sign_up(stage.store, LINKS, typed, ConfirmationLimits(), NOW)
    assert stage.states() == {"anna@example.com": "pending"}
    status = "pending" if asks else "confirmed"
    assert stage.bring(f"email,status\nanna@example.com,{status}\n", asks=asks).counts["unsubscribed"] == 1
    stage.confirm("anna@example.com")  # `digest subscribers add`
    assert stage.states() == {"anna@example.com": "pending"}


@pytest.mark.parametrize("kind", list(SuppressionKind))
def test_who_is_suppressed_stays_out_whatever_for(stage, kind):
    with stage.store.begin() as tx:
        hashed = LINKS.address_hash("anna@example.com")
        suppressions.suppress(tx, Suppression(hashed, kind, "why", NOW))
    assert stage.bring("email\nAnna@Example.com\n").counts["suppressed"] == 1
    assert stage.states() == {}


def test_a_complaint_elsewhere_outlasts_the_suppression_of_a_domain_here(stage):
    stage.confirm("anna@example.com")
    suppressing.suppress_domain(stage.store, LINKS, "example.com", "a trap", NOW)
    assert stage.bring("email,status\nanna@example.com,complained\n").counts["suppressed"] == 1
    suppressing.lift_domain(stage.store, "example.com", "no longer", NOW)
    assert stage.kept_out("anna@example.com") == "complained"


def test_a_suppressed_domain_stays_out(stage):
    with stage.store.begin() as tx:
        tx.execute(sa.insert(suppressed_domains).values(domain="example.com", reason="a trap", at=NOW))
    assert stage.bring("email\nanna@example.com\nbob@example.org\n").counts["suppressed"] == 1
    assert list(stage.states()) == ["bob@example.org"]


def test_the_gate_refuses_its_domains_here_too(stage):
    report = stage.bring("email\nanna@refused.example\n")
    assert report.why == {"addresses of this domain are not taken here": 1}


def test_only_the_hash_is_left_of_those_who_left_elsewhere(stage):
    stage.bring("email,status\ngone@example.com,unsubscribed\nspam@example.com,complained\n")
    with stage.store.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(subscribers)) == 0
        assert tx.scalar(sa.select(sa.func.count()).select_from(suppression_log)) == 2
    assert (stage.kept_out("gone@example.com"), stage.kept_out("spam@example.com")) == ("unsubscribed", "complained")


def test_leaving_elsewhere_ends_the_subscription_here_but_no_other(stage):
    for newsletter in ("weekly", "daily"):
        stage.confirm("anna@example.com", newsletter)
    stage.bring("email,status\nanna@example.com,unsubscribed\n")
    assert {name: each.state for name, each in stage.find("anna@example.com").items()} == {
        "weekly": "unsubscribed",
        "daily": "confirmed",
    }
    assert stage.kept_out("anna@example.com") == ""
    assert stage.trail("anna@example.com")[-1][:2] == ("unsubscribed", "import")


MAILPOET = "email,list status,global status,list\n"


def test_leaving_one_list_elsewhere_bars_from_nothing_else(stage):
    stage.confirm("here@example.com", "daily")
    rows = "anna@example.com,unsubscribed,subscribed,Weekly\nhere@example.com,unsubscribed,subscribed,Weekly\n"
    report = stage.bring(MAILPOET + rows + "all@example.com,unsubscribed,unsubscribed,Weekly\n")
    assert report.counts["unsubscribed"] == 3
    assert [stage.kept_out(f"{each}@example.com") for each in ("anna", "here", "all")] == ["", "", "unsubscribed"]
    assert {name: one.state for name, one in stage.find("here@example.com").items()} == {
        "daily": "confirmed",
        "weekly": "unsubscribed",
    }
    assert stage.bring("email\nanna@example.com\n", "daily.csv", newsletter="daily").counts["added"] == 1


LISTS = (
    MAILPOET
    + "anna@example.com,subscribed,subscribed,Weekly recap\nbob@example.com,subscribed,subscribed,Weekly recap\n"
    + "shopper@example.com,subscribed,subscribed,Shop\nnobody@example.com,,subscribed,Not in a list\n"
)


def test_a_file_with_several_lists_comes_in_one_list_at_a_time(stage):
    dry = stage.bring(LISTS, dry_run=True)
    assert any("Weekly recap 2, Shop 1" in note for note in dry.notes)
    with pytest.raises(UsageError, match=r"Weekly recap 2, Shop 1\. Say which one to bring in: --list NAME"):
        stage.bring(LISTS)
    assert stage.states() == {}
    assert stage.bring(LISTS, only_list="shop").counts["added"] == 1
    assert stage.states() == {"shopper@example.com": "confirmed"}


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LISTS, "there is no such list; there are: Weekly recap 2, Shop 1"),
        ("email,group\nanna@example.com,Weekly\n", "this file has no column of lists; say --map list=COLUMN"),
        ("anna@example.com\n", "no column of lists"),
    ],
)
def test_a_list_that_is_not_there_brings_nothing_in(stage, content, said, dry_run):
    with pytest.raises(UsageError, match=said):
        stage.bring(content, only_list="Weekly", dry_run=dry_run)
    with stage.store.read() as tx:
        assert tx.execute(sa.select(imports.c.id)).all() == []
    assert not (stage.folder / "readers.csv.errors.csv").exists()


def test_the_status_of_another_list_does_not_count(stage):
    rows = "anna@example.com,subscribed,subscribed,Weekly recap\nanna@example.com,unsubscribed,subscribed,Shop\n"
    stage.bring(MAILPOET + rows, only_list="weekly recap")
    assert stage.states() == {"anna@example.com": "confirmed"}
    assert stage.kept_out("anna@example.com") == ""


@pytest.mark.parametrize("batch", [1, 5_000])
def test_who_left_the_list_stays_out_of_it_for_the_rest_of_the_file(stage, monkeypatch, batch):
    monkeypatch.setattr(importing, "BATCH", batch)
    table = "email,list,status\nanna@example.com,Weekly,unsubscribed\nanna@example.com,Weekly,subscribed\n"
    counts = stage.bring(table).counts
    assert (counts["unsubscribed"], counts["duplicates"], stage.states()) == (1, 1, {})


def test_a_consent_given_here_after_leaving_there_holds(stage):
    stage.confirm("anna@example.com", at=NOW - timedelta(days=10))
    row = "email,status,unsubscribed_at\nanna@example.com,{},{}\n"
    assert stage.bring(row.format("unsubscribed", "2020-01-01")).counts["already"] == 1
    assert stage.bring(row.format("bounced", "2020-01-01")).counts["already"] == 1
    assert stage.states() == {"anna@example.com": "confirmed"}
    assert stage.bring(row.format("complained", "2020-01-01")).counts["suppressed"] == 1
    assert stage.bring(row.format("unsubscribed", "2026-11-27")).counts["unsubscribed"] == 1


def test_a_complaint_replaces_what_a_reader_could_lift(stage):
    stage.bring("email,status\nanna@example.com,unsubscribed\nanna@example.com,complained\n")
    stage.bring("email,status\nanna@example.com,bounced\n", "later.csv")
    assert stage.kept_out("anna@example.com") == "complained"


def test_who_left_elsewhere_may_sign_up_here(stage):
    stage.bring("email,status\nanna@example.com,unsubscribed\n")
    request = subscribing.SignUp(Address.parse("anna@example.com"), "weekly", "pl", "", Evidence(Way.FORM))
    subscribing.sign_up(stage.store, LINKS, request, ConfirmationLimits(), NOW)
    found = stage.find("anna@example.com")["weekly"]
    token = LINKS.confirm(found.id, found.requested_at).rpartition("/")[2]
    subscribing.confirm(stage.store, LINKS, token, Evidence(Way.LINK), NOW, timedelta(days=3))
    assert (stage.states(), stage.kept_out("anna@example.com")) == ({"anna@example.com": "confirmed"}, "")


def test_the_unconfirmed_are_asked_when_wanted_and_within_the_caps(stage):
    table = "email,status\nanna@example.com,pending\nanna+news@example.com,unconfirmed\n"
    assert stage.bring(table).counts["refused"] == 2
    report = stage.bring(table, asks=True)
    assert [report.counts[each] for each in ("added", "asked", "refused")] == [0, 1, 1]
    assert "often enough" in next(iter(report.why))
    with stage.store.read() as tx:
        assert tx.execute(sa.select(deliveries.c.mail, deliveries.c.state)).all() == [("confirmation", "queued")]
    assert stage.states() == {"anna@example.com": "pending"}
    assert stage.trail("anna@example.com")[0][:2] == ("requested", "import")


def test_who_waits_here_and_has_confirmed_there_is_confirmed(stage):
    stage.bring("email,status\nanna@example.com,pending\n", asks=True)
    assert stage.bring("email\nanna@example.com\n", "later.csv").counts["updated"] == 1
    assert stage.states() == {"anna@example.com": "confirmed"}


def test_dates_that_cannot_be_are_left_out_and_said(stage):
    table = (
        "email,confirmed_at\na@example.com,2999-01-01\nb@example.com,03/04/2024\nc@example.com,0000-00-00 00:00:00\n"
    )
    report = stage.bring(table + "info@example.com,25.12.2023 10:00\n")
    assert {stage.find(f"{each}@example.com")["weekly"].confirmed_at for each in "abc"} == {NOW}
    assert stage.find("info@example.com")["weekly"].confirmed_at == datetime(2023, 12, 25, 10, tzinfo=UTC)
    assert sorted(report.warnings.values()) == [1, 1, 1]


def test_a_dry_run_says_what_would_happen_and_writes_nothing(stage):
    stage.confirm("here@example.com")
    before = stage.everything()
    table = (
        "email,status\nanna@example.com,\nANNA@example.com,\nhere@example.com,\ngone@example.com,unsubscribed\n"
        "bad@example.com,bounced\nnonsense,\nwho@example.com,sideways\n"
    )
    dry = stage.bring(table, dry_run=True, consent="")
    with stage.store.read() as tx:
        assert tx.execute(sa.select(imports.c.id)).all() == []
    assert stage.everything() == before
    assert not (stage.folder / "readers.csv.errors.csv").exists()
    assert stage.bring(table).counts == dry.counts
    assert dry.counts == {
        "added": 1,
        "asked": 0,
        "updated": 0,
        "already": 1,
        "unsubscribed": 1,
        "suppressed": 1,
        "refused": 2,
        "duplicates": 1,
    }


def test_refused_rows_are_in_a_file_that_no_spreadsheet_runs(stage):
    stage.bring("email,name\n\"=cmd|' /C calc'!A0\",x\n@SUM(1),y\n")
    with (stage.folder / "readers.csv.errors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["line"] for row in rows] == ["2", "3"]
    assert [row["address"][0] for row in rows] == ["'", "'"]
    assert all(row["reason"] for row in rows)


def test_a_file_that_is_in_is_not_brought_in_again(stage):
    stage.bring("email\nanna@example.com\n")
    preferring.leave(stage.store, stage.find("anna@example.com")["weekly"].id, Evidence(Way.LINK), NOW)
    assert stage.bring("email\nanna@example.com\n").finished_before == NOW
    assert stage.bring("email\nanna@example.com\n", again=True).counts["unsubscribed"] == 1


def test_consent_is_asked_for_only_where_somebody_would_be_mailed(stage):
    path = stage.folder / "some.csv"
    path.write_text("email,status\na@example.com,bounced\nb@example.com,pending\n")
    assert not importing.needs_consent(stage.request(path), NOW)
    path.write_text("email,status\na@example.com,bounced\nb@example.com,\n")
    assert importing.needs_consent(stage.request(path), NOW)


def test_suppressing_by_hand_is_not_undone(stage):
    suppressing.suppress(stage.store, LINKS, Address.parse("a@example.com"), "asked", Evidence(Way.OPERATOR), NOW)
    stage.bring("email,status\na@example.com,unsubscribed\n")
    assert stage.kept_out("a@example.com") == "operator"


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_said_to_be_empty(stage, content):
    with pytest.raises(UsageError, match="is empty"):
        stage.bring(content)


def test_what_is_kept_of_an_import_names_nobody_where_the_columns_were_mixed_up(stage):
    report = stage.bring("email,status\nanna@example.com,bea@example.com\nbea@example.com,Beata Bo\n")
    assert "the status 'bea@example.com' is not one we know" in report.why
    with stage.store.read() as tx:
        kept = tx.execute(sa.select(imports.c.counts)).scalar_one()
    assert kept["why"] == {"the status '...' is not one we know": 2}


def test_an_imported_network_is_kept_as_long_as_one_that_was_seen_here(stage):
    table = "email,confirmed_at,confirmed_ip\nanna@example.com,2020-01-02,203.0.113.7\n"
    stage.bring(table)
    keep = timedelta(days=90)
    for days, network in ((1, "203.0.113.0"), (89, "203.0.113.0"), (91, "")):
        forgetting.tidy(stage.store, keep, keep, NOW + timedelta(days=days))
        assert stage.trail("anna@example.com")[-1][3] == network
