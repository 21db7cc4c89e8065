"""Styles moved inline, as mail clients need them; nothing is fetched while that is done."""

from __future__ import annotations

import logging

import cssutils
from premailer import Premailer

from digest.errors import RenderError

# cssutils follows `@import url(http:...)` and `url(file:...)` by itself, whatever premailer is told.
cssutils.log.setLevel(logging.CRITICAL)
cssutils.util._defaultFetcher = lambda url: (None, b"")


def inline(html: str) -> str:
    """Move the styles of the first style block inline; the block marked to be ignored stays as it is.

    Raises RenderError for rules it stumbles over: the inliner knows few selectors, and no block in a block.
    """
    try:
        made: str = Premailer(
            html,
            strip_important=False,
            allow_network=False,
            allow_loading_external_files=False,
            disable_validation=True,
            cache_css_parsing=False,
            disable_basic_attributes=["width", "height", "bgcolor", "align", "valign"],
        ).transform(pretty_print=False)
    except Exception as error:  # premailer, cssutils and lxml raise whatever comes
        words = f"the styles cannot be moved inline ({type(error).__name__}: {error})"
        raise RenderError("inlining", f"{words}; keep to plain class selectors in the first <style>") from None
    return made
