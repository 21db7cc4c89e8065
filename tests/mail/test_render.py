"""Rendering: nothing lost, nothing fetched, nothing left over, never too large."""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digest.domain.articles import Article, Image, canonical_url
from digest.domain.editions import Pick
from digest.errors import InvalidAddress, RenderError
from digest.mail.addresses import parse
from digest.mail.checks import MAX_HTML, check_html, visible_text
from digest.mail.clean import clean_header, clean_text, clean_url
from digest.mail.contrast import weak_spots
from digest.mail.inlining import inline
from digest.mail.render import EXCERPTS, DigestIssue, Invitation, Renderer
from digest.mail.slots import slot
from digest.mail.theme import Theme

LOGO, DARK = "https://news.example.com/logo.png", "https://news.example.com/logo-dark.png"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)</script><b>bold</b> & \"quotes\" 'single'",
    "a\r\nBcc: x@y.z\x0b\x85\u2028\u2029",
    "=?utf-8?q?evil=0d=0aBcc=3a_x=40y=2ez?=",
    "lone \ud83d surrogate",
    "مرحبا \u202e reversed \u2066 isolated",
    "👨‍👩‍👧‍👦 ❤️‍🔥 joiners",
    "{{ 7 * 7 }} {% raw %} ${x} #{y}",
    "https://slot.invalid/0000/unsubscribe",
    "x" * 300,
    "</style><style>body{display:none}</style>",
    "",
]


def pick(position, title="A title", **more):
    values = {
        "summary": "What happened, and why it matters.",
        "image": Image("https://news.example.com/a.jpg", "A river", 1200, 630),
        "section": "Cities",
        "author": "Anna Nowak",
        **more,
    }
    url = f"https://news.example.com/{position}"
    return Pick(position, Article(position, url, title, NOW, NOW, **values), 1000 - position, "")


def issue(*picks):
    return DigestIssue(
        newsletter_title="The Weekly Recap",
        site_name="The Vistula Post",
        site_url="https://news.example.com",
        number=47,
        published_on=date(2026, 11, 28),
        picks=picks,
        archive_url="https://recap.example.com/archive/47",
        sign_up_url="https://recap.example.com/",
        postal_address="ul. Prosta 1, Warszawa",
        language="en",
    )


