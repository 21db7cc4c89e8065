"""How mails look: colours, fonts, corners and a logo. Values go into style sheets: config.py holds each to its form."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """The publisher's look. Colours are #rrggbb, each with its twin for the dark scheme; lengths are pixels."""

    accent: str = "#a3172a"
    accent_dark: str = "#ff8a93"
    text: str = "#1d1d1f"
    text_dark: str = "#f2f0eb"
    soft: str = "#5f5b53"
    soft_dark: str = "#aaa69d"
    paper: str = "#ffffff"
    paper_dark: str = "#1b1c1f"
    page: str = "#f3f1ec"
    page_dark: str = "#111214"
    line: str = "#dedad2"
    line_dark: str = "#37383c"
    serif: str = "Georgia, 'Times New Roman', serif"
    sans: str = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    radius: int = 6
    logo: str = ""  # an https address; shown instead of the newsletter's name
    logo_dark: str = ""  # the same for dark mode; empty: `logo` there too
    logo_width: int = 240

    @property
    def on_accent(self) -> str:
        """White or the text's colour, whichever can be read better on the accent."""
        return "#ffffff" if _light(self.accent) < 0.36 else self.text

    @property
    def strong_dark(self) -> str:
        """Strong rules in dark mode, halfway between text and paper: in the text's own colour they would glare."""
        pairs = zip(_parts(self.text_dark), _parts(self.paper_dark), strict=True)
        return "#" + "".join(f"{(one + other) // 2:02x}" for one, other in pairs)

    def values(self) -> dict[str, object]:
        """For templates."""
        return {**asdict(self), "on_accent": self.on_accent, "strong_dark": self.strong_dark}


def _parts(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def _light(colour: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    parts = [part / 255 for part in _parts(colour)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
