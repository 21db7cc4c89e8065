"""The languages readers are written in: words from catalogues, dates, numbers, and the typography of each.

A catalogue is a gettext file, `templates/locale/<language>.po`, that a translator can edit with any tool; English is
in the templates themselves. Catalogues are compiled when a language is first used, so there is no step of building.
"""

from __future__ import annotations

import gettext
import io
import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

LANGUAGES = ("en", "pl", "uk")
_TAG = re.compile(r"(<[^>]*>)")
# A line must not end with one of these words. After a tag or a space, so that no word's last letter is meant.
_SHORT = {
    code: re.compile(rf"(?:(?<=^)|(?<=[\s(\u201e\u00ab\u00a0]))({words}) (?=\S)", re.I)
    for code, words in {"pl": "[aiouwz]", "uk": "[авєзійоуя]|на|до|по|за|із|зі|та|не|чи"}.items()
}
# A number keeps to what it counts, in English to units only: there a line that ends with a number offends nobody.
_NUMBER = r"(?<![\w.,])(\d(?:[\d.,:\u00a0\u202f]*\d)?) "
_COUNTED = {
    "pl": re.compile(_NUMBER + r"(?=[^\W\d_]{1,12}\b|%|°)"),
    "uk": re.compile(_NUMBER + r"(?=[^\W\d_]{1,12}\b|%|°)"),
    "en": re.compile(_NUMBER + r"(?=(?:km|kg|cm|m|g|ha|min|GB|MB|GW|MW|a\.m|p\.m|million|billion|per cent)\b|%|°)"),
}
_THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}(?!\d))")
_TIE = "\u00a0"


@dataclass(frozen=True, slots=True)
class Language:
    """One language. `catalogue` translates; what it does not know stays English."""

    code: str
    catalogue: gettext.NullTranslations

    def day(self, moment: date | datetime) -> str:
        """A whole date, such as Saturday, 28 November 2026."""
        from babel.dates import format_date

        form = "EEEE, d MMMM y" if self.code == "en" else "full"
        return format_date(moment, format=form, locale=self.code)

    def short_day(self, moment: date | datetime) -> str:
        """A date where there is little room, such as 28 Nov 2026."""
        from babel.dates import format_date

        return format_date(moment, format="d MMM y", locale=self.code)

    def hour(self, moment: datetime) -> str:
        """The time of day, such as 08:00."""
        return f"{moment:%H:%M}"

    def number(self, number: int) -> str:
        """A number as it is written: 12,480 or 12 480."""
        from babel.numbers import format_decimal

        return format_decimal(number, locale=self.code)

    def set(self, text: str) -> str:
        """Text as a typesetter of the language would have it: short words and numbers keep to what follows them."""
        if short := _SHORT.get(self.code):
            text = short.sub(rf"\1{_TIE}", short.sub(rf"\1{_TIE}", text))  # twice: `a w` are two in a row
            text = _THOUSANDS.sub(_TIE, text)  # 12 000, as Polish and Ukrainian write it
        return _COUNTED[self.code].sub(rf"\1{_TIE}", text)

    def set_header(self, text: str) -> str:
        """The same for a subject; English stays ASCII, which needs no encoding."""
        return text if self.code == "en" else self.set(text)

    def set_html(self, html: str) -> str:
        """The same for what stands between tags, from <body> on."""
        head, body, rest = html.partition("<body")
        return head + body + "".join(part if part.startswith("<") else self.set(part) for part in _TAG.split(rest))


@lru_cache(maxsize=16)
def language(code: str, folder: Path) -> Language:
    """The language by its code, with the catalogue in `folder`; one without a catalogue is English in its own dates."""
    return Language(code, _read(folder / f"{code}.po"))


def _read(path: Path) -> gettext.NullTranslations:
    if not path.is_file():
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def known(code: str) -> str:
    """The code if we write that language, else English."""
    return code if code in LANGUAGES else "en"
