"""Styles moved inline, as mail clients need them; nothing is fetched while that is done."""

from __future__ import annotations

import logging

import cssutils
from premailer import Premailer

# cssutils follows `@import url(http:...)` and `url(file:...)` by itself, whatever premailer is told.
cssutils.log.setLevel(logging.CRITICAL)
cssutils.util._defaultFetcher = lambda url: (None, b"")


def inline(html: str) -> str:
    """Move the styles of the first style block inline; the block marked to be ignored stays as it is."""
    made: str = Premailer(
        html,
        strip_important=False,
        allow_network=False,
        allow_loading_external_files=False,
        disable_validation=True,
        cache_css_parsing=False,
        disable_basic_attributes=["width", "height", "bgcolor", "align", "valign"],
    ).transform(pretty_print=False)
    return made
