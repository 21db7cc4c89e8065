"""The kept list of providers of throw-away mailboxes, read when it is first asked for: it is large."""

from __future__ import annotations

from functools import cache


@cache
def domains() -> frozenset[str]:
    """Their domains, in lower-case A-labels."""
    from disposable_email_domains import blocklist

    return frozenset(blocklist)
