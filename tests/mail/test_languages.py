"""Every word a reader sees, in three languages; plurals, dates, and Polish words that stay together."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from digest.mail.languages import language
from digest.mail.note import unsupported, written
from digest.mail.render import Invitation, Renderer
from digest.mail.templating import templates_folder
from tests.mail.test_render import issue, pick

LOCALE = templates_folder() / "locale"
OTHERS = ("pl", "uk")
MAPPING = [("**.html", "jinja2"), ("**.txt", "jinja2"), ("**.xml", "jinja2")]
# Pages and mails no reader sees.
DESK = ("desk-alert", "desk-draft", "preview", "snippets", "web/api", "locale/extract")
SAID = Invitation("Recap", "The Post", "https://x.example", "ul. Prosta 1", "Weekly.", "I agree.", timedelta(days=3))


def messages() -> set[str]:
    found = set()
    for name, _, message, _, _ in extract_from_dir(
        str(templates_folder()), MAPPING, keywords={"_": None, "ngettext": (1, 2)}
    ):
        if not any(part in name for part in DESK):
            found.add(message[0] if isinstance(message, tuple) else message)
    return found


def catalogue(code: str):
    with (LOCALE / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


@pytest.mark.parametrize("code", OTHERS)
def test_every_word_is_translated_with_its_places_and_all_its_plurals(code: str) -> None:
    known = {(m.id[0] if isinstance(m.id, tuple) else m.id): m for m in catalogue(code) if m.id}
    assert messages() - set(known) == set(), "run pybabel, see docs/translating.md"
    assert set(known) - messages() == set(), "nobody says these any more"
    places = re.compile(r"%\(\w+\)s|\{\w+\}")
    for original, message in known.items():
        said = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(said), f"{original!r} is not translated"
        assert not message.fuzzy
        for each in said:
            assert sorted(places.findall(each)) == sorted(places.findall(original)), original


def test_no_words_stand_outside_of_the_catalogues() -> None:
    """What is left of a reader's template without its tags and expressions has no words of its own."""
    for path in [*templates_folder().glob("email/*/*"), *templates_folder().glob("web/*.html")]:
        if path.suffix not in (".html", ".txt") or any(part in str(path) for part in DESK):
            continue
        text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}|<style.*?</style>|<[^>]*>|&\w+;", " ", path.read_text(), flags=re.S)
        assert re.findall(r"[A-Za-z]{3,}", text) == [], path


@pytest.mark.parametrize(
    ("code", "number", "words"),
    [
        ("en", 1, "Read 1 time"),
        ("en", 12480, "Read 12,480 times"),
        ("pl", 1, "Przeczytano 1 raz"),
        ("pl", 22, "Przeczytano 22 razy"),
        ("uk", 21, "Прочитано 21 раз"),
        ("uk", 3, "Прочитано 3 рази"),
        ("uk", 12, "Прочитано 12 разів"),
    ],
)
def test_numbers_have_their_plurals(code: str, number: int, words: str) -> None:
    spoken = language(code, LOCALE)
    said = spoken.catalogue.ngettext("Read %(views)s time", "Read %(views)s times", number)
    assert said % {"views": spoken.number(number)} == words


def test_dates_are_written_as_each_language_writes_them() -> None:
    day = date(2026, 11, 28)
    assert language("en", LOCALE).day(day) == "Saturday, 28 November 2026"
    assert language("pl", LOCALE).day(day) == "sobota, 28 listopada 2026"
    assert language("uk", LOCALE).day(day) == "субота, 28 листопада 2026\u202fр."


@pytest.mark.parametrize(
    ("code", "loose", "tied"),
    [
        ("pl", "Był w domu i a w lesie", "Był w~domu i~a~w~lesie"),
        ("pl", "radio i", "radio i"),
        ("pl", "w 14 minut od 13 grudnia, za 5 zł i 12 km", "w~14~minut od 13~grudnia, za 5~zł i~12~km"),
        ("pl", "o 20 % więcej, 12 480 czytań w 2026. Potem cisza", "o~20~% więcej, 12~480~czytań w~2026. Potem cisza"),
        ("uk", "був у домі на горі й за 14 хвилин", "був у~домі на~горі й~за~14~хвилин"),
        ("uk", "З Києва до Львова не доїхали", "З~Києва до~Львова не~доїхали"),
        ("uk", "молоко на", "молоко на"),
        ("en", "a walk of 5 km in 14 minutes at 20 %", "a walk of 5~km in 14 minutes at 20~%"),
    ],
)
def test_short_words_and_numbers_keep_to_what_follows_them(code: str, loose: str, tied: str) -> None:
    assert language(code, LOCALE).set(loose).replace("\u00a0", "~") == tied


def test_only_what_is_read_is_tied() -> None:
    polish = language("pl", LOCALE)
    assert polish.set_html('<p title="a b">x</p><body><p class="a b">z nim</p>').endswith('class="a b">z\u00a0nim</p>')