@pytest.fixture(scope="module")
def renderer():
    return Renderer()


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("rendering reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_an_edition_holds_its_stories_and_one_way_out(renderer, no_network):
    rendered = renderer.digest(issue(*(pick(n, f"Story number {n}") for n in range(1, 11))))
    for part in (visible_text(rendered.html), rendered.text):
        for n in range(1, 11):
            assert f"Story number {n}" in part
        assert "ul. Prosta 1" in part
    assert rendered.html.count(slot(rendered.mark, "unsubscribe")) == 1
    assert rendered.text.count(slot(rendered.mark, "unsubscribe")) == 1
    assert rendered.subject == "Story number 1 · The Weekly Recap"
    assert rendered.html.startswith("<!DOCTYPE html")


@pytest.mark.parametrize("title", HOSTILE)
def test_nothing_after_a_hostile_title_is_lost(renderer, no_network, title):
    # EMAIL 0.5: a lone surrogate made the parser drop the footer, and the way out with it
    rendered = renderer.digest(
        issue(pick(1, title), pick(2, "The story after it", summary=title, section=title, author=title))
    )
    assert "The story after it" in visible_text(rendered.html)
    assert slot(rendered.mark, "unsubscribe") in rendered.html
    assert "<script" not in rendered.html
    assert "\n" not in rendered.subject


def test_rules_for_dark_mode_and_phones_keep_their_force(renderer):
    # EMAIL 0.6
    rendered = renderer.digest(issue(pick(1)))
    assert "background-color: #1b1c1f !important" in rendered.html
    assert "@media (max-width: 619px)" in rendered.html


@pytest.mark.parametrize("rule", ["@import url(http://127.0.0.1:9/x.css);", "@import url(file:///etc/hostname);"])
def test_no_style_can_fetch_anything(no_network, rule):
    # EMAIL 0.7
    html = f"<!DOCTYPE html><html><head><style>{rule} p {{ color: red }}</style></head><body><p>x</p></body></html>"
    made = inline(html)
    assert "color:red" in made.replace(" ", "")


def test_the_doctype_and_the_slots_survive_inlining():
    # EMAIL 0.8
    head = "<!DOCTYPE html><html><head><style>a{color:red}</style></head>"
    html = f'{head}<body><a href="{slot("ab", "confirm")}">x</a></body></html>'
    made = inline(html)
    assert made.startswith("<!DOCTYPE html>")
    assert slot("ab", "confirm") in made
    assert "%7B" not in made


def test_a_style_in_one_document_does_not_change_the_next():
    first = "<!DOCTYPE html><html><head><style>color:red</style></head><body><p>x</p></body></html>"
    second = "<!DOCTYPE html><html><head><style>p{color:red}</style></head><body><p>x</p></body></html>"
    inline(first)
    assert 'style="color:red"' in inline(second)


def test_the_largest_edition_stays_below_what_gmail_cuts(renderer):
    long = dict(summary="Słowo i zdanie, które nie ma końca. " * 200, section="S" * 90, author="A" * 90)  # noqa: C408
    rendered = renderer.digest(issue(*(pick(n, "Bardzo długi tytuł " * 20, **long) for n in range(1, 21))))
    assert len(rendered.html.encode()) <= MAX_HTML
    assert slot(rendered.mark, "unsubscribe") in rendered.html


def test_an_edition_too_large_shortens_first_and_says_so(renderer):
    rendered = renderer.digest(issue(*(pick(n, "The story" + "<&>" * 63, summary="<&>" * 300) for n in range(1, 51))))
    assert len(rendered.html.encode()) <= MAX_HTML
    kept = len(re.findall(r'class="(?:lead-)?title"', rendered.html))
    assert rendered.shortened == ("no excerpts", "no pictures", f"only the first {kept} of 50 articles")
    assert 'class="excerpt"' not in rendered.html
    assert "<img" not in rendered.html


@pytest.mark.parametrize("number", [35, 36, 40, 44])
def test_the_record_says_what_was_done_and_not_what_was_tried_before(renderer, number):
    stories = (pick(n, "The story", summary="y" * 300, author="x" * 60) for n in range(1, number + 1))
    rendered = renderer.digest(issue(*stories))
    length = longest(rendered.html)
    assert length < EXCERPTS[0]
    assert rendered.shortened == (f"excerpts of at most {length} characters" if length else "no excerpts",)


def longest(html):
    return max(map(len, re.findall(r'class="excerpt"[^>]*>([^<]*)', html)), default=0)


def test_the_smallest_edition_is_one_story_without_a_picture(renderer):
    rendered = renderer.digest(issue(pick(1, image=None, summary="", section="", author="")))
    assert "<img" not in rendered.html


def test_a_picture_has_its_size_and_alt_and_a_safe_address(renderer):
    rendered = renderer.digest(issue(pick(1, image=Image("javascript:alert(1)", "x")), pick(2)))
    assert "javascript" not in rendered.html
    assert 'alt="A river"' in rendered.html
    assert 'height="281"' in rendered.html


@pytest.mark.parametrize("size", [(1, 1), (72, 72), (1, 90_000), (90_000, 1), (300, 40), (400, 1600)])
def test_what_is_no_picture_by_its_size_is_not_blown_up_to_one(renderer, size):
    # counting pixels, emoji and spacers come as the first picture of a text; one of 1 x 90,000 fills a wall
    rendered = renderer.digest(issue(pick(1, image=Image("https://x.pl/a.gif", "x", *size)), pick(2)))
    assert "a.gif" not in rendered.html
    assert "a.jpg" in rendered.html


@pytest.mark.parametrize(
    "size", [(1200, 630), (630, 1200), (480, 480), (2400, 600), (160, 120), (None, None), (1200, None)]
)
def test_a_picture_of_any_common_shape_is_shown(renderer, size):
    assert "a.gif" in renderer.digest(issue(pick(1, image=Image("https://x.pl/a.gif", "x", *size)))).html


@pytest.mark.parametrize("theme", [Theme(logo=LOGO), Theme(logo=LOGO, logo_dark=DARK)])
def test_a_logo_is_the_heading_and_its_name_can_be_read_with_images_off(theme):
    rendered = Renderer(theme=theme).digest(issue(pick(1), pick(2)))
    assert weak_spots(rendered.html, "light") == weak_spots(rendered.html, "dark") == []
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", rendered.html)
    assert heading and 'alt="The Weekly Recap"' in heading[1]
    assert len(re.findall(r"<h1", rendered.html)) == 1


def test_a_logo_for_dark_mode_takes_the_place_of_the_other_there():
    html = Renderer(theme=Theme(logo=LOGO, logo_dark=DARK)).digest(issue(pick(1))).html
    assert re.search(rf'src="{DARK}"[^>]*style="[^"]*display:none', html)
    assert ".logo-light { display: none !important; }" in html
    assert ".logo-dark { display: block !important; }" in html
    assert "logo-dark" not in Renderer(theme=Theme(logo=LOGO)).digest(issue(pick(1))).html


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("A short one", "A short one · The Weekly Recap"),
        ("A title of forty-five characters or somewhat so", "A title of forty-five characters or somewhat so"),
        ("word " * 30, "word word word word word word word word word word word…"),
    ],
)
def test_a_subject_can_be_seen_whole_and_drops_the_newsletters_name_first(renderer, title, subject):
    rendered = renderer.digest(issue(pick(1, title), pick(2)))
    assert rendered.subject == subject
    assert len(rendered.subject) <= 60


