"""What the desk is told by mail, in words a person can act on."""

from __future__ import annotations

from collections.abc import Sequence

from digest.domain.editions import Edition
from digest.domain.newsletters import Approval, Fallback, Newsletter
from digest.errors import NotFit

DRAFT_READY = "the draft is ready"  # how the subject of that notice ends
NOT_FIT = "the edition was not sent"


def draft_ready(newsletter: Newsletter, edition: Edition) -> str:
    """A draft waits, or goes out by itself at its hour."""
    local = edition.send_at.astimezone(newsletter.zone)
    policy = (
        "It waits for you: nothing goes out before you approve it."
        if newsletter.approval is Approval.REQUIRED
        else "It goes out by itself unless you hold it."
    )
    return (
        f"Edition {edition.number}: {edition.subject}\nPlanned for {local:%A %d %B, %H:%M}. {policy}\n\n"
        f"See it:     digest edition preview {edition.id}\nApprove it: digest edition approve {edition.id}\n"
        f"Hold it:    digest edition hold {edition.id}"
    )


def not_plausible(newsletter: Newsletter, edition: Edition, odd: Sequence[str]) -> str:
    """The counts are not believed: why, and what was done about it."""
    chosen = {
        Fallback.NEWEST: "So its articles are the pinned ones and the newest, not the most read.",
        Fallback.VIEWS: "Its articles were chosen by these counts all the same.",
        Fallback.SKIP: "So there is no edition this time.",
    }[newsletter.plausibility.fallback]
    listed = "\n".join(f"- {each}" for each in odd)
    return (
        f"The counts of the period cannot be right:\n{listed}\n\n{chosen}\n\n"
        f"See what the sources say: digest collect --check\nOnce they are right:      digest edition draft\n"
        f"See the edition:          digest edition show {edition.id}"
    )


def too_few(edition: Edition) -> str:
    """No edition this time."""
    return (
        f"There is no edition this time: {edition.reason}.\n\n"
        "To send one all the same, lower min_articles or pin articles, then run: digest edition draft"
    )


def corrected(done: Sequence[str]) -> str:
    """What was found when the picked pages were looked at right before freezing."""
    listed = "\n".join(f"- {each}" for each in done)
    return f"Right before the edition went out, its articles were looked at once more:\n{listed}"


def not_fit(error: NotFit) -> str:
    """The preflight found errors: nothing went out."""
    listed = "\n".join(f"- {name}: {text}.\n  {fix}." for name, text, fix in error.faults)
    names = " ".join(f"--allow {name}" for name in dict.fromkeys(name for name, _, _ in error.faults))
    return (
        f"The edition was to go out, and the last look at it found:\n{listed}\n\n"
        f"Nothing was sent and nobody is lost. Once it is mended: digest edition send {error.edition_id}\n"
        f"To send it as it is:                                 digest edition send {error.edition_id} {names}"
    )


def missed(edition: Edition, reason: str) -> str:
    """Nothing ran at the hour."""
    return (
        f"The edition was not sent. {reason}.\n\n"
        f"To send it all the same: digest edition draft, then digest edition send {edition.id}"
    )
