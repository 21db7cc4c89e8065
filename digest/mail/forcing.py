"""A copy of a mail's html for looking at: its colour scheme is forced, whatever the browser's own is."""

from __future__ import annotations

import re

_STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)", re.S | re.I)
_MEDIA = re.compile(r"""(\smedia=["'])([^"']*)""", re.I)
_ASKS = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)", re.I)
_OFFERS = re.compile(r"(color-schemes?\s*:\s*)[^;}]+", re.I)
_META = re.compile(r"""(<meta\s+name=["'](?:supported-)?color-schemes?["']\s+content=["'])[^"']*""", re.I)
_HEAD = re.compile(r"<head\b[^>]*>", re.I)
# Links open beside the preview, not in it. A scrollbar would take its width from the mail.
_OURS = '<base target="_blank"><style>html{scrollbar-width:none}</style>'


def forced(html: str, scheme: str) -> str:
    """The html as a mailbox in `scheme`, light or dark, shows it: media queries that ask for a scheme are answered."""

    def answer(asked: re.Match[str]) -> str:
        return "(min-width: 0px)" if asked[1].lower() == scheme else "(max-width: 0px)"

    def restyled(block: re.Match[str]) -> str:
        answered = _ASKS.sub(answer, block[2])
        return block[1] + _OFFERS.sub(rf"\g<1>{scheme}", answered) + block[3]

    copy = _STYLE.sub(restyled, html)
    copy = _MEDIA.sub(lambda found: found[1] + _ASKS.sub(answer, found[2]), copy)
    copy = _META.sub(rf"\g<1>{scheme}", copy)
    return _HEAD.sub(lambda head: head[0] + _OURS, copy, count=1)
