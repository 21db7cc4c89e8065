"""Contrast of a mail's text on its background, in light and in dark mode (WCAG 2.2, success criterion 1.4.3).

No browser is asked. The few properties that matter are resolved over the finished html: inline styles, `bgcolor`,
and the rules of its style blocks with their media conditions, in the order of the cascade. What cannot be resolved
(a picture as background, a variable) is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lxml import html as lxml_html

from digest.mail.cascade import cascade

Colour = tuple[float, float, float, float]  # red, green, blue 0 to 255, alpha 0 to 1
SCHEMES = ("light", "dark")
NORMAL, LARGE = 4.5, 3.0  # what WCAG AA asks for
_LARGE_PX, _LARGE_BOLD_PX = 24.0, 18.66  # 18 pt, 14 pt bold

_CANVAS: dict[str, Colour] = {"light": (255, 255, 255, 1.0), "dark": (18, 18, 18, 1.0)}
_INK: dict[str, Colour] = {"light": (0, 0, 0, 1.0), "dark": (255, 255, 255, 1.0)}
_LINK: dict[str, Colour] = {"light": (0, 0, 238, 1.0), "dark": (158, 158, 255, 1.0)}
_WORDS = dict(
    re.findall(
        r"(\S+)=(\S+)",
        "black=#000 white=#fff silver=#c0c0c0 gray=#808080 grey=#808080 red=#f00 maroon=#800000 yellow=#ff0"
        " olive=#808000 lime=#0f0 green=#008000 aqua=#0ff teal=#008080 blue=#00f navy=#000080 fuchsia=#f0f"
        " purple=#800080 orange=#ffa500 whitesmoke=#f5f5f5 lightgray=#d3d3d3 darkgray=#a9a9a9 transparent=#0000",
    )
)
_SIZES = {"small": 13.0, "medium": 16.0, "large": 18.0, "x-large": 24.0, "xx-large": 32.0, "x-small": 10.0}
_TAG_SIZES = {"h1": 32.0, "h2": 24.0, "h3": 18.72, "h4": 16.0, "h5": 13.28, "h6": 10.72, "small": 13.33}
_BOLD_TAGS = frozenset({"b", "strong", "th", "h1", "h2", "h3", "h4", "h5", "h6"})
_SEEN = re.compile(r"[^\W_]")  # a letter or a digit: dots and dashes between words are decoration


@dataclass(frozen=True, slots=True)
class Spot:
    """Text as it stands on its background."""

    scheme: str
    text: str
    colour: str
    ground: str
    ratio: float
    needed: float


@dataclass(frozen=True, slots=True)
class _Look:
    """What an element inherits. None: cannot be told."""

    colour: Colour | None
    ground: Colour | None
    size: float = 16.0
    bold: bool = False


def ratio(one: Colour, other: Colour) -> float:
    """The contrast of two opaque colours, 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    parts = [each / 255 for each in colour[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable(spot: Spot) -> str:
    """The colour nearest to the spot's own that has the contrast asked for on its ground: darker, or else lighter."""
    own, ground = parsed(spot.colour), parsed(spot.ground)
    assert own is not None and ground is not None, "a spot's colours are hexadecimal"
    ends: list[Colour] = [(0, 0, 0, 1.0), (255, 255, 255, 1.0)]
    if _luminance(ground) < 0.18:  # where black and white can be read alike
        ends.reverse()
    for end in ends:
        for step in range(1, 101):
            mixed = _over((*end[:3], step / 100), own)
            if ratio(parsed(_hex(mixed)) or mixed, ground) >= spot.needed:
                return _hex(mixed)
    return _hex(ends[0])


def weak_spots(html: str, scheme: str) -> list[Spot]:
    """Text with less contrast than WCAG AA asks for, one spot for each pair of colours."""
    found: dict[tuple[str, str, float], Spot] = {}
    for spot in spots(html, scheme):
        if round(spot.ratio, 2) < spot.needed:
            found.setdefault((spot.colour, spot.ground, spot.needed), spot)
    return list(found.values())


def spots(html: str, scheme: str) -> Iterator[Spot]:
    """Every piece of text a reader sees with its colours, in `scheme`."""
    page = lxml_html.document_fromstring(html)
    body = page.find("body")
    if body is None:
        return
    # Without this word a mailbox leaves the canvas white, or turns our colours around as it pleases.
    own = scheme if any("dark" in each.get("content", "") for each in page.iter("meta")) else "light"
    styles = cascade(page, scheme)
    yield from _walk(body, _Look(_INK[own], _CANVAS[own]), styles, scheme, own)


def _walk(element: Any, around: _Look, styles: dict[Any, dict[str, str]], scheme: str, canvas: str) -> Iterator[Spot]:
    if not isinstance(element.tag, str) or element.tag in ("style", "script", "title"):
        return
    style = styles.get(element, {})
    if _is_hidden(style):
        return
    look = _looked(element, style, around, canvas)
    if element.tag == "img":
        yield from _judge(element.get("alt", ""), look, scheme)
    yield from _judge(element.text or "", look, scheme)
    for child in element:
        yield from _walk(child, look, styles, scheme, canvas)
        yield from _judge(child.tail or "", look, scheme)


def _judge(text: str, look: _Look, scheme: str) -> Iterator[Spot]:
    if not _SEEN.search(text) or look.colour is None or look.ground is None:
        return
    colour = _over(look.colour, look.ground)
    is_large = look.size >= _LARGE_PX or (look.bold and look.size >= _LARGE_BOLD_PX)
    words = " ".join(text.split())[:40]
    needed = LARGE if is_large else NORMAL
    yield Spot(scheme, words, _hex(colour), _hex(look.ground), ratio(colour, look.ground), needed)


def _is_hidden(style: dict[str, str]) -> bool:
    return (
        style.get("display") == "none"
        or style.get("visibility") == "hidden"
        or style.get("opacity") in ("0", "0.0")
        or _pixels(style.get("font-size", ""), 16.0) <= 1
    )


def _looked(element: Any, style: dict[str, str], around: _Look, canvas: str) -> _Look:
    """The element's own look, from what is around it and its style."""
    look = replace(
        around,
        size=_TAG_SIZES.get(element.tag, around.size),
        bold=around.bold or element.tag in _BOLD_TAGS,
        colour=_LINK[canvas] if element.tag == "a" and element.get("href") else around.colour,
    )
    if "font-size" in style:
        look = replace(look, size=_pixels(style["font-size"], around.size))
    if weight := style.get("font-weight"):
        look = replace(look, bold=weight in ("bold", "bolder") or (weight.isdecimal() and int(weight) >= 700))
    if (value := style.get("color")) and value not in ("inherit", "currentcolor", "unset"):
        look = replace(look, colour=parsed(value))
    elif value:
        look = replace(look, colour=around.colour)
    ground = style.get("background-color") or style.get("background") or element.get("bgcolor", "")
    return replace(look, ground=_ground(ground, around.ground)) if ground else look


def _ground(value: str, below: Colour | None) -> Colour | None:
    if "url(" in value or "gradient(" in value:
        return None
    words = re.findall(r"[a-z-]+\([^)]*\)|[^\s]+", value.lower())
    colours = [colour for word in words if (colour := parsed(word)) is not None]
    if colours:
        return _over(colours[0], below) if below or colours[0][3] == 1 else None
    return below if {"none", "inherit", "initial"} & set(words) else None


def _over(colour: Colour, below: Colour | None) -> Colour:
    if colour[3] == 1 or below is None:
        return colour
    red, green, blue = (
        each * colour[3] + under * (1 - colour[3]) for each, under in zip(colour[:3], below[:3], strict=True)
    )
    return red, green, blue, 1.0


def parsed(text: str) -> Colour | None:
    """A colour as CSS writes it; None for what is none, or none we know."""
    text = _WORDS.get(text.strip().lower(), text.strip().lower())
    if match := re.fullmatch(r"#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})", text):
        digits = match[1] if len(match[1]) > 4 else "".join(each * 2 for each in match[1])
        red, green, blue, alpha = (int(digits[at : at + 2] or "ff", 16) for at in (0, 2, 4, 6))
        return red, green, blue, alpha / 255
    if match := re.fullmatch(r"rgba?\(([^()]*)\)", text):
        parts = re.split(r"[\s,/]+", match[1].strip())
        try:
            numbers = [float(each.rstrip("%")) / (100 if each.endswith("%") else 1) for each in parts]
        except ValueError:
            return None
        if len(numbers) in (3, 4) and not any(each.endswith("%") for each in parts[:3]):
            return numbers[0], numbers[1], numbers[2], numbers[3] if len(numbers) == 4 else 1.0
    return None


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(each):02x}" for each in colour[:3])


def _pixels(value: str, around: float) -> float:
    if match := re.fullmatch(r"([\d.]+)(px|pt|em|rem|%)?", value.strip()):
        number = float(match[1])
        return number * {"pt": 4 / 3, "em": around, "rem": 16.0, "%": around / 100}.get(match[2] or "px", 1.0)
    return _SIZES.get(value.strip(), around)
