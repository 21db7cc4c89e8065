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
    OTHER = "no report"


@dataclass(frozen=True, slots=True)
class Report:
    """A report with every place in it that may hold a token of ours."""

    kind: ReportKind
    words: str = ""
    envelope_senders: tuple[str, ...] = ()  # addresses it came to or quotes
    message_ids: tuple[str, ...] = ()


_HARD = re.compile(r"5\.(?:1\.(?:1|2|3|6|10)|2\.1)")


def kind_of_status(status: str) -> ReportKind:
    """What an enhanced status code (RFC 3463) says about the reader; only some 5.1.x and 5.2.1 speak of the mailbox."""
    if _HARD.fullmatch(status):
        return ReportKind.HARD
    if status.startswith(("5.7.", "4.7.")):
        return ReportKind.POLICY
    return ReportKind.SOFT