def test_an_english_subject_stays_ascii_and_a_polish_one_is_tied() -> None:
    assert language("en", LOCALE).set_header("5 km on foot").isascii()
    assert language("pl", LOCALE).set_header("5 km pieszo") == "5\u00a0km pieszo"


def test_plain_text_is_tied_before_it_is_wrapped() -> None:
    story = pick(1, summary="Tak długi tekst, że jego pierwszy wiersz kończyłby się właśnie teraz w 14 minut. " * 3)
    rendered = Renderer().digest(replace(issue(story, pick(2)), language="pl", note="W " + "tekst " * 30 + "w 14 dni."))
    assert not re.search(r"(^|\s)(w|14)$", rendered.text, re.M | re.I), rendered.text
    assert max(map(len, rendered.text.split("\n"))) <= 76  # an address may be longer, and 72 are the aim


def test_what_stands_at_the_foot_reads_well_in_each_language() -> None:
    foots = {
        "pl": "Taki był tydzień w serwisie The Vistula Post.",
        "uk": "Таким був тиждень на сайті The Vistula Post.",
    }
    for code, words in foots.items():
        rendered = Renderer().digest(replace(issue(pick(1), pick(2)), language=code))
        assert words in " ".join(rendered.text.replace("\u00a0", " ").split())


@pytest.mark.parametrize("code", ("en", "pl", "uk"))
def test_every_letter_speaks_its_language(code: str) -> None:
    renderer = Renderer()
    letters = [
        renderer.digest(issue(pick(1), pick(2))) if code == "en" else None,
        renderer.confirmation(SAID, code, already=False),
        renderer.confirmation(SAID, code, already=True),
        renderer.reminder(SAID, code),
        renderer.goodbye(SAID, code, "https://x.example/"),
    ]
    for letter in filter(None, letters):
        assert f'lang="{code}"' in letter.html
        if code != "en":
            assert not re.search(r"\b(the|you|and|with|your)\b", letter.text), letter.text


def test_a_note_is_a_little_markdown_and_nothing_more() -> None:
    html, text = written("Hello *you*, see [this](https://x.example/a?b=1&c=2).\n\n- one\n- **two**")
    assert html == (
        '<p class="note-text">Hello <em>you</em>, see <a class="note-link" href="https://x.example/a?b=1&amp;c=2">this</a>.</p>\n'
        '<ul class="note-list note-last">\n<li>one</li>\n<li><strong>two</strong></li>\n</ul>'
    )
    assert text == "Hello you, see this (https://x.example/a?b=1&c=2).\n\n- one\n- two"


@pytest.mark.parametrize(
    ("note", "href"),
    [
        ("[x](/about?a=b)", "https://news.example.com/about?a=b"),
        ("[x](https://żółw.pl/ł)", "https://xn--w-uga1v8h.pl/%C5%82"),
        ("[x](https://user:pw@news.example.com/)", "https://news.example.com/"),
        ("[x](mailto:desk@news.example.com?subject=Hi)", "mailto:desk@news.example.com?subject=Hi"),
        ("[x](mailto:desk@news.example.com?bcc=all@news.example.com)", None),
        ("[x](about.html)", None),
        ("[x](#top)", None),
        ("[x](<https://[bad/>)", None),
    ],
)
def test_a_link_in_a_note_leads_somewhere_or_is_only_words(note: str, href: str | None) -> None:
    html, text = written(note, "https://news.example.com")
    assert re.findall('href="([^"]*)"', html) == ([href] if href else [])
    assert text == (f"x ({href.removeprefix('mailto:')})" if href else "x")


def test_entities_in_a_note_bring_nothing_back_that_was_cleaned_away() -> None:
    html, text = written("a&#x202e;b &#0;&#xd800;&#x85;&#8232;c")
    assert (html, text) == ('<p class="note-last">ab c</p>', "ab c")


def test_a_note_reads_well_without_markup() -> None:
    assert (
        written("one\\\ntwo\n\n1. first\n2. second\n\n- a point")[1] == "one\ntwo\n\n1. first\n2. second\n\n- a point"
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](https://x.example/pixel.png)",
        '<img src=x onerror="alert(1)">',
        "[x](data:text/html,hello)",
        "# A heading\n\n    code {{ unsubscribe_link }}",
        "lone \ud83d surrogate and \u202e turned",
    ],
)
def test_a_hostile_note_comes_to_nothing(hostile: str) -> None:
    html, text = written(hostile)
    assert not re.search(r"<(?!/?(p|br|strong|em|a|ul|ol|li|h2|blockquote)\b)", html)
    assert "javascript:" not in re.sub(r">[^<]*<", "><", html)
    assert "\u202e" not in html + text
    html.encode()


def test_headings_quotes_and_numbers_of_a_note_are_seen_in_both_forms() -> None:
    note = "# What counts\n\n> We read it all,\n> twice.\n\n3. three\n4. four\n   - and a half\n\nBye,\\\nAnna"
    html, text = written(note)
    assert '<h2 class="note-title">What counts</h2>' in html
    assert '<blockquote class="note-quote">' in html
    assert '<ol class="note-list" start="3">' in html
    assert html.endswith('<p class="note-last">Bye,<br>\nAnna</p>')
    assert text == "What counts\n\n> We read it all, twice.\n\n3. three\n4. four\n  - and a half\n\nBye,\nAnna"


