"""A publisher's own templates: each mistake is named with its file, its line and the remedy, and nothing is sent."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from digest import publishing
from digest.cli import main
from digest.domain.editions import EditionState
from digest.errors import RenderError, TemplateMistake
from digest.mail.checks import check_template
from digest.mail.languages import LANGUAGES
from digest.mail.proof import prove
from digest.mail.render import Renderer
from digest.mail.templating import our_mails
from digest.web import create_web
from tests.mail.test_render import issue, pick
from tests.service import SATURDAY, Service

OURS = (our_mails() / "digest" / "body.html").read_text(encoding="utf-8")


@pytest.fixture
def own(tmp_path: Path):
    """Writes a file into a publisher's folder."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "templates"

    return write


def mistake(folder: Path) -> str:
    with pytest.raises(RenderError) as caught:
        Renderer([folder]).digest(issue(pick(1), pick(2)))
    said = str(caught.value)
    assert "\n" not in said and "Traceback" not in said
    return said


MISTAKES = [
    (
        "{% extends 'layout.html' %}\n{% block content %}\n<p>{{ title </p>\n<p>{{ date_line }}</p>{% endblock %}",
        "templates/digest/body.html, line 3: ",
        "Close the {{ … }} or {% … %} before it.",
    ),
    (
        "{% extends 'layout.html' %}\n{% block content\n<p class='x'>Hello</p>\n{% endblock %}",
        "templates/digest/body.html, line 3: ",
        "Close the {% … %} before it.",
    ),
    (
        "{% extends 'layout.html' %}\n{% block content %}{% if title %}<p>x</p>\n{% endblock %}",
        "templates/digest/body.html, line 3: ",
        "",
    ),
    (
        "{% extends 'layout.html' %}\n{% block content %}\n\n{{ titel }}{% endblock %}",
        "templates/digest/body.html, line 4: nothing is known by the name 'titel'",
        "Did you mean 'title'?",
    ),
    (
        "{% extends 'layout.html' %}{% block content %}\n{{ stories[0].headline }}{% endblock %}",
        "templates/digest/body.html, line 2: nothing is known by the name 'headline'",
        "docs/looks.md",
    ),
    ("\n{% extends 'layot.html' %}", "line 2: there is no template 'layot.html'", "Did you mean 'layout.html'?"),
    ("", "templates/digest/body.html, line 1: it is empty", "then ours is used"),
    (" \n ", "templates/digest/body.html, line 1: it is empty", "then ours is used"),
    ("one\ntwo za\xbf\xf3\xb3\xe6".encode("latin-1"), "templates/digest/body.html, line 2: it is not UTF-8", "Save it"),
    ("{% extends 'layout.html' %}{% block content %}\n{{ number / 0 }}{% endblock %}", "line 2: ZeroDivision", ""),
    ("<p>{{ title }}</p>", "templates/digest/body.html has no <!DOCTYPE html>", ""),
]


@pytest.mark.parametrize(("content", "place", "remedy"), MISTAKES)
def test_a_mistake_is_named_with_its_file_its_line_and_what_to_do(own, content, place, remedy):
    said = mistake(own("digest/body.html", content))
    assert place in said
    assert remedy in said


def test_a_mistake_in_a_part_is_named_where_it_is_and_not_where_it_is_used(own):
    words = (our_mails() / "digest" / "words.html").read_text(encoding="utf-8")
    folder = own("digest/words.html", words.replace("{{ words }}", "\n{{ wrods }}", 1))
    assert "templates/digest/words.html, line 5: nothing is known by the name 'wrods'" in mistake(folder)


def test_a_macro_that_is_missing_from_a_part_is_named(own):
    folder = own("digest/words.html", "{% macro kicker() %}{% endmacro %}")
    assert "templates/digest/words.html, line 1: the macro 'heading' is missing. Copy it from ours." in mistake(folder)


def test_a_wrong_word_of_the_subject_or_the_text_is_named_too(own):
    folder = own("digest/subject.txt", "{{ subjekt }}")
    assert "templates/digest/subject.txt, line 1: nothing is known by the name 'subjekt'" in mistake(folder)


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        (
            ("{{ unsubscribe_link }}", ""),
            "slots",
            "{{ unsubscribe_link }} must stand exactly once in templates/digest/",
        ),
        (("{{ gap(32) }}", "<link href='x'>{{ gap(32) }}"), "leftover", "templates/digest/body.html has <link>"),
        (("{{ gap(32) }}", "<table><tr><td>x</td></tr></table>"), "tables", 'role="presentation"'),
        (("{{ gap(32) }}", "<img src='https://x.example/a.png' alt='A'>"), "pictures", 'width="..."'),
        (("{{ gap(32) }}", "<style>@import url(x.css);</style>"), "leftover", "@import"),
        (("{{ gap(32) }}", "<p>much</p>" * 12_000), "size", "even with one article and no excerpt"),
    ],
)
def test_what_a_template_must_hold_or_must_not_is_checked_after_every_rendering(own, change, check, words):
    folder = own("digest/body.html", OURS.replace(*change, 1))
    with pytest.raises(RenderError) as caught:
        Renderer([folder]).digest(issue(pick(1), pick(2)))
    assert caught.value.check == check
    assert words in str(caught.value)


def test_articles_may_talk_of_tables_and_pictures():
    words = "&lt;table&gt; and &lt;img&gt;, @import and &lt;link&gt;"
    check_template(f"<!DOCTYPE html><html><body><p>{words}</p></body></html>", "body.html")


