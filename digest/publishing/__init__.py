"""FLOW: articles, picks, an edition: drafted, approved, frozen, its deliveries queued.

An edition is ranked afresh until it is frozen. Freezing, and queueing a delivery to every reader, is one
transaction: an edition is being sent to all its readers or to none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from digest.domain import notices
from digest.domain.deliveries import Settled
from digest.domain.editions import FOR_SIZE, UNFROZEN, Edition, EditionState, Pick, Rendering, with_sizes
from digest.domain.looking import LookAgain, Looked, NotLookedAt
from digest.domain.newsletters import Approval, Fallback, Newsletter
from digest.domain.periods import Period
from digest.errors import DigestError, NotFound, StoreConflict, TooFewArticles
from digest.publishing import lateness, picking
from digest.store import Store, Transaction, deliveries, editions, workers

Press = Callable[[Newsletter, Edition, Sequence[Pick], str], Rendering]  # lays an edition out in a language
TellDesk = Callable[[int, str, str], None]  # edition id, subject, text

_NOT_PLAUSIBLE = "its counts are not plausible"


# --- drafting ------------------------------------------------------------------------------------


def draft(
    store: Store, press: Press, newsletter: Newsletter, at: datetime, now: datetime, tell_desk: TellDesk | None = None
) -> Edition:
    """The edition of the period that closed last at `at`, ranked afresh unless it is frozen.

    With too few articles, or with counts that cannot be right, it may end up skipped, with the reason, if that is the
    newsletter's policy. The desk is told when the counts are not believed.
    """
    period = newsletter.period(at)
    with store.begin() as tx:
        edition = editions.create(tx, newsletter, period, now)
        edition = edition or editions.by_period_end(tx, newsletter.name, period.end)
        assert edition is not None, "a period has an edition once it was created"
        edition = editions.required(tx, edition.id, lock=True)
        if edition.state is EditionState.SKIPPED:
            editions.move(tx, edition.id, EditionState.DRAFTED)
        elif edition.state is EditionState.SENT and not edition.audience:  # there was no reader: nobody has it
            editions.unfreeze(tx, edition.id)
        elif edition.state not in UNFROZEN:
            return edition
        choice = picking.choose(tx, newsletter, period)
        if edition.state is EditionState.APPROVED and picking.differs(tx, edition, choice):
            editions.move(tx, edition.id, EditionState.DRAFTED)  # the desk approved another list
        try:
            picking.keep(tx, newsletter, edition, choice)
            if choice.odd and newsletter.plausibility.fallback is Fallback.SKIP:
                editions.move(tx, edition.id, EditionState.SKIPPED, reason=f"{_NOT_PLAUSIBLE}: {choice.odd[0]}")
            else:
                _lay_out(tx, press, newsletter, editions.required(tx, edition.id))
        except TooFewArticles as error:
            editions.move(tx, edition.id, EditionState.SKIPPED, reason=str(error))
        lateness.note_a_late_draft(tx, newsletter, edition.id, now)
        drafted = editions.required(tx, edition.id)
    if tell_desk and choice.odd and drafted.notes != edition.notes:
        tell_desk(
            drafted.id,
            f"{newsletter.title}: the counts are not plausible",
            notices.not_plausible(newsletter, drafted, choice.odd),
        )
    return drafted


def _lay_out(tx: Transaction, press: Press, newsletter: Newsletter, edition: Edition) -> None:
    """See that the mail can be made of the picks, in every language it has readers in."""
    renderings = _in_each_language(tx, press, newsletter, edition, editions.picked(tx, edition.id))
    is_monthly = _is_first_of_month(tx, newsletter, edition)
    audience, excluded = deliveries.count_audience(tx, newsletter.name, edition.created_at, is_monthly=is_monthly)
    notes, subject = with_sizes(edition.notes, renderings), renderings[0].subject
    editions.update(tx, edition.id, subject=subject, audience=audience, excluded=excluded, notes=notes)


def _in_each_language(
    tx: Transaction, press: Press, newsletter: Newsletter, edition: Edition, picks: Sequence[Pick]
) -> list[Rendering]:
    """The edition laid out for all its readers; the newsletter's own language comes first."""
    languages = [newsletter.language, *deliveries.other_languages(tx, newsletter.name, newsletter.language)]
    return [press(newsletter, edition, picks, language) for language in languages]


