"""A newcomer changes the looks from the command line: what is wrong is said in one line, what is asked for is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_commands import Operator, at, operator, smtpd

__all__ = ["at", "operator", "smtpd"]  # fixtures


def set_in(folder: Path, line: str, section: str = "theme") -> None:
    """Write a setting into its section, in the place of the line that is there."""
    path, name = folder / "config.toml", line.partition(" ")[0]
    head, mark, rest = path.read_text().partition(f"[{section}]")
    rest, count = re.subn(rf"(?m)^{name} = .*$", line, rest, count=1)
    assert mark and count == 1, line
    path.write_text(head + mark + rest)


@pytest.fixture
def drafted(operator, at) -> Operator:
    operator.run("collect")
    operator.run("edition", "draft", "--at", at)
    return operator


def test_a_template_is_copied_changed_and_seen(drafted):
    said = drafted.run("templates", "copy", "digest/body.html")
    assert 'templates = "templates"' in said
    set_in(drafted.folder, 'templates = "templates"')
    path = drafted.folder / "templates" / "digest" / "body.html"
    path.write_text(path.read_text().replace("{{ gap(32) }}", "<p>Good morning from the harbour</p>", 1))
    assert "already" in drafted.run("templates", "copy", "digest/body.html", status=2)
    assert "did you mean digest/body.html?" in drafted.run("templates", "copy", "digest/boddy.html", status=2)
    listed = drafted.run("templates", "list")
    assert "digest/body.html  (yours)" in listed and "digest/stories-images.html\n" in listed
    assert "1 newsletter, 1 source." in drafted.run("config", "check")
    drafted.run("edition", "preview")
    assert "Good morning from the harbour" in (drafted.folder / "preview" / "weekly-1.html").read_text()


def test_a_mistake_in_a_template_is_one_line_in_every_command(drafted, at):
    folder = drafted.folder / "templates"
    (folder / "digest").mkdir(parents=True)
    (folder / "digest" / "body.html").write_text("{% extends 'layout.html' %}\n{% block content\n{% endblock %}")
    (folder / "digest" / "boddy.html").write_text("x")
    set_in(drafted.folder, 'templates = "templates"')
    for words in (("draft", "--at", at), ("preview",), ("check", "--offline")):
        said = drafted.run("edition", *words, status=1)
        assert re.match(r"templates/digest/body.html, line 3: .*Close the \{% … %\} before it\.\n$", said), said
    said = drafted.run("config", "check", status=2)
    assert "templates/digest/body.html, line 3: " in said
    assert "templates/digest/boddy.html stands for nothing of ours; did you mean digest/body.html?" in said


def test_a_folder_of_templates_that_is_not_there_is_an_error(operator):
    set_in(operator.folder, 'templates = "szablony"')
    said = operator.run("config", "check", status=2)
    assert "theme.templates: there is no folder 'szablony' beside the configuration" in said


def test_a_preview_is_what_a_reader_would_get(drafted):
    paths = drafted.json("edition", "preview")
    for kind in ("html", "text", "eml"):
        text = (drafted.folder / paths[kind]).read_text()
        assert "slot.invalid" not in text
    assert "/unsubscribe/" in (drafted.folder / paths["html"]).read_text()
    assert "/unsubscribe/" in (drafted.folder / paths["text"]).read_text()


def test_a_logo_does_not_keep_an_edition_from_being_sent(drafted):
    set_in(drafted.folder, 'logo = "https://news.example.com/logo.png"')
    set_in(drafted.folder, 'logo_dark = "https://news.example.com/logo-dark.png"')
    set_in(drafted.folder, 'accent = "#00539f"')
    said = drafted.run("edition", "check", "--offline")
    assert "contrast" not in said


def test_a_note_with_what_cannot_be_sent_is_refused_at_once(drafted):
    said = drafted.run("edition", "note", "--text", "# Hello\n\n![x](https://x.example/a.png)", status=2)
    assert "pictures cannot stand in a note" in said
    assert drafted.run("edition", "note", "--text", "# Hello\n\n> quoted\n\n1. one")


@pytest.mark.parametrize(("code", "title"), [("pl", "Przegląd tygodnia"), ("uk", "Огляд тижня"), ("en", "The Weekly")])
def test_init_writes_the_title_in_the_language_of_the_readers(tmp_path, code, title):
    made = Operator(tmp_path, 25)
    made.run("init", "--language", code, "--site-name", "Kurier", "--site-url", "https://k.pl")
    config = made.run("config", "show")
    assert f'"language": "{code}"' in config and f'"title": "{title}' in config
    written = (tmp_path / "config.toml").read_text()
    commented = [
        line for line in written.split("\n") if re.match(r"(name|url|language|title) = .*\S {2,}#|\w+ = .*\S #", line)
    ]
    assert all(line[43] == "#" or len(line.partition("  #")[0]) >= 43 for line in commented), commented


def test_an_article_is_shown_to_people_and_not_to_programs(drafted):
    said = drafted.run("articles", "show", "1")
    assert "{" not in said and "+00:00" not in said and "None" not in said
    assert "Mon 26 Oct 2026 10:00" in said


def test_nothing_ranked_makes_no_empty_table(operator):
    operator.run("edition", "draft", "--at", "2026-10-31T08:00")
    said = operator.run("edition", "show")
    assert "views" not in said.replace("No article was read", "")


def test_a_language_nobody_is_written_to_in_is_refused(tmp_path):
    assert "en, pl, uk" in Operator(tmp_path, 25).run("init", "--language", "de", status=2)
