"""An edition: one numbered newsletter, from its draft to the moment the last reader has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from digest.domain.articles import Article
from digest.domain.periods import Period

LONGEST_NOTE = 5000  # characters of the editor's note
NOT_PLAUSIBLE = "not plausible: "  # how notes begin that say why the counts are not believed
FOR_SIZE = "so that mailboxes show it whole"  # how notes begin that say what was left out


class EditionState(StrEnum):
    """Where an edition stands. It is frozen from SENDING on."""

    DRAFTED = "drafted"
    APPROVED = "approved"
    HELD = "held"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Basis(StrEnum):
    """What an edition's articles were chosen by."""

    VIEWS = "views"
    NEWEST = "newest"  # the counts could not be right


UNFROZEN = frozenset({EditionState.DRAFTED, EditionState.APPROVED, EditionState.HELD})

# What may follow what. The store moves an edition only from a state listed here.
BEFORE: dict[EditionState, frozenset[EditionState]] = {
    EditionState.DRAFTED: frozenset({EditionState.SKIPPED, EditionState.APPROVED}),  # approved was another list
    EditionState.APPROVED: frozenset({EditionState.DRAFTED, EditionState.HELD}),
    EditionState.HELD: frozenset({EditionState.DRAFTED, EditionState.APPROVED}),
    EditionState.SENDING: frozenset(
        # from SENT too: the desk may send copies again
        {EditionState.DRAFTED, EditionState.APPROVED, EditionState.PAUSED, EditionState.SENT}
    ),
    EditionState.PAUSED: frozenset({EditionState.SENDING}),
    EditionState.SENT: frozenset({EditionState.SENDING}),
    EditionState.CANCELLED: frozenset(
        {
            EditionState.DRAFTED,
            EditionState.APPROVED,
            EditionState.HELD,
            EditionState.SENDING,
            EditionState.PAUSED,
        }
    ),
    EditionState.SKIPPED: UNFROZEN,
}


@dataclass(frozen=True, slots=True)
class Pick:
    """An article chosen for one edition, with the words and the views it goes out with."""

    position: int  # from 1
    article: Article
    views: int
    reason: str
    block: str = ""  # the heading it stands under
    is_sponsored: bool = False


@dataclass(frozen=True, slots=True)
class Edition:
    """One numbered newsletter. All times aware UTC; `reason` says why it was skipped, held or paused."""

    id: int
    newsletter: str
    number: int
    period: Period
    state: EditionState
    subject: str
    send_at: datetime
    created_at: datetime
    frozen_at: datetime | None = None
    sent_at: datetime | None = None
    reason: str = ""
    audience: int = 0
    excluded: int = 0
    basis: Basis = Basis.VIEWS
    notes: tuple[str, ...] = ()  # what one should know of its list
    note: str = ""  # the editor's, in Markdown


LATE_DRAFT = "its hour had passed when it was made, so it goes out by hand only: digest edition send {}"
_LATE_DRAFT = LATE_DRAFT.partition("{")[0]


def waits_for_a_hand(edition: Edition, too_late: datetime, running_since: datetime | None) -> bool:
    """Whether a draft whose hour has passed is for the desk to send, and was not missed.

    It is when it was made, or made again, after `too_late`; and when the service had never run before its hour
    (`running_since` is when it first did), so that nobody waited for it then.
    """
    was_made_late = edition.created_at > too_late or edition.reason.startswith(_LATE_DRAFT)
    return was_made_late or running_since is None or running_since >= edition.send_at


@dataclass(frozen=True, slots=True)
class Rendering:
    """An edition rendered in one language, before any reader.

    `html` and `text` hold slots: places for one reader's own values, written so that no article can
    contain one (see `mail.wire`); `mark` is the word that makes this rendering's slots its own.
    """

    edition_id: int
    language: str
    subject: str
    preheader: str
    html: str
    text: str
    mark: str
    shortened: tuple[str, ...] = ()  # what was left out so that mailboxes show it whole; not kept


def with_sizes(notes: Sequence[str], renderings: Sequence[Rendering]) -> list[str]:
    """The notes on an edition's list, and what its renderings leave out; the newsletter's own language comes first.

    Letters take one byte in one language and two in another.
    """
    main, *others = renderings
    said = [f"{FOR_SIZE}: {each}" for each in main.shortened]
    for other in others:
        said += [f"{FOR_SIZE}, in {other.language}: {each}" for each in other.shortened if each not in main.shortened]
    return [*(note for note in notes if not note.startswith(FOR_SIZE)), *said]