# --- sending -------------------------------------------------------------------------------------


def release(
    store: Store,
    press: Press,
    newsletter: Newsletter,
    edition_id: int,
    now: datetime,
    look_again: LookAgain | None = None,
) -> Edition:
    """Freeze the edition if need be and queue its deliveries, so that the sender takes it up.

    Safe to call twice, or by two at once: one edition is queued once. A paused edition goes on. `look_again` is asked
    right before freezing which of the picked pages are gone; with too few left the edition is skipped.
    """
    looked = Looked(look_again)
    while True:
        try:
            with store.begin(snapshot=True) as tx:
                return _release(tx, press, newsletter, edition_id, looked, now)
        except StoreConflict:
            continue  # another draft or release of it came first: look again
        except NotLookedAt as error:
            looked.look(error.args[0])  # the network, outside of any transaction


def _release(
    tx: Transaction, press: Press, newsletter: Newsletter, edition_id: int, looked: Looked, now: datetime
) -> Edition:
    edition = editions.required(tx, edition_id, lock=True)
    if edition.state is EditionState.PAUSED:
        editions.move(tx, edition_id, EditionState.SENDING)
        deliveries.due_now(tx, edition_id, now)
    elif edition.state not in (EditionState.SENDING, EditionState.SENT):
        try:
            _freeze_and_queue(tx, press, newsletter, edition, looked, now)
        except TooFewArticles as error:
            if not editions.move(tx, edition_id, EditionState.SKIPPED, reason=f"{error}, as pages are gone"):
                raise
    return editions.required(tx, edition_id)


def _freeze_and_queue(
    tx: Transaction, press: Press, newsletter: Newsletter, edition: Edition, looked: Looked, now: datetime
) -> None:
    if edition.state in (EditionState.DRAFTED, EditionState.APPROVED):
        looked.must_know(editions.picked(tx, edition.id))
        picking.correct(tx, newsletter, edition, looked.gone, now)
        looked.must_know(editions.picked(tx, edition.id))
    picks = editions.picked(tx, edition.id)
    hint = "approve it first" if edition.state is EditionState.HELD else ""
    editions.must_move(tx, edition.id, EditionState.SENDING, "sent", hint, frozen_at=now)
    if not picks:
        raise TooFewArticles(0, 1)
    present = editions.required(tx, edition.id)
    renderings = _in_each_language(tx, press, newsletter, present, picks)
    editions.freeze(tx, renderings)
    is_monthly = _is_first_of_month(tx, newsletter, edition)
    audience, queued, excluded = deliveries.queue_edition(tx, edition, now, is_monthly=is_monthly)
    if queued + excluded != audience:
        raise DigestError(f"{queued} prepared and {excluded} excluded are not the {audience} readers of the edition")
    notes, subject = with_sizes(present.notes, renderings), renderings[0].subject
    editions.update(tx, edition.id, subject=subject, audience=audience, excluded=excluded, notes=notes)


def _is_first_of_month(tx: Transaction, newsletter: Newsletter, edition: Edition) -> bool:
    """Whether readers who want one edition a month get this one."""
    return not editions.went_out(tx, newsletter.name, newsletter.month_start(edition.send_at), edition.send_at)


