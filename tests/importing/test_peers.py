"""Lists from other programs come in with their statuses, dates and networks; who left there stays out here."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from digest.domain.plans import recognise
from digest.errors import UsageError
from tests.importing import samples

CONFIRMED_AT = datetime(2024, 3, 1, 10, 5, tzinfo=UTC)
CREATED_AT = datetime(2024, 3, 1, 10, tzinfo=UTC)
FORM = "the form on our old site"


def test_mailpoet(stage):
    report = stage.bring(samples.MAILPOET)
    assert report.shape == "MailPoet"
    assert stage.states() == dict.fromkeys(("anna@example.com", "sleepy@example.com", "+48@example.com"), "confirmed")
    anna = stage.find("anna@example.com")["weekly"]
    assert (anna.name, anna.requested_at, anna.confirmed_at) == ('Anna O"Hara', CREATED_AT, CONFIRMED_AT)
    assert stage.trail("anna@example.com") == [
        ("requested", "import", FORM, "203.0.113.0", CREATED_AT),
        ("confirmed", "import", FORM, "203.0.113.0", CONFIRMED_AT),
    ]
    assert stage.find("+48@example.com")["weekly"].name == "-Ann"
    assert [stage.kept_out(f"{each}@example.com") for each in ("gone", "gone-all", "bad", "waiting", "nolist")] == [
        *("", "unsubscribed", "bounced"),
        *("", ""),
    ]
    counts = {name: number for name, number in report.counts.items() if number}
    assert counts == {"added": 3, "unsubscribed": 2, "suppressed": 1, "refused": 2}


def test_mailpoet_one_list_of_several(stage):
    more = samples.MAILPOET + '"daily@example.com","","","","","","","subscribed","subscribed","Daily"\n'
    stage.bring(more, only_list="daily")
    assert stage.states() == {"daily@example.com": "confirmed"}


def test_mailchimp_zipped(stage):
    report = stage.bring(samples.zipped(samples.MAILCHIMP), "export.zip")
    assert report.shape == "Mailchimp"
    assert stage.states() == {"anna@example.com": "confirmed", "bob@example.com": "confirmed"}
    anna = stage.find("anna@example.com")["weekly"]
    assert (anna.name, anna.requested_at, anna.confirmed_at) == ("Anna Nowak", CREATED_AT, CONFIRMED_AT)
    assert stage.find("bob@example.com")["weekly"].confirmed_at == datetime(2018, 2, 5, 19, 28, 22, tzinfo=UTC)
    assert [stage.kept_out(f"{each}@example.com") for each in ("gone", "bad", "shopper")] == [
        *("unsubscribed", "bounced", "")
    ]
    assert report.why == {"they never asked for mail there": 1}


@pytest.mark.parametrize(("name", "content"), samples.MAILCHIMP.items(), ids=lambda each: each[:12])
def test_mailchimp_file_by_file(stage, name, content):
    report = stage.bring(content, name)
    outcome = {"subs": "added", "unsu": "unsubscribed", "clea": "suppressed", "nons": "refused"}[name[:4]]
    assert report.counts[outcome] == report.rows > 0


def test_listmonk(stage):
    report = stage.bring(samples.LISTMONK)
    assert report.shape == "listmonk"
    assert any("confirmed" in note for note in report.notes)
    assert stage.find("anna@example.com")["weekly"].confirmed_at == CREATED_AT
    assert [stage.kept_out(f"{each}@example.com") for each in ("off", "black")] == ["operator", "operator"]


def test_ghost(stage):
    report = stage.bring(samples.GHOST)
    assert report.shape == "Ghost"
    assert stage.states() == {"anna@example.com": "confirmed"}
    assert stage.find("anna@example.com")["weekly"].confirmed_at == CREATED_AT
    assert [stage.kept_out(f"{each}@example.com") for each in ("gone", "left")] == ["unsubscribed", "unsubscribed"]


@pytest.mark.parametrize("is_zipped", [False, True])
def test_substack(stage, is_zipped):
    if is_zipped:
        files = {"posts.csv": "post_id,title\n1,Hello\n", "email_list.recap.csv": samples.SUBSTACK}
        report = stage.bring(samples.zipped(files), "substack.zip")
    else:
        report = stage.bring(samples.SUBSTACK)
    assert report.shape == "Substack"
    assert stage.states() == {"anna@example.com": "confirmed", "paid@example.com": "confirmed"}
    assert stage.kept_out("gone@example.com") == "unsubscribed"


def test_buttondown(stage):
    report = stage.bring(samples.BUTTONDOWN)
    assert report.shape == "Buttondown"
    assert stage.states() == {"anna@example.com": "confirmed", "rich@example.com": "confirmed"}
    assert [stage.kept_out(f"{each}@example.com") for each in ("gone", "angry", "bad", "waiting")] == [
        *("unsubscribed", "complained", "bounced", "")
    ]
    assert stage.trail("anna@example.com")[0][3] == "203.0.113.0"
    assert report.why == {"they have not confirmed there; --ask asks them by mail": 1}


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Adres e-mail;Imię;Nazwisko\nzofia@example.com;Zofia;Łęcka\n", "utf-8"),
        ("Adres e-mail;Imię;Nazwisko\nzofia@example.com;Zofia;Łęcka\n", "cp1250"),
        ("Adres e-mail;Imię;Nazwisko\nzofia@example.com;Zofia;Łęcka\n", "utf-16"),
        ("Adres e-mail\tImię\tNazwisko\r\nzofia@example.com\tZofia\tŁęcka\r\n", "utf-16-le"),
        ("sep=;\r\n E-MAIL ;Imię;Nazwisko\r\nzofia@example.com;Zofia;Łęcka", "utf-8-sig"),
        ("Электрон,ім'я,прізвище,пошта\nx,Zofia,Łęcka,zofia@example.com\r", "utf-8"),
    ],
)
def test_any_table_with_addresses(stage, content, encoding):
    stage.bring(content.encode(encoding))
    assert stage.find("zofia@example.com")["weekly"].name == "Zofia Łęcka"


def test_a_bare_list_of_addresses(stage):
    assert stage.bring("anna@example.com\nbob@example.com\n").counts["added"] == 2


def test_a_column_can_be_named(stage):
    stage.bring("Kto,Komu\nAnna,anna@example.com\n", given={"email": "komu", "name": "Kto"})
    assert stage.find("anna@example.com")["weekly"].name == "Anna"
    with pytest.raises(UsageError, match="no such column"):
        stage.bring("Kto,Komu\nAnna,anna@example.com\n", given={"email": "mail"})
    with pytest.raises(UsageError, match="--map email=COLUMN"):
        recognise(["Kto", "Komu"])