def test_a_note_is_wrapped_like_the_rest() -> None:
    _, text = written("- " + "słowo " * 40 + "\n\n" + "słowo " * 40)
    lines = text.split("\n")
    assert max(map(len, lines)) <= 72
    assert lines[0].startswith("- słowo") and lines[1].startswith("  słowo")


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("![x](https://x.example/a.png)", "pictures cannot stand in a note"),
        ("a `word` of code", "code cannot stand in a note"),
        ("one\n\n    four spaces", "take the spaces out"),
        ("<b>bold</b>", "write Markdown"),
        ("one\n\n---\n\ntwo", "a rule (---) cannot"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a table cannot"),
        ("[tu](javascript:alert(1))", "https or mailto, not lead to javascript:"),
        ("[tu](about.html)", "begin with a slash, or with http, https or mailto, not lead to about.html"),
        ("[tu](mailto:a@x.example?bcc=b@x.example)", "not lead to mailto:a@x.example?bcc"),
    ],
)
def test_what_would_not_go_out_as_it_is_meant_is_told_at_the_desk(note: str, words: str) -> None:
    assert any(words in each for each in unsupported(note)), unsupported(note)


def test_what_a_note_may_hold_is_never_refused() -> None:
    links = "[c](https://x.example) <https://x.example> [c](/about) [c](mailto:desk@x.example?subject=Hi)"
    assert unsupported(f"# Title\n\n*a* **b** {links}\n\n> d\n\n1. e\n\n- f") == []


def test_a_publishers_own_file_stands_for_ours(tmp_path: Path) -> None:
    (tmp_path / "goodbye").mkdir()
    (tmp_path / "goodbye" / "subject.txt").write_text("Bye from {{ site_name }}")
    letter = Renderer([tmp_path]).goodbye(SAID, "en", "https://x.example/")
    assert letter.subject == "Bye from The Post"
    assert "Thank you for reading" in letter.text


def test_no_polish_line_of_plain_text_ends_with_a_one_letter_word_and_titles_hang() -> None:
    words = "W Krakowie i w Warszawie o tym, że z wodą i o wodę a także u nas w domu i z domu w pole idą"
    made = issue(pick(1, words, summary=f"{words}. {words}"), pick(2, "Drugi"))
    text = Renderer().digest(replace(made, language="pl", note=f"{words} {words}")).text
    assert not [line for line in text.split("\n") if re.search(r"(?:^|[\s\u00a0])[aiouwz]$", line)]
    assert max(map(len, text.split("\n"))) <= 72
    title = text[text.index("1. W") :].split("\n")[:2]
    assert title[1].startswith("   ")
    assert " ".join(each.strip() for each in title).replace("\u00a0", " ") == f"1. {words}"


@pytest.mark.parametrize(
    ("code", "once_more", "no_more"),
    [
        ("en", "Without your click one reminder comes", "Without your click you will hear no more"),
        ("pl", "jeszcze jedno przypomnienie", "kliknięcia nic więcej od nas"),
        ("uk", "ще одне нагадування", "кліку ми більше"),
    ],
)
def test_a_confirmation_names_the_reminder_where_one_comes(code: str, once_more: str, no_more: str) -> None:
    for reminds in (True, False):
        letter = Renderer().confirmation(replace(SAID, reminds=reminds), code, already=False)
        for said in (letter.text, letter.html):
            said = " ".join(said.replace("&nbsp;", " ").split())
            assert (once_more in said, no_more in said) == (reminds, not reminds)


@pytest.mark.parametrize(("consent", "end"), [("I agree.", "agree.” The"), ("See https://x.example/p", "/p”. The")])
def test_what_is_agreed_to_ends_with_one_full_stop(consent: str, end: str) -> None:
    said = replace(SAID, consent=consent)
    for letter in (Renderer().confirmation(said, "en", already=False), Renderer().reminder(said, "en")):
        assert end in " ".join(letter.text.split())
        assert end in " ".join(letter.html.split())


@pytest.mark.parametrize(
    ("address", "foot"),
    [
        ("ul. Prosta 1", "The Post\nhttps://x.example\nul. Prosta 1\n"),
        ("The Post, ul. Prosta 1", "https://x.example\nThe Post, ul. Prosta 1\n"),
        ("", "The Post\nhttps://x.example\n"),
    ],
)
def test_the_foot_of_a_letter_says_the_sites_name_once(address: str, foot: str) -> None:
    said, renderer = replace(SAID, postal_address=address), Renderer()
    for letter in (
        renderer.confirmation(said, "en", already=False),
        renderer.reminder(said, "en"),
        renderer.welcome(said, "en", datetime(2026, 11, 28, 8), ""),
        renderer.goodbye(said, "en", "https://x.example/"),
        renderer.own_data(said, "en"),
        renderer.erasure(said, "en"),
    ):
        assert letter.text.endswith("\n\n" + foot)