def publish_due(
    store: Store,
    press: Press,
    newsletter: Newsletter,
    tell_desk: TellDesk,
    now: datetime,
    look_again: LookAgain | None = None,
) -> Edition | None:
    """What the schedule asks for at `now`: draft, release, wait for the desk, or record a missed hour.

    Run it as often as you like; it acts once. Returns the edition of the last closed period, if one is there or owed.
    """
    period = newsletter.period(now)
    send_at = newsletter.send_at(period)
    missed = now > send_at + newsletter.catch_up
    with store.read() as tx:
        edition = editions.by_period_end(tx, newsletter.name, period.end)
        awaited = deliveries.was_awaited(tx, newsletter.name, send_at if missed else now)
    seen = lateness.first_seen(store, newsletter, now)
    if edition is None and seen > send_at and not awaited:
        return None
    if edition is None and missed:
        return lateness.record(store, newsletter, period, tell_desk if awaited else _tell_nobody, now)
    if edition is None:
        edition = draft(store, press, newsletter, period.end, now, tell_desk)
        if edition.state is EditionState.SKIPPED and not edition.reason.startswith(_NOT_PLAUSIBLE):  # that was told
            tell_desk(edition.id, f"{newsletter.title}: no edition this time", notices.too_few(edition))
        elif now < send_at or newsletter.approval is Approval.REQUIRED:
            subject = f"{newsletter.title}: {notices.DRAFT_READY}"
            tell_desk(edition.id, subject, notices.draft_ready(newsletter, edition))
    if now < send_at or edition.state not in UNFROZEN or not _may_go(newsletter, edition):
        return edition
    if missed:
        return lateness.pass_over(store, newsletter, edition, tell_desk, now)
    released = release(store, press, newsletter, edition.id, now, look_again)
    if released.state is EditionState.SKIPPED:
        tell_desk(edition.id, f"{newsletter.title}: no edition this time", notices.too_few(released))
    elif changed := [note for note in released.notes if note not in edition.notes and not note.startswith(FOR_SIZE)]:
        tell_desk(edition.id, f"{newsletter.title}: the list was corrected", notices.corrected(changed))
    return released


def _tell_nobody(edition_id: int, subject: str, text: str) -> None:
    """No reader was waiting yet, so the desk need not hear that it was missed."""


def _may_go(newsletter: Newsletter, edition: Edition) -> bool:
    if edition.state is EditionState.HELD:
        return False
    return edition.state is EditionState.APPROVED or newsletter.approval is Approval.NONE


# --- looking -------------------------------------------------------------------------------------


def get(store: Store, edition_id: int) -> Edition:
    """The edition. Raises NotFound."""
    with store.read() as tx:
        return editions.required(tx, edition_id)


def find(store: Store, name: str, newsletter: str | None = None) -> Edition:
    """The edition by its id, or by the word `latest`. Raises NotFound."""
    with store.read() as tx:
        if name == "latest":
            newest: dict[str, Edition] = {}
            for each in editions.listed(tx, newsletter):
                newest.setdefault(each.newsletter, each)
            # Of several newsletters the one is meant in which there is something to look at.
            there = [each for each in newest.values() if each.state is not EditionState.SKIPPED]
            if found := next(iter(there or newest.values()), None):
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


def candidates(store: Store, newsletter: Newsletter, period: Period) -> picking.Choice:
    """How the articles of a period rank now, best first; no edition is made."""
    with store.begin() as tx:
        choice = picking.choose(tx, newsletter, period)
        return replace(choice, record=picking.whole(tx, choice.record))


def archive(store: Store, newsletter: str | None = None) -> list[Edition]:
    """Editions readers have, newest first."""
    with store.read() as tx:
        return editions.listed(tx, newsletter, [EditionState.SENT, EditionState.SENDING, EditionState.PAUSED])


def announced(store: Store, found: Sequence[Edition], languages: Mapping[str, str]) -> dict[int, str]:
    """The preheaders of editions by their ids, in the language of each newsletter."""
    with store.read() as tx:
        said = editions.preheaders(tx, [each.id for each in found])
    return {each.id: said.get((each.id, languages[each.newsletter]), "") for each in found}


def archived(store: Store, edition_id: int, language: str = "") -> tuple[Edition, Rendering]:
    """A frozen edition as it was sent, in that language if it was sent in it. Raises NotFound."""
    with store.read() as tx:
        edition = editions.required(tx, edition_id)
        frozen = editions.frozen(tx, edition_id)
    if not frozen or edition.state not in (EditionState.SENT, EditionState.SENDING, EditionState.PAUSED):
        raise NotFound("edition", edition_id, "it is not published")
    return edition, next((each for each in frozen if each.language == language), frozen[0])


def was_told(store: Store, edition_id: int, subject: str, text: str) -> bool:
    """Whether the desk has heard this very thing about the edition."""
    with store.read() as tx:
        return any((each.subject, each.text) == (subject, text) for each in workers.notices_of(tx, edition_id))


def tell_desk(store: Store, addresses: Sequence[str], edition_id: int, subject: str, text: str, now: datetime) -> None:
    """Keep a notice and queue it to each address of the desk."""
    with store.begin() as tx:
        notice_id = workers.add_notice(tx, edition_id or None, subject, text, now)
        for address in addresses:
            deliveries.queue_notice(tx, notice_id, address, now)
