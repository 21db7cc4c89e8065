"""Reports about mail we sent: bounces (RFC 3464) and complaints (RFC 5965)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class ReportKind(StrEnum):
    """What a report says."""

    HARD = "hard bounce"  # the mailbox does not exist
    SOFT = "soft bounce"  # full, slow, or for now
    POLICY = "refused by policy"  # about us, never about the reader
    COMPLAINT = "complaint"
    LEFT = "unsubscribed"  # at a provider that has a way of its own; only webhooks say so
    OTHER = "no report"


@dataclass(frozen=True, slots=True)
class Report:
    """A report with every place in it that may hold a token of ours, each list by trust, best first.

    `status` is the enhanced code (RFC 3463) it was judged by, "" when it has none; `words` one line of at most 300
    characters. `final_recipient` is what the report claims: shown to people, never acted upon.
    """

    kind: ReportKind
    words: str = ""
    envelope_senders: tuple[str, ...] = ()  # the addresses it came to, then the return paths it quotes
    message_ids: tuple[str, ...] = ()  # of the returned message, without angle brackets
    status: str = ""
    final_recipient: str = ""
    unsubscribe_links: tuple[str, ...] = ()  # of the returned message's List-Unsubscribe: https and mailto


_HARD = re.compile(r"5\.(?:1\.(?:1|2|3|6|10)|2\.1)")


def kind_of_status(status: str) -> ReportKind:
    """What an enhanced status code (RFC 3463) says about the reader; only some 5.1.x and 5.2.1 speak of the mailbox."""
    if _HARD.fullmatch(status):
        return ReportKind.HARD
    # 5.6: what our mail is made of; 5.1.7 and 5.1.8: our own address
    if status.startswith(("5.6.", "5.7.", "4.7.")) or status in ("5.1.7", "5.1.8"):
        return ReportKind.POLICY
    return ReportKind.SOFT
