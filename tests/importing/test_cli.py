"""`digest subscribers import` and `export` as they are typed."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.process import environment
from tests.importing import samples
from tests.importing.test_kill import CONFIG


class Operator:
    """Types commands in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config.toml").write_text(CONFIG.format(url="sqlite:///digest.db"))
        self("migrate")

    def __call__(self, *words: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "digest", *words]
        done = subprocess.run(command, cwd=self.folder, env=environment(), capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """An empty installation."""
    return Operator(tmp_path)


def test_from_a_first_look_to_another_house(operator, tmp_path):
    (tmp_path / "export.zip").write_bytes(samples.zipped(samples.MAILCHIMP))
    said = operator("subscribers", "import", "export.zip", "--dry-run")
    assert "Mailchimp" in said
    assert "Columns not used: " in said
    assert "nothing was written" in said
    assert "--consent-from" in operator("subscribers", "import", "export.zip", status=2)
    report = json.loads(operator("subscribers", "import", "export.zip", "--consent-from", "old form", "--json"))
    assert (report["rows"], report["added"], report["unsubscribed"], report["suppressed"], report["refused"]) == (
        *(5, 2, 1),
        *(1, 1),
    )
    assert "is in already" in operator("subscribers", "import", "export.zip", "--consent-from", "old form")
    operator("subscribers", "export", "--out", "out.csv")
    assert (tmp_path / "out.csv").stat().st_mode & 0o077 == 0
    assert operator("subscribers", "export", "--format", "csv") == (tmp_path / "out.csv").read_text()
    shown = json.loads(operator("subscribers", "export", "--format", "json", "--state", "confirmed"))
    assert [(each["email"], each["consent_form"]) for each in shown] == [
        ("anna@example.com", "old form"),
        ("bob@example.com", "old form"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("import", "nothing.csv"), "cannot be read"),
        (("import", ".", "--dry-run"), "cannot be read"),
        (("import", "some.csv", "--map", "email"), "field=column"),
        (("import", "some.csv", "--map", "mail=email"), "there is no such field"),
        (("import", "some.csv", "--map", "blocked=a", "--map", "blocked=b"), "is said twice"),
        (("import", "some.csv", "--ignore", "stauts", "--dry-run"), "--ignore stauts: there is no such column"),
        (("import", "some.csv", "--encoding", "klingon"), "no such encoding"),
        (("import", "some.csv", "some.csv", "--errors", "e.csv"), "one file at a time"),
        (("list", "--newsletter", "foo"), "there is no newsletter 'foo'"),
        (("export", "--format", "xlsx"), "csv and json"),
        (("export", "--state", "sideways"), "there is no state"),
        (("export", "--out", "no/such/folder.csv"), "cannot be written"),
    ],
)
def test_a_mistake_is_one_line(operator, tmp_path, words, said):
    (tmp_path / "some.csv").write_text("email\nanna@example.com\n")
    error = operator("subscribers", *words, status=2)
    assert said in error
    assert "Traceback" not in error


def test_what_steers_a_terminal_is_shown_and_not_obeyed(operator, tmp_path):
    name = "Anna \x1b[2J\u009b31m\u202eBob"
    with sqlite3.connect(tmp_path / "digest.db") as database:
        (tmp_path / "readers.csv").write_text("email\nanna@example.com\n")
        operator("subscribers", "import", "readers.csv", "--consent-from", "old form")
        database.execute("UPDATE subscribers SET name = ?", (name,))  # as an older version, or a form, took it in
    for words in (("list",), ("list", "--json"), ("show", "anna@example.com"), ("show", "anna@example.com", "--json")):
        said = operator("subscribers", *words)
        assert not re.search("[\x1b\u009b\u202e]", said), words
    assert json.loads(operator("subscribers", "list", "--json"))[0]["name"] == name


def test_a_file_with_addresses_is_closed_to_others_even_if_it_was_there_before(operator, tmp_path):
    (tmp_path / "readers.csv").write_text("email\nanna@example.com\nnonsense\n")
    commands = {
        "errors.csv": ("subscribers", "import", "readers.csv", "--consent-from", "x", "--errors"),
        "out.csv": ("subscribers", "export", "--out"),
        "kept.csv": ("suppressions", "export", "--out"),
        "proof.json": ("subscribers", "proof", "anna@example.com", "--out"),
    }
    for file, words in commands.items():
        (tmp_path / file).touch(0o644)
        operator(*words, file)
        assert (tmp_path / file).stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_the_file_that_is_read_is_not_taken_for_the_refused_rows(operator, tmp_path, more):
    file = tmp_path / "readers.csv"
    file.write_text("email\nanna@example.com\nnonsense\n")
    words = ("subscribers", "import", "readers.csv", "--consent-from", "x", "--errors", "./readers.csv")
    assert "name another one" in operator(*words, *more, status=2)
    assert file.read_text() == "email\nanna@example.com\nnonsense\n"


def test_what_is_refused_is_named_with_the_file_inside(operator, tmp_path):
    (tmp_path / "export.zip").write_bytes(samples.zipped({"a.csv": "email\nanna@\n", "b.csv": "email\nbob@\n"}))
    command = [sys.executable, "-m", "digest", "subscribers", "import", "export.zip", "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert "a.csv, line 2: anna@" in done.stdout + done.stderr
    report = json.loads(operator("subscribers", "import", "export.zip", "--dry-run", "--json"))
    assert [(each["table"], each["line"]) for each in report["errors"]] == [("a.csv", 2), ("b.csv", 2)]


def test_the_asked_are_no_readers_yet(operator, tmp_path):
    (tmp_path / "some.csv").write_text("email,status\nanna@example.com,pending\nbob@example.com,\n")
    report = json.loads(operator("subscribers", "import", "some.csv", "--ask", "--consent-from", "old form", "--json"))
    assert (report["added"], report["asked"], report["rows"]) == (1, 1, 2)


def test_who_is_suppressed_is_not_added_and_it_says_why(operator):
    operator("suppressions", "add", "anna@example.com", "--reason", "asked by letter")
    operator("suppressions", "add", "example.org", "--reason", "a trap")
    said = operator("subscribers", "add", "anna@example.com", status=1)
    assert "operator: asked by letter" in " ".join(said.split())
    assert "digest suppressions lift anna@example.com" in " ".join(said.split())
    assert "digest suppressions lift example.org" in " ".join(
        operator("subscribers", "add", "bob@example.org", status=1).split()
    )


def test_hashes_of_another_secret_are_one_line_with_the_remedy(operator, tmp_path):
    foreign = [f",{number:064x},left,0123456789abcdef\n" for number in range(30)]
    (tmp_path / "kept.csv").write_text("email,hash,reason,secret\n" + "".join(foreign))
    said = " ".join(operator("suppressions", "import", "kept.csv", status=1).split())
    assert said.count("another [web] secret") == 1
    assert "30 hashes were" in said
    assert "Move digest.secret" in said
    (tmp_path / "kept.csv").write_text("email,hash,reason,secret\nanna@example.com,,left,\n" + "".join(foreign))
    assert "1 suppressed" in operator("suppressions", "import", "kept.csv")
