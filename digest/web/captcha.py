"""Asking a captcha service whether a person sent the form (the `siteverify` call of hCaptcha, Turnstile, reCAPTCHA)."""

from __future__ import annotations

import logging

import httpx

from digest.config.subscribing import Captcha

_PATIENCE = 5.0  # seconds
_LONGEST = 4096  # characters of a page's word
log = logging.getLogger("digest.web")


async def is_person(settings: Captcha, word: str) -> bool:
    """Whether the service accepts the word its script gave the page. The reader's address is not told to it.

    When it does not answer everybody passes, with a line in the log: the other limits hold, and readers are not
    locked out by somebody else's bad day.
    """
    if not word or len(word) > _LONGEST:
        return False
    form = {"secret": settings.secret.get_secret_value(), "response": word, "sitekey": settings.site_key}
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE) as client:
            answer = await client.post(settings.verify_url, data=form)
            return bool(answer.raise_for_status().json()["success"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        log.warning("the captcha service does not answer, so all sign-ups pass: %s", str(error) or type(error).__name__)
        return True
