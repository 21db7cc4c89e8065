"""FLOW: a report came back: whose is it, and what follows.

Nothing acts without a token of ours in the report (its bounce address first, then our Message-ID, then our unsubscribe
link in the part it quotes), nor about mail that never went out: a forged one changes nothing (RFC 3464, RFC 5965).
A report that is read twice counts once. What the desk must hear of is found afterwards, by `to_tell`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from digest.domain.bouncing import (
    CAN_COME_BACK,
    OPEN_TO_ALL,
    TOO_OLD,
    Bounce,
    Outcome,
    Returned,
    SoftRule,
    is_given_up,
    is_time_to_count,
    is_unbelievable,
    kept_words,
    readers_that_matter,
)
from digest.domain.links import Links
from digest.domain.pace import provider as provider_of
from digest.domain.reports import Report, ReportKind
from digest.domain.subscribers import EventKind, Evidence, Subscription, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.errors import InvalidToken, NotFound
from digest.store import Store, Transaction, bounces, consent, subscribers, suppressions

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Followed:
    """What a report was and what followed from it; `is_ours` when it has a token of ours."""

    kind: ReportKind
    delivery_id: int = 0
    consequence: str = "nothing changes"
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class _Case:
    """A report, whose it is, and what is told of it; `returned` is None when only the reader is known."""

    report: Report
    subscription: Subscription
    returned: Returned | None
    words: str
    via: str
    now: datetime

    @property
    def provider(self) -> str:
        return provider_of(self.subscription.address.domain)

    @property
    def is_vouched_complaint(self) -> bool:
        """Whether a provider that proved who it is says so; by mail, whoever holds a forwarded mail can."""
        return self.report.kind is ReportKind.COMPLAINT and self.via not in OPEN_TO_ALL

    @property
    def reason(self) -> str:
        return _reason(self.words)

    def bounce(self, outcome: Outcome = Outcome.NOTHING) -> Bounce:
        """As it is kept."""
        assert self.returned is not None
        known = (self.now, self.returned.id, self.subscription.subscriber_id, self.report.kind, self.report.status)
        return Bounce(*known, self.provider, self.words, self.via, outcome)


def receive(
    store: Store, links: Links, report: Report, now: datetime, *, via: str = "pipe", rule: SoftRule | None = None
) -> Followed:
    """Act on one report: see `act`."""
    with store.begin() as tx:
        return act(tx, links, report, now, via=via, rule=rule)


def act(
    tx: Transaction, links: Links, report: Report, now: datetime, *, via: str = "pipe", rule: SoftRule | None = None
) -> Followed:
    """Act on a report. `via` is where it came in; `rule` says when soft bounces mean that a mailbox is given up."""
    kind = report.kind
    delivery_id, subscription_id = (0, 0) if kind is ReportKind.OTHER else _whose(links, report)
    if not delivery_id and not subscription_id:
        return Followed(kind)
    returned = bounces.returned(tx, delivery_id) if delivery_id else bounces.latest(tx, subscription_id)
    subscription_id = returned.subscription_id if returned else subscription_id
    subscription = subscribers.subscription(tx, subscription_id) if subscription_id else None
    if subscription is None:
        return Followed(kind, delivery_id, "the reader is gone already", is_ours=True)
    words = kept_words(report.words, subscription.address.text)
    case = _Case(report, subscription, returned, words, via, now)
    if doubt := _doubt(case):
        return Followed(kind, delivery_id, doubt, is_ours=True)
    consequence = _follow(tx, links, case, rule or SoftRule())
    return Followed(kind, returned.id if returned else 0, consequence, is_ours=True)


def _whose(links: Links, report: Report) -> tuple[int, int]:
    """(delivery, subscription) a report is about, by the first valid token in it; 0 for what it does not tell."""
    for address in report.envelope_senders:
        try:
            return links.read_envelope_sender(address), 0
        except InvalidToken:
            continue
    for message_id in report.message_ids:
        if delivery_id := links.read_message_id(message_id):
            return delivery_id, 0
    for link in report.unsubscribe_links:
        if subscription_id := _subscription_in(links, link):
            return 0, subscription_id
    return 0, 0


def _subscription_in(links: Links, link: str) -> int:
    """The subscription an unsubscribe link of ours names, https or mailto; 0 for any other."""
    place = link.partition("?")[0]
    try:
        if place.lower().startswith("mailto:"):
            return links.read_leave_by_mail(place[len("mailto:") :])
        return links.read_unsubscribe(place.rstrip("/").rpartition("/")[2])
    except InvalidToken:
        return 0


def _doubt(case: _Case) -> str:
    """Why nothing may follow from it; empty: something may."""
    their_wish = case.report.kind in (ReportKind.COMPLAINT, ReportKind.LEFT)
    if case.returned is None:
        return "" if their_wish else "no mail to that reader is remembered"
    if case.returned.state not in CAN_COME_BACK:
        return "that mail never went out"
    if their_wish:
        return ""
    if case.returned.settled_at < case.now - TOO_OLD:
        return "that mail is too old for it"
    # Who has pressed a button since has a mailbox that works. Deliveries keep whole seconds.
    confirmed_at = case.subscription.confirmed_at
    is_over = confirmed_at is not None and case.returned.settled_at < confirmed_at - timedelta(seconds=1)
    return "they have confirmed since" if is_over and case.report.kind is not ReportKind.POLICY else ""


def _follow(tx: Transaction, links: Links, case: _Case, rule: SoftRule) -> str:
    if case.returned and not (bounces.record(tx, case.bounce()) or _is_vouched_for_now(tx, case)):
        return "it was known already"
    match case.report.kind:
        case ReportKind.HARD:
            return _follow_hard(tx, links, case)
        case ReportKind.SOFT:
            return _follow_soft(tx, links, case, rule)
        case ReportKind.COMPLAINT:
            _leave(tx, case, Way.COMPLAINT)
            _conclude(tx, case, Outcome.SUPPRESSED)
            kind = SuppressionKind.COMPLAINED if case.is_vouched_complaint else SuppressionKind.REPORTED
            return _suppress(tx, links, case, kind, f"complaint: {case.words}")
        case ReportKind.LEFT:
            return "unsubscribed" if _leave(tx, case, Way.LINK) else "had unsubscribed already"
    _conclude(tx, case, Outcome.TOLD)
    return "nothing changes; the desk is told"


def _is_vouched_for_now(tx: Transaction, case: _Case) -> bool:
    """Whether it was only said by mail until now."""
    return case.is_vouched_complaint and bounces.vouch(tx, case.bounce())


# --- hard: the mailbox does not exist ------------------------------------------------------------


def _follow_hard(tx: Transaction, links: Links, case: _Case) -> str:
    outcome = _believed(tx, links, case)
    _conclude(tx, case, outcome)
    if outcome is Outcome.HELD:
        return "held: so many at once are for the desk to judge"
    if outcome is Outcome.DISCARDED:
        return "nothing changes: the desk did not believe it"
    return _suppress(tx, links, case, SuppressionKind.BOUNCED, case.reason)


def _believed(tx: Transaction, links: Links, case: _Case) -> Outcome:
    """Whether it is one of so many of its edition, at one provider, that it is the provider that must be wrong."""
    edition_id = case.returned.edition_id if case.returned else 0
    if not edition_id:
        return Outcome.SUPPRESSED
    number, decided = bounces.tally(tx, edition_id, case.provider)
    if decided or not is_time_to_count(number):
        return decided or Outcome.SUPPRESSED
    readers = bounces.readers_at(tx, edition_id, case.provider, readers_that_matter(number))
    if not is_unbelievable(number, readers):
        return Outcome.SUPPRESSED
    bounces.decide(tx, edition_id, case.provider, Outcome.HELD)
    _hold_the_others(tx, links, case)
    return Outcome.HELD


def _hold_the_others(tx: Transaction, links: Links, case: _Case) -> None:
    """Those believed before there were too many are held too, and their readers let go again."""
    assert case.returned is not None
    edition_id = case.returned.edition_id
    for _, subscriber_id, words in bounces.hard_at(tx, edition_id, case.provider, [Outcome.SUPPRESSED]):
        if not (known := subscribers.everything_of(tx, subscriber_id)):
            continue
        suppression = suppressions.of(tx, links.address_hash(known[0].address.key))
        if suppression and suppression.kind is SuppressionKind.BOUNCED and suppression.reason == _reason(words):
            reason = "too many mailboxes of one provider were said to be gone at once"
            lifted = Suppression(suppression.address_hash, suppression.kind, reason, case.now, by="the guard")
            suppressions.lift(tx, lifted)
            suppressions.hold_for_domain(tx, known[0].address.domain, replace(lifted, subscriber_id=subscriber_id))
            evidence = Evidence(Way.BOUNCE, form=reason)
            consent.record(tx, subscriber_id, "", EventKind.LIFTED, evidence, case.now)
    bounces.set_outcome(tx, edition_id, case.provider, [Outcome.SUPPRESSED], Outcome.HELD)


def settle_held(store: Store, links: Links, provider: str, now: datetime, *, believe: bool) -> int:
    """The desk has judged the held bounces of a provider; returns how many. Raises NotFound when there are none."""
    with store.begin() as tx:
        groups = [each for each in bounces.held(tx) if each.provider == provider_of(provider.lower())]
        if not groups:
            raise NotFound("held bounces at", provider, "see `digest bounces held`")
        for group in groups if believe else ():
            for _, subscriber_id, words in bounces.hard_at(tx, group.edition_id, group.provider, [Outcome.HELD]):
                if known := subscribers.everything_of(tx, subscriber_id):
                    _suppress_address(tx, links, known[0], SuppressionKind.BOUNCED, _reason(words), now, by="the desk")
        after = Outcome.APPLIED if believe else Outcome.DISCARDED
        for group in groups:
            bounces.decide(tx, group.edition_id, group.provider, after)
            bounces.set_outcome(tx, group.edition_id, group.provider, [Outcome.HELD], after)
        return sum(group.bounces for group in groups)


# --- soft: failing for a while -------------------------------------------------------------------


def _follow_soft(tx: Transaction, links: Links, case: _Case, rule: SoftRule) -> str:
    address = case.subscription.address
    # Whoever let the address or its domain go believed in it again: it has the whole row before it.
    lifted = suppressions.lifted_at(tx, [links.address_hash(address.key), address.domain])
    since = max(lifted.values(), default=_ANY_TIME)
    if not is_given_up(bounces.history(tx, case.subscription.subscriber_id, since), case.now, rule):
        _conclude(tx, case, Outcome.COUNTED)
        return "counted"
    _conclude(tx, case, Outcome.SUPPRESSED)
    reason = f"failing for weeks: {case.words}"
    return _suppress(tx, links, case, SuppressionKind.BOUNCED, reason)


# --- what all share ------------------------------------------------------------------------------


def _leave(tx: Transaction, case: _Case, way: Way) -> bool:
    reader = case.subscription
    left = subscribers.unsubscribe(tx, reader.id, case.now)
    if left:
        evidence = Evidence(way, form=case.via, delivery_id=case.returned.id if case.returned else None)
        kind = EventKind.UNSUBSCRIBED
        consent.record(tx, reader.subscriber_id, reader.newsletter, kind, evidence, case.now)
    return left


def _suppress(tx: Transaction, links: Links, case: _Case, kind: SuppressionKind, reason: str) -> str:
    new = _suppress_address(tx, links, case.subscription, kind, reason, case.now, by=case.provider)
    return "suppressed" if new else "was suppressed already"


def _suppress_address(
    tx: Transaction, links: Links, reader: Subscription, kind: SuppressionKind, reason: str, now: datetime, *, by: str
) -> bool:
    address_hash = links.address_hash(reader.address.key)
    suppression = Suppression(address_hash, kind, reason, now, by=by, subscriber_id=reader.subscriber_id)
    new = suppressions.suppress(tx, suppression)
    if new:
        way = Way.BOUNCE if kind is SuppressionKind.BOUNCED else Way.COMPLAINT
        evidence = Evidence(way, form=reason)
        consent.record(tx, reader.subscriber_id, "", EventKind.SUPPRESSED, evidence, now)
    return new


def _conclude(tx: Transaction, case: _Case, outcome: Outcome) -> None:
    if case.returned:
        bounces.conclude(tx, case.returned.id, case.report.kind, outcome)


def _reason(words: str) -> str:
    """Why an address that bounced hard is suppressed."""
    return f"{ReportKind.HARD}: {words}"
