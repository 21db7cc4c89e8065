"""Files that are broken, or meant to break us: every line comes in or is named, and nothing is lost beside it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.cells import guarded, name_in, plain
from digest.domain.dates import UnclearDate, moment_in
from digest.errors import UsageError
from digest.tables.files import tables_of
from digest.tables.rows import Rows

GOOD = "email,name\nanna@example.com,Anna\n"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ('"bob@example.com,Bob\n', "a quote is opened here and not closed"),
        ('bob@example.com,"Bob\n', None),  # taken as it stands, without the quote
        ('bob@example.com,Bob "the 2nd\n', None),
        ("bob@example.com,Bob,and,more\n", "there are 4 cells where the header has 2"),
        ("bob@exa\x00mple.com,Bob\n", "it holds a character that cannot be in an address"),
        (f"bob@example.com,{'B' * 10_000_000}\n", "the line is longer than 65,536 characters"),
        (f"bob@example.com{',' * 10_000}\n", None),
        ("bob@example.com,Bob\x00\x1b[2J\n", None),
    ],
)
def test_a_bad_line_costs_itself_only(stage, bad, why):
    report = stage.bring(f"{GOOD}{bad}carol@example.com,Carol\rdave@example.com,Dave\r\nerin@example.com,Erin")
    taken = {f"{name}@example.com" for name in ("anna", "carol", "dave", "erin")}
    assert stage.states().keys() == (taken if why else taken | {"bob@example.com"})
    assert report.first_refused == ([[3, report.first_refused[0][1], why, "readers.csv"]] if why else [])
    assert report.rows == 5


def test_names_lose_what_cannot_be_seen(stage):
    stage.bring('email,name\nbob@example.com,"Bob\x00\x1b\n  the\u2028 2nd"\n')
    assert stage.find("bob@example.com")["weekly"].name == "Bob the 2nd"


def test_two_stray_quotes_do_not_swallow_the_readers_between_them(stage):
    table = 'email,name\n"a@example.com,A\nb@example.com,B\nc@example.com,C\n"d@example.com,D\ne@example.com,E\n'
    stage.bring(table)
    assert stage.states().keys() == {f"{name}@example.com" for name in "bce"}


def test_notes_may_hold_lines_and_commas(stage):
    table = 'email,note,name\na@example.com,"first, line\n\nthird ""line""\n",A\nb@example.com,,B\n'
    assert stage.bring(table).counts["added"] == 2
    assert stage.find("a@example.com")["weekly"].name == "A"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("email" + ",x" * 10_000 + "\na@example.com\n", "columns; that is no list of readers"),
        ("name,town\nAnna,Gdynia\n", "no column with addresses"),
        (b"PK\x03\x04 not a zip", "this is no list of readers; it begins with 'PK not a zip'"),
        (b"\x7fELF\x02\x01\x00\xff\xfe\x90", "this is no list of readers; it begins with 'ELF'"),
        ("[1, 2", "readers.csv: this is no JSON"),
    ],
)
def test_what_is_no_list_is_said_to_be_none(stage, content, said):
    with pytest.raises(UsageError, match=said):
        stage.bring(content)


def test_lines_that_are_not_utf_8_are_read_as_windows_1250(stage):
    stage.bring(GOOD.encode() + "zofia@example.com,Łęcka\n".encode("cp1250") + "olha@example.com,Ольга\n".encode())
    names = {each: stage.find(f"{each}@example.com")["weekly"].name for each in ("zofia", "olha")}
    assert names == {"zofia": "Łęcka", "olha": "Ольга"}


@given(st.text(max_size=60))
def test_a_guarded_cell_comes_back_as_it_was(cell):
    assert plain(guarded(cell)) == cell
    assert guarded(cell)[:1] not in ("=", "+", "-", "@", "\t", "\r")


@given(st.text(max_size=40))
def test_names_and_dates_of_any_kind_are_no_error(cell):
    assert "\n" not in name_in(cell)
    try:
        moment = moment_in(cell)
    except UnclearDate:
        return
    assert moment is None or moment.tzinfo is not None


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_table_or_no_table(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_bytes(content)
    try:
        for table in tables_of(path):
            table.expect(0, escapes=False)
            for row in table:
                assert row.problem or len(row.cells) >= len(table.header)
    except UsageError:
        pass


CELLS = st.text(st.characters(codec="utf-8", exclude_characters='\r\n\x00"'), max_size=12)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=8), st.sampled_from(",;\t|"))
def test_what_a_csv_writer_writes_is_read_as_it_was(rows, delimiter):
    import csv

    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    reader = Rows(io.StringIO(out.getvalue(), newline=None).readline, delimiter)
    reader.width = 3
    assert [row.cells for row in reader] == [row for row in rows if any(cell.strip() for cell in row)]


@given(st.lists(st.sampled_from(['"', "a@b.example", ",", "\n", "x", '""']), max_size=40))
def test_no_line_is_lost_between_quotes(parts):
    text = "".join(parts)
    reader = Rows(io.StringIO(text).readline, ",")
    reader.width = 2
    rows = list(reader)
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    seen = "".join(cell for row in rows for cell in row.cells)
    assert seen.count("x") == sum(line.count("x") for line in text.split("\n"))
