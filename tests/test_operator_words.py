"""What the commands say to an operator: what is wrong, where, and what to do; and nothing twice."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import timedelta

import pytest

from digest.cli import COMMANDS
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
    assert "[web] trusted_proxies is empty" in said
    assert "config.toml has no [[sources]] section yet" in operator.run("collect", "--check", status=2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"WEB__BASE_URL": "http://127.0.0.1:8080"}, "[web] base_url is http://127.0.0.1:8080; only this machine can"),
        ({"WEB__BASE_URL": "http://recap.example.org"}, "[web] base_url has no https"),
        ({"MAIL__BOUNCE_ADDRESS": "b@example.com"}, "[mail] bounce_address: example.com still stands there"),
        ({"MAIL__CONFIRMATION_FROM": "b@example.com"}, "[mail] confirmation_from: example.com still stands there"),
        ({"MAIL__UNSUBSCRIBE_ADDRESS": "b@example.com"}, "[mail] unsubscribe_address: example.com still stands there"),
        ({"BOUNCES__INBOX": "maildir", "BOUNCES__PATH": "nowhere"}, "[bounces] path: there is no Maildir"),
    ],
)
def test_config_check_names_what_would_fail_only_once_it_is_live(operator, values, said):
    operator.run("init", "--site-url", "https://post.example.org", "--base-url", "https://recap.example.org")
    config = operator.folder / "config.toml"
    config.write_text(config.read_text().replace("recap@example.com", "recap@post.example.org"))
    before = operator.run("config", "check")
    operator.environ |= {f"DIGEST_{name}": value for name, value in values.items()}
    assert said not in before and said in operator.run("config", "check")


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
    operator.run("subscribers", "suppress", "anna@example.com", "--reason", "wrote to us")
    lines = operator.run("subscribers", "show", "anna@example.com").splitlines()
    assert [line for line in lines if line.count("operator") > 1 or "  by" in line.strip()] == []
    assert any(line.endswith("by the operator: wrote to us") for line in lines)


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


@pytest.mark.parametrize("group", ["", *(name for name, (_, is_group) in COMMANDS.items() if is_group)])
def test_a_list_of_commands_is_not_cut_on_a_terminal_of_eighty_characters(operator, group):
    operator.environ["COLUMNS"] = "80"
    lines = operator.run(*filter(None, [group]), "--help").partition("Commands:")[2].splitlines()
    assert len(lines) > 2 and [line for line in lines if line.endswith("...") or len(line) > 80] == []


def test_a_list_with_nothing_in_it_says_so(operator):
    operator.run("init")
    assert operator.run("subscribers", "list").strip() == "There are no readers yet."
    assert operator.run("subscribers", "list", "--state", "pending").strip() == "Nobody is pending."
    assert operator.run("bounces", "list").strip() == "Nothing came back in the last 30 days."
    assert operator.run("edition", "list").strip() == "No edition yet: run `digest edition draft`."
    assert operator.run("suppressions", "list").strip() == "Nobody is suppressed."


def test_the_list_of_readers_says_since_when_and_who_is_suppressed(operator):
    operator.run("init")
    operator.run("subscribers", "add", "anna@example.com", "--confirmed", "--consent-from", "fair")
    operator.run("subscribers", "add", "bob@example.com", "--confirmed", "--consent-from", "fair")
    operator.run("subscribers", "suppress", "bob@example.com", "--reason", "wrote to us")
    anna, bob = operator.run("subscribers", "list").splitlines()[-3:-1]
    assert "confirmed, suppressed" in bob and "suppressed" not in anna
    assert [each["is_suppressed"] for each in operator.json("subscribers", "list")] == [False, True]


def test_who_leaves_twice_by_the_operator_had_left_already(operator):
    operator.run("init")
    operator.run("subscribers", "add", "anna@example.com", "--confirmed", "--consent-from", "fair")
    words = ("subscribers", "unsubscribe", "anna@example.com")
    assert operator.run(*words).strip() == "anna@example.com no longer gets The Weekly Recap."
    assert operator.run(*words).strip() == "anna@example.com had left The Weekly Recap already."


@pytest.mark.parametrize("words", [("suppressions", "add"), ("suppressions", "lift")])
def test_suppressing_and_lifting_want_a_reason(operator, words):
    operator.run("init")
    assert "--reason" in operator.run(*words, "anna@example.com", status=2)
    assert "cannot be empty" in operator.run(*words, "anna@example.com", "--reason", " ", status=2)


def test_a_domain_that_would_silence_many_is_asked_about_first(operator):
    operator.run("init")
    rows = [f"reader{n}@town.example" for n in range(120)]
    (operator.folder / "town.csv").write_text("\n".join(["email", *rows]))
    operator.run("subscribers", "import", "town.csv", "--consent-from", "fair")
    operator.run("subscribers", "add", "anna@village.example", "--confirmed", "--consent-from", "fair")
    for domain, said_of in (
        ("gmail.com", "a large provider"),
        ("town.example", "120 readers of 121 would get no more mail"),
    ):
        said = operator.run("suppressions", "add", domain, "--reason", "a slip", status=2)
        assert said_of in said and "--yes" in said
    operator.run("suppressions", "add", "village.example", "--reason", "a trap")
    said = operator.run("suppressions", "add", "town.example", "--reason", "meant", "--yes")
    assert said.strip() == "All of town.example is suppressed; 120 readers there get no mail now."


def test_the_numbers_of_several_newsletters_stand_one_after_the_other(operator):
    operator.run("init")
    config = operator.folder / "config.toml"
    config.write_text(config.read_text() + '\n[newsletters.daily]\ntitle = "The Daily"\nschedule = "daily 06:00"\n')
    said = operator.run("subscribers", "stats")
    assert "The Weekly Recap" in said and "The Daily" in said
    assert "The Weekly Recap" not in operator.run("subscribers", "stats", "--newsletter", "daily")
    assert {each["newsletter"] for each in operator.json("subscribers", "stats")} == {"weekly", "daily"}


def test_the_first_lines_of_serve_are_few_and_say_what_is_to_do(operator):
    operator.run("init")
    command = [sys.executable, "-m", "digest", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=operator.folder, env=operator.environ, stderr=subprocess.PIPE) as process:
        said = [process.stderr.readline().decode() for _ in range(4)]
        process.terminate()
        rest = process.stderr.read().decode()
    told = [line.partition(" INFO digest.serve: ")[2].partition(" ")[0] for line in said]
    assert told == ["readers", "The", "no", "nobody"], said
    assert "application startup" not in rest and process.returncode == 0


def test_ordinary_mail_in_the_mailbox_of_bounces_is_called_that(operator):
    operator.run("init")
    said = operator.run("bounces", "read", stdin=b"Subject: away\r\n\r\nI am on holiday.\r\n")
    assert said.strip() == "out-of-office or ordinary mail: nothing changes."
