"""What goes out comes back: export, an empty database, import, and everything is as it was."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
import sqlalchemy as sa

from digest.domain.addresses import Address
from digest.domain.proofs import wording_id
from digest.domain.subscribers import Evidence, Way
from digest.store import Store, consent, exports
from digest.store.migrate import migrate
from digest.store.schema import subscriptions
from digest.subscribing import importing, preferring, suppressing
from digest.tables.writing import write_csv, write_json
from tests.importing.stage import LINKS, NOW, Stage

NAMES = {"+48": "=cmd|' /C calc'!A0", "=x": "-Ann", "'=y": "'@SUM", "anna": 'O"Hara, "Łęcka"', "-z": "＝wide", "q": ""}


@pytest.fixture
def full(stage: Stage) -> Stage:
    """Readers in every state."""
    evidence = Evidence(Way.IMPORT, "typed", form="a form", ip="203.0.113.0")
    for place, (local, name) in enumerate(NAMES.items()):
        entry = importing.Entry(Address(local, "example.com"), name)
        at = NOW - timedelta(days=place, microseconds=place)
        importing.bring_in(stage.store, LINKS, [entry], "weekly", "uk" if place % 2 else "pl", evidence, at)
    for local in ("p", "left", "blocked", "both"):
        entry = importing.Entry(Address(local, "example.com"), confirmed=local != "p")
        importing.bring_in(stage.store, LINKS, [entry], "weekly", "pl", evidence, NOW - timedelta(days=3))
    importing.bring_in(
        stage.store, LINKS, [importing.Entry(Address("both", "example.com"))], "daily", "en", evidence, NOW
    )
    for local in ("left", "both"):
        preferring.leave(stage.store, stage.find(f"{local}@example.com")["weekly"].id, Evidence(Way.LINK), NOW)
    blocked = Address("blocked", "example.com")
    suppressing.suppress(stage.store, LINKS, blocked, "asked", Evidence(Way.OPERATOR), NOW)
    with stage.store.begin() as tx:
        one = stage.find("anna@example.com")["weekly"]
        changed = {"rhythm": "monthly", "paused_until": NOW.replace(microsecond=0) + timedelta(days=20)}
        tx.execute(sa.update(subscriptions).where(subscriptions.c.id == one.id).values(changed))
    return stage


@pytest.mark.parametrize(("write", "name"), [(write_csv, "out.csv"), (write_json, "out.json")])
def test_everything_comes_back(full, write, name, tmp_path):
    out = io.StringIO()
    with full.store.read() as tx:
        number = write(out, exports.COLUMNS, exports.listed(tx))
    other = Store(f"sqlite:///{tmp_path}/other.db")
    migrate(other)
    elsewhere = Stage(other, tmp_path)
    report = elsewhere.bring(out.getvalue(), name, newsletter="", asks=True, consent="our own books")
    assert report.rows == number == len(full.everything())
    assert report.counts["refused"] == 0
    now_and_then = ("p@example.com", "weekly")  # asked anew, so asked now
    before, after = full.everything(), elsewhere.everything()
    assert after.pop(now_and_then)[1] == before.pop(now_and_then)[1] == "pending"
    assert after == before
    for who in ("anna@example.com", "left@example.com"):
        given = [each for each in full.trail(who) if each[0] == "confirmed"]
        assert [each for each in elsewhere.trail(who) if each[0] == "confirmed"] == given
    assert elsewhere.trail("anna@example.com")[-1][2:4] == ("a form", "203.0.113.0")
    other.close()


def test_no_cell_of_an_export_is_a_formula(full):
    out = io.StringIO()
    with full.store.read() as tx:
        write_csv(out, exports.COLUMNS, exports.listed(tx))
    cells = [cell for row in csv.reader(io.StringIO(out.getvalue())) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "＝")]


def test_an_export_can_be_of_one_newsletter_and_state(full):
    with full.store.read() as tx:
        assert [row[0] for row in exports.listed(tx, "daily")] == ["both@example.com"]
        assert [row[0] for row in exports.listed(tx, "weekly", "pending")] == ["p@example.com"]


def test_rows_of_other_newsletters_are_named(full, tmp_path):
    out = io.StringIO()
    with full.store.read() as tx:
        write_csv(out, exports.COLUMNS, exports.listed(tx))
    report = full.bring(out.getvalue(), newsletter="daily")
    assert report.counts["already"] == 1
    assert set(report.why) == {"of another newsletter: 'weekly'"} | (
        {*report.why} & {"they have not confirmed there; --ask asks them by mail"}
    )


WORDS = "email,newsletter,status,confirmed_at,consent_at,consent_way,consent_form,consent_wording\n"


def test_a_consent_that_comes_along_is_kept_and_no_other_is_asked_for(stage):
    given = "2024-01-02T10:00:00+00:00"
    path = stage.folder / "out.csv"
    path.write_text(f"{WORDS}anna@example.com,weekly,confirmed,{given},{given},link,/subscribe,{'ab' * 32}\n")
    assert not importing.needs_consent(stage.request(path, newsletter=""), NOW)
    stage.bring(path.read_text(), "out.csv", newsletter="", consent="")
    kind, way, form, _, at = stage.trail("anna@example.com")[-1]
    assert (kind, way, at.isoformat()) == ("confirmed", "link", given)
    assert form == f"/subscribe (words agreed to: SHA-256 {'ab' * 32})"
    path.write_text(path.read_text() + f"bob@example.com,weekly,confirmed,{given},,,,\n")
    assert importing.needs_consent(stage.request(path, newsletter=""), NOW)


def test_the_words_agreed_to_are_found_again_where_they_are(stage):
    said = Evidence(Way.FORM, wording="I agree")
    entry = importing.Entry(Address("bob", "example.com"))
    importing.bring_in(stage.store, LINKS, [entry], "weekly", "pl", said, NOW)
    given = "2024-01-02T10:00:00+00:00"
    stage.bring(f"{WORDS}anna@example.com,weekly,confirmed,{given},{given},link,x,{wording_id('I agree')}\n")
    with stage.store.read() as tx:
        trail = consent.trail(tx, stage.find("anna@example.com")["weekly"].subscriber_id)
    assert (trail[-1].evidence.wording, trail[-1].evidence.form) == ("I agree", "x")