def test_one_word_in_another_script_does_not_turn_a_title_around(renderer):
    mixed = "مرحبا بالخبز: the Aleppo bakery that a whole town queues for"
    html = renderer.digest(issue(pick(1, mixed), pick(2, "النهر يرتفع في المدينة القديمة، says the town"))).html
    assert re.search(r'<h2[^>]*dir="ltr"[^>]*><a[^>]*>مرحبا', html)
    assert re.search(r'<h3[^>]*dir="rtl"[^>]*><a[^>]*>النهر', html)


def test_each_part_of_the_mail_counts_for_itself_and_does_not_say_its_heading_twice(renderer):
    parts = [("Cities", "Cities"), ("Cities", "Cities"), ("Culture", "Culture"), ("Culture", "Film"), ("", "Sport")]
    picks = [
        replace(pick(n, f"Story {n}", section=section), block=block) for n, (block, section) in enumerate(parts, 1)
    ]
    rendered = renderer.digest(issue(*picks, replace(pick(6, "Paid"), is_sponsored=True)))
    assert re.findall(r"(?m)^(?:(\d+)\. )?(Story \d|Paid)$", rendered.text) == [
        *(("1", "Story 1"), ("2", "Story 2"), ("1", "Story 3"), ("2", "Story 4"), ("1", "Story 5"), ("", "Paid"))
    ]
    assert "=\n\nCULTURE\n\n1. Story 3" in rendered.text
    numbers = re.findall(r'<td class="number[^>]*>(\d*)</td>', rendered.html)
    assert numbers == ["2", "1", "2", "1", ""]
    kickers = re.findall(r'<p class="kicker"[^>]*>([^<]*)</p>', rendered.html)
    assert kickers == ["Most read", "Film", "Sport", "Sponsored · Cities"]


def test_the_text_layout_has_ranks_too(renderer):
    html = renderer.digest(replace(issue(pick(1), pick(2), pick(3)), layout="text")).html
    assert re.findall(r'<p class="kicker"[^>]*>([^<]*)</p>', html) == ["Most read · Cities", "2 · Cities", "3 · Cities"]


