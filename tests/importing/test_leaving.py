"""Who left elsewhere stays out, whatever the table is called and however its columns say it."""

from __future__ import annotations

import json

import pytest

from digest.errors import UsageError
from tests.importing import samples

WHO = "anna@example.com"


@pytest.mark.parametrize(
    ("column", "cell", "kind"),
    [
        ("unsubscribed_at", "2024-01-02", "unsubscribed"),
        ("Left at", "02.01.2024 10:00", "unsubscribed"),
        ("opt-out time", "03/04/2024", "unsubscribed"),  # nobody knows which day, but that they left is plain
        ("unsubscribed", "2024-01-02 10:00:00", "unsubscribed"),
        ("unsubscribed", "1", "unsubscribed"),
        ("opted_out", "TRUE", "unsubscribed"),
        ("subscribed", "0", "unsubscribed"),
        ("active", "no", "unsubscribed"),
        ("bounced_at", "2024-01-02", "bounced"),
        ("cleaned_at", "yes", "bounced"),
        ("bounced", "1", "bounced"),
        ("complained_at", "1700000000", "complained"),
        ("complained", "true", "complained"),
        ("blocked", "1", "operator"),
    ],
)
def test_a_column_that_says_so_keeps_them_out(stage, column, cell, kind):
    table = f"email,name,{column}\n{WHO},Anna,{cell}\n"
    dry = stage.bring(table, dry_run=True)
    outcome = "unsubscribed" if kind == "unsubscribed" else "suppressed"
    assert (dry.counts[outcome], dry.counts["added"]) == (1, 0)
    assert stage.bring(table).counts == dry.counts
    assert (stage.states(), stage.kept_out(WHO)) == ({}, kind)


@pytest.mark.parametrize("cell", ["", "0000-00-00 00:00:00", "NULL", "0", "false"])
def test_a_date_that_is_not_set_keeps_nobody_out(stage, cell):
    assert stage.bring(f"email,unsubscribed_at\n{WHO},{cell}\n").counts["added"] == 1


@pytest.mark.parametrize(
    ("column", "cell", "outcome"),
    [
        *(("subscribed", "yes", "added"), ("active", "1", "added"), ("opt_in", "true", "added")),
        *(("opted_out", "0", "added"), ("bounced", "", "added"), ("confirmed", "2024-01-02", "added")),
        *(("confirmed", "0", "refused"), ("opt_in", "0", "refused"), ("subscribed", "", "refused")),
        *(("subscribed", "maybe", "refused"), ("status", "1", "refused")),
    ],
)
def test_a_yes_or_no_is_understood_or_refused(stage, column, cell, outcome):
    assert stage.bring(f"email,name,{column}\n{WHO},Anna,{cell}\n").counts[outcome] == 1


@pytest.mark.parametrize(("confirmed_at", "outcome"), [("2024-01-03", "added"), ("2024-01-01", "unsubscribed")])
def test_who_confirmed_after_they_had_left_is_a_reader(stage, confirmed_at, outcome):
    table = f"email,unsubscribed_at,confirmed_at\n{WHO},2024-01-02,{confirmed_at}\n"
    assert stage.bring(table).counts[outcome] == 1


def test_a_complaint_holds_whatever_was_confirmed_later(stage):
    stage.bring(f"email,complained_at,confirmed_at\n{WHO},2024-01-02,2025-01-01\n")
    assert stage.kept_out(WHO) == "complained"


@pytest.mark.parametrize("column", ["newsletter", "Globaler Status", "gdpr_ok", "cancelled_at", "inactive"])
def test_what_may_speak_of_consent_is_asked_about(stage, column):
    table = f"email,name,{column}\n{WHO},Anna,1\n"
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=f"column '{column}' may say .* or --ignore '{column}'"):
            stage.bring(table, dry_run=dry_run)
    report = stage.bring(table, ignored=(column,), dry_run=True)
    assert report.counts["added"] == 1
    assert report.tables["readers.csv"]["unused"] == [column]
    assert stage.bring(table, given={"subscribed": column}, dry_run=True).counts["added"] == 1
    assert stage.bring(table, given={"opted_out": column}, dry_run=True).counts["unsubscribed"] == 1
    assert stage.bring(table, given={"unsubscribed_at": column}, dry_run=True).counts["unsubscribed"] == 1
    assert stage.bring(table, given={"status": column}, dry_run=True).counts["refused"] == 1


