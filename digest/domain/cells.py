"""Cells of a table that people open in a spreadsheet: made safe on the way out, made plain again on the way in.

A spreadsheet runs what begins like a formula. One apostrophe before it makes it text; reading takes that one off again,
so a table that goes out and comes back is the same (OWASP, CSV injection).
"""

from __future__ import annotations

import re

# What a spreadsheet may take for a formula; the wide forms are as good as the narrow ones in East Asian settings.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_GUARDED = re.compile(r"''*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\s]+")  # also what turns writing round
MAX_NAME = 200  # characters


def guarded(cell: str) -> str:
    """The cell as it goes into a table: an apostrophe before what a spreadsheet would run."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def plain(cell: str) -> str:
    """The cell as it was before it was guarded, by us or by another who does the same."""
    return cell[1:] if cell[:1] == "'" and _GUARDED.match(cell) else cell


def name_in(cell: str) -> str:
    """A person's name: one line, without what cannot be seen, not longer than a name is."""
    if cell.isprintable() and "  " not in cell and cell[:1] != "'":
        return cell.strip()[:MAX_NAME]
    return _UNSEEN.sub(" ", plain(cell)).strip()[:MAX_NAME]
