"""Contrast: the formula of WCAG, and the colours an element really ends up with in each scheme."""

from __future__ import annotations

import pytest

from digest.mail.contrast import parsed, ratio, spots, weak_spots
from tests.mail.test_render import issue, pick

BOTH = '<meta name="color-scheme" content="light dark">'


def page(body: str, style: str = "", head: str = BOTH) -> str:
    return f"<!DOCTYPE html><html><head>{head}<style>{style}</style></head><body>{body}</body></html>"


def seen(html: str, scheme: str = "light") -> list[tuple[str, str, str]]:
    return [(each.text, each.colour, each.ground) for each in spots(html, scheme)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("#000", "#fff", 21.0), ("#777777", "#ffffff", 4.48), ("#767676", "#ffffff", 4.54), ("#a3172a", "#fff", 7.74)],
)
def test_the_ratio_is_that_of_wcag(one, other, expected):
    first, second = parsed(one), parsed(other)
    assert first and second
    assert ratio(first, second) == ratio(second, first) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#abc", (170, 187, 204, 1)),
        ("#AABBCC80", (170, 187, 204, 128 / 255)),
        ("rgb(1, 2, 3)", (1, 2, 3, 1)),
        ("rgba(1,2,3,.5)", (1, 2, 3, 0.5)),
        ("rgb(1 2 3 / 50%)", (1, 2, 3, 0.5)),
        ("White", (255, 255, 255, 1)),
        ("transparent", (0, 0, 0, 0)),
        ("var(--x)", None),
        ("hsl(1, 2%, 3%)", None),
        ("#12345", None),
        ("", None),
    ],
)
def test_colours_are_read_as_css_writes_them(text, colour):
    assert parsed(text) == (pytest.approx(colour) if colour else None)


def test_colour_and_ground_come_from_the_nearest_that_has_one():
    html = page(
        '<div style="background-color:#222"><table bgcolor="#eeeeee"><tr><td style="color:#333">a<b>b</b></td></tr>'
        '</table><span style="color:#ddd">c</span></div>'
    )
    assert seen(html) == [("a", "#333333", "#eeeeee"), ("b", "#333333", "#eeeeee"), ("c", "#dddddd", "#222222")]


def test_a_see_through_colour_is_laid_over_what_is_below():
    html = page('<p style="background:#000"><span style="color:rgba(255,255,255,0.5)">a</span></p>')
    assert seen(html) == [("a", "#808080", "#000000")]


def test_dark_rules_hold_in_dark_only_and_their_importance_beats_the_inline_style():
    style = (
        "@media (max-width: 600px) { .a { color: #f00 !important } }"
        "@media (prefers-color-scheme: dark) { .b { background-color: #111 !important; }"
        " .a, p > .c { color: #eee !important; } .d { color: #123456 } }"
        "@media print { .a { color: #0f0 !important } } [data-ogsc] .a { color: #00f !important }"
        ".a:hover { color: #f0f !important }"
    )
    html = page('<p class="b" style="background-color:#fff"><i class="a d" style="color:#000">a</i></p>', style)
    assert seen(html, "light") == [("a", "#000000", "#ffffff")]
    assert seen(html, "dark") == [("a", "#eeeeee", "#111111")]


def test_of_two_rules_the_more_special_one_wins_and_then_the_later_one():
    style = "p.x { color: #111 } .x { color: #222 } .y { color: #333 } .z { color: #444 }"
    assert seen(page('<p class="x">a</p><p class="y z">b</p>', style)) == [
        ("a", "#111111", "#ffffff"),
        ("b", "#444444", "#ffffff"),
    ]


def test_a_mail_that_does_not_know_dark_mode_stays_light_there():
    html = page("<p>a</p>", head="")
    assert seen(html, "dark") == seen(html, "light") == [("a", "#000000", "#ffffff")]
    assert seen(page("<p>a</p>"), "dark") == [("a", "#ffffff", "#121212")]


@pytest.mark.parametrize(
    "hidden",
    [
        '<div style="display:none">a</div>',
        '<div style="visibility:hidden">a</div>',
        '<div style="opacity:0">a</div>',
        '<div style="font-size:1px">a</div>',
        "<style>a</style>",
        "<p>&nbsp;· —</p>",
        "<!--[if mso]>a<![endif]-->",
    ],
)
def test_what_nobody_sees_is_not_judged(hidden):
    assert seen(page(hidden)) == []


@pytest.mark.parametrize("ground", ["url(a.png)", "linear-gradient(#000, #fff)", "var(--x)"])
def test_what_cannot_be_told_is_not_judged(ground):
    assert weak_spots(page(f'<p style="background:{ground};color:#777">a</p>'), "light") == []


def test_large_text_needs_less():
    for size, weight, needed in (
        ("24px", "400", 3.0),
        ("19px", "bold", 3.0),
        ("19px", "400", 4.5),
        ("14pt", "700", 3.0),
    ):
        (spot,) = spots(page(f'<p style="font-size:{size};font-weight:{weight};color:#888">a</p>'), "light")
        assert spot.needed == needed, (size, weight)


def test_words_that_stand_for_a_picture_are_judged_on_its_ground():
    html = page('<a href="https://x.example" style="color:#777"><img alt="A river" style="background-color:#888"></a>')
    (spot,) = weak_spots(html, "light")
    assert (spot.text, spot.colour, spot.ground) == ("A river", "#777777", "#888888")


def test_each_pair_of_colours_is_said_once():
    html = page('<p style="color:#aaa">a</p><p style="color:#aaa">b</p><p style="color:#bbb">c</p>')
    assert [each.text for each in weak_spots(html, "light")] == ["a", "c"]


@pytest.mark.parametrize("broken", ["}", "a { color: #fff", "@media { } }", "a,,b { color: red } ::x { }", "/* a {"])
def test_broken_rules_break_nothing(broken):
    assert seen(page("<p>a</p>", broken)) == [("a", "#000000", "#ffffff")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_our_own_mail_is_easy_to_read(scheme):
    from digest.mail.render import Renderer

    html = Renderer().digest(issue(*(pick(n) for n in range(1, 12)))).html
    assert weak_spots(html, scheme) == []
    assert len(list(spots(html, scheme))) > 30