def test_the_lead_says_how_often_it_was_read_and_the_others_in_few_words(renderer):
    said = re.findall(r'<p class="views"[^>]*>(.*?)</p>', renderer.digest(issue(pick(1, words=900), pick(2))).html)
    assert [each.replace("\xa0", " ") for each in said] == [
        "Anna Nowak<br>Read 999 times this week · 4 min read",
        "998 reads · Anna Nowak",
    ]


def test_a_picture_without_words_is_no_link_for_those_who_do_not_see_it(renderer):
    html = renderer.digest(issue(pick(1, image=Image("https://x.example/a.png")), pick(2))).html
    bare, named = re.findall(r'<a class="picture-link"[^>]*>', html)
    assert 'aria-hidden="true"' in bare and 'tabindex="-1"' in bare
    assert "aria-hidden" not in named


def test_the_editors_note_has_a_face_and_a_name(renderer):
    noted = replace(issue(pick(1)), note="Good morning.", editor="Anna Nowak, editor")
    rendered = renderer.digest(noted)
    assert "From the editor Good morning. Anna Nowak, editor" in visible_text(rendered.html)
    assert "FROM THE EDITOR\n\nGood morning.\n\nAnna Nowak, editor\n" in rendered.text
    assert "Anna Nowak, editor" not in renderer.digest(replace(noted, note="")).html


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("ul. Prosta 1, Warszawa", "The Vistula Post · ul. Prosta 1, Warszawa"),
        ("The Vistula Post, ul. Prosta 1", "The Vistula Post, ul. Prosta 1"),
        ("", "The Vistula Post"),
    ],
)
def test_the_sites_name_stands_once_before_its_address(renderer, address, line):
    rendered = renderer.digest(replace(issue(pick(1)), postal_address=address))
    assert rendered.text.rstrip().split("\n")[-1] == line
    assert visible_text(rendered.html).replace("\xa0", " ").replace("  ", " ").endswith(line)


def test_a_check_that_fails_names_itself():
    good = "<!DOCTYPE html><html><head><style></style></head><body><p>one</p></body></html>"
    for bad, check in [
        (good.replace("<!DOCTYPE html>", ""), "doctype"),
        (good.replace("one", "two"), "text"),
        (good.replace("<p>", '<p style="{a}">'), "style"),
        (good.replace("<p>", '<link href="x"><p>'), "leftover"),
    ]:
        with pytest.raises(RenderError) as caught:
            check_html(good, bad, "m", {})
        assert caught.value.check == check
    with pytest.raises(RenderError) as caught:
        check_html(good, good, "m", {"unsubscribe": 1})
    assert caught.value.check == "slots"


def test_a_confirmation_asks_once_and_repeats_nothing_the_reader_typed(renderer, no_network):
    said = Invitation(
        newsletter_title="The Weekly Recap",
        site_name="The Vistula Post",
        site_url="https://news.example.com",
        postal_address="",
        promise="Every Saturday.",
        consent="I want it.",
        valid_for=timedelta(hours=72),
    )
    asking = renderer.confirmation(said, "en", already=False)
    assert slot(asking.mark, "confirm") in asking.text
    telling = renderer.confirmation(said, "en", already=True)
    assert slot(telling.mark, "unsubscribe") in telling.text
    assert "already" in telling.subject


@given(st.text(max_size=200))
def test_clean_text_is_one_line_of_storable_text(text):
    cleaned = clean_text(text)
    assert cleaned == clean_text(cleaned)
    cleaned.encode("utf-8")
    assert not any(c in cleaned for c in "\r\n\t\u2028\u2029\u202e\x00")
    assert "=?" not in clean_header(text)


@given(st.text(max_size=120))
def test_a_clean_url_is_http_or_nothing(text):
    for url in (text, f"https://{text}", f"https://example.com/{text}"):
        cleaned = clean_url(url)
        assert cleaned == "" or cleaned.startswith(("http://", "https://"))
        assert cleaned.isascii()
        assert not set(cleaned) & set("\"'<> \r\n")


