"""FLOW: publishing's part: an hour that passed while nothing ran. Never a late mail by surprise, never a draft lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from digest.domain import notices
from digest.domain.editions import LATE_DRAFT, Edition, EditionState, waits_for_a_hand
from digest.domain.newsletters import Newsletter
from digest.domain.periods import Period
from digest.store import Store, Transaction, editions, marks, workers

TellDesk = Callable[[int, str, str], None]  # edition id, subject, text


def first_seen(store: Store, newsletter: Newsletter, now: datetime) -> datetime:
    """When the newsletter was first looked after, in UTC: no edition is owed from before. Remembered from now on."""
    name = f"{newsletter.name} first seen"
    with store.begin() as tx:
        known = marks.get(tx, name)
        if known and datetime.fromisoformat(known) <= now:  # else the clock was ahead when it was noted
            return datetime.fromisoformat(known)
        # A database from before this was remembered: its first edition says it.
        seen = min(now, editions.first_made(tx, newsletter.name, but=0) or now)
        marks.put(tx, name, seen.isoformat())
    return seen


def record(store: Store, newsletter: Newsletter, period: Period, tell_desk: TellDesk, now: datetime) -> Edition:
    """Nothing ran at the hour: keep a record of it. It can still be drafted and sent by hand."""
    with store.begin() as tx:
        made = editions.create(tx, newsletter, period, now)
        edition = made or editions.by_period_end(tx, newsletter.name, period.end)
    assert edition is not None, "a period has an edition once it was created"
    if made is None:  # another was quicker
        return pass_over(store, newsletter, edition, tell_desk, now)
    return _skip(store, newsletter, edition, tell_desk, now)


def pass_over(store: Store, newsletter: Newsletter, edition: Edition, tell_desk: TellDesk, now: datetime) -> Edition:
    """An edition is there, and its hour passed too long ago: it is missed, or it is a draft for the desk to send."""
    with store.begin() as tx:
        signs = workers.first_start(tx), editions.first_made(tx, newsletter.name, edition.id)
        since = min(filter(None, signs), default=None)
        if waits_for_a_hand(edition, edition.send_at + newsletter.catch_up, since):
            editions.update(tx, edition.id, reason=LATE_DRAFT.format(edition.id))
            return editions.required(tx, edition.id)
    return _skip(store, newsletter, edition, tell_desk, now)


def note_a_late_draft(tx: Transaction, newsletter: Newsletter, edition_id: int, now: datetime) -> None:
    """A draft that is made when its hour has long passed goes out by hand only, and says so."""
    edition = editions.required(tx, edition_id)
    if edition.state is EditionState.DRAFTED and now > edition.send_at + newsletter.catch_up:
        editions.update(tx, edition_id, reason=LATE_DRAFT.format(edition_id))


def _skip(store: Store, newsletter: Newsletter, edition: Edition, tell_desk: TellDesk, now: datetime) -> Edition:
    hours = (now - edition.send_at).total_seconds() / 3600
    limit = newsletter.catch_up.total_seconds() / 3600
    reason = f"missed: Digest was started {hours:.1f} hours late, and the catch-up limit is {limit:g} hours"
    with store.begin() as tx:
        if editions.move(tx, edition.id, EditionState.SKIPPED, reason=reason):
            skipped = editions.required(tx, edition.id)
        else:
            return editions.required(tx, edition.id)
    tell_desk(edition.id, f"{newsletter.title}: an edition was missed", notices.missed(skipped, reason))
    return skipped