def test_only_a_column_that_is_there_can_be_ignored(stage):
    with pytest.raises(UsageError, match="--ignore stauts: there is no such column"):
        stage.bring(f"email,status\n{WHO},\n", ignored=("stauts",))


def test_a_flag_given_as_the_status_is_not_turned_round(stage):
    table = f"email,opted_out\n{WHO},1\nbob@example.com,0\n"
    stage.bring(table, given={"status": "opted_out"})
    assert (stage.states(), stage.kept_out(WHO)) == ({"bob@example.com": "confirmed"}, "unsubscribed")


def test_naming_the_status_hides_no_other_column(stage):
    stage.bring(f"email,group,unsubscribed_at\n{WHO},active,2024-01-02\n", given={"status": "group"})
    assert stage.kept_out(WHO) == "unsubscribed"


def test_a_column_named_for_two_things_still_says_who_left(stage):
    stage.bring(f"email,bye\n{WHO},2024-01-02\n", given={"unsubscribed_at": "bye", "requested_at": "bye"})
    assert stage.kept_out(WHO) == "unsubscribed"


@pytest.mark.parametrize("field", ["left_at", "unsubscribed_at"])
def test_when_they_left_can_be_named(stage, field):
    stage.bring(f"email,bye\n{WHO},2024-01-02\n", given={field: "bye"})
    assert stage.kept_out(WHO) == "unsubscribed"


def test_the_tables_of_a_zip_are_told_one_by_one_and_their_names_count(stage):
    files = {
        "subscribed_a.csv": samples.MAILCHIMP["subscribed_members_export_abc.csv"],
        "unsubscribed_a.csv": f"Email Address,Town\n{WHO.replace('anna', 'gone')},Gdynia\n",
        "cleaned_a.csv": "Email Address\nbad@example.com\n",
    }
    report = stage.bring(samples.zipped(files), "export.zip")
    assert [(name, each["shape"]) for name, each in report.tables.items()] == [
        *(("subscribed_a.csv", "Mailchimp"), ("unsubscribed_a.csv", "a table"), ("cleaned_a.csv", "a table")),
    ]
    assert report.tables["unsubscribed_a.csv"]["unused"] == ["Town"]
    assert (stage.kept_out("gone@example.com"), stage.kept_out("bad@example.com")) == ("unsubscribed", "bounced")
    assert stage.states().keys() == {"anna@example.com", "bob@example.com"}


def test_a_name_that_only_a_later_object_has_is_seen(stage):
    lines = [{"email": "bob@example.com"}, {"email": WHO, "unsubscribed_at": "2024-01-02"}]
    for number, text in enumerate((json.dumps(lines), "\n".join(map(json.dumps, lines)), json.dumps(lines, indent=1))):
        stage.bring(text, f"{number}.json")
        assert (stage.states(), stage.kept_out(WHO)) == ({"bob@example.com": "confirmed"}, "unsubscribed")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_line_of_json_costs_itself_only(stage, place):
    lines = [json.dumps({"email": f"{name}@example.com", "name": name}) for name in ("anna", "bob")]
    lines.insert(place, '{"email": "carol@example.com", "name": }')
    report = stage.bring("\n".join(lines), "readers.ndjson")
    assert stage.states().keys() == {"anna@example.com", "bob@example.com"}
    assert [(line, why) for line, _, why, _ in report.first_refused] == [(place + 1, "this line is no JSON object")]


@pytest.mark.parametrize("column", ["consent_date", "Confirmed on", "double_opt_in_date", "opt-in date", "date joined"])
def test_the_day_of_a_consent_is_no_riddle(stage, column):
    report = stage.bring(f"email,{column},bounce_count\n{WHO},2024-01-02,3\n")
    assert report.counts["added"] == 1
    assert set(report.columns.values()) >= {column}
