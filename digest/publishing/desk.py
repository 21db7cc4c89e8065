"""FLOW, the desk's part of publishing: what editors decide about an edition, and what they wish for an article."""

from __future__ import annotations

from datetime import datetime

from digest.domain.articles import Article, Pages
from digest.domain.deliveries import UNSETTLED, DeliveryState
from digest.domain.editions import Edition, EditionState
from digest.errors import NotFound, WrongState
from digest.store import Store, articles, deliveries, editions, outbox

# --- the desk's decisions ------------------------------------------------------------------------


def approve(store: Store, edition_id: int) -> Edition:
    """The desk lets the edition go out at its hour."""
    return _move(store, edition_id, EditionState.APPROVED, "approved")


def hold(store: Store, edition_id: int, reason: str = "held by the desk") -> Edition:
    """The desk keeps the edition back until it approves."""
    return _move(store, edition_id, EditionState.HELD, "held", reason=reason)


def pause(store: Store, edition_id: int, reason: str = "paused by the desk") -> Edition:
    """Stop sending; what is on the wire finishes, everything else waits."""
    return _move(store, edition_id, EditionState.PAUSED, "paused", reason=reason)


def cancel(store: Store, edition_id: int, now: datetime) -> Edition:
    """Never send the rest of the edition. From the first moment on nothing of it is claimed any more."""
    with store.begin() as tx:
        editions.must_move(tx, edition_id, EditionState.CANCELLED, "cancelled", reason="cancelled by the desk")
    cancelled = 1
    while cancelled:  # in small transactions: a sign-up is not to wait for a million rows
        with store.begin() as tx:
            cancelled = outbox.cancel_some(tx, now)
    with store.read() as tx:
        return editions.required(tx, edition_id)


def resume(store: Store, edition_id: int, now: datetime) -> Edition:
    """Go on with a paused edition where it stopped."""
    with store.begin() as tx:
        edition = editions.required(tx, edition_id)
        if edition.state is not EditionState.PAUSED:
            raise WrongState("edition", edition_id, edition.state, "resumed", "only a paused one can")
        editions.move(tx, edition_id, EditionState.SENDING)
        deliveries.due_now(tx, edition_id, now)
        return editions.required(tx, edition_id)


def _move(store: Store, edition_id: int, to: EditionState, wish: str, reason: str = "") -> Edition:
    with store.begin() as tx:
        editions.must_move(tx, edition_id, to, wish, reason=reason)
        return editions.required(tx, edition_id)


RESENDABLE: dict[str, frozenset[DeliveryState]] = {
    "uncertain": frozenset({DeliveryState.UNCERTAIN}),
    "failed": frozenset({DeliveryState.FAILED, DeliveryState.REFUSED}),
    "any": frozenset(DeliveryState) - UNSETTLED,
}


def resend(store: Store, edition_id: int, states: frozenset[DeliveryState], reader_key: str, now: datetime) -> int:
    """Queue settled deliveries again, with the same Message-ID; returns how many. A paused edition stays paused."""
    with store.begin() as tx:
        edition = editions.required(tx, edition_id, lock=True)
        if edition.frozen_at is None:
            raise WrongState("edition", edition_id, edition.state, "resent", "it was never sent")
        if edition.state is EditionState.CANCELLED:
            raise WrongState("edition", edition_id, edition.state, "resent", "nothing of it goes out any more")
        again = deliveries.queue_again(tx, edition_id, states, now, reader_key)
        if again and edition.state is EditionState.SENT:
            editions.move(tx, edition_id, EditionState.SENDING)
        return again


def write_note(store: Store, edition_id: int, note: str) -> Edition:
    """The editor's note above the stories, in Markdown; empty takes it back. Raises WrongState once it is frozen."""
    with store.begin() as tx:
        edition = editions.required(tx, edition_id, lock=True)
        if edition.frozen_at is not None:
            raise WrongState("edition", edition_id, edition.state, "changed", "what readers get is frozen")
        editions.update(tx, edition_id, note=note)
        return editions.required(tx, edition_id)


# --- the desk's wishes for an article -------------------------------------------------------------


def find_article(store: Store, name: str, pages: Pages) -> Article:
    """The article by its id or its address. Raises NotFound."""
    with store.read() as tx:
        if name.isdecimal():
            found = articles.by_ids(tx, [int(name)]).get(int(name))
        else:
            found = articles.by_page(tx, _canonical(name, pages))
    if found is None:
        raise NotFound("article", repr(name), "give an id from `digest articles list`, or its address")
    return found


def pin(store: Store, article: Article, now: datetime, position: int | None = None) -> Article:
    """The article comes first in the next edition, or at `position`; pins keep the order they were made in."""
    return _wish(store, article, pinned_at=now, pinned_position=position)


def ban(store: Store, article: Article, now: datetime) -> Article:
    """The article never comes into an edition."""
    return _wish(store, article, banned_at=now)


def unmark(store: Store, article: Article) -> Article:
    """Neither pinned nor banned."""
    return _wish(store, article)


def _wish(store: Store, article: Article, **wish: datetime | int | None) -> Article:
    with store.begin() as tx:
        articles.set_wish(tx, article.id, **wish)
        return articles.by_ids(tx, [article.id])[article.id]


def _canonical(name: str, pages: Pages) -> str:
    try:
        return pages.key(name)
    except ValueError:
        return name
