"""A publisher's own templates: what is wrong with one is told by file and line, before a reader depends on it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from digest import publishing
from digest.cli import main
from digest.domain.editions import EditionState
from digest.errors import ConfigurationError, RenderError
from digest.mail.languages import LANGUAGES
from digest.mail.proof import prove
from digest.mail.render import Renderer
from digest.web import create_web
from tests.service import SATURDAY, Service

BODY = '{%% extends "layout.html" %%}\n{%% block content %%}\n%s\n{%% endblock %%}\n'
LAYOUT = "<!DOCTYPE html><html><head><style>%s</style></head><body>{%% block content %%}{%% endblock %%}</body></html>"
NESTED = "@media screen { @media print { p { color: red } } }"
LINK = '<a href="{{ unsubscribe_link }}">leave</a>'


def test_our_own_templates_stand_the_proof():
    prove(Renderer(), LANGUAGES)


@pytest.mark.parametrize(
    ("name", "source", "check", "said"),
    [
        ("digest/body.html", BODY % "{{ oops", "template", "digest/body.html, line 4: expected token"),
        ("digest/body.html", BODY % "{{ nope }}", "template", "digest/body.html, line 3: 'nope' is undefined"),
        ("digest/body.txt", "a\n{{ number + title }}", "template", "digest/body.txt, line 2: TypeError"),
        ("digest/body.html", BODY % '{% include "ad.html" %}', "template", "there is no template 'ad.html'"),
        ("digest/body.html", b"a\nZa\xbf\xf3\xb3\xe6", "template", "digest/body.html, or one it includes, line 2"),
        ("digest/body.html", " \n", "template", "digest/body.html: nothing comes of it"),
        ("digest/body.html", '{% extends "layout.html" %}', "slots", "stands in digest/body.html 0 times"),
        ("digest/body.html", BODY % (LINK + LINK), "slots", "digest/body.html 2 times, and must stand there once"),
        ("digest/body.txt", "Hello", "slots", "{{ unsubscribe_link }} stands in digest/body.txt 0 times"),
        ("digest/body.html", BODY % "<!-- {{ unsubscribe_link }} -->", "slots", "is in no link of digest/body.html"),
        ("digest/body.html", BODY % (LINK + '<a href="/about">us</a>'), "links", "'/about' leads nowhere"),
        ("confirmation/body.html", "{{ oops", "template", "confirmation/body.html, line 1"),
        ("desk-draft/body.txt", "{{ oops", "template", "desk-draft/body.txt, line 1"),
        ("layout.html", LAYOUT % NESTED, "inlining", "plain class"),
    ],
)  # fmt: skip
def test_a_broken_template_is_told_by_its_file_and_line(tmp_path, name, source, check, said):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    with pytest.raises(RenderError) as caught:
        prove(Renderer([tmp_path]), ["en"])
    assert caught.value.check == check
    assert said in caught.value.detail


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
        assert page.status_code == 500
        assert "digest/body.txt, line 1: 'nope' is undefined" in page.text
        broken.close()
    finally:
        service.close()


def test_a_folder_of_templates_that_is_not_there_is_no_folder_of_ours(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25, theme={"templates": "tempaltes"})
    assert "theme.templates: there is no folder" in str(caught.value)


@pytest.mark.parametrize("command", [["config", "check"], ["worker"], ["serve"], ["edition", "send"]])
def test_what_runs_for_weeks_does_not_begin_with_a_broken_template(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    main_with(monkeypatch, "init", "--site-name", "Post", "--site-url", "https://news.example.com",
              "--from", "recap@news.example.com", "--base-url", "https://recap.news.example.com")  # fmt: skip
    (tmp_path / "own" / "confirmation").mkdir(parents=True)
    (tmp_path / "own" / "confirmation" / "body.txt").write_text("{{ oops")
    monkeypatch.setenv("DIGEST_THEME__TEMPLATES", "own")
    assert main_with(monkeypatch, *command) == 1
    assert "confirmation/body.txt, line 1" in capsys.readouterr().err


def main_with(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["digest", *words])
    monkeypatch.delenv("DIGEST_CONFIG", raising=False)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code