@given(st.text(max_size=60))
@example("user:pw@news.example.com/a")
@example("my_site.example.com/a")
@example("[2001:db8::1%25eth0]/a")
@example("news.example.com\\@evil.example/")
def test_whatever_counts_as_a_page_can_be_linked_to(text):
    # an article without an address would stand in the mail as a link to nowhere
    try:
        canonical_url(f"https://{text}")
    except ValueError:
        return
    assert clean_url(f"https://{text}")


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("\u200b\u2060\U000e0041\u3164", ""),
        ("se\u00adnate", "senate"),
        ("a\u200d\u200d\u200d\u200d\u200db", "a\u200d\u200db"),
        ("a" + "\u0335" * 500, "a" + "\u0335" * 4),
        ("=\u200e?utf-8?q?a?=", "= ?utf-8?q?a?="),
        ("👨‍👩‍👧‍👦 ❤️‍🔥 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👍🏽", "👨‍👩‍👧‍👦 ❤️‍🔥 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👍🏽"),
        ("می‌خواهم", "می‌خواهم"),
    ],
)
def test_what_cannot_be_seen_goes_and_what_emoji_and_scripts_need_stays(typed, cleaned):
    assert clean_header(typed) == cleaned


@pytest.mark.parametrize("title", ['Write style="color: {red}" in CSS', "style='{' and \"}\""])
def test_a_title_about_style_sheets_is_a_title(renderer, title):
    rendered = renderer.digest(issue(pick(1, title, summary=title), pick(2, "The story after it")))
    assert visible_text(rendered.html).count(title) == 2


@pytest.mark.parametrize("attribute", ['href="/about"', 'href=""', 'href="javascript:alert(1)"', 'href="www.x.pl"'])
def test_a_link_that_leads_nowhere_from_a_mail_is_found(attribute):
    html = f"<!DOCTYPE html><html><head></head><body><a {attribute}>x</a></body></html>"
    with pytest.raises(RenderError) as caught:
        check_html(html, html, "m", {})
    assert caught.value.check == "links"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (" Anna@Example.COM ", "Anna@example.com"),
        ("anna@żółw.pl", "anna@xn--w-uga1v8h.pl"),
        ("anna@straße.de", "anna@xn--strae-oqa.de"),
        ("o'hara+news@example.co.uk", "o'hara+news@example.co.uk"),
    ],
)
def test_an_address_is_taken_as_it_is_meant(typed, meant):
    assert parse(typed).text == meant


@pytest.mark.parametrize(
    "typed",
    ["", "anna", "@example.com", "anna@", "a@b@c.pl", "a b@c.pl", "a@b,pl", "a@b", "a..b@c.pl", '"a b"@c.pl',
     "a@[1.2.3.4]", "Anna <a@b.pl>", "zażółć@example.com", "a@b.pl\r\nBcc: x@y.z", "a" * 65 + "@b.pl",
     "a@" + "b" * 64 + ".pl", "a@b.123"],
)  # fmt: skip
def test_what_cannot_be_mailed_is_refused_with_a_reason(typed):
    with pytest.raises(InvalidAddress) as caught:
        parse(typed)
    assert caught.value.reason


@given(st.text(max_size=300))
def test_the_address_parser_raises_nothing_else(text):
    for typed in (text, f"{text}@example.com", f"anna@{text}"):
        try:
            address = parse(typed)
        except InvalidAddress:
            continue
        address.text.encode("ascii")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=40))
def test_no_article_stops_an_edition(renderer, title, summary, word):
    bad = pick(1, title, summary=summary, section=word, author=word, image=Image(f"https://x.pl/{word}", title))
    rendered = renderer.digest(issue(bad, pick(2, "The story after it")))
    assert "The story after it" in visible_text(rendered.html)
    assert rendered.html.count(slot(rendered.mark, "unsubscribe")) == 1


def test_a_single_story_says_in_a_list_of_mails_how_it_begins(renderer):
    assert renderer.digest(issue(pick(1))).preheader == "What happened, and why it matters."


def test_a_lead_story_without_a_title_leaves_the_newsletters_name(renderer):
    assert renderer.digest(issue(pick(1, "\u200b"))).subject == "The Weekly Recap"
