"""What the commands say to an operator: what is wrong, where, and what to do; and nothing twice."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import timedelta

import pytest

from digest.cli.printing import fitted, span
from digest.cli.suppressed import who, why
from digest.config.reading import read_config
from digest.errors import ConfigurationError
from tests.servers.smtpd import RecordingServer
from tests.test_commands import Operator


@pytest.fixture
def operator(tmp_path):
    with RecordingServer() as smtpd:
        yield Operator(tmp_path, smtpd.port)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(minutes=5), "5 minutes"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(hours=1, minutes=30), "1 hour 30 minutes"),
        (timedelta(days=2, hours=3, minutes=9), "2 days 3 hours"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_a_length_of_time_is_said_as_people_say_it(length, words):
    assert span(length) == words


# --- init and config check ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--site-url", "news"), "--site-url: write a full web address"),
        (("--from", "nobody"), "--from: it should look like name@example.com"),
        (("--timezone", "Warsaw"), "--timezone: write the name of a time zone"),
        (("--base-url", "recap"), "--base-url: write a full web address"),
        (("--site-name", ""), "--site-name: it must not be empty"),
        (("--language", "xx"), "write one of: en, pl, uk"),
        (("--site-name", 'The "Post"'), "leave that out here"),
    ],
)
def test_a_wrong_answer_to_init_is_named_by_its_option(operator, words, said):
    assert said in operator.run("init", *words, status=2)
    assert list(operator.folder.glob("config.toml*")) == []


def test_init_says_where_it_cannot_write(operator):
    (operator.folder / "file").write_text("")
    said = operator.run("init", "--config", "file/config.toml", status=2)
    assert "nothing can be written into" in said and "--config" in said and "Traceback" not in said


def test_init_and_migrate_say_which_setting_names_a_database_that_is_not_there(operator):
    operator.run("init")
    config = operator.folder / "config.toml"
    config.write_text(config.read_text().replace("sqlite:///digest.db", "sqlite:///nowhere/digest.db"))
    for command in ("init", "migrate"):
        said = operator.run(command, status=1)
        assert "look at [database] url in config.toml, then run `digest migrate`" in said


def test_init_leaves_what_is_there_and_says_so(operator):
    operator.run("init")
    before = (operator.folder / "config.toml").read_text()
    said = operator.run("init", "--site-name", "Another")
    assert "stays as it is; options of this command change nothing in it" in said
    assert (operator.folder / "config.toml").read_text() == before


def test_config_check_names_what_is_left_to_do_and_where(operator):
    operator.run("init", "--site-url", "https://post.example.org")
    said = operator.run("config", "check")
    assert "config.toml has no mistakes: 1 newsletter, 0 sources." in said
    assert "[web] base_url, [mail] from: example.com still stands there; write your own" in said
    assert "there is no [[sources]] section" in said and "Before you go live" in said
    assert "config.toml has no [[sources]] section yet" in operator.run("collect", "--check", status=2)


GOOD = """
[site]
name = "Post"
url = "https://news.example.com"
[web]
base_url = "https://recap.example.com"
secret = "a secret of at least thirty-two characters"
[mail]
from = "recap@example.com"
[newsletters.weekly]
title = "Weekly"
"""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("catch_up = 12", 'newsletters.weekly.catch_up: write a number and a unit in quotes: "30s", "15m"'),
        ('schedule = "satday"', "'satday' is not a schedule; write"),
        ('[newsletters."Weekly News"]\ntitle = "x"', "newsletters.Weekly News: such a name is made of small letters"),
        ('[[sources]]\nname = "site"\nkind = "feed"\nurl = "x"', "sources.site.url: write a full web address"),
        ('[[sources]]\nkind = "feed"\nurl = "https://x.example"', "the first [[sources]]: name: it is missing; add it"),
        ('[smtp]\npassword_file = "no"', "smtp.password_file: the file"),
    ],
)
def test_a_mistake_says_what_is_wrong_where_and_what_to_do(tmp_path, more, said):
    path = tmp_path / "config.toml"
    path.write_text(GOOD + more)
    with pytest.raises(ConfigurationError) as caught:
        read_config(path, {})
    assert said in str(caught.value)
    assert "[key]" not in str(caught.value) and "satday" not in str(caught.value).partition("satday'")[2]


def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    for path, said in ((tmp_path, "name the file itself with --config"), (tmp_path / "latin.toml", "save it again")):
        with pytest.raises(ConfigurationError, match=said):
            read_config(path, {})


# --- suppressions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "short", "sentence"),
    [
        ("the operator", "operator", "by the operator: asked"),
        ("the reader", "reader", "by the reader: operator, asked"),
        ("an import", "import", "by an import: operator, asked"),
        ("gmail.com", "provider's report", "by a report of gmail.com: operator, asked"),
        ("mail server", "mail server", "by the mail server: operator, asked"),
        ("", "report", "by a report: operator, asked"),
    ],
)
def test_it_is_clear_who_suppressed(by, short, sentence):
    assert (who(by), why("operator", by, "asked")) == (short, sentence)


def test_a_person_is_told_of_without_saying_a_thing_twice(operator):
    operator.run("init")
    operator.run("subscribers", "add", "anna@example.com", "--confirmed", "--consent-from", "fair")
    operator.run("subscribers", "suppress", "anna@example.com")
    lines = operator.run("subscribers", "show", "anna@example.com").splitlines()
    assert [line for line in lines if line.count("operator") > 1 or "  by" in line.strip()] == []
    assert any(line.endswith("by the operator: no reason given") for line in lines)


def test_the_list_of_suppressions_fits_a_narrow_terminal_and_can_be_seen_whole(operator):
    operator.run("init")
    reason = "they wrote us a long letter about it, and then another one"
    operator.run("suppressions", "add", "somebody.with.a.long.name@departments.example.org", "--reason", reason)
    operator.run("suppressions", "add", "a-domain-with-a-long-name.example", "--reason", reason)
    listed = on_terminal(operator, "suppressions", "list").splitlines()
    table = listed[: next(at for at, line in enumerate(listed) if line.startswith("Fingerprints"))]
    assert len([line for line in table if line.strip()]) == 4  # a head, a rule, and two that do not wrap
    assert max(map(len, table)) <= 80
    (fingerprint,) = [each["hash"] for each in operator.json("suppressions", "list") if each["hash"]]
    assert fingerprint[:12] + "…" in operator.run("suppressions", "list")
    whole = operator.run("suppressions", "list", "--whole")
    assert fingerprint in whole and reason in whole


def on_terminal(operator: Operator, *words: str) -> str:
    """What a terminal of 80 characters shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "digest", *words]
    environ = operator.environ | {"COLUMNS": "80", "TERM": "dumb"}
    done = subprocess.run(command, cwd=operator.folder, env=environ, stdout=theirs, timeout=60)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # all was read: the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert done.returncode == 0
    return shown.decode().replace("\r\n", "\n")


def test_wide_letters_count_as_wide_and_what_has_room_is_not_cut():
    rows = [["日本語のとても長い理由", "x"], ["short", "y"]]
    assert fitted(("a", "b"), rows, ("a",), 14) == [["日本語の…", "x"], ["short", "y"]]
    assert fitted(("a", "b"), rows, ("a",), 80) == rows
