"""FLOW: articles, picks, an edition: drafted, approved, frozen, its deliveries queued.

An edition is ranked afresh until it is frozen. Freezing, and queueing a delivery to every reader, is one
transaction: an edition is being sent to all its readers or to none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from digest.domain.deliveries import Settled
from digest.domain.editions import UNFROZEN, Edition, EditionState, Pick, Rendering
from digest.domain.newsletters import Approval, Newsletter, TooFew
from digest.domain.periods import Period
from digest.domain.ranking import Ranked, rank
from digest.errors import DigestError, NotFound, StoreConflict, TooFewArticles
from digest.store import Store, Transaction, articles, deliveries, editions, workers

Press = Callable[[Newsletter, Edition, Sequence[Pick]], Rendering]  # lays an edition out, before any reader
TellDesk = Callable[[int, str, str], None]  # edition id, subject, text


# --- drafting ------------------------------------------------------------------------------------


def draft(store: Store, press: Press, newsletter: Newsletter, at: datetime, now: datetime) -> Edition:
    """The edition of the period that closed last at `at`, ranked afresh unless it is frozen.

    With too few articles it ends up skipped, with the reason, if that is the newsletter's policy.
    """
    period = newsletter.period(at)
    with store.begin() as tx:
        edition = editions.create(tx, newsletter, period, now)
        edition = edition or editions.by_period_end(tx, newsletter.name, period.end)
        assert edition is not None, "a period has an edition once it was created"
        edition = editions.required(tx, edition.id, lock=True)
        if edition.state is EditionState.SKIPPED:
            editions.move(tx, edition.id, EditionState.DRAFTED)
        elif edition.state not in UNFROZEN:
            return edition
        try:
            _rank_and_lay_out(tx, press, newsletter, editions.required(tx, edition.id))
        except TooFewArticles as error:
            editions.move(tx, edition.id, EditionState.SKIPPED, reason=str(error))
        return editions.required(tx, edition.id)


def _rank_and_lay_out(tx: Transaction, press: Press, newsletter: Newsletter, edition: Edition) -> None:
    """Choose the picks, keep the reasons, and see that the mail can be made of them. Raises TooFewArticles."""
    ranked = _rank(tx, newsletter, edition)
    editions.save_ranking(tx, edition.id, ranked)
    found = sum(each.kept for each in ranked)
    enough = newsletter.selection.min_articles if newsletter.selection.too_few is TooFew.SKIP else 1
    if found < enough:
        raise TooFewArticles(found, enough)
    rendering = press(newsletter, edition, editions.picked(tx, edition.id))
    audience, excluded = deliveries.count_audience(tx, newsletter.name)
    editions.update(tx, edition.id, subject=rendering.subject, audience=audience, excluded=excluded)


def _rank(tx: Transaction, newsletter: Newsletter, edition: Edition) -> list[Ranked]:
    candidates = articles.candidates(tx, edition.period)
    sent = editions.sent_article_ids(tx, newsletter.name)
    return rank(candidates, edition.period, newsletter.selection, sent)


# --- sending -------------------------------------------------------------------------------------


def release(store: Store, press: Press, newsletter: Newsletter, edition_id: int, now: datetime) -> Edition:
    """Freeze the edition if need be and queue its deliveries, so that the sender takes it up.

    Safe to call twice, or by two at once: one edition is queued once. A paused edition goes on.
    """
    while True:
        try:
            with store.begin(snapshot=True) as tx:
                return _release(tx, press, newsletter, edition_id, now)
        except StoreConflict:
            continue  # another draft or release of it came first: look again


def _release(tx: Transaction, press: Press, newsletter: Newsletter, edition_id: int, now: datetime) -> Edition:
    edition = editions.required(tx, edition_id, lock=True)
    if edition.state is EditionState.PAUSED:
        editions.move(tx, edition_id, EditionState.SENDING)
        deliveries.due_now(tx, edition_id, now)
    elif edition.state not in (EditionState.SENDING, EditionState.SENT):
        _freeze_and_queue(tx, press, newsletter, edition, now)
    return editions.required(tx, edition_id)


def _freeze_and_queue(tx: Transaction, press: Press, newsletter: Newsletter, edition: Edition, now: datetime) -> None:
    picks = editions.picked(tx, edition.id)
    hint = "approve it first" if edition.state is EditionState.HELD else ""
    editions.must_move(tx, edition.id, EditionState.SENDING, "sent", hint, frozen_at=now)
    if not picks:
        raise TooFewArticles(0, 1)
    rendering = press(newsletter, edition, picks)
    editions.freeze(tx, [rendering])
    audience, queued, excluded = deliveries.queue_edition(tx, edition, now)
    if queued + excluded != audience:
        raise DigestError(f"{queued} prepared and {excluded} excluded are not the {audience} readers of the edition")
    editions.update(tx, edition.id, subject=rendering.subject, audience=audience, excluded=excluded)


def publish_due(
    store: Store, press: Press, newsletter: Newsletter, tell_desk: TellDesk, now: datetime
) -> Edition | None:
    """What the schedule asks for at `now`: draft, release, wait for the desk, or record a missed hour.

    Run it as often as you like; it acts once. Returns the edition of the last closed period, if there is one.
    """
    period = newsletter.period(now)
    send_at = newsletter.send_at(period)
    missed = now > send_at + newsletter.catch_up
    with store.read() as tx:
        edition = editions.by_period_end(tx, newsletter.name, period.end)
        awaited = deliveries.was_awaited(tx, newsletter.name, send_at)
    if edition is None and missed:
        return _record_missed(store, newsletter, period, tell_desk if awaited else _tell_nobody, now)
    if edition is None:
        edition = draft(store, press, newsletter, period.end, now)
        if edition.state is EditionState.SKIPPED:
            tell_desk(edition.id, f"{newsletter.title}: no edition this time", _TOO_FEW.format(reason=edition.reason))
        elif now < send_at or newsletter.approval is Approval.REQUIRED:
            tell_desk(edition.id, f"{newsletter.title}: the draft is ready", _draft_text(newsletter, edition))
    if now < send_at or edition.state not in UNFROZEN or not _may_go(newsletter, edition):
        return edition
    if missed:
        return _skip_missed(store, newsletter, edition, tell_desk, now)
    return release(store, press, newsletter, edition.id, now)


def _may_go(newsletter: Newsletter, edition: Edition) -> bool:
    if edition.state is EditionState.HELD:
        return False
    return edition.state is EditionState.APPROVED or newsletter.approval is Approval.NONE


def _record_missed(store: Store, newsletter: Newsletter, period: Period, tell_desk: TellDesk, now: datetime) -> Edition:
    """Nothing ran at the hour: keep a record of it. It can still be drafted and sent by hand."""
    with store.begin() as tx:
        edition = editions.create(tx, newsletter, period, now) or editions.by_period_end(
            tx, newsletter.name, period.end
        )
    assert edition is not None, "a period has an edition once it was created"
    return _skip_missed(store, newsletter, edition, tell_desk, now)


def _tell_nobody(edition_id: int, subject: str, text: str) -> None:
    """A new installation: nobody was promised that edition, so the desk need not hear that it was missed."""


def _skip_missed(store: Store, newsletter: Newsletter, edition: Edition, tell_desk: TellDesk, now: datetime) -> Edition:
    hours = (now - edition.send_at).total_seconds() / 3600
    limit = newsletter.catch_up.total_seconds() / 3600
    reason = f"missed: Digest was started {hours:.1f} hours late, and the catch-up limit is {limit:g} hours"
    with store.begin() as tx:
        moved = editions.move(tx, edition.id, EditionState.SKIPPED, reason=reason)
    if moved:
        tell_desk(
            edition.id, f"{newsletter.title}: an edition was missed", _MISSED.format(reason=reason, id=edition.id)
        )
    return get(store, edition.id)


_TOO_FEW = (
    "There is no edition this time: {reason}.\n\n"
    "To send one all the same, lower min_articles or pin articles, then run: digest edition draft"
)
_MISSED = (
    "The edition was not sent. {reason}.\n\n"
    "To send it all the same: digest edition draft, then digest edition send {id}"
)


def _draft_text(newsletter: Newsletter, edition: Edition) -> str:
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


# --- looking -------------------------------------------------------------------------------------


def get(store: Store, edition_id: int) -> Edition:
    """The edition. Raises NotFound."""
    with store.read() as tx:
        return editions.required(tx, edition_id)


def find(store: Store, name: str, newsletter: str | None = None) -> Edition:
    """The edition by its id, or by the word `latest`. Raises NotFound."""
    with store.read() as tx:
        if name == "latest":
            if found := editions.latest(tx, newsletter):
                return found
            raise NotFound("edition", "yet", "run `digest edition draft`")
        if not name.isdecimal():
            raise NotFound("edition", repr(name), "give its number from `digest edition list`, or `latest`")
        return editions.required(tx, int(name))


def listed(store: Store, newsletter: str | None = None) -> list[Edition]:
    """Every edition, the latest period first."""
    with store.read() as tx:
        return editions.listed(tx, newsletter)


def deliveries_of(store: Store, edition_id: int, state: str = "") -> Iterator[Settled]:
    """Who has the edition and who has not, read as a stream: there may be millions."""
    with store.read() as tx:
        yield from deliveries.listed(tx, edition_id=edition_id, state=state)


def candidates(store: Store, newsletter: Newsletter, period: Period) -> list[Ranked]:
    """How the articles of a period rank now, best first; nothing is stored."""
    with store.read() as tx:
        sent = editions.sent_article_ids(tx, newsletter.name)
        return rank(articles.candidates(tx, period), period, newsletter.selection, sent)


def archive(store: Store, newsletter: str | None = None) -> list[Edition]:
    """Editions readers have, newest first."""
    with store.read() as tx:
        return editions.listed(tx, newsletter, [EditionState.SENT, EditionState.SENDING, EditionState.PAUSED])


def archived(store: Store, edition_id: int) -> tuple[Edition, Rendering]:
    """A frozen edition as it was sent. Raises NotFound."""
    with store.read() as tx:
        edition = editions.required(tx, edition_id)
        frozen = editions.frozen(tx, edition_id)
    if not frozen or edition.state not in (EditionState.SENT, EditionState.SENDING, EditionState.PAUSED):
        raise NotFound("edition", edition_id, "it is not published")
    return edition, frozen[0]


def tell_desk(store: Store, addresses: Sequence[str], edition_id: int, subject: str, text: str, now: datetime) -> None:
    """Keep a notice and queue it to each address of the desk."""
    with store.begin() as tx:
        notice_id = workers.add_notice(tx, edition_id or None, subject, text, now)
        for address in addresses:
            deliveries.queue_notice(tx, notice_id, address, now)