def test_all_files_of_a_folder_are_looked_at_before_any_is_used(own):
    own("digest/body.html", "{% if title %}")
    own("welcome/body.txt", "fine {{ anything }}")
    own("digest/body.htm", OURS)
    own("digst/subject.txt", "{{ subject }}")
    own(".DS_Store", b"\xff")
    own("notes.pdf", b"\xff\xfe")
    folder = own("goodbye/body.html", b"za\xbf\xf3\xb3\xe6")
    said = [*Renderer([folder]).mistakes(), *Renderer([folder]).strays()]
    assert any("templates/digest/body.html, line 1: " in each for each in said)
    assert any("templates/goodbye/body.html, line 1: it is not UTF-8" in each for each in said)
    assert "templates/digest/body.htm stands for nothing of ours; did you mean digest/body.html?" in said
    assert "templates/digst/subject.txt stands for nothing of ours; did you mean digest/subject.txt?" in said
    assert any("notes.pdf" in each for each in said)
    assert not any("welcome" in each or "DS_Store" in each for each in said)


def test_a_part_of_ones_own_that_is_used_stands_for_itself(own):
    own("digest/advert.html", "<p>x</p>")
    folder = own("digest/body.html", OURS.replace("{{ gap(32) }}", '{% include "digest/advert.html" %}', 1))
    assert [*Renderer([folder]).mistakes(), *Renderer([folder]).strays()] == []
    assert "<p>x</p>" in Renderer([folder]).digest(issue(pick(1))).html


def test_every_template_of_ours_can_be_read():
    assert list(Renderer([our_mails()]).mistakes()) == []


def test_a_mistake_is_an_error_of_rendering_so_nothing_is_sent():
    assert issubclass(TemplateMistake, RenderError)


# --- tried before a reader depends on them -------------------------------------------------------


def test_our_own_templates_stand_the_proof():
    prove(Renderer(), LANGUAGES)


BODY = '{%% extends "layout.html" %%}\n{%% block content %%}\n%s\n{%% endblock %%}\n'
LAYOUT = "<!DOCTYPE html><html><head><style>%s</style></head><body>{%% block content %%}{%% endblock %%}</body></html>"
NESTED = "@media screen { @media print { p { color: red } } }"
LINK = '<a href="{{ unsubscribe_link }}">leave</a>'


@pytest.mark.parametrize(
    ("name", "source", "check", "said"),
    [
        ("digest/body.txt", "a\n{{ number + title }}", "template", "digest/body.txt, line 2: TypeError"),
        ("digest/body.html", BODY % '{% include "ad.html" %}', "template", "line 3: there is no template 'ad.html'"),
        ("digest/body.html", BODY % (LINK + LINK), "slots", "digest/body.html; it is there 2 times"),
        ("digest/body.txt", "Hello", "slots", "exactly once in templates/digest/body.txt; it is there 0 times"),
        ("digest/body.html", BODY % "<!-- {{ unsubscribe_link }} -->", "slots", "must stand in a link of templates/"),
        ("digest/body.html", BODY % (LINK + '<a href="/about">us</a>'), "links", "has '/about', which leads nowhere"),
        ("confirmation/body.html", "{{ oops", "template", "confirmation/body.html, line 1"),
        ("desk-draft/body.txt", "{{ oops", "template", "desk-draft/body.txt, line 1"),
        ("welcome/body.html", BODY % "{{ archive_url }}", "template", "welcome/body.html, line 3: nothing is known"),
        ("layout.html", LAYOUT % NESTED, "inlining", "plain class"),
    ],
)  # fmt: skip
def test_a_mistake_in_any_mail_is_found_before_it_is_needed(own, name, source, check, said):
    with pytest.raises(RenderError) as caught:
        prove(Renderer([own(name, source)]), ["en"])
    assert caught.value.check == check
    assert said in str(caught.value)


def test_nothing_is_half_sent_when_a_template_breaks_after_the_draft(tmp_path):
    store_url = f"sqlite:///{tmp_path}/digest.db"
    own = tmp_path / "own" / "digest"
    own.mkdir(parents=True)
    service = Service(tmp_path, store_url, 25, theme={"templates": "own"})
    try:
        service.add_readers(3)
        edition = publishing.draft(service.app.store, service.app.press, service.newsletter, SATURDAY, service.clock())
        (own / "body.txt").write_text("{{ nope }}")
        broken = Service(tmp_path, store_url, 25, theme={"templates": "own"}, fresh=False)
        with pytest.raises(RenderError):
            broken.app.release(edition, broken.clock())
        assert broken.get(edition).state is EditionState.DRAFTED
        assert broken.counts(edition) == {}
        page = TestClient(create_web(broken.app, broken.clock)).get(urlsplit(broken.app.links.preview(edition.id)).path)
        assert "own/digest/body.txt, line 1: nothing is known by the name" in page.text
        broken.close()
    finally:
        service.close()


@pytest.mark.parametrize(
    ("command", "status"), [(["config", "check"], 2), (["worker"], 1), (["serve"], 1), (["edition", "send"], 1)]
)
def test_what_runs_for_weeks_does_not_begin_with_a_broken_template(tmp_path, monkeypatch, capsys, command, status):
    monkeypatch.chdir(tmp_path)
    main_with(monkeypatch, "init", "--site-name", "Post", "--site-url", "https://news.example.com",
              "--from", "recap@news.example.com", "--base-url", "https://recap.news.example.com")  # fmt: skip
    (tmp_path / "own" / "confirmation").mkdir(parents=True)
    (tmp_path / "own" / "confirmation" / "body.txt").write_text("one\n{{ oops }}")
    monkeypatch.setenv("DIGEST_THEME__TEMPLATES", "own")
    assert main_with(monkeypatch, *command) == status
    assert "own/confirmation/body.txt, line 2: nothing is known by the name 'oops'" in capsys.readouterr().err


def main_with(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["digest", *words])
    monkeypatch.delenv("DIGEST_CONFIG", raising=False)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code
